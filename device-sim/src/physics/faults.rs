//! What breaks, how often, for how long.
//!
//! Faults arrive by chance, at the rates of an LED fleet, or by [`Faults::inject`]. This file knows
//! only that a fault is there and how strong it is; what it does to light and power is said in
//! `lamp`, and when the lamp notices is said in `watch`.
//!
//! The n-th fault of a lamp, its kind, strength and length follow from seed, lamp and n, so a
//! rerun breaks the same lamps in the same minutes.

use super::UnixMillis;
use super::random::{Stream, exponential, hash, log_normal, uniform};

/// A way in which a lamp or its mains can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// 0.5 to 2 W, no light, no answer on DALI.
    DriverDead,
    /// 2 W, no light, the driver says open circuit.
    LedOpen,
    /// 8 % less power, the driver says short circuit.
    LedShort,
    /// Full light at every level.
    DimmingBroken,
    /// Full light when it should be off.
    RelayWelded,
    /// No current at all.
    RelayOpen,
    /// On for 3 to 15 min, off for 1 to 5 min, all night.
    Cycling,
    /// Power factor lower by 0.10 to 0.25.
    LowPowerFactor,
    /// Driver hotter by some 20 K at full load: derates on warm evenings.
    BlockedHeatPath,
    /// Pole leans by 3 to 60 degrees more.
    Tilt,
    /// The controller's clock is lost: after 15 min the safe level.
    ClockLost,
    /// 40 % more or less power than the asset's data say.
    WrongAssetData,
    /// Mains at 195 to 205 V.
    SupplyLow,
    /// Mains at 255 to 262 V.
    SupplyHigh,
}

/// How a lamp breaks by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultPlan {
    /// Times the rates of an ordinary LED fleet; 0 for none, 1 to 200 else.
    pub scale: f32,
    /// Days until half of the faults are repaired, above 0.
    pub repair_days: f32,
}

/// A fault put into a lamp on purpose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// What is broken.
    pub kind: FaultKind,
    /// Ends by itself at this time, rounded up to a second; otherwise when repaired.
    pub until: Option<UnixMillis>,
    /// 0 to 1, from the mildest to the worst of its kind; absent draws one.
    pub strength: Option<f32>,
}

/// All faults of one lamp.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    /// Names this lamp among those of the seed.
    key: u64,
    plan: FaultPlan,
    /// s since 1970; 0 while the kind is absent, `UNTIL_REPAIR` without an end.
    ends_s: [u32; FaultKind::ALL.len()],
    strength: [u8; FaultKind::ALL.len()],
    arrivals: u32,
    next_arrival: UnixMillis,
    cycles: u32,
    cycle_turn: UnixMillis,
    cycle_dark: bool,
    next_turn: UnixMillis,
}

const UNTIL_REPAIR: u32 = u32::MAX;
const YEAR_MS: f64 = 365.25 * DAY_MS;
const DAY_MS: f64 = 86_400_000.0;
/// Faults come so much more often in the first 1000 h.
const INFANT_FACTOR: f64 = 3.0;
pub(super) const INFANT_HOURS: f64 = 1000.0;

impl FaultKind {
    /// All kinds; a kind's place here is its number.
    pub const ALL: [Self; 14] = [
        Self::DriverDead,
        Self::LedOpen,
        Self::LedShort,
        Self::DimmingBroken,
        Self::RelayWelded,
        Self::RelayOpen,
        Self::Cycling,
        Self::LowPowerFactor,
        Self::BlockedHeatPath,
        Self::Tilt,
        Self::ClockLost,
        Self::WrongAssetData,
        Self::SupplyLow,
        Self::SupplyHigh,
    ];

    /// How many of 1000 lamps get it in a year.
    pub const fn per_thousand_years(self) -> f64 {
        match self {
            Self::DriverDead | Self::WrongAssetData => 5.0,
            Self::LedShort | Self::RelayOpen => 1.0,
            Self::DimmingBroken | Self::BlockedHeatPath => 3.0,
            Self::LedOpen | Self::RelayWelded | Self::Cycling | Self::LowPowerFactor => 2.0,
            Self::Tilt => 1.5,
            Self::ClockLost => 20.0,
            // Voltage belongs to the feeder, which has its own episodes; see `mains`.
            Self::SupplyLow | Self::SupplyHigh => 0.0,
        }
    }

