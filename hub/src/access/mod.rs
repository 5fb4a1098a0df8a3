//! Who a peer is and what it may do.
//!
//! An [`Identity`] comes from a client certificate or from a token that the hub issued; it decides
//! everything, since all peers use the same path and the same envelopes. Rights are checked at the
//! time of use, and what no rule grants is denied.
//!
//! Read [`token`] for credentials, then [`directory`] for the table of them.

use proto::{ChannelPattern, DeviceId, channels};
use serde::{Deserialize, Serialize};

pub mod directory;

pub mod token;

pub use directory::{Credential, CredentialId, Directory, Subject};
pub use token::{Token, TokenHash};

/// What an operator's or a dashboard's token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything, sends commands, manages devices and tokens.
    Operator,
    /// Sees everything.
    Viewer,
}

impl Role {
    /// Its word in tokens, logs and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }
}

/// What the hub holds a peer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A field device.
    Device(DeviceId),
    /// A person or a program, by its token.
    Person {
        /// What it may do.
        role: Role,
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

    /// Whether it may put values into this channel. A device writes its own channels that are a
    /// device's to write; an operator writes desired settings and channels outside `devices`.
    pub fn may_publish(&self, channel: &str) -> bool {
        let owner = channels::device_of(channel);
        match self {
            Self::Device(device) => {
                owner == Some(device.as_str()) && writer(channel) == Some(channels::Writer::Device)
            }
            Self::Person { role: Role::Operator, .. } => match owner {
                Some(_) => writer(channel) == Some(channels::Writer::Operator),
                None => !channel.starts_with("devices.") && !channels::is_quarantine(channel),
            },
            Self::Person { role: Role::Viewer, .. } => false,
        }
    }

    /// Whether it may see every channel that the pattern stands for. A device sees only its own.
    pub fn may_subscribe(&self, pattern: &ChannelPattern) -> bool {
        match self {
            Self::Device(device) => {
                let mut segments = pattern.segments();
                segments.next() == Some("devices") && segments.next() == Some(device.as_str())
            }
            Self::Person { .. } => true,
        }
    }

    /// Whether it may send commands to devices.
    pub fn may_command(&self) -> bool {
        matches!(self, Self::Person { role: Role::Operator, .. })
    }

    /// Whether it may change the registry and the credentials.
    pub fn may_manage(&self) -> bool {
        matches!(self, Self::Person { role: Role::Operator, .. })
    }
}

fn writer(channel: &str) -> Option<channels::Writer> {
    channels::known(channel).map(|(_, known)| known.writer)
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(device) => write!(f, "device {device}"),
            Self::Person { role, name } => write!(f, "{} {name}", role.word()),
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
        let viewer = Identity::Person { role: Role::Viewer, name: "wall".to_owned() };
        assert!(!viewer.may_publish("news") && !viewer.may_command() && !viewer.may_manage());
        assert!(viewer.may_subscribe(&ChannelPattern::parse(">").expect("valid")));
    }

    #[test]
    fn an_operator_writes_desired_settings_but_not_what_devices_and_the_hub_say() {
        let operator = Identity::Person { role: Role::Operator, name: "ann".to_owned() };
        assert!(operator.may_publish("devices.lamp-1.desired"));
        assert!(operator.may_publish("city.news"));
        assert!(!operator.may_publish("devices.lamp-1.telemetry"));
        assert!(!operator.may_publish("devices.lamp-1.presence"));
        assert!(!operator.may_publish("quarantine.city.news"));
    }
}
