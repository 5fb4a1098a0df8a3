//! Channel rules: what a channel keeps, by the first pattern that matches its name.

use std::time::Duration;

use proto::{ChannelName, ChannelPattern, channels};

/// What happens to the last value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Not kept.
    None,
    /// The newest replaces it.
    Replace,
    /// The newest is merged into it, field by field.
    Merge,
}

/// What becomes of a payload that is not of its type, or whose type the hub doesn't know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Undecodable {
    /// It is refused.
    #[default]
    Refuse,
    /// It goes on as bytes, and is shown on the channel's quarantine.
    Quarantine,
}

/// What one kind of channel keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The channels that it speaks of.
    pub pattern: ChannelPattern,
    /// Full names of the payload's messages; the first stands where none is named. Empty: bytes.
    pub types: Vec<String>,
    /// What happens to the last value.
    pub keep: Keep,
    /// Messages kept for readers that come back.
    pub history_count: usize,
    /// How long they are kept.
    pub history_age: Duration,
    /// Whether an acknowledgement waits for the disk.
    pub durable: bool,
    /// What becomes of a payload that is not of its type.
    pub undecodable: Undecodable,
}

/// All rules of a hub, in order.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<std::sync::Arc<Rule>>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
const QUARTER: Duration = Duration::from_secs(15 * 60);

impl Rules {
    /// The rule of what the hub shows in quarantine, which nobody changes; then the configured rules;
    /// then the built-in ones: the channels of a device with the types that they carry, and last a rule
    /// that takes every other channel.
    pub fn with_built_in(configured: Vec<Rule>) -> Self {
        let mut rules = vec![quarantine_rule()];
        rules.extend(configured);
        rules.extend(channels::ALL.iter().map(device_rule));
        // How a fleet command stands: each message says all, so none is missed but the last.
        rules.push(Rule {
            pattern: pattern("fleet.*"),
            types: vec![channels::FLEET_TYPE.to_owned()],
            keep: Keep::Replace,
            history_count: 1,
            history_age: DAY,
            durable: true,
            undecodable: Undecodable::Refuse,
        });
        rules.push(Rule {
            pattern: pattern(">"),
            types: Vec::new(),
            keep: Keep::Replace,
            history_count: 64,
            history_age: Duration::from_secs(3600),
            durable: true,
            undecodable: Undecodable::Refuse,
        });
        Self { rules: rules.into_iter().map(std::sync::Arc::new).collect() }
    }

    /// The rule of a channel: the first that matches.
    pub fn of(&self, channel: &ChannelName) -> std::sync::Arc<Rule> {
        let found = self.rules.iter().find(|rule| rule.pattern.matches(channel.as_str()));
        found.expect("the last built-in rule matches every channel").clone()
    }

    /// All of them, strongest first.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(AsRef::as_ref)
    }
}

/// Frequent samples keep a short history, since every lamp of the city has one; events keep a day.
fn device_rule(kind: &channels::DeviceChannel) -> Rule {
    let (history_count, history_age) =
        if *kind == channels::TELEMETRY { (4, QUARTER) } else { (32, DAY) };
    let keep = if *kind == channels::COMMANDS { Keep::None } else { Keep::Replace };
    Rule {
        pattern: pattern(&format!("devices.*.{}", kind.suffix)),
        types: kind.types.iter().map(|name| (*name).to_owned()).collect(),
        keep,
        history_count,
        history_age,
        durable: true,
        undecodable: Undecodable::Refuse,
    }
}

/// Enough to see what a sender does wrong, and no more: it may do it often.
fn quarantine_rule() -> Rule {
    Rule {
        pattern: pattern(&format!("{}.>", channels::QUARANTINE_PREFIX)),
        types: vec![channels::QUARANTINED_TYPE.to_owned()],
        keep: Keep::Replace,
        history_count: 16,
        history_age: DAY,
        durable: false,
        undecodable: Undecodable::Refuse,
    }
}

fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text).expect("built-in patterns are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_wins() {
        let special = Rule { keep: Keep::Merge, ..device_rule(&channels::ALL[0]) };
        let rules = Rules::with_built_in(vec![Rule { pattern: pattern("a.*"), ..special }]);
        let of = |name| rules.of(&ChannelName::parse(name).expect("valid"));
        assert_eq!(of("a.b").keep, Keep::Merge);
        assert_eq!(of("a.b.c").keep, Keep::Replace);
        assert_eq!(of("devices.lamp-1.telemetry").types, ["lighting.v1.TelemetryBatch"]);
        assert_eq!(of("devices.lamp-1.commands").keep, Keep::None);
    }
}