    /// How long it lasts by chance; `None` until somebody comes on purpose.
    fn length_ms(self, draw: u64, repair_days: f64) -> Option<f64> {
        match self {
            Self::DriverDead
            | Self::LedOpen
            | Self::LedShort
            | Self::DimmingBroken
            | Self::RelayWelded
            | Self::RelayOpen
            | Self::Cycling
            | Self::LowPowerFactor
            | Self::Tilt => Some(log_normal(draw, repair_days, 0.8) * DAY_MS),
            Self::BlockedHeatPath => Some(90.0 * DAY_MS),
            Self::ClockLost => Some((18.0 + 12.0 * uniform(draw)) * 60_000.0),
            Self::WrongAssetData => None,
            Self::SupplyLow | Self::SupplyHigh => Some((10.0 + 170.0 * uniform(draw)) * 60_000.0),
        }
    }
}

impl FaultPlan {
    /// Nothing breaks but what is injected.
    pub const NONE: Self = Self { scale: 0.0, repair_days: 4.0 };
    /// An ordinary LED fleet with a quick crew: 99.97 % of lights in light.
    pub const ORDINARY: Self = Self { scale: 1.0, repair_days: 4.0 };
}

impl Faults {
    /// A sound lamp. `infant`: it is in its first 1000 h.
    pub(super) fn new(
        seed: u64,
        lamp: u64,
        plan: FaultPlan,
        now: UnixMillis,
        infant: bool,
    ) -> Self {
        let mut faults = Self {
            key: hash(seed, Stream::FaultArrival, [lamp]),
            plan,
            ends_s: [0; _],
            strength: [0; _],
            arrivals: 0,
            next_arrival: UnixMillis::NEVER,
            cycles: 0,
            cycle_turn: UnixMillis::NEVER,
            cycle_dark: false,
            next_turn: UnixMillis::NEVER,
        };
        faults.draw_arrival(now, infant);
        faults.find_next_turn();
        faults
    }

    pub(super) fn has(&self, kind: FaultKind) -> bool {
        self.ends_s[kind as usize] != 0
    }

    /// 0 to 1; 0 as well for a fault that isn't there.
    pub(super) fn strength(&self, kind: FaultKind) -> f64 {
        f64::from(self.strength[kind as usize]) / 255.0
    }

    /// A cycling lamp is in its dark part.
    pub(super) fn is_cycled_off(&self) -> bool {
        self.cycle_dark
    }

    /// When [`Faults::turn`] has to be called next; always after the last call's `now`.
    pub(super) fn next_turn(&self) -> UnixMillis {
        self.next_turn
    }

    /// Lets faults come and go that are due.
    pub(super) fn turn(&mut self, now: UnixMillis, infant: bool) {
        if now < self.next_turn {
            return;
        }
        for (end_s, strength) in self.ends_s.iter_mut().zip(&mut self.strength) {
            if *end_s != UNTIL_REPAIR && u64::from(*end_s) * 1000 <= now.0 {
                *end_s = 0;
                *strength = 0;
            }
        }
        while self.next_arrival <= now {
            self.arrive(now);
            self.draw_arrival(self.next_arrival, infant);
        }
        self.cycle(now);
        self.find_next_turn();
    }

    pub(super) fn inject(&mut self, fault: Fault, now: UnixMillis) {
        let ordinal = u64::from(self.arrivals);
        let drawn = uniform(self.draw(Stream::FaultStrength, fault.kind as u64 + (ordinal << 8)));
        let strength = fault.strength.map_or(drawn, f64::from).clamp(0.0, 1.0);
        let end_s = fault.until.map(|until| until.0.div_ceil(1000));
        self.ends_s[fault.kind as usize] =
            end_s.map_or(UNTIL_REPAIR, |s| u32::try_from(s).unwrap_or(UNTIL_REPAIR)).max(1);
        self.strength[fault.kind as usize] = (strength * 255.0).round() as u8;
        self.cycle(now);
        self.find_next_turn();
    }

    pub(super) fn repair(&mut self, kind: FaultKind, now: UnixMillis) {
        self.ends_s[kind as usize] = 0;
        self.strength[kind as usize] = 0;
        self.cycle(now);
        self.find_next_turn();
    }

