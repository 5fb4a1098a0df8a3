//! The channels that every device has: their names, what they carry, and who writes them.
//!
//! A device's channel is `devices.<id>.<suffix>`. Its payload is a message of one of the channel's
//! types; the first is meant where `Publish.type` is empty. A channel with several types keeps one
//! last value a type.
//!
//! Nothing here allocates: firmware writes names into a buffer of its own.

use crate::id::{IdError, check_device_id};
use crate::limits;

/// The first segment of all devices' channels.
pub const PREFIX: &str = "devices";

/// Type of `Send.payload` and `Deliver.payload`.
pub const COMMAND_TYPE: &str = "lighting.v1.Command";

/// Type of `CommandReport.result`.
pub const RESULT_TYPE: &str = "lighting.v1.CommandResult";

/// The first segment of the channels on which the hub shows values that are not of their type.
pub const QUARANTINE_PREFIX: &str = "quarantine";

/// Type of the payloads of these channels.
pub const QUARANTINED_TYPE: &str = "lamplighter.v1.Quarantined";
/// The first segment of the channels of fleet commands, `fleet.<id>`, which only the hub writes.
pub const FLEET_PREFIX: &str = "fleet";

/// Type of what these channels carry.
pub const FLEET_TYPE: &str = "lamplighter.v1.FleetProgress";

/// Who may write a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// The device that the channel belongs to.
    Device,
    /// Only the hub.
    Hub,
    /// Operators and programs that are allowed to.
    Operator,
}

/// One of the channels that every device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceChannel {
    /// The last segment of its name.
    pub suffix: &'static str,
    /// Full names of the messages that it carries; the first is the default. Never empty.
    pub types: &'static [&'static str],
    /// Who may write it.
    pub writer: Writer,
}

macro_rules! channels {
    ($($(#[$doc:meta])* $name:ident = $suffix:literal, $writer:ident, [$($type:literal),+];)*) => {
        $(
            $(#[$doc])*
            pub const $name: DeviceChannel = DeviceChannel {
                suffix: $suffix,
                types: &[$($type),+],
                writer: Writer::$writer,
            };
        )*

        /// All of them.
        pub const ALL: &[DeviceChannel] = &[$($name),*];

        $(const _: () = assert!(
            PREFIX.len() + 1 + limits::DEVICE_ID_BYTES_MAX + 1 + $suffix.len()
                <= limits::CHANNEL_BYTES_MAX
        );)*
    };
}

channels! {
    /// Samples of the lamps; what `Publish` without a channel means.
    TELEMETRY = "telemetry", Device, ["lighting.v1.TelemetryBatch"];
    /// The energy profile.
    ENERGY = "energy", Device, ["lighting.v1.EnergyInterval"];
    /// What the driver and the radio say of themselves.
    DIAGNOSTICS = "diagnostics", Device,
        ["lighting.v1.DriverDiagnostics", "lighting.v1.ConnectivityReport"];
    /// Every change of the light; settlement counts them.
    SWITCHING = "switching", Device, ["lighting.v1.LightStateChange"];
    /// Faults that began or ended.
    FAULTS = "faults", Device, ["lighting.v1.FaultEvent"];
    /// What the device is, and what it runs.
    INFO = "info", Device,
        ["lighting.v1.BootEvent", "lighting.v1.DeviceInfo", "lighting.v1.ScheduleReport"];
    /// The configuration that the device applied.
    REPORTED = "reported", Device, ["lighting.v1.ConfigReport"];
    /// How a firmware update goes.
    FIRMWARE = "firmware", Device, ["lighting.v1.FirmwareStatus"];
    /// The configuration and calendar that the device should have.
    DESIRED = "desired", Operator, ["lighting.v1.DeviceConfig", "lighting.v1.Calendar"];
    /// Whether the device is connected.
    PRESENCE = "presence", Hub, ["lamplighter.v1.Presence"];
    /// The lives of the device's commands.
    COMMANDS = "commands", Hub, ["lamplighter.v1.CommandUpdate"];
    /// The device's entry in the registry.
    REGISTRATION = "registration", Hub, ["lamplighter.v1.Registration"];
}

impl DeviceChannel {
    /// The channel with this last segment.
    pub fn by_suffix(suffix: &str) -> Option<&'static Self> {
        ALL.iter().find(|channel| channel.suffix == suffix)
    }

    /// The type that is meant where none is named.
    pub const fn default_type(&self) -> &'static str {
        self.types[0]
    }

    /// The type that `name` means on this channel: the default if it is empty, `None` if the channel
    /// doesn't carry it.
    pub fn type_named(&self, name: &str) -> Option<&'static str> {
        if name.is_empty() {
            return Some(self.default_type());
        }
        self.types.iter().copied().find(|known| *known == name)
    }

    /// Writes the channel's full name for `device` into `buffer`.
    ///
    /// # Errors
    /// `device` is not a device id.
    pub fn write_name<'a>(
        &self,
        device: &str,
        buffer: &'a mut [u8; limits::CHANNEL_BYTES_MAX],
    ) -> Result<&'a str, IdError> {
        check_device_id(device)?;
        let mut length = 0;
        for part in [PREFIX, ".", device, ".", self.suffix] {
            buffer[length..length + part.len()].copy_from_slice(part.as_bytes());
            length += part.len();
        }
        Ok(core::str::from_utf8(&buffer[..length]).expect("all parts are text"))
    }

    /// The channel's full name for `device`.
    #[cfg(feature = "alloc")]
    pub fn of(&self, device: &crate::DeviceId) -> crate::ChannelName {
        let mut buffer = [0; limits::CHANNEL_BYTES_MAX];
        let name = self.write_name(device.as_str(), &mut buffer).expect("a device id is one");
        crate::ChannelName::parse(name).expect("a device id is a segment, and all fits")
    }
}

