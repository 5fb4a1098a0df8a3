//! What level a lamp should have, and why: power-up test, identify, override, program.
//!
//! The strongest that applies wins, in the order that follows; each knows until when it holds, so
//! the lamp asks again only then.
//!
//! ```text
//!   power-up test ─▶ identify ─▶ override ─▶ no time: failsafe ─▶ hub's light ─▶ program ─▶ default level
//! ```
//!
//! A change of level is a fade, linear in level. Test and identify jump.
//!
//! # Contract
//!
//! Call [`Control::turn`] at [`Control::next_turn`] or after any other change; never with a time
//! before that of the last call. Between two calls the level is a straight line.

use std::sync::Arc;

use super::{ControlReason, Night, Place, Program, UnixMillis};

/// A level that comes before the program, for a time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Override {
    /// %, 0 to 100.
    pub level_pct: u8,
    /// When it begins; absent is now.
    pub start: Option<UnixMillis>,
    /// When it ends; absent is two hours after the start.
    pub expires: Option<UnixMillis>,
    /// ms, at most 5400000: the fade into it; absent is 2 s.
    pub ramp_to_ms: Option<u32>,
    /// ms, at most 5400000: the fade back; absent is 2 s.
    pub ramp_from_ms: Option<u32>,
    /// Who asked: the command's id, for the switching log.
    pub source: Option<Arc<str>>,
}

/// Why an override was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// It ends before it starts, or has ended.
    #[error("the override is already over")]
    AlreadyOver,
    /// There is nothing above 100 %.
    #[error("a level of {level_pct} % is above 100 %")]
    LevelTooHigh {
        /// What was asked.
        level_pct: u8,
    },
    /// A fade takes at most 90 min.
    #[error("a ramp of {ramp_ms} ms is longer than {RAMP_MS_MAX} ms")]
    RampTooLong {
        /// What was asked.
        ramp_ms: u32,
    },
}

/// What the hub says that the lamp should show, in place of the lamp's own program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guide {
    /// %, 0 to 100, and its reason.
    pub now: (u8, ControlReason),
    /// When the hub began to say so: an override of the lamp's own that is younger stays.
    pub since: UnixMillis,
    /// When `then` begins.
    pub until: UnixMillis,
    /// What comes then; absent is the lamp's own program.
    pub then: Option<(u8, ControlReason)>,
}

/// The level that rules now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Goal {
    pub(super) level_pct: u8,
    pub(super) reason: ControlReason,
    until: UnixMillis,
}

#[derive(Debug, Clone)]
pub(super) struct Control {
    program: Option<Arc<Program>>,
    guide: Option<Box<Guide>>,
    running: Option<Box<Override>>,
    /// The fade back of an override that just ended.
    return_ramp_ms: Option<u32>,
    identify_until: UnixMillis,
    test_until: UnixMillis,
    /// When the safe level comes or came; never while the time is known.
    failsafe_from: UnixMillis,
    goal: Goal,
    fade: Fade,
    logged_pct: u8,
    night: Night,
}

/// A straight line of level over time.
#[derive(Debug, Clone, Copy)]
struct Fade {
    from: f32,
    to: f32,
    start: UnixMillis,
    end: UnixMillis,
}

pub(super) const OVERRIDE_MS: u64 = 7_200_000;
const RAMP_MS_MAX: u32 = 5_400_000;
const FADE_MS: u32 = 2_000;
const DEFAULT_PCT: u8 = 100;
const FAILSAFE_PCT: u8 = 100;
const FAILSAFE_AFTER_MS: u64 = 900_000;
const BLINK_MS: u64 = 500;
/// A shorter rest of an override does not survive a restart.
const REST_MIN_MS: u64 = 60_000;
/// The test after power-up: length in ms, level in %.
const TEST: [(u64, u8); 5] = [(20_000, 100), (9_000, 50), (10_000, 5), (8_000, 100), (12_000, 0)];

impl Control {
    /// Settled at the program's level.
    pub(super) fn new(program: Option<Arc<Program>>, place: Place, now: UnixMillis) -> Self {
        let goal = Goal { level_pct: 0, reason: ControlReason::Default, until: now };
        let mut control = Self {
            program,
            guide: None,
            running: None,
            return_ramp_ms: None,
            identify_until: UnixMillis(0),
            test_until: UnixMillis(0),
            failsafe_from: UnixMillis::NEVER,
            goal,
            fade: Fade { from: 0.0, to: 0.0, start: now, end: now },
            logged_pct: 0,
            night: place.night(now),
        };
        control.goal = control.goal_at(now);
        let level = f32::from(control.goal.level_pct);
        control.fade = Fade { from: level, to: level, start: now, end: now };
        control.logged_pct = control.goal.level_pct;
        control
    }