    /// Takes the arrival that is due: picks a kind by its share of all rates.
    fn arrive(&mut self, now: UnixMillis) {
        let number = u64::from(self.arrivals);
        let mut pick = uniform(self.draw(Stream::FaultArrival, number | 1 << 40)) * total_rate();
        let kind = FaultKind::ALL.into_iter().find(|kind| {
            pick -= kind.per_thousand_years();
            pick < 0.0
        });
        let Some(kind) = kind else { return };
        let draw = self.draw(Stream::FaultLength, number);
        let length = kind.length_ms(draw, f64::from(self.plan.repair_days));
        let until = length.map(|ms| self.next_arrival.plus_ms(ms as u64));
        if until.is_none_or(|until| until > now) {
            self.inject(Fault { kind, until, strength: None }, now);
        }
    }

    /// Sets the next arrival, at random after `from`.
    fn draw_arrival(&mut self, from: UnixMillis, infant: bool) {
        self.arrivals += 1;
        let per_year = total_rate() / 1000.0
            * f64::from(self.plan.scale)
            * if infant { INFANT_FACTOR } else { 1.0 };
        if per_year <= 0.0 {
            self.next_arrival = UnixMillis::NEVER;
            return;
        }
        let draw = self.draw(Stream::FaultArrival, u64::from(self.arrivals));
        let wait_ms = exponential(draw, YEAR_MS / per_year).max(1.0);
        self.next_arrival = from.plus_ms(wait_ms as u64);
    }

    /// Turns a cycling lamp on and off.
    fn cycle(&mut self, now: UnixMillis) {
        if !self.has(FaultKind::Cycling) {
            self.cycle_dark = false;
            self.cycle_turn = UnixMillis::NEVER;
            return;
        }
        let begins = self.cycle_turn == UnixMillis::NEVER;
        if !begins && now < self.cycle_turn {
            return;
        }
        self.cycle_dark = !begins && !self.cycle_dark;
        self.cycles += 1;
        let part = uniform(self.draw(Stream::Cycle, u64::from(self.cycles)));
        let minutes = if self.cycle_dark { 1.0 + 4.0 * part } else { 3.0 + 12.0 * part };
        self.cycle_turn = now.plus_ms((minutes * 60_000.0) as u64);
    }

    fn find_next_turn(&mut self) {
        let ends = self.ends_s.iter().filter(|end| **end != 0 && **end != UNTIL_REPAIR);
        let first_end = ends.min().map_or(UnixMillis::NEVER, |s| UnixMillis(u64::from(*s) * 1000));
        self.next_turn = first_end.min(self.next_arrival).min(self.cycle_turn);
    }

    fn draw(&self, stream: Stream, part: u64) -> u64 {
        hash(self.key, stream, [part])
    }
}

/// Faults of all kinds that 1000 lamps get in a year.
fn total_rate() -> f64 {
    FaultKind::ALL.iter().map(|kind| kind.per_thousand_years()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMillis = UnixMillis(1_763_000_000_000);

    #[test]
    fn a_kind_is_its_place_in_the_list() {
        for (number, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
        }
    }

    #[test]
    fn faults_come_as_often_as_their_rates_say() {
        let plan = FaultPlan { scale: 10.0, repair_days: 4.0 };
        let mut found = 0_u32;
        for lamp in 0..1000 {
            let mut faults = Faults::new(1, lamp, plan, START, false);
            let year_later = START.plus_ms(YEAR_MS as u64);
            while faults.next_turn() < year_later {
                faults.turn(faults.next_turn(), false);
            }
            found += faults.arrivals - 1;
        }
        let expected = total_rate() * 10.0;
        assert!((f64::from(found) / expected - 1.0).abs() < 0.15, "{found} of {expected}");
    }

    #[test]
    fn a_fault_with_an_end_goes_by_itself_and_one_without_stays() {
        let mut faults = Faults::new(1, 1, FaultPlan::NONE, START, false);
        let until = Some(START.plus_ms(60_000));
        faults.inject(Fault { kind: FaultKind::Tilt, until, strength: Some(1.0) }, START);
        faults.inject(Fault { kind: FaultKind::LedOpen, until: None, strength: None }, START);
        assert_eq!(faults.next_turn(), START.plus_ms(60_000));

        faults.turn(faults.next_turn(), false);
        assert!(!faults.has(FaultKind::Tilt) && faults.has(FaultKind::LedOpen));

        faults.repair(FaultKind::LedOpen, START.plus_ms(61_000));
        assert!(!faults.has(FaultKind::LedOpen));
        assert_eq!(faults.next_turn(), UnixMillis::NEVER);
    }
}
