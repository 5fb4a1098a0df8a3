//! Carries out `lighting.v1.Command` on a physical lamp, and proves the effect by measuring it.
//!
//! [`Execution::begin`] is the effect function of the promises: entered once for each command that
//! starts. A level counts as reached when the lamp was measured at it, within 2 points, after the fade
//! and with a power that fits.

use firmware_client::{Millis, Verdict};
use prost::Message;
use proto::messages::lighting::v1::command::Action;
use proto::messages::lighting::v1::{self as lighting, Command};
use proto::{CommandId, channels};

use crate::clock::CityTime;
use crate::physics::{ControlReason, CounterSet, Lamp, LampState, Override, Sample, UnixMillis};

/// ms: the fade of a lamp whose command names none.
const FADE_MS: u32 = 1_500;
/// ms: from the end of a fade to the measurement.
const MEASURE_AFTER_MS: u64 = 100;
/// ms: between two looks at a lamp that isn't there yet.
const LOOK_EVERY_MS: u64 = 250;
/// ms: after its fade a sound lamp is there within this.
const PATIENCE_MS: u64 = 3_000;
/// Points of level that a measurement may be off.
const LEVEL_TOLERANCE: u8 = 2;
/// W: a dark lamp draws less.
const DARK_W_MAX: f32 = 6.0;
/// W: a lit one draws more.
const LIT_W_MIN: f32 = 2.0;

/// A command that runs.
#[derive(Debug)]
pub(super) struct Execution {
    /// Which.
    pub(super) id: CommandId,
    received_at: Millis,
    goal: Goal,
    fade_ms: u64,
    look_at: Millis,
    /// A sound lamp is there by then.
    patient_until: Millis,
}

#[derive(Debug, Clone, Copy)]
enum Goal {
    /// The lamp shall be measured at this level.
    Level { level_pct: u8 },
    /// The lamp shall be measured without an override.
    Program,
    /// Done when measured once.
    Measured,
    /// Done when the hub knows; then the controller starts anew.
    Reboot { delay_ms: u64 },
}

impl Goal {
    /// Nothing fades.
    const fn is_seen_at_once(self) -> bool {
        matches!(self, Self::Measured | Self::Reboot { .. })
    }
}

/// What is to be told of a command that ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// How.
    pub verdict: Verdict,
    /// For people.
    pub detail: String,
    /// The lamp as it was measured; none if nothing was tried.
    pub after: Option<Sample>,
    /// ms from receipt to the measurement.
    pub latency_ms: u32,
    /// The controller starts anew so long after the hub knows.
    pub reboot_after_ms: Option<u64>,
}

impl Execution {
    /// Starts the effect, or says why there will be none. The lamp's time must be at `now`; times in
    /// commands are real, and become the city's.
    ///
    /// # Errors
    /// The words of the rejection.
    pub(super) fn begin(
        id: CommandId,
        type_name: &str,
        payload: &[u8],
        now: Millis,
        city: CityTime,
        lamp: &mut Lamp,
    ) -> Result<Self, String> {
        if type_name != channels::COMMAND_TYPE {
            return Err("this lamp doesn't know the command's type".to_owned());
        }
        let command =
            Command::decode(payload).map_err(|_| "the command can't be read".to_owned())?;
        if command.lamp_mask != 0 && command.lamp_mask & 1 == 0 {
            return Err("this controller has one output, number 0".to_owned());
        }
        let action = command.action.ok_or("the command has no action")?;
        let (goal, fade_ms) = start(id, &action, city, lamp)?;
        let wait_ms = if goal.is_seen_at_once() { 0 } else { fade_ms + MEASURE_AFTER_MS };
        let patient_until = now.after(fade_ms + PATIENCE_MS);
        let look_at = now.after(wait_ms);
        Ok(Self { id, received_at: now, goal, fade_ms, look_at, patient_until })
    }

    /// When [`Execution::look`] is worth calling.
    pub(super) const fn look_at(&self) -> Millis {
        self.look_at
    }

    /// Measures. The lamp's time must be at `now`.
    pub(super) fn look(&mut self, now: Millis, lamp: &Lamp) -> Option<Ending> {
        if now < self.look_at {
            return None;
        }
        self.look_at = now.after(LOOK_EVERY_MS);
        let sample = lamp.sample();
        if self.is_reached(lamp, &sample) {
            return Some(self.end(now, Verdict::Succeeded, success(&sample), sample));
        }
        // While the controller tests or shows its lamp, no order counts; the fade comes after that.
        if sample.reason == ControlReason::Commissioning {
            self.patient_until = now.after(self.fade_ms + PATIENCE_MS);
        }
        (now >= self.patient_until)
            .then(|| self.end(now, Verdict::Failed, failure(&sample), sample))
    }

