//! One command's way from ACCEPTED to its end, as lines.
//!
//! Steps come as pushes and, after a lost connection, again from the record; each is shown once.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::CommandState;
use serde_json::Value;

use super::exit::Failure;
use super::fields::{flag, number, state, word};
use super::summary;

/// Columns for `RUNNING 100 %`.
const STATE_WIDTH: usize = 13;

/// What is known of a command.
#[derive(Debug, Default)]
pub(crate) struct Life {
    shown: BTreeSet<(CommandState, u64, u64)>,
    state: CommandState,
    detail: String,
}

impl Life {
    /// Takes a step; tells whether it is new. What a device says after the end changes nothing.
    pub(crate) fn take(&mut self, update: &Value) -> bool {
        let step = state(update);
        let known = self.state.is_terminal() || flag(update, "late");
        if known || step == CommandState::Unspecified {
            return false;
        }
        let percent = number(update, "percent");
        let is_behind = |(shown, reached, _): &(CommandState, u64, u64)| {
            step == CommandState::Running && *shown == step && *reached >= percent
        };
        let is_new = !self.shown.iter().any(is_behind)
            && self.shown.insert((step, percent, number(update, "attempt")));
        if is_new && step >= self.state {
            self.state = step;
            self.detail = word(update, "detail").to_owned();
        }
        is_new
    }

    /// How it ended; `None` while it goes on.
    pub(crate) fn end(&self) -> Option<Result<(), Failure>> {
        if !self.state.is_terminal() {
            return None;
        }
        let detail = if self.detail.is_empty() { advice(self.state) } else { &self.detail };
        let text = format!("{}: {detail}", self.state.word());
        Some(Failure::from_state(self.state, text).map_or(Ok(()), Err))
    }
}

/// What a state means, where nobody said why.
pub(crate) fn advice(state: CommandState) -> &'static str {
    match state {
        CommandState::Unspecified => "the hub didn't say",
        CommandState::Accepted => "waits for the device",
        CommandState::Sent => "on its way",
        CommandState::Delivered | CommandState::Running => "the device works on it",
        CommandState::Succeeded => "done, and measured",
        CommandState::Failed => "the device tried, and the effect was not reached",
        CommandState::Rejected => "the device refused it",
        CommandState::Expired => "the device was not there in time; nothing was done",
        CommandState::Canceled => "withdrawn before the device began",
        CommandState::Superseded => "a newer command took its place",
        CommandState::Unknown => "it was sent, and whether it was done can't be proved",
    }
}

/// One step as a line: state, time since the start, time of day, why or with what effect.
pub(crate) fn line(update: &Value, since_start: Duration, wall: &str) -> String {
    let shown = summary::step(update);
    let seconds = since_start.as_secs_f64();
    let head = format!("{shown:<STATE_WIDTH$} {:>11}  {wall}", format!("+{seconds:.3} s"));
    let attempt = match number(update, "attempt") {
        attempt if attempt > 1 && state(update) == CommandState::Sent => {
            format!("attempt {attempt}")
        }
        _ => String::new(),
    };
    let proof = summary::proof(update).unwrap_or_default();
    let said = [attempt.as_str(), word(update, "detail"), &proof];
    let tail = said.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ");
    format!("{head}  {tail}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_step_is_shown_once_and_the_end_stands() {
        let mut life = Life::default();
        assert!(life.take(&json!({"state": "COMMAND_STATE_ACCEPTED"})));
        assert!(!life.take(&json!({"state": "COMMAND_STATE_ACCEPTED"})));
        assert!(life.take(&json!({"state": "COMMAND_STATE_RUNNING", "percent": 40})));
        assert!(life.take(&json!({"state": "COMMAND_STATE_RUNNING", "percent": 80})));
        assert_eq!(life.end(), None);
        assert!(life.take(&json!({"state": "COMMAND_STATE_FAILED", "detail": "relay stuck"})));
        assert!(!life.take(&json!({"state": "COMMAND_STATE_RUNNING", "percent": 90})));
        assert_eq!(life.end(), Some(Err(Failure::Refused("FAILED: relay stuck".to_owned()))));
    }

    #[test]
    fn a_late_report_does_not_change_what_was_said() {
        let mut life = Life::default();
        assert!(!life.take(&json!({"state": "COMMAND_STATE_SUCCEEDED", "late": true})));
        assert_eq!(life.end(), None);
    }

    #[test]
    fn a_line_has_state_times_and_reason() {
        let update = json!({"state": "COMMAND_STATE_RUNNING", "percent": 40, "detail": "fading"});
        let shown = line(&update, Duration::from_millis(1_206), "21:30:00.000");
        assert_eq!(shown, "RUNNING 40 %     +1.206 s  21:30:00.000  fading");
    }
}
