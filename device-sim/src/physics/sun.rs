//! Where the sun stands over a lamp, and the night that follows from it.
//!
//! Sunset and sunrise come from the crate `sunrise`, which the firmware can use as well. A night
//! runs from noon to noon of the lamp's local day, so that it is never cut at midnight.
//!
//! Beyond the polar circles the sun may not set, or not rise. Then its height at noon decides:
//! below the horizon the lamp burns all day, above it the lamp stays dark.

use chrono::NaiveDate;
use sunrise::{Coordinates, SolarDay, SolarEvent};

use super::UnixMillis;

/// A place on Earth with its wall clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Degrees north, -90 to 90.
    pub latitude_deg: f64,
    /// Degrees east, -180 to 180.
    pub longitude_deg: f64,
    /// s, -43200 to 50400: local time is so far ahead of UTC, all year.
    pub utc_offset_s: i32,
}

/// One night of a lamp, noon to noon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Night {
    /// Local noon, when this night's day begins; it ends 24 h later.
    pub noon: UnixMillis,
    /// Sunset; equal to `sunrise` if this night has no darkness.
    pub sunset: UnixMillis,
    /// The sunrise after `sunset`.
    pub sunrise: UnixMillis,
}

const DAY_MS: i64 = 86_400_000;
/// The sun's upper rim touches the horizon while its centre is here, refraction included.
const RISE_DEG: f64 = -0.833;
/// Days from 0001-01-01 to 1970-01-01 in chrono's count.
const EPOCH_DAYS: i64 = 719_163;

impl Place {
    /// A place with the clock of its meridian: whole hours, no summer time. Values beyond the
    /// poles or the date line are clamped.
    pub fn new(latitude_deg: f64, longitude_deg: f64) -> Self {
        let longitude_deg = longitude_deg.clamp(-180.0, 180.0);
        Self {
            latitude_deg: latitude_deg.clamp(-90.0, 90.0),
            longitude_deg,
            utc_offset_s: (longitude_deg / 15.0).round() as i32 * 3600,
        }
    }

    /// ms after local midnight, 0 to 86399999.
    pub(super) fn local_ms_of_day(self, at: UnixMillis) -> u32 {
        u32::try_from(self.local_ms(at).rem_euclid(DAY_MS)).expect("a day has fewer ms than 2^32")
    }

    /// Days since 1970-01-01 on the local calendar.
    pub(super) fn local_day(self, at: UnixMillis) -> i64 {
        self.local_ms(at).div_euclid(DAY_MS)
    }

    fn local_ms(self, at: UnixMillis) -> i64 {
        at.0 as i64 + i64::from(self.utc_offset_s) * 1000
    }

    /// The night around a moment: that of the last local noon.
    pub fn night(self, at: UnixMillis) -> Night {
        let day = (self.local_ms(at) - DAY_MS / 2).div_euclid(DAY_MS);
        let noon = self.noon_of(day);
        let next_noon = self.noon_of(day + 1);
        let sunset = self.event(day, SolarEvent::Sunset);
        let sunrise = self.event(day + 1, SolarEvent::Sunrise);
        let sunset = match sunset {
            Some(sunset) => sunset.max(noon),
            None if self.dark_at_noon(noon) => noon,
            None => return Night { noon, sunset: noon, sunrise: noon },
        };
        let sunrise = match sunrise {
            Some(sunrise) => sunrise.clamp(sunset, next_noon),
            None if self.dark_at_noon(next_noon) => next_noon,
            // The last night before the sun stays up ends where the two twilights meet.
            None => UnixMillis(noon.0 + DAY_MS as u64 / 2).max(sunset),
        };
        Night { noon, sunset, sunrise }
    }

    /// When an event of the sun happens on a local day; `None` if it doesn't.
    pub fn event(self, local_day: i64, event: SolarEvent) -> Option<UnixMillis> {
        let date =
            NaiveDate::from_num_days_from_ce_opt(i32::try_from(local_day + EPOCH_DAYS).ok()?)?;
        let place = Coordinates::new(self.latitude_deg, self.longitude_deg)?;
        let time = SolarDay::new(place, date).event_time(event)?;
        u64::try_from(time.timestamp_millis()).ok().map(UnixMillis)
    }

    fn noon_of(self, local_day: i64) -> UnixMillis {
        let noon = local_day * DAY_MS + DAY_MS / 2 - i64::from(self.utc_offset_s) * 1000;
        UnixMillis(u64::try_from(noon).unwrap_or(0))
    }

    fn dark_at_noon(self, noon: UnixMillis) -> bool {
        self.elevation_deg(noon) < RISE_DEG
    }

