//! One lamp: puts control, mains, driver, heat, faults and counters together.
//!
//! Time moves in segments. A segment ends where something changes (a switch point, the end of a
//! fade, a fault), at each full minute, and where the caller stops. Inside a segment the level is
//! a straight line and everything else is constant, so a segment is a handful of closed formulas.
//!
//! `spec` says what a lamp is, `operation` what it does with a level, `reading` what its
//! controller can know of that; here is how time passes.

mod operation;
mod reading;
mod spec;

use std::sync::Arc;

use super::control::Control;
use super::counters::{CounterSet, Counters};
use super::electrical::LuminaireClass;
use super::faults::{Fault, FaultKind, Faults, INFANT_HOURS};
use super::report::{Event, EventLog, LightStateChange};
use super::thermal::Thermal;
use super::watch::Watch;
use super::{Feeder, Guide, Override, OverrideError, Place, Program, UnixMillis};

use operation::Present;
use spec::{Traits, totals_since};

pub use spec::{ControllerKind, LampSpec};

/// A simulated lamp. See the module `physics` for how to use it.
#[derive(Debug, Clone)]
pub struct Lamp {
    seed: u64,
    id: u64,
    place: Place,
    class: LuminaireClass,
    controller: ControllerKind,
    feeder: Feeder,
    traits: Traits,
    now: UnixMillis,
    has_mains: bool,
    control: Control,
    faults: Faults,
    thermal: Thermal,
    shut_down: bool,
    counters: Counters,
    present: Present,
    watch: Watch,
    log: EventLog,
}

const STEP_MS: u64 = 60_000;
/// s: how long an identify blinks if nobody says.
const IDENTIFY_S: u32 = 30;
const IDENTIFY_S_MAX: u32 = 300;
/// One process simulates 15,000 lamps.
const LAMP_BYTES_MAX: usize = 608;
const _: () = assert!(size_of::<Lamp>() <= LAMP_BYTES_MAX);

impl Lamp {
    /// A sound lamp that has done its duty since it was installed, settled at its present level.
    pub fn new(spec: LampSpec, now: UnixMillis) -> Self {
        let traits = Traits::draw(&spec);
        let totals = totals_since(&spec, now);
        let infant = totals.burn_hours() < INFANT_HOURS;
        let mut lamp = Self {
            seed: spec.seed,
            id: spec.id,
            place: spec.place,
            class: spec.class,
            controller: spec.controller,
            feeder: spec.feeder,
            traits,
            now,
            has_mains: true,
            control: Control::new(spec.program, spec.place, now),
            faults: Faults::new(spec.seed, spec.id, spec.faults, now, infant),
            thermal: Thermal { housing_c: 20.0, driver_c: 20.0, board_c: 20.0, controller_c: 20.0 },
            shut_down: false,
            counters: Counters::new(totals, now),
            present: Present::default(),
            watch: Watch::default(),
            log: EventLog::default(),
        };
        lamp.present = lamp.operate(lamp.control.level_at(now), lamp.volts());
        lamp.thermal = Thermal::settled(&lamp.paths(), lamp.heat(lamp.present.load));
        lamp
    }

    /// Where the lamp's time stands.
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// Moves time on to `to`.
    pub fn advance(&mut self, to: UnixMillis) {
        while self.now < to {
            let minute = UnixMillis((self.now.0 / STEP_MS + 1) * STEP_MS);
            let mut end = to.min(minute).min(self.faults.next_turn());
            if self.has_mains {
                end = end.min(self.control.next_turn(self.now)).min(self.watch.next_due());
            }
            self.pass(end.max(self.now.plus_ms(1)));
            self.turn();
        }
    }

    /// Takes a command for a level.
    ///
    /// # Errors
    ///
    /// If it asks for more than 100 %, is over already, or fades for more than 90 min.
    pub fn apply(&mut self, wish: Override) -> Result<(), OverrideError> {
        self.control.apply(wish, self.now)?;
        self.turn();
        Ok(())
    }

    /// Ends the override, if there is one, and fades back in `ramp_ms` or as it had said.
    pub fn resume(&mut self, ramp_ms: Option<u32>) {
        self.control.resume(ramp_ms, self.now);
        self.turn();
    }

    /// The override that runs or waits for its start, with its times filled in.
    pub fn running_override(&self) -> Option<&Override> {
        self.control.running()
    }