    fn is_reached(&self, lamp: &Lamp, sample: &Sample) -> bool {
        let steady = sample.state != LampState::Fading;
        match self.goal {
            Goal::Measured | Goal::Reboot { .. } => true,
            Goal::Program => steady && lamp.running_override().is_none(),
            Goal::Level { level_pct } => {
                let actual = sample.actual_level_pct.unwrap_or(u8::MAX);
                let power_w = sample.active_power_w.unwrap_or_default();
                let fits = if level_pct == 0 { power_w < DARK_W_MAX } else { power_w > LIT_W_MIN };
                let near = actual.abs_diff(level_pct) <= LEVEL_TOLERANCE;
                steady && near && fits && sample.reason == ControlReason::Override
            }
        }
    }

    fn end(&self, now: Millis, verdict: Verdict, detail: String, after: Sample) -> Ending {
        let reboot_after_ms = match self.goal {
            Goal::Reboot { delay_ms } => Some(delay_ms),
            Goal::Level { .. } | Goal::Program | Goal::Measured => None,
        };
        let latency_ms = u32::try_from(now.since(self.received_at)).unwrap_or(u32::MAX);
        Ending { verdict, detail, after: Some(after), latency_ms, reboot_after_ms }
    }
}

impl Ending {
    /// Nothing was tried.
    pub(super) fn rejected(detail: String) -> Self {
        Self {
            verdict: Verdict::Rejected,
            detail,
            after: None,
            latency_ms: 0,
            reboot_after_ms: None,
        }
    }
}

/// Begins an action. Returns what must be measured, and how long the lamp fades (ms).
fn start(
    id: CommandId,
    action: &Action,
    city: CityTime,
    lamp: &mut Lamp,
) -> Result<(Goal, u64), String> {
    match action {
        Action::Override(wish) => start_override(id, wish, city, lamp),
        Action::Resume(resume) => {
            let ramp_ms = resume.ramp_ms.unwrap_or(FADE_MS);
            lamp.resume(Some(ramp_ms));
            Ok((Goal::Program, u64::from(ramp_ms)))
        }
        Action::Identify(identify) => {
            lamp.identify(identify.duration_s);
            Ok((Goal::Measured, 0))
        }
        Action::ReadNow(_) => Ok((Goal::Measured, 0)),
        Action::ResetCounters(which) => {
            lamp.reset_counters(CounterSet {
                energy: which.energy,
                burn_time: which.burn_time,
                switch_count: which.switch_count,
            });
            Ok((Goal::Measured, 0))
        }
        Action::Reboot(reboot) if !reboot.confirm => Err("a reboot needs confirm".to_owned()),
        Action::Reboot(reboot) if reboot.only_when_dark && lamp.light_output() > 0.0 => {
            Err("light is needed now".to_owned())
        }
        Action::Reboot(reboot) => {
            Ok((Goal::Reboot { delay_ms: u64::from(reboot.delay_s) * 1000 }, 0))
        }
        Action::SelfTest(_) => Ok((Goal::Measured, 0)),
        Action::AssignCalendar(_)
        | Action::FirmwareUpdate(_)
        | Action::FirmwareCancel(_)
        | Action::UploadLog(_)
        | Action::FactoryReset(_) => Err("a simulated lamp can't do this".to_owned()),
    }
}

fn start_override(
    id: CommandId,
    wish: &lighting::Override,
    city: CityTime,
    lamp: &mut Lamp,
) -> Result<(Goal, u64), String> {
    let level = wish.level_pct.ok_or("a level is missing")?;
    let level_pct =
        u8::try_from(level).map_err(|_| format!("a level of {level} % is above 100 %"))?;
    let time = |unix_ms: u64| (unix_ms != 0).then(|| UnixMillis(city.at(unix_ms)));
    let ramp_ms = wish.ramp_to_ms.unwrap_or(FADE_MS);
    let start = time(wish.start_unix_ms).filter(|start| *start > lamp.now());
    lamp.apply(Override {
        level_pct,
        start,
        expires: time(wish.expires_unix_ms),
        ramp_to_ms: Some(ramp_ms),
        ramp_from_ms: wish.ramp_from_ms,
        source: Some(id.text().as_str().into()),
    })
    .map_err(|error| error.to_string())?;
    // What begins later is taken; its effect is in the telemetry of its time.
    if start.is_some() {
        return Ok((Goal::Measured, 0));
    }
    Ok((Goal::Level { level_pct }, u64::from(ramp_ms)))
}