/// The device that `channel` belongs to, if it is one of a device's channels, known or not:
/// `devices.<id>.<at least one segment>`.
pub fn device_of(channel: &str) -> Option<&str> {
    split(channel).map(|(device, _)| device)
}

/// Whether the channel is one of those on which the hub shows values that are not of their type.
pub fn is_quarantine(channel: &str) -> bool {
    channel.split('.').next() == Some(QUARANTINE_PREFIX)
}

/// The device and the well-known channel that a full name means.
pub fn known(channel: &str) -> Option<(&str, &'static DeviceChannel)> {
    let (device, rest) = split(channel)?;
    Some((device, DeviceChannel::by_suffix(rest)?))
}

fn split(channel: &str) -> Option<(&str, &str)> {
    let rest = channel.strip_prefix(PREFIX)?.strip_prefix('.')?;
    let (device, rest) = rest.split_once('.')?;
    (check_device_id(device).is_ok() && !rest.is_empty()).then_some((device, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_written_is_read_back() {
        for channel in ALL {
            let mut buffer = [0; limits::CHANNEL_BYTES_MAX];
            let name = channel.write_name("lamp-0042", &mut buffer).expect("a device id");
            assert_eq!(crate::name::check_name(name), Ok(()));
            assert_eq!(device_of(name), Some("lamp-0042"));
            assert_eq!(known(name), Some(("lamp-0042", channel)));
        }
    }

    #[test]
    fn only_channels_below_a_device_have_one() {
        assert_eq!(device_of("devices.lamp-1.own.thing"), Some("lamp-1"));
        assert_eq!(known("devices.lamp-1.own.thing"), None);
        for none in [
            "",
            "devices",
            "devices.lamp-1",
            "devices.lamp-1.",
            "devices..x",
            "site.lamp-1.x",
            "devicesx.lamp-1.x",
            "devices.LAMP.x",
        ] {
            assert_eq!(device_of(none), None, "{none}");
        }
    }

    #[test]
    fn a_name_is_not_written_for_what_is_no_device() {
        let mut buffer = [0; limits::CHANNEL_BYTES_MAX];
        assert!(TELEMETRY.write_name("Lamp.1", &mut buffer).is_err());
        assert!(REGISTRATION.write_name(&"x".repeat(64), &mut buffer).is_ok());
    }

    #[test]
    fn an_empty_type_means_the_first() {
        assert_eq!(INFO.type_named(""), Some("lighting.v1.BootEvent"));
        assert_eq!(INFO.type_named("lighting.v1.DeviceInfo"), Some("lighting.v1.DeviceInfo"));
        assert_eq!(INFO.type_named("lighting.v1.FaultEvent"), None);
    }
}
