//! What a role allows: a verb, on the channels of a pattern, of the devices with certain labels.
//!
//! A channel's name says what is acted on, also where that is no stream: to command a lamp is to act on
//! `devices.<id>`, and so is to change its registration; what belongs to the hub as a whole is named in
//! [`resource`].

use std::fmt;
use std::sync::Arc;

use proto::channels::PREFIX;
use proto::{ChannelPattern, DeviceId};
use serde::{Deserialize, Serialize};

use super::scope::Scope;

/// Names of what belongs to no device, for [`Verb::Manage`].
pub mod resource {
    /// Tokens of people and programs.
    pub const TOKENS: &str = "hub.tokens";
    /// Who may do what.
    pub const ACCESS: &str = "hub.access";
    /// Descriptor sets.
    pub const SCHEMAS: &str = "hub.schemas";
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Put a value into a channel.
    Publish,
    /// See what a channel brings and keeps.
    Subscribe,
    /// Send commands to a device, and withdraw them.
    Command,
    /// Change registrations, tokens and other settings.
    Manage,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Subscribe, Self::Command, Self::Manage];

    /// Its word in the configuration and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Command => "command",
            Self::Manage => "manage",
        }
    }

    /// The verb with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.word() == word)
    }
}

/// One line of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub verbs: Vec<Verb>,
    /// On which channels.
    pub pattern: ChannelPattern,
    /// Only on channels of these devices.
    pub scope: Option<Arc<Scope>>,
}

impl Grant {
    /// Whether it allows this on this channel, now.
    pub fn allows(&self, verb: Verb, name: &str) -> bool {
        self.verbs.contains(&verb)
            && self.pattern.matches(name)
            && self
                .scope
                .as_ref()
                .is_none_or(|scope| device_in(name).is_some_and(|id| scope.has(id)))
    }

    /// Whether it allows this on every channel of a pattern, as far as the labels of their devices
    /// don't forbid it.
    pub fn reaches(&self, verb: Verb, pattern: &ChannelPattern) -> bool {
        self.verbs.contains(&verb) && self.pattern.covers(pattern)
    }

    /// Whether `other` allows nothing that this one doesn't.
    pub fn includes(&self, verb: Verb, other: &Self) -> bool {
        self.reaches(verb, &other.pattern) && (self.scope.is_none() || self.scope == other.scope)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verbs: Vec<&str> = self.verbs.iter().map(|verb| verb.word()).collect();
        write!(f, "{} on `{}`", verbs.join(", "), self.pattern)?;
        match &self.scope {
            Some(scope) => write!(f, " of devices with {scope}"),
            None => Ok(()),
        }
    }
}

/// The name that stands for a device as a whole.
pub fn device_name(id: &DeviceId) -> String {
    format!("{PREFIX}.{id}")
}

/// Whether a pattern stands for any device as a whole: else a grant to command by it is a slip.
pub fn names_devices(pattern: &ChannelPattern) -> bool {
    let segments: Vec<&str> = pattern.segments().collect();
    matches!(segments.as_slice(), [">"] | [PREFIX | "*", _])
}

/// The id in `devices.<id>` and in the names of a device's channels.
fn device_in(name: &str) -> Option<&str> {
    let mut segments = name.split('.');
    (segments.next() == Some(PREFIX)).then(|| segments.next())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_to_command_has_a_pattern_that_stands_for_devices() {
        for (text, hit) in [
            (">", true),
            ("devices.>", true),
            ("devices.*", true),
            ("devices.lamp-1", true),
            ("*.lamp-1", true),
            ("*.>", true),
            ("devices.*.telemetry", false),
            ("devices", false),
            ("city.>", false),
        ] {
            let pattern = ChannelPattern::parse(text).expect(text);
            assert_eq!(names_devices(&pattern), hit, "{text}");
        }
    }

    #[test]
    fn a_scope_lets_through_only_what_belongs_to_its_devices() {
        let scope = Arc::new(Scope::parse("district=North").expect("valid"));
        scope.relabel("lamp-1", &[("district".to_owned(), "North".to_owned())].into());
        let pattern = ChannelPattern::parse(">").expect("valid");
        let grant = Grant { verbs: vec![Verb::Subscribe], pattern, scope: Some(scope) };
        assert!(grant.allows(Verb::Subscribe, "devices.lamp-1.telemetry"));
        assert!(grant.allows(Verb::Subscribe, "devices.lamp-1"));
        for other in ["devices.lamp-2.telemetry", "devices", "city.news", "x.lamp-1"] {
            assert!(!grant.allows(Verb::Subscribe, other), "{other}");
        }
        assert!(!grant.allows(Verb::Command, "devices.lamp-1"));
        assert_eq!(grant.to_string(), "subscribe on `>` of devices with district=North");
    }
}
