//! How a controller finds out that something is wrong.
//!
//! Each code has a rule that says, from one reading, whether it is bad, good, in between, or not
//! to be judged now. A fault starts when its rule said bad for the code's hold time without a
//! break, and ends when it said good for another. What can't be judged (a dark lamp can't prove
//! that it gives light) changes nothing, so a lamp that failed at night is still failed by day.
//!
//! # Cost
//!
//! Sixteen rules, a few comparisons each; no memory beyond the lamp's.

use super::electrical::LuminaireClass;
use super::report::EventLog;
use super::{Event, FaultChange, FaultCode, Severity, UnixMillis};

/// What the controller knows at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) class: LuminaireClass,
    /// Level, power and so on say something: no test, no identify.
    pub(super) judged: bool,
    /// %: the level on the wire to the driver.
    pub(super) commanded_pct: f64,
    /// %: the level of the light.
    pub(super) actual_pct: f64,
    pub(super) power_w: f64,
    /// W that a sound lamp of this class draws at `commanded_pct`.
    pub(super) expected_w: f64,
    /// W that it draws at 100 %.
    pub(super) full_w: f64,
    pub(super) power_factor: f64,
    pub(super) volts: f64,
    pub(super) amperes: f64,
    pub(super) has_relay: bool,
    pub(super) driver_silent: bool,
    pub(super) open_circuit: bool,
    pub(super) short_circuit: bool,
    /// The share of light that heat leaves, 0.4 to 1.
    pub(super) derating: f64,
    pub(super) shut_down: bool,
    pub(super) driver_c: f64,
    /// Degrees from where the lamp was commissioned.
    pub(super) leaning_deg: f64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    /// s since 1970, 0 if not: since when the rule speaks against the present state.
    since_s: [u32; WATCHED.len()],
    occurrences: [u16; WATCHED.len()],
    active: u16,
    /// s since 1970: the last starts that nobody ordered, newest first.
    edges_s: [u32; CYCLES],
    /// s since 1970: the first hold time that will be over if nothing changes; 0 for none.
    due_s: u32,
}

/// A code with its severity, and the seconds that bad and good must last.
struct Watched {
    code: FaultCode,
    severity: Severity,
    raise_s: u32,
    clear_s: u32,
}

const fn watched(code: FaultCode, severity: Severity, raise_s: u32, clear_s: u32) -> Watched {
    Watched { code, severity, raise_s, clear_s }
}

const WATCHED: [Watched; 16] = [
    watched(FaultCode::CyclingFailure, Severity::Minor, 0, 0),
    watched(FaultCode::LampFailure, Severity::Major, 60, 60),
    watched(FaultCode::DimmingFailure, Severity::Minor, 120, 60),
    watched(FaultCode::LampUnexpectedOn, Severity::Minor, 300, 60),
    watched(FaultCode::LampPowerTooHigh, Severity::Warning, 300, 60),
    watched(FaultCode::LampPowerTooLow, Severity::Warning, 300, 60),
    watched(FaultCode::PowerFactorTooLow, Severity::Warning, 300, 60),
    watched(FaultCode::RelayFailure, Severity::Major, 60, 60),
    watched(FaultCode::LightSourceOpenCircuit, Severity::Major, 5, 5),
    watched(FaultCode::LightSourceShortCircuit, Severity::Major, 5, 5),
    watched(FaultCode::ControlGearCommFailure, Severity::Major, 30, 5),
    watched(FaultCode::ControlGearThermalDerating, Severity::Warning, 60, 60),
    watched(FaultCode::ControlGearThermalShutdown, Severity::Major, 5, 60),
    watched(FaultCode::SupplyVoltageTooLow, Severity::Warning, 60, 60),
    watched(FaultCode::SupplyVoltageTooHigh, Severity::Warning, 60, 60),
    watched(FaultCode::OrientationChanged, Severity::Critical, 30, 0),
];

/// So many starts of its own in an hour make a cycling lamp; so long a quiet ends it.
const CYCLES: usize = 5;
const CYCLING_WINDOW_S: u32 = 3600;
const CYCLING_QUIET_S: u32 = 6 * 3600;
/// Share of the nominal power by which a lamp may miss its curve.
const POWER_TOLERANCE: f64 = 0.10;
const VOLTAGE_LOW_V: f64 = 207.0;
const VOLTAGE_HIGH_V: f64 = 253.0;
const HYSTERESIS: f64 = 0.02;
const TILT_DEG: f64 = 5.0;
/// Lowest power factor at 0, 10, … 100 %: the curve that TALQ gives as its example.
const FACTOR_MIN: [f64; 11] = [0.65, 0.60, 0.70, 0.75, 0.80, 0.85, 0.87, 0.89, 0.90, 0.95, 0.98];
/// Below this the filter capacitor rules, and mains alone push a sound lamp over the curve.
const FACTOR_JUDGED_PCT: f64 = 20.0;

