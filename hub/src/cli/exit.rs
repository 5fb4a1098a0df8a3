//! Why a command of the shell failed, and the exit code that says so.
//!
//! Scripts decide by the code, people by the text; both are made here and nowhere else.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, or the reader of our output went away |
//! | 2 | usage: nothing was sent |
//! | 3 | the hub, or a token file, says no to who we are |
//! | 4 | no such device, command or token |
//! | 5 | refused: by the hub, by the device, or withdrawn |
//! | 6 | time-out, hub out of reach, or an outcome that can't be proved |
//! | 7 | conflict with what is there |
//! | 130 | interrupted by the keyboard |

use std::process::ExitCode;

use proto::{CloseCode, CommandState, ErrorCode};

/// Why a command failed. Texts say what is wrong, then the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Who we are isn't known or isn't enough.
    #[error("{0}")]
    Auth(String),
    /// Something else is already there under this name.
    #[error("{0}")]
    Conflict(String),
    /// The keyboard ended it; what there is to say was said.
    #[error("interrupted")]
    Interrupted,
    /// The named thing isn't there.
    #[error("{0}")]
    NotFound(String),
    /// Some of many failed, in different ways; the table has named them.
    #[error("{failed} of {total} failed")]
    Partial {
        /// How many didn't succeed.
        failed: usize,
        /// How many were addressed.
        total: usize,
    },
    /// The reader of our output is gone: nobody is left to tell.
    #[error("output closed")]
    PipeClosed,
    /// The hub or the device said no.
    #[error("{0}")]
    Refused(String),
    /// It took longer than we were told to wait, or than it can take.
    #[error("{0}")]
    Timeout(String),
    /// The command was handed over and no answer came.
    #[error("{0}")]
    Unknown(String),
    /// No connection, or one that broke.
    #[error("{0}")]
    Unreachable(String),
    /// The words of the command line don't make sense; nothing was sent.
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    /// The one place that turns a failure into an exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::PipeClosed => 0,
            Self::Usage(_) => 2,
            Self::Auth(_) => 3,
            Self::NotFound(_) => 4,
            Self::Refused(_) | Self::Partial { .. } => 5,
            Self::Timeout(_) | Self::Unknown(_) | Self::Unreachable(_) => 6,
            Self::Conflict(_) => 7,
            Self::Interrupted => 130,
        }
    }

    /// Whether standard error has something to say beside the exit code.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::PipeClosed | Self::Interrupted)
    }

    /// The failure that an error envelope stands for.
    pub(crate) fn from_error_code(code: Option<ErrorCode>, text: String) -> Self {
        match code {
            Some(ErrorCode::NotFound) => Self::NotFound(text),
            Some(ErrorCode::NotPermitted) => Self::Auth(text),
            Some(ErrorCode::Conflict) => Self::Conflict(text),
            Some(ErrorCode::Unavailable) => Self::Unreachable(text),
            Some(
                ErrorCode::BadChannel
                | ErrorCode::BadValue
                | ErrorCode::Limit
                | ErrorCode::Malformed
                | ErrorCode::QueueFull
                | ErrorCode::Rate
                | ErrorCode::StaleEpoch
                | ErrorCode::StateLimit
                | ErrorCode::Unspecified
                | ErrorCode::Unsupported,
            )
            | None => Self::Refused(text),
        }
    }

    /// The failure that an HTTP status other than success stands for.
    pub(crate) fn from_status(status: u16, text: String) -> Self {
        match status {
            401 | 403 => Self::Auth(text),
            404 | 410 => Self::NotFound(text),
            408 | 500..=599 => Self::Unreachable(text),
            409 | 412 => Self::Conflict(text),
            _ => Self::Refused(text),
        }
    }

    /// The failure that a close frame stands for, where nothing is in doubt.
    pub(crate) fn from_close(code: CloseCode, text: String) -> Self {
        match code {
            CloseCode::BAD_CREDENTIAL
            | CloseCode::REVOKED
            | CloseCode::CREDENTIAL_EXPIRED
            | CloseCode::NOT_PERMITTED => Self::Auth(text),
            CloseCode::VERSION | CloseCode::MALFORMED | CloseCode::TOO_BIG => Self::Refused(text),
            _ => Self::Unreachable(text),
        }
    }

    /// The failure of a command that ended in `state`; `None` for success and for states that
    /// aren't an end.
    pub(crate) fn from_state(state: CommandState, text: String) -> Option<Self> {
        match state {
            CommandState::Unspecified
            | CommandState::Accepted
            | CommandState::Sent
            | CommandState::Delivered
            | CommandState::Running
            | CommandState::Succeeded => None,
            CommandState::Failed
            | CommandState::Rejected
            | CommandState::Canceled
            | CommandState::Superseded => Some(Self::Refused(text)),
            CommandState::Expired => Some(Self::Timeout(text)),
            CommandState::Unknown => Some(Self::Unknown(text)),
        }
    }

    /// The failure of a whole batch: the one that all share by code, or else [`Failure::Partial`].
    pub(crate) fn of_batch(failures: &[&Self], total: usize) -> Option<Self> {
        let first = failures.first()?;
        let text = format!("{} of {total} failed", failures.len());
        if failures.iter().any(|failure| failure.code() != first.code()) {
            return Some(Self::Partial { failed: failures.len(), total });
        }
        Some(match first {
            Self::Auth(_) => Self::Auth(text),
            Self::Conflict(_) => Self::Conflict(text),
            Self::Interrupted => Self::Interrupted,
            Self::NotFound(_) => Self::NotFound(text),
            Self::Partial { .. } | Self::Refused(_) => Self::Refused(text),
            Self::PipeClosed => Self::PipeClosed,
            Self::Timeout(_) => Self::Timeout(text),
            Self::Unknown(_) => Self::Unknown(text),
            Self::Unreachable(_) => Self::Unreachable(text),
            Self::Usage(_) => Self::Usage(text),
        })
    }
}

