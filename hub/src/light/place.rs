//! Where a lamp stands: its wall clock, and when the sun rises and sets there.
//!
//! Sunrise and sunset come from the crate `sunrise`, which computes them by the equation of NOAA's solar
//! calculator, good to a minute or two below the polar circles.

use chrono::NaiveDate;
use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};
use sunrise::{Coordinates, DawnType, SolarDay, SolarEvent};

/// A place on Earth with its wall clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// 1e-7 degrees north and east; `None` where nobody said.
    position_e7: Option<(i32, i32)>,
    zone: TimeZone,
}

/// An edge of daylight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The sun's upper rim comes over the horizon.
    Sunrise,
    /// The sun's upper rim goes below it.
    Sunset,
    /// 6 degrees below the horizon, before sunrise.
    CivilDawn,
    /// 6 degrees below the horizon, after sunset.
    CivilDusk,
}

/// When an edge of daylight comes on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// ms since 1970, UTC.
    At(u64),
    /// Not on this day: the sun stays above.
    StaysLight,
    /// Not on this day: the sun stays below.
    StaysDark,
}

const E7: f64 = 1e7;
const S_PER_HOUR: i32 = 3600;

impl Place {
    /// A place with a zone, or else with the clock of its meridian: whole hours, no summer time. Without
    /// a position either it is that of UTC.
    pub fn new(position_e7: Option<(i32, i32)>, zone: Option<TimeZone>) -> Self {
        let zone = zone.unwrap_or_else(|| meridian(position_e7.map_or(0, |(_, east)| east)));
        Self { position_e7, zone }
    }

    /// Whether it is known where it is.
    pub fn has_position(&self) -> bool {
        self.position_e7.is_some()
    }

    /// The wall clock there; `None` beyond the calendar's range.
    pub fn local(&self, unix_ms: u64) -> Option<jiff::civil::DateTime> {
        let timestamp = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
        Some(self.zone.to_datetime(timestamp))
    }

    /// ms since 1970 when the clock there shows so many s after midnight. A time that a change of clocks
    /// repeats counts the first time; one that it skips counts at the next moment that exists.
    pub fn moment(&self, date: Date, local_s: u32) -> Option<u64> {
        let second = i64::from(local_s.min(86_399));
        let at = date.to_datetime(Time::midnight()).checked_add(second.seconds()).ok()?;
        let ambiguous = self.zone.to_ambiguous_timestamp(at);
        let timestamp = match ambiguous.offset() {
            AmbiguousOffset::Gap { after, .. } => {
                let before_gap = after.to_timestamp(at).ok()?;
                self.zone.following(before_gap).next()?.timestamp()
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                ambiguous.compatible().ok()?
            }
        };
        u64::try_from(timestamp.as_millisecond()).ok()
    }

    /// When an edge of daylight comes on a local day; `None` without a position.
    pub fn edge(&self, date: Date, edge: Edge) -> Option<Moment> {
        let (latitude_e7, longitude_e7) = self.position_e7?;
        let (latitude, longitude) = (f64::from(latitude_e7) / E7, f64::from(longitude_e7) / E7);
        let (month, day) =
            (u32::from(date.month().unsigned_abs()), u32::from(date.day().unsigned_abs()));
        let date = NaiveDate::from_ymd_opt(i32::from(date.year()), month, day)?;
        let time =
            SolarDay::new(Coordinates::new(latitude, longitude)?, date).event_time(edge.event());
        if let Some(time) = time {
            return u64::try_from(time.timestamp_millis()).ok().map(Moment::At);
        }
        let is_dark = noon_elevation_deg(latitude, date) < edge.elevation_deg();
        Some(if is_dark { Moment::StaysDark } else { Moment::StaysLight })
    }
}

impl Edge {
    fn event(self) -> SolarEvent {
        match self {
            Self::Sunrise => SolarEvent::Sunrise,
            Self::Sunset => SolarEvent::Sunset,
            Self::CivilDawn => SolarEvent::Dawn(DawnType::Civil),
            Self::CivilDusk => SolarEvent::Dusk(DawnType::Civil),
        }
    }

