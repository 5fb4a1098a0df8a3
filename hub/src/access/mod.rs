//! Who a peer is and what it may do.
//!
//! An [`Identity`] comes from a client certificate, from a token that the hub issued, or from one of an
//! issuer that it trusts; it decides everything, since all peers use the same path and the same
//! envelopes. What a person may do is in the [`Role`] that its credential names. Rights are checked at
//! the time of use, and what no grant allows is denied.
//!
//! Read [`grant`] and [`scope`] for what a right is, [`role`] for how rights come together, [`policy`] for
//! what a reload changes; then [`token`] for credentials and [`directory`] for the table of them.
//!
//! # Cost
//!
//! A device's rights are in its id: two comparisons. A person's are checked when it asks; only a reader
//! whose grants have labels has every message checked as well, one look-up each.

use std::sync::Arc;

use proto::{ChannelPattern, DeviceId, channels};

pub mod grant;
pub mod role;
pub mod scope;

pub mod certificate;
pub mod jwt;
pub mod keys;
pub mod origin;
pub mod policy;

pub mod explain;

pub mod directory;
pub mod token;

pub use directory::{Admission, Credential, CredentialId, Directory, Subject};
pub use grant::{Grant, Verb, resource};
pub use policy::Policy;
pub use role::{Role, Roles};
pub use token::{Token, TokenHash};

/// What the hub holds a peer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A field device.
    Device(DeviceId),
    /// A person or a program, by its token.
    Person {
        /// What it may do.
        role: Arc<Role>,
        /// The name that its token was issued for.
        name: String,
    },
}

impl Identity {
    /// The device, if it is one.
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Device(device) => Some(device),
            Self::Person { .. } => None,
        }
    }

    /// The role, if it is a person.
    pub fn role(&self) -> Option<&Arc<Role>> {
        match self {
            Self::Device(_) => None,
            Self::Person { role, .. } => Some(role),
        }
    }

    /// Whether it may put values into this channel. A device writes its own channels that are a
    /// device's to write. A person writes, as far as its role goes, desired settings and channels
    /// outside `devices`: what devices and the hub say is nobody's to grant.
    pub fn may_publish(&self, channel: &str) -> bool {
        let owner = channels::device_of(channel);
        match self {
            Self::Device(device) => {
                owner == Some(device.as_str()) && writer(channel) == Some(channels::Writer::Device)
            }
            Self::Person { role, .. } => {
                is_for_people(channel) && role.allows(Verb::Publish, channel).is_some()
            }
        }
    }

    /// Whether it may ask for the channels that the pattern stands for. A device sees only its own.
    /// A role whose grants have labels gets of them what its devices bring, see
    /// [`Identity::may_see`].
    pub fn may_subscribe(&self, pattern: &ChannelPattern) -> bool {
        match self {
            Self::Device(device) => {
                let mut segments = pattern.segments();
                segments.next() == Some("devices") && segments.next() == Some(device.as_str())
            }
            Self::Person { role, .. } => role.may_subscribe(pattern),
        }
    }

    /// Whether it may see what this channel brings, now.
    pub fn may_see(&self, channel: &str) -> bool {
        match self {
            Self::Device(device) => channels::device_of(channel) == Some(device.as_str()),
            Self::Person { role, .. } => role.allows(Verb::Subscribe, channel).is_some(),
        }
    }

    /// Whether it may send commands to this device, and withdraw them.
    pub fn may_command(&self, device: &DeviceId) -> bool {
        self.may(Verb::Command, &grant::device_name(device))
    }

    /// Whether it may command some device, whichever.
    pub fn commands(&self) -> bool {
        self.role().is_some_and(|role| role.has_verb(Verb::Command))
    }

    /// Whether it may change what has this name: `devices.<id>`, or one of [`resource`].
    pub fn may_manage(&self, name: &str) -> bool {
        self.may(Verb::Manage, name)
    }

    /// Whether it has this verb on everything there is.
    pub fn may_all(&self, verb: Verb) -> bool {
        self.role().is_some_and(|role| role.allows_all(verb))
    }

    /// Whether it may do this on the channel or thing of this name.
    pub fn may(&self, verb: Verb, name: &str) -> bool {
        match verb {
            Verb::Publish => self.may_publish(name),
            Verb::Subscribe => self.may_see(name),
            Verb::Command | Verb::Manage => {
                self.role().is_some_and(|role| role.allows(verb, name).is_some())
            }
        }
    }
}

