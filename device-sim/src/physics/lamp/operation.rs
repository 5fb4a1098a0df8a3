//! What a lamp does electrically with the level that it gets, faults and heat included.

use super::{ControllerKind, Lamp};
use crate::physics::electrical::{Driver, LIGHT_MIN, Load};
use crate::physics::faults::FaultKind;
use crate::physics::thermal::{Heat, Paths};
use crate::physics::{mains, weather};

/// The electrical state since the last change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Present {
    pub(super) volts: f32,
    /// As the meter has it.
    pub(super) load: Load,
    /// The level on the wire to the driver is above 0.
    pub(super) commanded: bool,
    /// Share of full light, 0 to 1; 0 if dark.
    pub(super) light: f32,
    /// %: level of the light, without the correction for ageing.
    pub(super) actual_pct: f32,
}

/// What the driver does with the level that it gets.
enum Output {
    /// No current at all.
    Cut,
    /// Some watts, no light.
    Idle { power_w: f32 },
    /// Light at a level in percent.
    Lit { level_pct: f64 },
}

const IDLE_FACTOR: f32 = 0.25;
const OPEN_CIRCUIT_W: f32 = 2.0;

impl Lamp {
    /// The electrical state at a level on the wire, 0 to 100, as the meter has it.
    pub(super) fn operate(&self, level_pct: f64, volts: f64) -> Present {
        let dark =
            Present { volts: volts as f32, commanded: level_pct > 0.0, ..Present::default() };
        match self.output(level_pct) {
            Output::Cut => dark,
            Output::Idle { power_w } => Present { load: Load::idle(power_w, IDLE_FACTOR), ..dark },
            Output::Lit { level_pct } => {
                let derating = self.thermal.derating();
                let light = (level_pct / 100.0 * self.constant_light() * derating).max(LIGHT_MIN);
                let driver = Driver::new(
                    self.class,
                    f64::from(self.traits.power_spread),
                    self.counters.totals().life(),
                );
                let load = self.disturbed(driver.load(light, volts, 50.0));
                Present {
                    load: load.scaled(self.traits.meter_gain),
                    light: light as f32,
                    actual_pct: (level_pct * derating).max(LIGHT_MIN * 100.0) as f32,
                    ..dark
                }
            }
        }
    }

    /// What faults make of the level on the wire.
    fn output(&self, level_pct: f64) -> Output {
        let has = |kind| self.faults.has(kind);
        let wanted = level_pct > 0.0;
        let stuck_on = has(FaultKind::RelayWelded) && !wanted;
        let relay_opens = self.controller == ControllerKind::Nema;
        if has(FaultKind::RelayOpen) || (!wanted && !stuck_on && relay_opens) {
            return Output::Cut;
        }
        if has(FaultKind::DriverDead) {
            return Output::Idle { power_w: f32::from(self.traits.dead_tenth_w) / 10.0 };
        }
        if !wanted && !stuck_on {
            return Output::Idle { power_w: self.traits.standby_w };
        }
        if has(FaultKind::LedOpen) || self.shut_down || self.faults.is_cycled_off() {
            return Output::Idle { power_w: OPEN_CIRCUIT_W };
        }
        let full = stuck_on || has(FaultKind::DimmingBroken);
        Output::Lit { level_pct: if full { 100.0 } else { level_pct } }
    }

    /// A load as faults change it.
    fn disturbed(&self, load: Load) -> Load {
        let mut load = load;
        if self.faults.has(FaultKind::LedShort) {
            load = load.scaled(0.92);
        }
        if self.faults.has(FaultKind::WrongAssetData) {
            let more = self.faults.strength(FaultKind::WrongAssetData) >= 0.5;
            load = load.scaled(if more { 1.4 } else { 0.6 });
        }
        if self.faults.has(FaultKind::LowPowerFactor) {
            let less = 0.10 + 0.15 * self.faults.strength(FaultKind::LowPowerFactor) as f32;
            load = load.with_power_factor((load.power_factor - less).max(0.2));
        }
        load
    }

    pub(super) fn volts(&self) -> f64 {
        if self.faults.has(FaultKind::SupplyLow) {
            return 205.0 - 10.0 * self.faults.strength(FaultKind::SupplyLow);
        }
        if self.faults.has(FaultKind::SupplyHigh) {
            return 255.0 + 7.0 * self.faults.strength(FaultKind::SupplyHigh);
        }
        mains::voltage_v(self.seed, self.place, self.feeder, self.now)
    }

    pub(super) fn heat(&self, load: Load) -> Heat {
        Heat {
            ambient_c: weather::ambient_c(self.seed, self.place, self.now),
            sun_k: weather::sun_k(self.seed, self.control.night(), self.now),
            power_w: f64::from(load.power_w),
            loss_w: f64::from(load.loss_w),
        }
    }

    pub(super) fn paths(&self) -> Paths {
        let blocked = self.faults.has(FaultKind::BlockedHeatPath);
        Paths::new(self.class, f64::from(self.traits.thermal_spread), blocked)
    }

    pub(super) fn constant_light(&self) -> f64 {
        if self.traits.constant_light { self.counters.totals().constant_light() } else { 1.0 }
    }
}
