//! How a reported state meets the state that a command already has.
//!
//! Reports of a device may be doubled, late and out of order, so a state is never *set* by a
//! report: it is merged by the order of life, and merging never goes back.

use proto::CommandState;

/// What a report means for a command that already has a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// It says nothing new.
    Nothing,
    /// The command goes on to the reported state.
    Advance,
    /// The device tells how far it is with a command that it works on.
    Progress,
    /// The command ends with the reported state.
    End,
    /// The command has ended before; its state stands.
    Late,
}

/// Merges `reported` into `state`.
pub(super) fn merge(state: CommandState, reported: CommandState) -> Merge {
    match (state.is_terminal(), reported.is_terminal()) {
        (true, true) => Merge::Late,
        (true, false) => Merge::Nothing,
        (false, true) => Merge::End,
        (false, false) if reported > state => Merge::Advance,
        (false, false) if reported == CommandState::Running && state == reported => Merge::Progress,
        (false, false) => Merge::Nothing,
    }
}

/// Whether a device may report this state of its command.
pub(super) fn is_reportable(state: CommandState) -> bool {
    match state {
        CommandState::Delivered
        | CommandState::Running
        | CommandState::Succeeded
        | CommandState::Failed
        | CommandState::Rejected
        | CommandState::Expired
        | CommandState::Unknown => true,
        CommandState::Unspecified
        | CommandState::Accepted
        | CommandState::Sent
        | CommandState::Canceled
        | CommandState::Superseded => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_never_leaves_a_terminal_state_and_never_goes_back() {
        for &state in CommandState::ALL {
            for &reported in CommandState::ALL {
                let (ended, ends) = (state.is_terminal(), reported.is_terminal());
                match merge(state, reported) {
                    Merge::Advance => assert!(reported > state && !ends),
                    Merge::Progress => assert!(reported == state && !ends),
                    Merge::End => assert!(!ended && ends),
                    Merge::Late => assert!(ended && ends),
                    Merge::Nothing => assert!(!ends),
                }
            }
        }
    }
}
