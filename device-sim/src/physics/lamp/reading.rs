//! What the controller can know: samples for the hub, readings for its own watch over faults.

use super::{ControllerKind, Lamp};
use crate::physics::electrical::{Driver, dali_level};
use crate::physics::faults::FaultKind;
use crate::physics::random::{Stream, hash, normal};
use crate::physics::report::{ControlReason, FactorSense, LampState, Sample};
use crate::physics::watch::Reading;
use crate::physics::{mains, weather};

impl Lamp {
    /// Reads everything the controller can read.
    pub fn sample(&self) -> Sample {
        let goal = self.control.goal();
        let totals = self.counters.totals();
        let d4i = self.controller == ControllerKind::D4i;
        let driver_answers = d4i && !self.is_driver_silent();
        let flicker = 1.0 + 0.001 * normal(hash(self.seed, Stream::Meter, [self.id, self.now.0]));
        let (volts, load) = (f64::from(self.present.volts) * flicker, self.present.load);
        let flows = load.apparent_va > 0.0;
        let temperature = |celsius: f32| Some(if d4i { celsius.round() } else { celsius });
        Sample {
            at: self.now,
            state: self.state(),
            reason: goal.reason,
            target_level_pct: Some(goal.level_pct),
            actual_level_pct: Some(self.present.actual_pct.round() as u8),
            supply_voltage_v: Some(rounded(volts, 10.0)),
            supply_current_a: Some(rounded(self.amperes(), 1000.0)),
            active_power_w: Some(rounded(f64::from(load.power_w), 10.0)),
            power_factor: flows
                .then(|| rounded(f64::from(load.power_factor), if d4i { 100.0 } else { 1000.0 })),
            power_factor_sense: if flows { FactorSense::Leading } else { FactorSense::Unspecified },
            active_energy_wh: Some(totals.energy_wh()),
            burn_time_s: Some(totals.burn_s()),
            switch_on_count: Some(totals.starts),
            driver_temperature_c: temperature(self.thermal.driver_c).filter(|_| driver_answers),
            controller_temperature_c: temperature(self.thermal.controller_c),
            dali_level: driver_answers.then(|| dali_level(self.dali_light())),
            frequency_hz: Some(rounded(mains::frequency_hz(self.seed, self.now), 1000.0)),
            apparent_energy_vah: d4i.then(|| totals.apparent_vah()),
            supply_loss_count: Some(totals.supply_losses),
            counter_epoch: self.counters.epoch(),
            ambient_light_lx: (!d4i)
                .then(|| rounded(weather::daylight_lx(self.seed, self.place, self.now), 10.0)),
            tilt_deg: Some(rounded(
                f64::from(self.traits.tilt_tenth_deg) / 10.0 + self.leaning_deg(),
                10.0,
            )),
        }
    }

    pub(super) fn reading(&self) -> Reading {
        let commanded_pct = self.control.level_at(self.now);
        let typical = Driver::new(self.class, 1.0, 0.0);
        let expect = |level_pct: f64| {
            f64::from(typical.load(level_pct / 100.0 * self.constant_light(), 230.0, 50.0).power_w)
        };
        Reading {
            class: self.class,
            judged: self.control.goal().reason != ControlReason::Commissioning,
            commanded_pct,
            actual_pct: f64::from(self.present.actual_pct),
            power_w: f64::from(self.present.load.power_w),
            expected_w: expect(commanded_pct),
            full_w: expect(100.0),
            power_factor: f64::from(self.present.load.power_factor),
            volts: f64::from(self.present.volts),
            amperes: self.amperes(),
            has_relay: self.controller == ControllerKind::Nema,
            driver_silent: self.controller == ControllerKind::D4i && self.is_driver_silent(),
            open_circuit: self.sees_driver() && self.faults.has(FaultKind::LedOpen),
            short_circuit: self.sees_driver() && self.faults.has(FaultKind::LedShort),
            derating: if self.sees_driver() { self.thermal.derating() } else { 1.0 },
            shut_down: self.sees_driver() && self.shut_down,
            driver_c: f64::from(self.thermal.driver_c),
            leaning_deg: self.leaning_deg(),
        }
    }

    fn state(&self) -> LampState {
        if self.present.light <= 0.0 {
            let powered = self.present.load.power_w > 0.0;
            return if powered { LampState::Standby } else { LampState::Off };
        }
        if self.control.is_fading(self.now) { LampState::Fading } else { LampState::On }
    }

    /// A RMS; 0 without mains.
    fn amperes(&self) -> f64 {
        f64::from(self.present.load.apparent_va / self.present.volts.max(1.0))
    }

    /// The driver's own level: no ageing in it, since that is the controller's affair.
    fn dali_light(&self) -> f64 {
        if self.present.light > 0.0 { f64::from(self.present.actual_pct) / 100.0 } else { 0.0 }
    }

    fn is_driver_silent(&self) -> bool {
        self.faults.has(FaultKind::DriverDead) || self.faults.has(FaultKind::RelayOpen)
    }

    fn sees_driver(&self) -> bool {
        self.controller == ControllerKind::D4i && !self.is_driver_silent()
    }

    fn leaning_deg(&self) -> f64 {
        if !self.faults.has(FaultKind::Tilt) {
            return 0.0;
        }
        let strength = self.faults.strength(FaultKind::Tilt);
        3.0 + 57.0 * strength * strength
    }
}

fn rounded(value: f64, steps: f64) -> f32 {
    ((value * steps).round() / steps) as f32
}