/// The exit code of a finished command.
pub(crate) fn exit_code(outcome: &Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.code()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_command_has_the_promised_code() {
        check(CommandState::Succeeded, 0);
        check(CommandState::Failed, 5);
        check(CommandState::Rejected, 5);
        check(CommandState::Canceled, 5);
        check(CommandState::Superseded, 5);
        check(CommandState::Expired, 6);
        check(CommandState::Unknown, 6);
    }

    #[track_caller]
    fn check(state: CommandState, code: u8) {
        let failure = Failure::from_state(state, String::new());
        assert_eq!(failure.map_or(0, |failure| failure.code()), code, "{state:?}");
    }

    #[test]
    fn refusals_of_the_hub_have_the_promised_codes() {
        let code = |code| Failure::from_error_code(Some(code), String::new()).code();
        assert_eq!(code(ErrorCode::NotPermitted), 3);
        assert_eq!(code(ErrorCode::NotFound), 4);
        assert_eq!(code(ErrorCode::QueueFull), 5);
        assert_eq!(code(ErrorCode::Unavailable), 6);
        assert_eq!(code(ErrorCode::Conflict), 7);
        let status = |status| Failure::from_status(status, String::new()).code();
        assert_eq!([401, 404, 400, 503, 409].map(status), [3, 4, 5, 6, 7]);
        let close = |code| Failure::from_close(code, String::new()).code();
        assert_eq!(close(CloseCode::BAD_CREDENTIAL), 3);
        assert_eq!(close(CloseCode::OVERLOAD), 6);
    }

    #[test]
    fn a_batch_has_the_code_that_its_failures_share() {
        let refused = Failure::Refused("no".to_owned());
        let unknown = Failure::Unknown("?".to_owned());
        assert_eq!(Failure::of_batch(&[], 4), None);
        assert_eq!(Failure::of_batch(&[&unknown], 4).map(|failure| failure.code()), Some(6));
        let mixed = Failure::of_batch(&[&refused, &refused, &unknown], 4);
        assert_eq!(mixed, Some(Failure::Partial { failed: 3, total: 4 }));
    }
}