/// Whether people may write this channel at all, as far as their role goes.
pub fn is_for_people(channel: &str) -> bool {
    match channels::device_of(channel) {
        Some(_) => writer(channel) == Some(channels::Writer::Operator),
        None => ["devices.", "fleet.", "quarantine."].iter().all(|own| !channel.starts_with(own)),
    }
}

fn writer(channel: &str) -> Option<channels::Writer> {
    channels::known(channel).map(|(_, known)| known.writer)
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(device) => write!(f, "device {device}"),
            Self::Person { role, name } => write!(f, "{} {name}", role.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_writes_only_its_own_channels_that_are_a_devices_to_write() {
        let device = Identity::Device(DeviceId::parse("lamp-1").expect("valid"));
        assert!(device.may_publish("devices.lamp-1.telemetry"));
        assert!(!device.may_publish("devices.lamp-2.telemetry"));
        assert!(!device.may_publish("devices.lamp-1.presence"));
        assert!(!device.may_publish("devices.lamp-1.desired"));
        assert!(!device.may_publish("news"));
    }

    #[test]
    fn a_device_sees_only_its_own_channels() {
        let device = Identity::Device(DeviceId::parse("lamp-1").expect("valid"));
        let may = |pattern| device.may_subscribe(&ChannelPattern::parse(pattern).expect("valid"));
        assert!(may("devices.lamp-1.desired"));
        assert!(may("devices.lamp-1.>"));
        for other in ["devices.lamp-2.desired", "devices.*.desired", "devices.>", ">", "*.lamp-1.x"]
        {
            assert!(!may(other), "{other}");
        }
    }

    #[test]
    fn a_viewer_changes_nothing() {
        let viewer = person(role::VIEWER);
        let lamp = DeviceId::parse("lamp-1").expect("valid");
        assert!(!viewer.may_publish("news") && !viewer.may_command(&lamp));
        assert!(!viewer.may_manage("devices.lamp-1") && !viewer.may_manage(resource::TOKENS));
        assert!(viewer.may_subscribe(&ChannelPattern::parse(">").expect("valid")));
    }

    #[test]
    fn an_operator_writes_desired_settings_but_not_what_devices_and_the_hub_say() {
        let operator = person(role::OPERATOR);
        assert!(operator.may_publish("devices.lamp-1.desired"));
        assert!(operator.may_publish("city.news"));
        assert!(!operator.may_publish("devices.lamp-1.telemetry"));
        assert!(!operator.may_publish("devices.lamp-1.presence"));
        assert!(!operator.may_publish("quarantine.city.news"));
        assert!(!operator.may_publish("devices.lamp-1"));
        assert!(!operator.may_publish("fleet.0190a0a0-0000-7000-8000-000000000000"));
    }

    #[test]
    fn fault_19_a_sender_commands_only_what_its_role_may() {
        let grant = role::DraftGrant {
            verbs: vec![Verb::Command],
            pattern: "devices.*".to_owned(),
            labels: Some("district=North".to_owned()),
        };
        let draft = role::Draft { name: "north".to_owned(), grants: vec![grant], include: vec![] };
        let roles = Roles::new(&[draft]).expect("valid");
        let labels = |value: &str| [("district".to_owned(), value.to_owned())].into();
        roles.scopes()[0].relabel("lamp-1", &labels("North"));
        roles.scopes()[0].relabel("lamp-2", &labels("South"));
        let role = roles.get("north").expect("a role").clone();
        let person = Identity::Person { role, name: "ann".to_owned() };
        let may = |id| person.may_command(&DeviceId::parse(id).expect("valid"));
        assert!(may("lamp-1") && !may("lamp-2") && !may("lamp-3"));
        roles.scopes()[0].relabel("lamp-1", &labels("South"));
        assert!(!may("lamp-1"), "checked at the time of use");
    }

    fn person(role: &str) -> Identity {
        Identity::Person { role: Role::built_in(role), name: "ann".to_owned() }
    }
}