    /// The height of the sun's centre then; of rise and set with the refraction and its radius.
    fn elevation_deg(self) -> f64 {
        match self {
            Self::Sunrise | Self::Sunset => -0.833,
            Self::CivilDawn | Self::CivilDusk => -6.0,
        }
    }

    /// Whether it ends the night.
    pub fn is_of_morning(self) -> bool {
        matches!(self, Self::Sunrise | Self::CivilDawn)
    }
}

fn meridian(longitude_e7: i32) -> TimeZone {
    let hours = (f64::from(longitude_e7) / E7 / 15.0).round() as i32;
    Offset::from_seconds(hours * S_PER_HOUR).map_or(TimeZone::UTC, TimeZone::fixed)
}

/// How high the sun stands at noon, in degrees, good to one: the declination as a cosine of the year
/// (Cooper 1969). Only asked beyond the polar circles, where it decides between all day and all night.
fn noon_elevation_deg(latitude: f64, date: NaiveDate) -> f64 {
    use chrono::Datelike as _;
    let turn = std::f64::consts::TAU * (f64::from(date.ordinal()) + 284.0) / 365.0;
    let declination = 23.45 * turn.sin();
    90.0 - (latitude - declination).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sun_rises_and_sets_by_the_almanac() {
        check((51.5074, -0.1278), "2025-06-21", "03:43:05", "20:21:28");
        check((51.5074, -0.1278), "2025-12-21", "08:03:52", "15:53:21");
        check((52.52, 13.405), "2025-11-21", "06:38:49", "15:06:02");
        check((60.1699, 24.9384), "2025-06-21", "00:54:00", "19:50:00");
    }

    #[track_caller]
    fn check((latitude, longitude): (f64, f64), date: &str, sunrise: &str, sunset: &str) {
        let e7 = |degrees: f64| (degrees * E7) as i32;
        let place = Place::new(Some((e7(latitude), e7(longitude))), None);
        let day: Date = date.parse().expect("a date");
        for (edge, wanted) in [(Edge::Sunrise, sunrise), (Edge::Sunset, sunset)] {
            let wanted = unix_ms(&format!("{date}T{wanted}Z"));
            let Some(Moment::At(found)) = place.edge(day, edge) else {
                panic!("{edge:?} is missing")
            };
            assert!(found.abs_diff(wanted) < 120_000, "{edge:?}: {found}, not {wanted}");
        }
    }

    #[test]
    fn beyond_the_polar_circle_it_stays_light_or_dark() {
        let tromso = Place::new(Some((696_492_000, 189_553_000)), None);
        let on = |text: &str| tromso.edge(text.parse().expect("a date"), Edge::Sunset);
        assert_eq!(on("2025-06-21"), Some(Moment::StaysLight));
        assert_eq!(on("2025-12-21"), Some(Moment::StaysDark));
        assert_eq!(
            Place::new(None, None).edge("2025-06-21".parse().expect("a date"), Edge::Sunset),
            None
        );
    }

    #[test]
    fn a_repeated_time_counts_once_and_a_skipped_one_at_the_next_that_exists() {
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        let berlin = Place::new(None, Some(zone));
        let at = |date: &str, s| berlin.moment(date.parse().expect("a date"), s);
        let half_past_two = 2 * 3600 + 1800;
        assert_eq!(at("2026-10-25", half_past_two), Some(unix_ms("2026-10-25T00:30:00Z")));
        assert_eq!(at("2026-03-29", half_past_two), Some(unix_ms("2026-03-29T01:00:00Z")));
        assert_eq!(at("2026-07-01", 0), Some(unix_ms("2026-06-30T22:00:00Z")));
    }

    #[test]
    fn without_a_zone_the_clock_is_that_of_the_meridian() {
        let place = Place::new(Some((525_200_000, 134_050_000)), None);
        assert_eq!(
            place.moment("2026-07-01".parse().expect("a date"), 0),
            Some(unix_ms("2026-06-30T23:00:00Z"))
        );
    }

    fn unix_ms(text: &str) -> u64 {
        let time: Timestamp = text.parse().expect("a time");
        time.as_millisecond() as u64
    }
}