/// What a rule says.
enum Verdict {
    /// Measured, and the limit that it broke.
    Bad(f64, f64),
    Good,
    /// Neither: between the limit and its hysteresis, or not to be judged.
    Open,
}

impl Watch {
    /// Notes a start of the lamp that nobody ordered.
    pub(super) fn note_edge(&mut self, now: UnixMillis) {
        self.edges_s.rotate_right(1);
        self.edges_s[0] = now.seconds();
    }

    pub(super) fn is_active(&self, code: FaultCode) -> bool {
        let place = WATCHED.iter().position(|watched| watched.code as u8 == code as u8);
        place.is_some_and(|index| self.active & 1 << index != 0)
    }

    /// When the next hold time is over; after the `now` of the last [`Watch::judge`].
    pub(super) fn next_due(&self) -> UnixMillis {
        if self.due_s == 0 { UnixMillis::NEVER } else { UnixMillis(u64::from(self.due_s) * 1000) }
    }

    /// Judges one reading and reports what starts and ends.
    pub(super) fn judge(&mut self, now: UnixMillis, reading: &Reading, log: &mut EventLog) {
        let now_s = now.seconds();
        self.due_s = 0;
        for (index, watched) in WATCHED.iter().enumerate() {
            let active = self.active & 1 << index != 0;
            let (against, hold_s, values) = match self.verdict(watched.code, now_s, reading) {
                Verdict::Bad(measured, limit) => (!active, watched.raise_s, (measured, limit)),
                Verdict::Good => (active, watched.clear_s, (0.0, 0.0)),
                Verdict::Open => (false, 0, (0.0, 0.0)),
            };
            if !against {
                self.since_s[index] = 0;
                continue;
            }
            if self.since_s[index] == 0 {
                self.since_s[index] = now_s;
            }
            let due_s = self.since_s[index].saturating_add(hold_s);
            if now_s >= due_s {
                self.since_s[index] = 0;
                log.push(Event::Fault(self.flip(index, now, values)));
            } else if self.due_s == 0 || due_s < self.due_s {
                self.due_s = due_s;
            }
        }
    }

    fn flip(
        &mut self,
        index: usize,
        now: UnixMillis,
        (measured, limit): (f64, f64),
    ) -> FaultChange {
        self.active ^= 1 << index;
        let active = self.active & 1 << index != 0;
        if active {
            self.occurrences[index] = self.occurrences[index].saturating_add(1);
        }
        let Watched { code, severity, .. } = WATCHED[index];
        let occurrence_count = u32::from(self.occurrences[index]);
        FaultChange {
            at: now,
            code,
            active,
            severity,
            fault_id: (code as u64) << 32 | u64::from(occurrence_count),
            occurrence_count,
            measured_value: measured as f32,
            threshold_value: limit as f32,
        }
    }

    fn verdict(&self, code: FaultCode, now_s: u32, reading: &Reading) -> Verdict {
        match code {
            FaultCode::CyclingFailure => self.cycling(now_s),
            // Its dark minutes are already told by the cycling.
            FaultCode::LampFailure if self.is_active(FaultCode::CyclingFailure) => Verdict::Open,
            FaultCode::LampFailure => lamp_failure(reading),
            FaultCode::DimmingFailure => dimming_failure(reading),
            FaultCode::LampUnexpectedOn => unexpected_on(reading),
            FaultCode::LampPowerTooHigh => power_off_curve(reading, 1.0),
            FaultCode::LampPowerTooLow => power_off_curve(reading, -1.0),
            FaultCode::PowerFactorTooLow => low_power_factor(reading),
            FaultCode::RelayFailure => relay_failure(reading),
            FaultCode::LightSourceOpenCircuit => flag(reading.open_circuit, 1.0),
            FaultCode::LightSourceShortCircuit => flag(reading.short_circuit, 1.0),
            FaultCode::ControlGearCommFailure => flag(reading.driver_silent, 1.0),
            FaultCode::ControlGearThermalDerating => {
                flag(reading.derating < 1.0 && !reading.shut_down, reading.driver_c)
            }
            FaultCode::ControlGearThermalShutdown => flag(reading.shut_down, reading.driver_c),
            FaultCode::SupplyVoltageTooLow => low_voltage(reading.volts),
            FaultCode::SupplyVoltageTooHigh => high_voltage(reading.volts),
            FaultCode::OrientationChanged => leaning(reading.leaning_deg),
        }
    }

    fn cycling(&self, now_s: u32) -> Verdict {
        let (newest, oldest) = (self.edges_s[0], self.edges_s[CYCLES - 1]);
        if oldest != 0 && now_s - oldest <= CYCLING_WINDOW_S {
            return Verdict::Bad(CYCLES as f64, CYCLES as f64);
        }
        if now_s - newest >= CYCLING_QUIET_S { Verdict::Good } else { Verdict::Open }
    }
}