    pub(super) fn goal(&self) -> Goal {
        self.goal
    }

    pub(super) fn night(&self) -> &Night {
        &self.night
    }

    /// The level on the wire to the driver, 0 to 100.
    pub(super) fn level_at(&self, at: UnixMillis) -> f64 {
        let fade = &self.fade;
        if at >= fade.end {
            return f64::from(fade.to);
        }
        let part = at.since_ms(fade.start) as f64 / fade.end.since_ms(fade.start) as f64;
        f64::from(fade.from) + f64::from(fade.to - fade.from) * part
    }

    pub(super) fn is_fading(&self, at: UnixMillis) -> bool {
        at < self.fade.end
    }

    pub(super) fn next_turn(&self, now: UnixMillis) -> UnixMillis {
        let fade_end = if self.is_fading(now) { self.fade.end } else { UnixMillis::NEVER };
        self.goal.until.min(fade_end).min(self.night.ends())
    }

    /// Brings goal and fade up to `now`.
    pub(super) fn turn(&mut self, place: Place, now: UnixMillis) {
        if !self.night.covers(now) {
            self.night = place.night(now);
        } else if now < self.goal.until {
            return;
        }
        self.retarget(now);
    }

    /// The step of the switching log that is complete at `now`: the level before, and who did it.
    pub(super) fn take_step(&mut self, now: UnixMillis) -> Option<(u8, Option<Arc<str>>)> {
        let Goal { level_pct, reason, .. } = self.goal;
        if level_pct == self.logged_pct
            || reason == ControlReason::Commissioning
            || self.is_fading(now)
        {
            return None;
        }
        let source = match reason {
            ControlReason::Override => self.running.as_ref().and_then(|o| o.source.clone()),
            // The hub's source is in the hub.
            ControlReason::Program if self.guide.is_some() => None,
            ControlReason::Program => self.program.as_ref().map(|p| Arc::clone(&p.id)),
            ControlReason::Default | ControlReason::Failsafe | ControlReason::Commissioning => None,
        };
        Some((std::mem::replace(&mut self.logged_pct, level_pct), source))
    }

    pub(super) fn assign(&mut self, program: Option<Arc<Program>>, now: UnixMillis) {
        self.program = program;
        self.retarget(now);
    }

    /// Takes the hub's light, or does without it from now on. The lamp's own override gives way if it is older:
    /// then the hub knows of it, or somebody ended it there.
    pub(super) fn follow(&mut self, guide: Option<Guide>, since: UnixMillis, now: UnixMillis) {
        let is_older = |own: &Override| own.start.is_some_and(|start| start <= since);
        self.running = self.running.take().filter(|own| !is_older(own));
        self.guide = guide.map(Box::new);
        self.retarget(now);
    }

    /// Takes an override; it replaces one that runs or waits.
    pub(super) fn apply(&mut self, wish: Override, now: UnixMillis) -> Result<(), OverrideError> {
        let start = wish.start.unwrap_or(now).max(now);
        let expires = wish.expires.unwrap_or(start.plus_ms(OVERRIDE_MS));
        if wish.level_pct > 100 {
            return Err(OverrideError::LevelTooHigh { level_pct: wish.level_pct });
        }
        if expires <= start {
            return Err(OverrideError::AlreadyOver);
        }
        for ramp_ms in [wish.ramp_to_ms, wish.ramp_from_ms].into_iter().flatten() {
            if ramp_ms > RAMP_MS_MAX {
                return Err(OverrideError::RampTooLong { ramp_ms });
            }
        }
        let taken = Override { start: Some(start), expires: Some(expires), ..wish };
        self.running = Some(Box::new(taken));
        self.retarget(now);
        Ok(())
    }

    /// Ends the override, if there is one.
    pub(super) fn resume(&mut self, ramp_ms: Option<u32>, now: UnixMillis) {
        if let Some(ended) = self.running.take() {
            self.return_ramp_ms = ramp_ms.map(|ms| ms.min(RAMP_MS_MAX)).or(ended.ramp_from_ms);
            self.retarget(now);
        }
    }

    /// The override that runs or waits.
    pub(super) fn running(&self) -> Option<&Override> {
        self.running.as_deref()
    }

    pub(super) fn identify(&mut self, duration_s: u32, now: UnixMillis) {
        self.identify_until = now.plus_ms(u64::from(duration_s) * 1000);
        self.retarget(now);
    }