fn success(sample: &Sample) -> String {
    let level_pct = sample.actual_level_pct.unwrap_or_default();
    format!("{level_pct} % at {:.1} W", sample.active_power_w.unwrap_or_default())
}

fn failure(sample: &Sample) -> String {
    format!("the light stays at {} %", sample.actual_level_pct.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::city::City;
    use crate::physics::{Fault, FaultKind, FaultPlan};

    const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

    fn lamp() -> Lamp {
        Lamp::new(City::new(7, "lamp-", None, NOW, FaultPlan::NONE).spec(1), NOW)
    }

    fn dim(level_pct: u32) -> Action {
        Action::Override(lighting::Override {
            level_pct: Some(level_pct),
            ..lighting::Override::default()
        })
    }

    fn begin(action: Action, lamp: &mut Lamp) -> Result<Execution, String> {
        let command = Command { action: Some(action), ..Command::default() };
        let id = CommandId::from_bytes([1; 16]);
        Execution::begin(
            id,
            channels::COMMAND_TYPE,
            &command.encode_to_vec(),
            Millis(0),
            CityTime::REAL,
            lamp,
        )
    }

    /// Looks each 50 ms until the command ends.
    fn finish(mut execution: Execution, lamp: &mut Lamp) -> Ending {
        for ms in (0..120_000).step_by(50) {
            lamp.advance(NOW.plus_ms(ms));
            if let Some(ending) = execution.look(Millis(ms), lamp) {
                return ending;
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn a_dimmed_lamp_is_measured_after_its_fade_within_three_seconds() {
        let mut lamp = lamp();
        let execution = begin(dim(40), &mut lamp).expect("a level");
        let ending = finish(execution, &mut lamp);
        assert_eq!(ending.verdict, Verdict::Succeeded);
        assert!((1_000..=3_000).contains(&ending.latency_ms), "{}", ending.latency_ms);
        assert_eq!(ending.after.expect("measured").actual_level_pct, Some(40));
    }

    #[test]
    fn a_broken_lamp_fails_and_says_what_it_shows() {
        let mut lamp = lamp();
        lamp.inject(Fault { kind: FaultKind::DimmingBroken, until: None, strength: None });
        let execution = begin(dim(40), &mut lamp).expect("a level");
        let ending = finish(execution, &mut lamp);
        assert_eq!(ending.verdict, Verdict::Failed);
        assert_eq!(ending.detail, "the light stays at 100 %");
    }

    #[test]
    fn off_is_a_level_too_and_resume_goes_back() {
        let mut lamp = lamp();
        let execution = begin(dim(0), &mut lamp).expect("a level");
        assert_eq!(finish(execution, &mut lamp).verdict, Verdict::Succeeded);
        let mut back =
            begin(Action::Resume(lighting::Resume::default()), &mut lamp).expect("always");
        lamp.advance(NOW.plus_ms(200_000));
        assert_eq!(back.look(Millis(5_000), &lamp).expect("it ended").verdict, Verdict::Succeeded);
    }

    #[test]
    fn an_order_in_the_test_after_a_restart_waits_for_its_end() {
        let mut lamp = lamp();
        lamp.restart();
        let execution = begin(dim(40), &mut lamp).expect("a level");
        let ending = finish(execution, &mut lamp);
        assert_eq!(ending.verdict, Verdict::Succeeded);
        assert!((59_000..65_000).contains(&ending.latency_ms), "{}", ending.latency_ms);
    }

    #[test]
    fn what_makes_no_sense_is_rejected_in_words() {
        let reboot =
            |confirm| Action::Reboot(lighting::Reboot { confirm, ..lighting::Reboot::default() });
        assert_eq!(
            begin(reboot(false), &mut lamp()).err().as_deref(),
            Some("a reboot needs confirm")
        );
        assert!(begin(reboot(true), &mut lamp()).is_ok());
        assert!(begin(dim(101), &mut lamp()).expect_err("too much").contains("101"));
        let id = CommandId::from_bytes([1; 16]);
        assert!(
            Execution::begin(id, "other.Type", &[], Millis(0), CityTime::REAL, &mut lamp())
                .is_err()
        );
        assert!(
            Execution::begin(
                id,
                channels::COMMAND_TYPE,
                &[0xff],
                Millis(0),
                CityTime::REAL,
                &mut lamp()
            )
            .is_err()
        );
        assert!(
            Execution::begin(
                id,
                channels::COMMAND_TYPE,
                &[],
                Millis(0),
                CityTime::REAL,
                &mut lamp()
            )
            .is_err()
        );
    }
}
