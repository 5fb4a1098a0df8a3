//! Why a lamp did not do what was wanted, in plain sentences, from what the hub keeps of it.
//!
//! Pure: [`super::timeline`] collects the story, here it is read. A sentence is only said where the story
//! shows it; what the hub can't know is not guessed.

use proto::CommandState;

/// What is known of a device in a stretch of time.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// ms since 1970, UTC.
    pub(crate) now_unix_ms: u64,
    /// Commands whose lives touch the stretch, in the order of acceptance.
    pub(crate) commands: Vec<Life>,
    /// It was never here.
    pub(crate) never_seen: bool,
    /// When it came and went, oldest first.
    pub(crate) presence: Vec<Presence>,
    /// What decided its light last: when, and the reason in one word.
    pub(crate) light: Option<(u64, String)>,
    /// A fault that began and was not told to have ended: when, and its code in words.
    pub(crate) fault: Option<(u64, String)>,
}

/// One command, as far as it matters here.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) id: String,
    /// As in `override 40 %`.
    pub(crate) what: String,
    pub(crate) state: CommandState,
    pub(crate) detail: String,
    pub(crate) accepted_unix_ms: u64,
    pub(crate) deadline_unix_ms: u64,
    pub(crate) ended_unix_ms: Option<u64>,
    /// When it went to the device for the first time.
    pub(crate) sent_unix_ms: Option<u64>,
}

/// From when on a device was here, or away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presence {
    pub(crate) since_unix_ms: u64,
    pub(crate) online: bool,
    /// Why it left.
    pub(crate) reason: String,
}

/// What there is to say, the most telling first.
pub(crate) fn why(story: &Story) -> Vec<String> {
    let mut said: Vec<String> =
        story.commands.iter().rev().filter_map(|life| of_command(story, life)).collect();
    if story.commands.is_empty() {
        said.push("no command for it touches this time, as far as the hub remembers".to_owned());
    }
    if let Some(away) = story.presence.last().filter(|last| !last.online) {
        said.push(format!("the device is {}", offline(away)));
    }
    if let Some((since, reason)) = &story.light {
        said.extend(of_light(*since, reason));
    }
    if let Some((since, code)) = &story.fault {
        said.push(format!("a fault is told since {}: {code}", moment(*since)));
    }
    said
}

fn of_command(story: &Story, life: &Life) -> Option<String> {
    let (what, id) = (&life.what, &life.id);
    let at = moment(life.ended_unix_ms.unwrap_or(story.now_unix_ms));
    let why = if life.detail.is_empty() { String::new() } else { format!(": {}", life.detail) };
    let said = match life.state {
        CommandState::Unspecified | CommandState::Succeeded => return None,
        CommandState::Accepted => {
            let deadline = moment(life.deadline_unix_ms);
            let cause = match away_at(story, story.now_unix_ms) {
                Some(away) => format!("the device is {}", offline(away)),
                None if story.never_seen => "the device was never here".to_owned(),
                None => {
                    "the device has others before it, or has not said that it is ready".to_owned()
                }
            };
            format!("waits until {deadline}: {cause}")
        }
        CommandState::Sent => {
            let sent = moment(life.sent_unix_ms.unwrap_or(life.accepted_unix_ms));
            format!("was sent at {sent}, and the device has not said that it has it")
        }
        CommandState::Delivered | CommandState::Running => {
            "is with the device, which has not told its outcome".to_owned()
        }
        CommandState::Failed => format!("failed at {at}{why}"),
        CommandState::Rejected => format!("was rejected by the device at {at}{why}"),
        CommandState::Expired => match away_all(story, life) {
            _ if story.never_seen => format!("expired at {at}, because the device was never here"),
            Some(away) => format!("expired at {at}, because the device was {}", offline(away)),
            None => format!("expired at {at}{why}"),
        },
        CommandState::Canceled => format!("was withdrawn at {at}{why}"),
        CommandState::Superseded => format!("gave way to a newer command at {at}{why}"),
        CommandState::Unknown => format!("was sent, and whether it was done can't be proved{why}"),
    };
    Some(format!("the command {what} ({id}) {said}"))
}

fn of_light(since: u64, reason: &str) -> Option<String> {
    let since = moment(since);
    let said = match reason {
        "override" => "an override is in force, which comes before the program until it ends",
        "local_override" => "a switch in the cabinet or the pole decides the light",
        "failsafe" => "the lamp has no usable time or calendar and keeps to its safe level",
        "commissioning" => "the lamp runs its test sequence, as after power returned",
        "sensor" => "a sensor decides the light",
        _ => return None,
    };
    Some(format!("{said} (since {since})"))
}

