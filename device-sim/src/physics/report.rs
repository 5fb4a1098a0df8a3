//! What a lamp says: samples, lines of the switching log, faults. Plain mirrors of `lighting.v1`.
//!
//! The numbers of the enums are those of the schema, so the runner converts with `as i32`; the
//! fields have the schema's names and units. `None` means not measured, never 0.

use std::sync::Arc;

use super::UnixMillis;

/// What decided the level of a lamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlReason {
    /// No program: the configured level.
    Default = 1,
    /// The program of this night.
    Program = 2,
    /// A direct command.
    Override = 3,
    /// No usable time: the safe level.
    Failsafe = 6,
    /// The test after power-up, or an identify.
    Commissioning = 7,
}

/// What a lamp does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LampState {
    /// Driver without power.
    Off = 1,
    /// No light, driver under power.
    Standby = 2,
    /// A steady light.
    On = 3,
    /// On the way to another level.
    Fading = 4,
}

/// What can be wrong with a lamp, as far as the lamp itself can see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCode {
    /// Should give light and doesn't.
    LampFailure = 1,
    /// Gives full light though told to dim.
    DimmingFailure = 2,
    /// Burns when it should be dark.
    LampUnexpectedOn = 3,
    /// Goes on and off by itself.
    CyclingFailure = 4,
    /// Draws more than this level should.
    LampPowerTooHigh = 5,
    /// Draws less than this level should.
    LampPowerTooLow = 6,
    /// Below the limit for this level.
    PowerFactorTooLow = 7,
    /// Contacts stuck open or closed.
    RelayFailure = 8,
    /// LED string shorted.
    LightSourceShortCircuit = 9,
    /// LED string open.
    LightSourceOpenCircuit = 10,
    /// Driver silent on DALI.
    ControlGearCommFailure = 21,
    /// Driver dims because it is hot.
    ControlGearThermalDerating = 22,
    /// Driver off because it is hot.
    ControlGearThermalShutdown = 23,
    /// Mains below 207 V.
    SupplyVoltageTooLow = 40,
    /// Mains above 253 V.
    SupplyVoltageTooHigh = 41,
    /// The pole leans.
    OrientationChanged = 61,
}

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Look at it some time.
    Warning = 2,
    /// Repair it with the next round.
    Minor = 3,
    /// A dark lamp.
    Major = 4,
    /// Danger to people.
    Critical = 5,
}

/// Whether current runs ahead of voltage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorSense {
    /// No current to speak of.
    Unspecified = 0,
    /// Capacitive.
    Leading = 1,
}

/// One reading of a lamp, as its controller takes it; fields as in `lighting.v1.LampSample`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was read.
    pub at: UnixMillis,
    /// What the lamp does.
    pub state: LampState,
    /// Why.
    pub reason: ControlReason,
    /// %, 0 to 100: the level asked for.
    pub target_level_pct: Option<u8>,
    /// %, 0 to 100: the level of the light itself.
    pub actual_level_pct: Option<u8>,
    /// V RMS.
    pub supply_voltage_v: Option<f32>,
    /// A RMS.
    pub supply_current_a: Option<f32>,
    /// W.
    pub active_power_w: Option<f32>,
    /// 0 to 1; absent without current.
    pub power_factor: Option<f32>,
    /// Which way the power factor leans.
    pub power_factor_sense: FactorSense,
    /// Wh.
    pub active_energy_wh: Option<u64>,
    /// s with light.
    pub burn_time_s: Option<u32>,
    /// From dark to light.
    pub switch_on_count: Option<u32>,
    /// °C; only from a D4i driver that answers.
    pub driver_temperature_c: Option<f32>,
    /// °C.
    pub controller_temperature_c: Option<f32>,
    /// 0 to 254; only from a D4i driver that answers.
    pub dali_level: Option<u8>,
    /// Hz.
    pub frequency_hz: Option<f32>,
    /// VAh.
    pub apparent_energy_vah: Option<u64>,
    /// Mains gone and returned.
    pub supply_loss_count: Option<u32>,
    /// Raised when counters are reset on purpose.
    pub counter_epoch: u32,
    /// lx; only where there is a photocell.
    pub ambient_light_lx: Option<f32>,
    /// Degrees from the vertical, 0 to 180.
    pub tilt_deg: Option<f32>,
}

/// What happened to a lamp since it was last asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A fault started or ended.
    Fault(FaultChange),
    /// The lamp reached another level by its control: a line of the switching log.
    Light(LightStateChange),
}

/// The start or the end of a fault.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultChange {
    /// When its hold time was over.
    pub at: UnixMillis,
    /// What is wrong.
    pub code: FaultCode,
    /// true at its start, false at its end.
    pub active: bool,
    /// How bad.
    pub severity: Severity,
    /// The same at start and end; never 0.
    pub fault_id: u64,
    /// Starts of this code, from 1.
    pub occurrence_count: u32,
    /// In the unit of what the code is about.
    pub measured_value: f32,
    /// The limit that was crossed, in the same unit.
    pub threshold_value: f32,
}

/// One change of the level, when its fade was done.
#[derive(Debug, Clone, PartialEq)]
pub struct LightStateChange {
    /// When the new level was reached.
    pub at: UnixMillis,
    /// %, 0 to 100.
    pub from_level_pct: u8,
    /// %, 0 to 100.
    pub to_level_pct: u8,
    /// What decided it.
    pub reason: ControlReason,
    /// W after the fade.
    pub power_after_w: f32,
    /// Id of the program or the command.
    pub source: Option<Arc<str>>,
}

/// Events that wait for the runner. Bounded: the oldest goes first, and is counted.
#[derive(Debug, Clone, Default)]
pub(super) struct EventLog {
    waiting: Vec<Event>,
    pub(super) lost: u32,
}

/// Two weeks of a lamp's nights; a runner that never asks costs no more than this.
const EVENTS_MAX: usize = 128;

impl EventLog {
    pub(super) fn push(&mut self, event: Event) {
        if self.waiting.len() == EVENTS_MAX {
            self.waiting.remove(0);
            self.lost = self.lost.saturating_add(1);
        }
        self.waiting.push(event);
    }

    /// All of them, oldest first; gives the memory away as well.
    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.waiting)
    }
}