fn flag(set: bool, measured: f64) -> Verdict {
    if set { Verdict::Bad(measured, 0.0) } else { Verdict::Good }
}

/// W: below this a lamp that should burn is dark.
fn dark_below_w(reading: &Reading) -> f64 {
    (0.2 * reading.expected_w).max(3.0)
}

fn lamp_failure(reading: &Reading) -> Verdict {
    if !reading.judged || reading.commanded_pct <= 0.0 {
        return Verdict::Open;
    }
    let limit = dark_below_w(reading);
    if reading.power_w < limit { Verdict::Bad(reading.power_w, limit) } else { Verdict::Good }
}

fn dimming_failure(reading: &Reading) -> Verdict {
    let tolerance = POWER_TOLERANCE * reading.class.nominal_power_w();
    if !reading.judged
        || reading.commanded_pct <= 0.0
        || reading.expected_w > reading.full_w - tolerance
    {
        return Verdict::Open;
    }
    let off_curve = (reading.power_w - reading.expected_w).abs() > tolerance;
    let at_full = (reading.power_w - reading.full_w).abs() < tolerance;
    match (off_curve, at_full) {
        (true, true) => Verdict::Bad(reading.power_w, reading.expected_w + tolerance),
        (true, false) => Verdict::Open,
        (false, _) => Verdict::Good,
    }
}

fn unexpected_on(reading: &Reading) -> Verdict {
    if !reading.judged || reading.commanded_pct > 0.0 {
        return Verdict::Open;
    }
    let limit = 0.2 * reading.class.nominal_power_w();
    if reading.power_w > limit { Verdict::Bad(reading.power_w, limit) } else { Verdict::Good }
}

/// `side`: 1 for too much, -1 for too little. Dark, hot and undimmable lamps have codes of their
/// own, and mains below 207 V excuse too little.
fn power_off_curve(reading: &Reading, side: f64) -> Verdict {
    let told_elsewhere = reading.power_w < dark_below_w(reading)
        || reading.derating < 1.0
        || reading.volts < VOLTAGE_LOW_V
        || matches!(dimming_failure(reading), Verdict::Bad(..));
    if !reading.judged || reading.commanded_pct <= 0.0 || told_elsewhere {
        return Verdict::Open;
    }
    let nominal_w = reading.class.nominal_power_w();
    let excess_w = side * (reading.power_w - reading.expected_w) - POWER_TOLERANCE * nominal_w;
    if excess_w > 0.0 {
        Verdict::Bad(reading.power_w, reading.expected_w + side * POWER_TOLERANCE * nominal_w)
    } else if excess_w < -HYSTERESIS * nominal_w {
        Verdict::Good
    } else {
        Verdict::Open
    }
}

fn low_power_factor(reading: &Reading) -> Verdict {
    if !reading.judged || reading.actual_pct < FACTOR_JUDGED_PCT {
        return Verdict::Open;
    }
    let place = (reading.actual_pct / 10.0).min(10.0);
    let (step, part) = (place as usize, place.fract());
    let next = FACTOR_MIN[(step + 1).min(10)];
    let limit = FACTOR_MIN[step] * (1.0 - part) + next * part;
    if reading.power_factor < limit {
        Verdict::Bad(reading.power_factor, limit)
    } else if reading.power_factor > (limit + HYSTERESIS).min(0.982) {
        Verdict::Good
    } else {
        Verdict::Open
    }
}

/// Only a controller with a relay can tell: current must flow when it is closed, and none else.
fn relay_failure(reading: &Reading) -> Verdict {
    if !reading.judged || !reading.has_relay {
        return Verdict::Open;
    }
    let flows = reading.amperes > 0.001;
    flag(flows != (reading.commanded_pct > 0.0), reading.amperes)
}

fn low_voltage(volts: f64) -> Verdict {
    if volts < VOLTAGE_LOW_V {
        Verdict::Bad(volts, VOLTAGE_LOW_V)
    } else if volts > VOLTAGE_LOW_V * (1.0 + HYSTERESIS) {
        Verdict::Good
    } else {
        Verdict::Open
    }
}

fn high_voltage(volts: f64) -> Verdict {
    if volts > VOLTAGE_HIGH_V {
        Verdict::Bad(volts, VOLTAGE_HIGH_V)
    } else if volts < VOLTAGE_HIGH_V * (1.0 - HYSTERESIS) {
        Verdict::Good
    } else {
        Verdict::Open
    }
}

fn leaning(degrees: f64) -> Verdict {
    if degrees > TILT_DEG { Verdict::Bad(degrees, TILT_DEG) } else { Verdict::Good }
}
