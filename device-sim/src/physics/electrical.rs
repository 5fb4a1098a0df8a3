//! The driver and its LEDs: from a share of light and the mains to watts, amperes and power factor.
//!
//! LEDs give more light per watt at low current, the driver loses a fixed part and a part that
//! grows with its load, and its input filter is a capacitor that mains sees even when little power
//! flows. From these follow, without further fitting, the two things that a lighting engineer
//! looks for: power falls a little faster than light, and the power factor falls when dimmed.
//!
//! ```text
//!   light φ ─▶ LED current i ─▶ LED power x ─▶ + driver loss ─▶ P ┐
//!                                        mains V ─▶ reactive Q ──┴─▶ PF, S, I
//! ```

use std::f64::consts::TAU;

/// Size of a luminaire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LuminaireClass {
    /// 35 W, a side street.
    Residential,
    /// 65 W, a collector road.
    Collector,
    /// 130 W, a main road.
    Arterial,
}

impl LuminaireClass {
    /// W at 100 % and 230 V.
    pub const fn nominal_power_w(self) -> f64 {
        match self {
            Self::Residential => 35.0,
            Self::Collector => 65.0,
            Self::Arterial => 130.0,
        }
    }

    const fn capacitance_f(self) -> f64 {
        match self {
            Self::Residential => 0.22e-6,
            Self::Collector => 0.47e-6,
            Self::Arterial => 0.68e-6,
        }
    }
}

/// Least share of light that a driver can hold; below it there is only off.
pub(super) const LIGHT_MIN: f64 = 0.10;
/// V: below this the driver limits its current, and power falls with voltage.
const LIMIT_V: f64 = 190.0;
/// V: below this the driver gives up.
const CUT_OFF_V: f64 = 160.0;
/// How much LED efficacy rises towards small currents.
const EFFICACY_RISE: f64 = 0.10;
/// Driver input per watt of LED power at full load.
const INPUT_PER_LED_W: f64 = 1.087;

/// What a driver takes from the mains. In `f32`, since every lamp keeps one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Load {
    pub(super) power_w: f32,
    /// The part of `power_w` that heats the driver.
    pub(super) loss_w: f32,
    pub(super) apparent_va: f32,
    /// 0 to 1; 1 if nothing flows.
    pub(super) power_factor: f32,
}

/// A driver as installed, aged so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Driver {
    led_power_w: f64,
    capacitance_f: f64,
    distortion: f64,
}

impl Driver {
    /// `spread` scales the power of this piece, 1 by the data sheet; `life` is the share of its
    /// rated life that is over, 0 to 1.
    pub(super) fn new(class: LuminaireClass, spread: f64, life: f64) -> Self {
        Self {
            led_power_w: class.nominal_power_w() / INPUT_PER_LED_W * spread,
            capacitance_f: class.capacitance_f() * (1.0 - 0.15 * life),
            distortion: 1.0 + 0.4 * life,
        }
    }

    /// The load at a share of light, `light` 0 to 1, and mains of `volts` and `hertz`.
    pub(super) fn load(&self, light: f64, volts: f64, hertz: f64) -> Load {
        if light <= 0.0 || volts < CUT_OFF_V {
            return Load { power_factor: 1.0, ..Load::default() };
        }
        let led = led_power(light.clamp(LIGHT_MIN, 1.0)) * (volts / LIMIT_V).min(1.0);
        let loss = 0.022 + 0.045 * led + 0.020 * led * led;
        let power_w = self.led_power_w * (led + loss);
        let reactive_var = TAU * hertz * self.capacitance_f * volts * volts;
        let distortion = (0.07 + 0.022 / led) * self.distortion;

        let displaced = reactive_var / power_w;
        let apparent = ((1.0 + displaced * displaced) * (1.0 + distortion * distortion)).sqrt();
        Load {
            power_w: power_w as f32,
            loss_w: (self.led_power_w * loss) as f32,
            apparent_va: (power_w * apparent) as f32,
            power_factor: apparent.recip() as f32,
        }
    }
}

impl Load {
    /// Something that only idles: a small power with a bad power factor.
    pub(super) fn idle(power_w: f32, power_factor: f32) -> Self {
        Self { power_w, loss_w: power_w, apparent_va: power_w / power_factor, power_factor }
    }

    /// The same light with another power factor; the current follows.
    pub(super) fn with_power_factor(self, power_factor: f32) -> Self {
        Self { apparent_va: self.power_w / power_factor, power_factor, ..self }
    }