    /// Blinks once a second for `duration_s`, at most 300; 0 is 30.
    pub fn identify(&mut self, duration_s: u32) {
        let duration_s = if duration_s == 0 { IDENTIFY_S } else { duration_s.min(IDENTIFY_S_MAX) };
        self.control.identify(duration_s, self.now);
        self.turn();
    }

    /// Follows another program from now on.
    pub fn assign(&mut self, program: Option<Arc<Program>>) {
        self.control.assign(program, self.now);
        self.turn();
    }

    /// Sets counters to 0.
    pub fn reset_counters(&mut self, which: CounterSet) {
        self.counters.reset(which);
    }

    /// Follows the hub's light; without one its own program. `since` is when the hub began to say so.
    pub fn follow(&mut self, guide: Option<Guide>, since: UnixMillis) {
        self.control.follow(guide, since, self.now);
        self.turn();
    }

    /// The controller starts anew while mains stay: it runs its test of a minute.
    pub fn restart(&mut self) {
        self.control.restart(self.place, self.now);
        self.turn();
    }

    /// Takes mains away or gives them back. A cut loses what counters flash doesn't have; the
    /// return begins with the controller's test.
    pub fn set_mains(&mut self, on: bool) {
        if on == self.has_mains {
            return;
        }
        self.has_mains = on;
        if on {
            self.control.restart(self.place, self.now);
        } else {
            self.counters.lose_power();
        }
        self.turn();
    }

    /// Breaks the lamp.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.inject(fault, self.now);
        self.turn();
    }

    /// Repairs one fault; its [`Event`] follows when the lamp has noticed.
    pub fn repair(&mut self, kind: FaultKind) {
        self.faults.repair(kind, self.now);
        self.turn();
    }

    /// Whether something is broken in this way.
    pub fn is_broken(&self, kind: FaultKind) -> bool {
        self.faults.has(kind)
    }

    /// What happened since the last call, oldest first.
    pub fn events(&mut self) -> Vec<Event> {
        self.log.take()
    }

    /// How many events were dropped because nobody asked for them.
    pub fn events_lost(&self) -> u32 {
        self.log.lost
    }

    /// Share of a new lamp's full light that reaches the street, 0 to 1: level, ageing and dirt.
    pub fn light_output(&self) -> f64 {
        f64::from(self.present.light) * self.counters.totals().light_left()
    }

    /// Lets a segment pass in which nothing turns.
    fn pass(&mut self, end: UnixMillis) {
        let span_ms = end.since_ms(self.now);
        let (first, last) = (self.control.level_at(self.now), self.control.level_at(end));
        let mut mean = self.present;
        if self.has_mains && (first - last).abs() > f64::EPSILON {
            let at = |level| self.operate(level, f64::from(self.present.volts));
            let middle = at((first + last) / 2.0);
            let load = at(first).load.mean_of_fade(middle.load, at(last).load);
            mean = Present { load, ..middle };
        }
        self.counters.add(mean.load, span_ms, mean.light > 0.0);
        let heat = self.heat(mean.load);
        self.thermal.step(&self.paths(), heat, span_ms as f64 / 1000.0);
        self.now = end;
    }

    /// Brings everything that can turn up to `now`, then measures and judges.
    fn turn(&mut self) {
        let infant = self.counters.totals().burn_hours() < INFANT_HOURS;
        self.faults.turn(self.now, infant);
        if !self.has_mains {
            self.present = Present::default();
            return;
        }
        self.control.set_clock_lost(self.faults.has(FaultKind::ClockLost), self.now);
        self.control.turn(self.place, self.now);
        self.settle();
        if let Some((from_level_pct, source)) = self.control.take_step(self.now) {
            let goal = self.control.goal();
            self.log.push(Event::Light(LightStateChange {
                at: self.now,
                from_level_pct,
                to_level_pct: goal.level_pct,
                reason: goal.reason,
                power_after_w: self.present.load.power_w,
                source,
            }));
        }
        let reading = self.reading();
        self.watch.judge(self.now, &reading, &mut self.log);
    }

    /// Works out the electrical state, and counts what changed in it.
    fn settle(&mut self) {
        self.shut_down = self.thermal.is_shut_down(self.shut_down);
        let before = self.present;
        self.present = self.operate(self.control.level_at(self.now), self.volts());
        let (was_lit, is_lit) = (before.light > 0.0, self.present.light > 0.0);
        if is_lit && !was_lit {
            self.counters.count_start();
            if before.commanded && self.present.commanded {
                self.watch.note_edge(self.now);
            }
        }
        self.counters.persist(self.now, was_lit && !is_lit);
    }
}

#[cfg(test)]
mod tests;
