//! The mains at a lamp: what its feeder does, and where on the feeder it hangs.
//!
//! Neighbours on one feeder see the same wandering voltage, less the further out they are; the
//! whole city sees one frequency. All of it is a function of seed, feeder and time (see
//! `random`), so lamps agree without knowing of each other.

use super::random::{Noise, Stream, hash, normal, uniform};
use super::{Place, UnixMillis};

/// Where a lamp takes its power from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feeder {
    /// The cabinet in the street, 20 to 100 lamps each.
    pub cabinet: u32,
    /// 0 to 2.
    pub phase: u8,
    /// 0 next to the cabinet, 1 at the far end of the cable.
    pub position: f32,
}

const NOMINAL_V: f64 = 230.0;
/// Share of the nominal voltage that a cable loses over its length.
const CABLE_DROP: f64 = 0.02;
const CABINET_BIAS: f64 = 0.008;
const VOLTAGE: Noise = Noise { sigma: 0.006, tau_ms: 15 * 60_000 };
const FREQUENCY: Noise = Noise { sigma: 0.02, tau_ms: 5 * 60_000 };

/// Episodes of low voltage, 0.5 a year and feeder: at most one in each window of this length.
const EPISODE_WINDOW_MS: u64 = 6 * 3_600_000;
const EPISODES_PER_WINDOW: f64 = 0.5 / (365.25 * 4.0);

/// V RMS at the lamp.
pub(super) fn voltage_v(seed: u64, place: Place, feeder: Feeder, at: UnixMillis) -> f64 {
    let wire = [u64::from(feeder.cabinet), u64::from(feeder.phase)];
    if let Some(low) = episode_v(seed, wire, at) {
        return low - NOMINAL_V * CABLE_DROP * f64::from(feeder.position);
    }
    let bias = CABINET_BIAS * normal(hash(seed, Stream::FeederBias, wire));
    let noise = VOLTAGE.at(hash(seed, Stream::FeederNoise, wire), at);
    let drop = CABLE_DROP * f64::from(feeder.position);
    let hour = f64::from(place.local_ms_of_day(at)) / 3.6e6;
    NOMINAL_V * (1.0 + bias - drop - demand_dip(hour) + noise)
}

/// Hz, one for the whole city.
pub(super) fn frequency_hz(seed: u64, at: UnixMillis) -> f64 {
    50.0 + FREQUENCY.at(hash(seed, Stream::Frequency, [0]), at)
}

/// How far people's cooking pulls the mains down: 1.5 % around 19:00, 0.6 % around 7:30.
fn demand_dip(hour: f64) -> f64 {
    let bell = |centre: f64| {
        let distance = (hour - centre) / 1.5;
        if distance.abs() > 4.0 { 0.0 } else { (-0.5 * distance * distance).exp() }
    };
    0.015 * bell(19.0) + 0.006 * bell(7.5)
}

/// 195 to 205 V for 10 to 180 min, once in two years.
fn episode_v(seed: u64, [cabinet, phase]: [u64; 2], at: UnixMillis) -> Option<f64> {
    let window = at.0 / EPISODE_WINDOW_MS;
    let draw = |part: u64| uniform(hash(seed, Stream::FeederSag, [cabinet, phase, window, part]));
    if draw(0) >= EPISODES_PER_WINDOW {
        return None;
    }
    let length_ms = (10.0 + 170.0 * draw(1)) * 60_000.0;
    let start_ms = (EPISODE_WINDOW_MS as f64 - length_ms) * draw(2);
    let offset_ms = (at.0 % EPISODE_WINDOW_MS) as f64;
    (start_ms..start_ms + length_ms).contains(&offset_ms).then(|| 195.0 + 10.0 * draw(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feeder(cabinet: u32, position: f32) -> Feeder {
        Feeder { cabinet, phase: 1, position }
    }

    fn place() -> Place {
        Place::new(52.52, 13.405)
    }

    #[test]
    fn neighbours_on_one_feeder_agree_and_other_cabinets_do_not() {
        let mut apart = 0.0_f64;
        for minute in 0..2000 {
            let at = UnixMillis(1_763_000_000_000 + minute * 60_000);
            let near = voltage_v(5, place(), feeder(9, 0.50), at);
            let next = voltage_v(5, place(), feeder(9, 0.55), at);
            assert!((0.0..0.3).contains(&(near - next)), "{near} {next}");
            apart = apart.max((near - voltage_v(5, place(), feeder(10, 0.50), at)).abs());
        }
        assert!(apart > 1.0);
    }

    #[test]
    fn mains_stay_inside_the_standard_but_for_rare_episodes() {
        let low = (0..200_000_u64)
            .map(|i| UnixMillis(1_763_000_000_000 + i * 600_000))
            .map(|at| voltage_v(5, place(), feeder((at.0 % 97) as u32, 1.0), at))
            .inspect(|volts| assert!((185.0..253.0).contains(volts), "{volts}"))
            .filter(|volts| *volts < 207.0)
            .count();
        // 0.5 a year and feeder of 95 min on average make 0.9 of 10,000 readings.
        assert!((4..60).contains(&low), "{low}");
    }

    #[test]
    fn frequency_wanders_around_fifty() {
        let all: Vec<f64> = (0..10_000).map(|i| frequency_hz(5, UnixMillis(i * 60_000))).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!((mean - 50.0).abs() < 0.005);
        assert!(all.iter().all(|hertz| (hertz - 50.0).abs() < 0.1));
    }
}
