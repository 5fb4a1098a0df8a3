//! Why someone may do something, or may not, in words.

use serde::Serialize;

use super::grant::{Grant, Verb};
use super::role::Role;
use super::{Identity, is_for_people};

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    /// Who was asked about.
    pub identity: String,
    /// What it would do.
    pub verb: Verb,
    /// On what.
    pub channel: String,
    /// Whether it may, now.
    pub allowed: bool,
    /// Its role; none of a device.
    pub role: Option<String>,
    /// The grant that allows it, or that would if it weren't for the labels.
    pub grant: Option<String>,
    /// In words.
    pub reason: String,
}

/// Says why a role allows this, or not. `who` is how it is called in the answer.
pub fn of_role(who: &str, role: &Role, verb: Verb, channel: &str) -> Explanation {
    let (word, name) = (verb.word(), role.name());
    let nearly = |grant: &&Grant| grant.verbs.contains(&verb) && grant.pattern.matches(channel);
    let (allowed, grant, reason) = match role.allows(verb, channel) {
        _ if verb == Verb::Publish && !is_for_people(channel) => {
            let reason = "devices and the hub write this channel, and no role can grant it";
            (false, None, reason.to_owned())
        }
        Some(grant) => (true, Some(grant), format!("role `{name}` grants {grant}")),
        None => match role.grants().iter().find(nearly) {
            Some(grant) => {
                let scope = grant.scope.as_ref().map(ToString::to_string).unwrap_or_default();
                let reason = format!(
                    "role `{name}` grants {word} on `{}` only for devices with {scope}, \
                     which this one hasn't, or it isn't registered",
                    grant.pattern
                );
                (false, Some(grant), reason)
            }
            None => {
                let reason = format!("no grant of role `{name}` has {word} on `{channel}`");
                (false, None, reason)
            }
        },
    };
    Explanation {
        identity: who.to_owned(),
        verb,
        channel: channel.to_owned(),
        allowed,
        role: Some(name.to_owned()),
        grant: grant.map(ToString::to_string),
        reason,
    }
}

/// The same for any identity.
pub fn of_identity(identity: &Identity, verb: Verb, channel: &str) -> Explanation {
    let who = identity.to_string();
    if let Some(role) = identity.role() {
        return of_role(&who, role, verb, channel);
    }
    let allowed = identity.may(verb, channel);
    let reason = match (verb, allowed) {
        (_, true) => "a device writes and sees its own channels",
        (Verb::Publish, false) => {
            "a device writes only those of its own channels that are a device's to write"
        }
        (Verb::Subscribe, false) => "a device sees only its own channels",
        (Verb::Command | Verb::Manage, false) => "a device commands and manages nothing",
    };
    Explanation {
        identity: who,
        verb,
        channel: channel.to_owned(),
        allowed,
        role: None,
        grant: None,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proto::DeviceId;

    use super::super::role::{Draft, DraftGrant, Roles};
    use super::*;

    #[test]
    fn the_answer_names_role_and_grant_or_what_is_missing() {
        let grant = DraftGrant {
            verbs: vec![Verb::Subscribe, Verb::Publish],
            pattern: "devices.>".to_owned(),
            labels: Some("district=North".to_owned()),
        };
        let draft = Draft { name: "north".to_owned(), include: vec![], grants: vec![grant] };
        let roles = Roles::new(&[draft]).expect("valid");
        roles.scopes()[0].relabel("lamp-1", &[("district".to_owned(), "North".to_owned())].into());
        let role = roles.get("north").expect("a role");
        for (verb, channel, allowed, words) in [
            (
                Verb::Subscribe,
                "devices.lamp-1.faults",
                true,
                "role `north` grants subscribe, publish on `devices.>`",
            ),
            (
                Verb::Subscribe,
                "devices.lamp-2.faults",
                false,
                "only for devices with district=North",
            ),
            (Verb::Command, "devices.lamp-1", false, "no grant of role `north` has command"),
            (Verb::Publish, "devices.lamp-1.desired", true, "grants"),
            (Verb::Publish, "devices.lamp-1.telemetry", false, "no role can grant it"),
        ] {
            let said = of_role("north ann", role, verb, channel);
            assert_eq!(said.allowed, allowed, "{said:?}");
            assert!(said.reason.contains(words), "{said:?}");
        }
        let lamp = Identity::Device(DeviceId::parse("lamp-1").expect("valid"));
        assert!(of_identity(&lamp, Verb::Publish, "devices.lamp-1.faults").allowed);
        assert!(!of_identity(&lamp, Verb::Command, "devices.lamp-1").allowed);
    }
}