    /// The controller starts: its test runs, and what is nearly over or only a blink is forgotten.
    pub(super) fn restart(&mut self, place: Place, now: UnixMillis) {
        let rest = |o: &Override| o.expires.map_or(0, |end| end.since_ms(now));
        self.running = self.running.take().filter(|o| rest(o) > REST_MIN_MS);
        self.identify_until = UnixMillis(0);
        self.test_until = now.plus_ms(TEST.iter().map(|(length_ms, _)| length_ms).sum());
        self.fade = Fade { from: 0.0, to: 0.0, start: now, end: now };
        self.night = place.night(now);
        self.retarget(now);
    }

    /// Tells whether the controller knows the time. Without it a lamp goes on by its best guess,
    /// and after a while it is lit to be safe.
    pub(super) fn set_clock_lost(&mut self, lost: bool, now: UnixMillis) {
        if lost != (self.failsafe_from != UnixMillis::NEVER) {
            self.failsafe_from =
                if lost { now.plus_ms(FAILSAFE_AFTER_MS) } else { UnixMillis::NEVER };
            self.retarget(now);
        }
    }

    fn retarget(&mut self, now: UnixMillis) {
        let from = self.level_at(now) as f32;
        let goal = self.goal_at(now);
        if goal.level_pct != self.goal.level_pct || f32::from(goal.level_pct) != self.fade.to {
            let ramp_ms = match goal.reason {
                ControlReason::Commissioning => 0,
                ControlReason::Override => {
                    self.running.as_ref().and_then(|o| o.ramp_to_ms).unwrap_or(FADE_MS)
                }
                ControlReason::Program | ControlReason::Default | ControlReason::Failsafe => {
                    self.return_ramp_ms.unwrap_or(FADE_MS)
                }
            };
            let end = now.plus_ms(u64::from(ramp_ms));
            self.fade = Fade { from, to: f32::from(goal.level_pct), start: now, end };
        }
        self.return_ramp_ms = None;
        self.goal = goal;
    }

    /// The strongest wish at `now`, and until when it is that.
    fn goal_at(&mut self, now: UnixMillis) -> Goal {
        if let Some(goal) = self.test_goal(now).or_else(|| self.identify_goal(now)) {
            return goal;
        }
        if self.running.as_ref().and_then(|o| o.expires).is_some_and(|end| end <= now) {
            self.return_ramp_ms = self.running.take().and_then(|ended| ended.ramp_from_ms);
        }
        let mut override_starts = UnixMillis::NEVER;
        if let Some(Override { level_pct, start: Some(start), expires: Some(end), .. }) =
            self.running.as_deref()
        {
            if *start <= now {
                let reason = ControlReason::Override;
                return Goal { level_pct: *level_pct, reason, until: *end };
            }
            override_starts = *start;
        }
        if self.failsafe_from <= now {
            let reason = ControlReason::Failsafe;
            return Goal { level_pct: FAILSAFE_PCT, reason, until: override_starts };
        }
        let goal = self.program_goal(now);
        Goal { until: goal.until.min(override_starts).min(self.failsafe_from), ..goal }
    }

    fn test_goal(&self, now: UnixMillis) -> Option<Goal> {
        let mut until = self.test_until;
        let mut step = None;
        // From its end backwards: the step that began last before now.
        for (length_ms, level) in TEST.into_iter().rev() {
            if now >= until {
                break;
            }
            step = Some((level, until));
            until = UnixMillis(until.0.saturating_sub(length_ms));
        }
        let (level_pct, until) = step?;
        Some(Goal { level_pct, reason: ControlReason::Commissioning, until })
    }

    fn identify_goal(&self, now: UnixMillis) -> Option<Goal> {
        let left_ms = self.identify_until.0.checked_sub(now.0).filter(|left| *left > 0)?;
        let bright = (left_ms.div_ceil(BLINK_MS)).is_multiple_of(2);
        let level_pct = if bright { 100 } else { 20 };
        let step_ms = (left_ms - 1) % BLINK_MS + 1;
        Some(Goal { level_pct, reason: ControlReason::Commissioning, until: now.plus_ms(step_ms) })
    }

    fn guided_goal(&self, now: UnixMillis) -> Option<Goal> {
        let guide = self.guide.as_deref()?;
        let ((level_pct, reason), until) = if now < guide.until {
            (guide.now, guide.until)
        } else {
            (guide.then?, UnixMillis::NEVER)
        };
        Some(Goal { level_pct, reason, until })
    }

    fn program_goal(&self, now: UnixMillis) -> Goal {
        if let Some(goal) = self.guided_goal(now) {
            return goal;
        }
        let Some(program) = &self.program else {
            let reason = ControlReason::Default;
            return Goal { level_pct: DEFAULT_PCT, reason, until: UnixMillis::NEVER };
        };
        let (level_pct, until) = program.level_at(&self.night, now);
        Goal { level_pct, reason: ControlReason::Program, until }
    }
}