    /// The sun's height over the horizon in degrees, -90 to 90; good to 0.1 degree.
    pub fn elevation_deg(self, at: UnixMillis) -> f64 {
        let days = at.0 as f64 / DAY_MS as f64 - 10_957.5;
        let anomaly = (357.529 + 0.985_600_28 * days).to_radians();
        let mean_longitude = (280.459 + 0.985_647_36 * days).rem_euclid(360.0);
        let longitude =
            (mean_longitude + 1.915 * anomaly.sin() + 0.020 * (2.0 * anomaly).sin()).to_radians();
        let tilt = (23.439 - 0.000_000_36 * days).to_radians();
        let declination = (tilt.sin() * longitude.sin()).asin();
        let ascension = (tilt.cos() * longitude.sin()).atan2(longitude.cos()).to_degrees();

        let sidereal_deg = 280.460_618_37 + 360.985_647_366_29 * days + self.longitude_deg;
        let hour_angle = (sidereal_deg - ascension).to_radians();
        let latitude = self.latitude_deg.to_radians();
        let height = latitude.sin() * declination.sin()
            + latitude.cos() * declination.cos() * hour_angle.cos();
        height.clamp(-1.0, 1.0).asin().to_degrees()
    }
}

impl Night {
    /// Whether the lamp belongs lit: after sunset, before sunrise.
    pub(super) fn is_dark(&self, at: UnixMillis) -> bool {
        self.sunset <= at && at < self.sunrise
    }

    /// Whether a moment lies between this night's noon and the next.
    pub(super) fn covers(&self, at: UnixMillis) -> bool {
        self.noon <= at && at < self.ends()
    }

    /// The next noon.
    pub(super) fn ends(&self) -> UnixMillis {
        UnixMillis(self.noon.0 + DAY_MS as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONDON: (f64, f64) = (51.5074, -0.1278);
    const BERLIN: (f64, f64) = (52.52, 13.405);
    const HELSINKI: (f64, f64) = (60.1699, 24.9384);
    const TROMSO: (f64, f64) = (69.6492, 18.9553);

    #[test]
    fn the_sun_rises_and_sets_by_the_almanac() {
        check(LONDON, "2025-06-21", "03:43:05", "20:21:28");
        check(LONDON, "2025-12-21", "08:03:52", "15:53:21");
        check(BERLIN, "2025-11-21", "06:38:49", "15:06:02");
        check(HELSINKI, "2025-06-21", "00:54:00", "19:50:00");
    }

    #[track_caller]
    fn check((latitude, longitude): (f64, f64), date: &str, sunrise: &str, sunset: &str) {
        let place = Place::new(latitude, longitude);
        let day = place.local_day(utc(date, "12:00:00"));
        for (event, wanted) in [(SolarEvent::Sunrise, sunrise), (SolarEvent::Sunset, sunset)] {
            let wanted = utc(date, wanted);
            let found = place.event(day, event).expect("this place has the event that day");
            assert!(found.0.abs_diff(wanted.0) < 120_000, "{event:?}: {found:?}, not {wanted:?}");
        }
    }

    fn utc(date: &str, time: &str) -> UnixMillis {
        let text = format!("{date}T{time}");
        let time: chrono::NaiveDateTime = text.parse().expect("the test states a valid time");
        UnixMillis(time.and_utc().timestamp_millis() as u64)
    }

    #[test]
    fn the_polar_summer_has_no_night_and_the_polar_winter_no_day() {
        let place = Place::new(TROMSO.0, TROMSO.1);
        let summer = place.night(utc("2025-06-21", "20:00:00"));
        assert_eq!(summer.sunset, summer.sunrise);

        let winter = place.night(utc("2025-12-21", "20:00:00"));
        assert_eq!((winter.sunset, winter.sunrise), (winter.noon, winter.ends()));
    }

    #[test]
    fn a_night_holds_midnight() {
        let place = Place::new(BERLIN.0, BERLIN.1);
        let evening = place.night(utc("2025-11-21", "20:00:00"));
        assert_eq!(place.night(utc("2025-11-22", "03:00:00")), evening);
        assert!(evening.is_dark(utc("2025-11-21", "23:00:00")));
        assert!(!evening.is_dark(utc("2025-11-21", "14:00:00")));
        let hours = (evening.sunrise.0 - evening.sunset.0) as f64 / 3.6e6;
        assert!((15.4..15.7).contains(&hours), "{hours}");
    }

    #[test]
    fn elevation_agrees_with_sunset() {
        let place = Place::new(BERLIN.0, BERLIN.1);
        for date in ["2025-03-20", "2025-06-21", "2025-11-21"] {
            let night = place.night(utc(date, "22:00:00"));
            assert!((place.elevation_deg(night.sunset) - RISE_DEG).abs() < 0.2);
            assert!((place.elevation_deg(night.sunrise) - RISE_DEG).abs() < 0.2);
        }
    }

    #[test]
    fn night_hours_in_a_year_fit_the_latitude() {
        let place = Place::new(52.0, 13.4);
        let start = utc("2025-01-01", "20:00:00").0;
        let hours: f64 = (0..365)
            .map(|day| place.night(UnixMillis(start + day * DAY_MS as u64)))
            .map(|night| (night.sunrise.0 - night.sunset.0) as f64 / 3.6e6)
            .sum();
        assert!((hours - 4278.0).abs() < 10.0, "{hours}");
    }
}