    pub(super) fn scaled(self, by: f32) -> Self {
        Self {
            power_w: self.power_w * by,
            loss_w: self.loss_w * by,
            apparent_va: self.apparent_va * by,
            ..self
        }
    }

    /// The mean over a straight fade, by Simpson's rule: `self` at its start.
    pub(super) fn mean_of_fade(self, middle: Self, end: Self) -> Self {
        let mean = |pick: fn(&Self) -> f32| (pick(&self) + 4.0 * pick(&middle) + pick(&end)) / 6.0;
        Self {
            power_w: mean(|load| load.power_w),
            loss_w: mean(|load| load.loss_w),
            apparent_va: mean(|load| load.apparent_va),
            power_factor: end.power_factor,
        }
    }
}

/// LED power for a share of light, both relative to full: current first, then forward voltage.
fn led_power(light: f64) -> f64 {
    let sum = 1.0 + EFFICACY_RISE;
    let current = (sum - (sum * sum - 4.0 * EFFICACY_RISE * light).sqrt()) / (2.0 * EFFICACY_RISE);
    current * (0.90 + 0.10 * current)
}

/// The DALI arc power level for a share of light, 0 to 1, on the logarithmic curve: 0 is off,
/// 254 full, a step 2.77 %.
pub(super) fn dali_level(light: f64) -> u8 {
    if light <= 0.0 {
        return 0;
    }
    let level = 1.0 + 253.0 / 3.0 * ((light * 100.0).log10() + 1.0);
    level.round().clamp(1.0, 254.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Level %, power W, driver efficiency, power factor, current mA.
    const COLLECTOR: [(f64, f64, f64, f64, f64); 10] = [
        (100.0, 65.0, 0.920, 0.989, 286.0),
        (90.0, 57.3, 0.919, 0.986, 252.0),
        (80.0, 49.9, 0.918, 0.983, 221.0),
        (70.0, 42.8, 0.916, 0.979, 190.0),
        (60.0, 36.1, 0.912, 0.972, 162.0),
        (50.0, 29.7, 0.907, 0.960, 134.0),
        (40.0, 23.5, 0.897, 0.941, 109.0),
        (30.0, 17.6, 0.881, 0.903, 85.0),
        (20.0, 12.0, 0.849, 0.821, 63.0),
        (10.0, 6.5, 0.763, 0.608, 47.0),
    ];

    #[test]
    fn a_collector_lamp_keeps_to_its_data_sheet() {
        let driver = Driver::new(LuminaireClass::Collector, 1.0, 0.0);
        for (level, power, efficiency, factor, current) in COLLECTOR {
            let load = driver.load(level / 100.0, 230.0, 50.0);
            let near = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 0.01;
            assert!(near(f64::from(load.power_w), power), "{level} %: {} W", load.power_w);
            let found = f64::from(1.0 - load.loss_w / load.power_w);
            assert!(near(found, efficiency), "{level} %: efficiency {found}");
            assert!(
                near(f64::from(load.power_factor), factor),
                "{level} %: PF {}",
                load.power_factor
            );
            let found = f64::from(load.apparent_va / 230.0 * 1000.0);
            assert!(near(found, current), "{level} %: {found} mA");
        }
    }

    #[test]
    fn power_is_constant_over_normal_mains_and_falls_below() {
        let driver = Driver::new(LuminaireClass::Collector, 1.0, 0.0);
        let at = |volts| driver.load(1.0, volts, 50.0).power_w;
        assert!((at(198.0) - at(264.0)).abs() < 1e-4);
        assert!(at(175.0) < 0.95 * at(230.0) && at(175.0) > 0.85 * at(230.0));
        assert!(at(150.0).abs() < 1e-9);
    }

    #[test]
    fn a_level_below_the_minimum_burns_at_the_minimum() {
        let driver = Driver::new(LuminaireClass::Arterial, 1.0, 0.0);
        assert_eq!(driver.load(0.03, 230.0, 50.0), driver.load(LIGHT_MIN, 230.0, 50.0));
    }

    #[test]
    fn dali_levels_follow_the_logarithmic_curve() {
        let table = [(100.0, 254), (70.0, 241), (50.0, 229), (10.0, 170), (1.0, 85), (0.0, 0)];
        for (percent, level) in table {
            assert_eq!(dali_level(percent / 100.0), level, "{percent} %");
        }
    }
}