/// The absence that holds at a moment, if the device is away then.
fn away_at(story: &Story, unix_ms: u64) -> Option<&Presence> {
    let before = story.presence.iter().rev().find(|change| change.since_unix_ms <= unix_ms);
    before.filter(|change| !change.online)
}

/// The absence that covers all of a command's time, if there is one.
fn away_all<'s>(story: &'s Story, life: &Life) -> Option<&'s Presence> {
    let end = life.ended_unix_ms.unwrap_or(life.deadline_unix_ms);
    let came = story.presence.iter().any(|change| {
        change.online && (life.accepted_unix_ms..=end).contains(&change.since_unix_ms)
    });
    away_at(story, life.accepted_unix_ms).filter(|_| !came)
}

fn offline(away: &Presence) -> String {
    let why = if away.reason.is_empty() { String::new() } else { format!(" ({})", away.reason) };
    format!("offline since {}{why}", moment(away.since_unix_ms))
}

/// A moment to the second, RFC 3339 in UTC.
fn moment(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_second(seconds);
    moment.map_or_else(|_| format!("{unix_ms} ms"), |moment| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHT: u64 = 1_795_298_400_000;

    fn life(state: CommandState, detail: &str) -> Life {
        Life {
            id: "c1".to_owned(),
            what: "override 40 %".to_owned(),
            state,
            detail: detail.to_owned(),
            accepted_unix_ms: NIGHT,
            deadline_unix_ms: NIGHT + 600_000,
            ended_unix_ms: state.is_terminal().then_some(NIGHT + 600_000),
            sent_unix_ms: Some(NIGHT + 1_000),
        }
    }

    fn away(since_unix_ms: u64) -> Presence {
        Presence { since_unix_ms, online: false, reason: "lost".to_owned() }
    }

    #[test]
    fn an_expired_command_names_the_absence_that_covers_it() {
        let mut story = Story {
            now_unix_ms: NIGHT + 900_000,
            commands: vec![life(CommandState::Expired, "its deadline passed")],
            presence: vec![away(NIGHT - 3_600_000)],
            ..Story::default()
        };
        check(
            &story,
            "expired at 2026-11-21T22:10:00Z, because the device was offline since 2026-11-21T21:00:00Z (lost)",
        );
        story.never_seen = true;
        check(&story, "because the device was never here");
        story.never_seen = false;
        let here = Presence { since_unix_ms: NIGHT + 60_000, online: true, reason: String::new() };
        story.presence.push(here);
        check(&story, "expired at 2026-11-21T22:10:00Z: its deadline passed");
    }

    #[test]
    fn each_state_has_its_sentence_and_success_has_none() {
        for (state, words) in [
            (CommandState::Accepted, "waits until 2026-11-21T22:10:00Z: the device has others"),
            (CommandState::Sent, "was sent at 2026-11-21T22:00:01Z, and the device has not"),
            (CommandState::Running, "is with the device"),
            (CommandState::Failed, "failed at 2026-11-21T22:10:00Z: relay stuck"),
            (CommandState::Rejected, "was rejected by the device"),
            (CommandState::Canceled, "was withdrawn at"),
            (CommandState::Superseded, "gave way to a newer command"),
            (CommandState::Unknown, "can't be proved: relay stuck"),
        ] {
            let story = Story {
                now_unix_ms: NIGHT,
                commands: vec![life(state, "relay stuck")],
                ..Story::default()
            };
            check(&story, words);
        }
        let story = Story { commands: vec![life(CommandState::Succeeded, "")], ..Story::default() };
        assert_eq!(why(&story), [""; 0]);
    }

    #[test]
    fn without_commands_what_decides_the_light_is_named() {
        let story = Story {
            presence: vec![away(NIGHT)],
            light: Some((NIGHT, "override".to_owned())),
            fault: Some((NIGHT, "relay failure".to_owned())),
            ..Story::default()
        };
        for words in ["no command", "is offline since", "an override is in force", "relay failure"]
        {
            check(&story, words);
        }
        let program = Story { light: Some((NIGHT, "program".to_owned())), ..Story::default() };
        assert_eq!(why(&program).len(), 1);
    }

    #[track_caller]
    fn check(story: &Story, words: &str) {
        let said = why(story);
        assert!(said.iter().any(|sentence| sentence.contains(words)), "{said:#?}");
    }
}
