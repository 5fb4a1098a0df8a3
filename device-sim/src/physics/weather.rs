//! Air and sky over the city: temperature, clouds, and the daylight on a photocell.
//!
//! One weather for all lamps of a seed, as a function of time alone.

use std::f64::consts::TAU;

use super::random::{Noise, Stream, hash};
use super::{Night, Place, UnixMillis};

const AMBIENT: Noise = Noise { sigma: 1.5, tau_ms: 12 * 3_600_000 };
const CLOUD: Noise = Noise { sigma: 0.3, tau_ms: 45 * 60_000 };
/// K: what a clear noon adds to a dark housing.
const SUN_K: f64 = 15.0;

/// °C of the air: the year, the day, and whatever the weather does.
pub(super) fn ambient_c(seed: u64, place: Place, at: UnixMillis) -> f64 {
    let day_of_year = place.local_day(at) as f64 % 365.25;
    let hour = f64::from(place.local_ms_of_day(at)) / 3.6e6;
    let season = -9.5 * (TAU * (day_of_year - 20.0) / 365.0).cos();
    let daily = 4.0 * (TAU * (hour - 15.0) / 24.0).cos();
    10.5 + season + daily + AMBIENT.at(hash(seed, Stream::Ambient, [0]), at)
}

/// 0 clear to 1 overcast.
pub(super) fn cloud(seed: u64, at: UnixMillis) -> f64 {
    (0.4 + CLOUD.at(hash(seed, Stream::Cloud, [0]), at)).clamp(0.0, 1.0)
}

/// K that the sun adds to a housing: an arc from sunrise to sunset, dimmed by clouds. `night` is
/// the one that covers `at`; the day before its sunset is taken to be as long as the one after.
pub(super) fn sun_k(seed: u64, night: &Night, at: UnixMillis) -> f64 {
    if night.is_dark(at) {
        return 0.0;
    }
    let half_ms = (night.noon.0.abs_diff(night.sunset.0) as f64).max(1.0);
    let distance = (night.noon.0.abs_diff(at.0)).min(night.ends().0.abs_diff(at.0)) as f64;
    let height = (1.0 - distance / half_ms).max(0.0) * TAU / 4.0;
    SUN_K * height.sin() * (1.0 - 0.75 * cloud(seed, at))
}

/// lx on an open photocell: a straight line in the logarithm through twilight, clouds as a factor.
pub(super) fn daylight_lx(seed: u64, place: Place, at: UnixMillis) -> f64 {
    let elevation = place.elevation_deg(at);
    let twilight = 10_f64.powf(2.6 + 0.36 * elevation.clamp(-8.0, 0.0));
    let direct = 90_000.0 * elevation.max(0.0).to_radians().sin();
    (twilight + direct) * 10_f64.powf(-0.7 * cloud(seed, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JANUARY: UnixMillis = UnixMillis(1_768_867_200_000);
    const JULY: UnixMillis = UnixMillis(1_784_505_600_000);

    #[test]
    fn summer_is_warmer_than_winter_and_noon_than_midnight() {
        let place = Place::new(52.52, 13.405);
        assert!(ambient_c(1, place, JULY) > ambient_c(1, place, JANUARY) + 8.0);
        assert!(daylight_lx(1, place, JULY) < 50.0, "midnight");
        let noon = UnixMillis(JULY.0 + 11 * 3_600_000);
        assert!(daylight_lx(1, place, noon) > 5_000.0);
        assert!((3.0..=15.0).contains(&sun_k(1, &place.night(noon), noon)));
    }
}
