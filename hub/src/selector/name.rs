//! What a selector can ask for: `id`, `profile`, `online`, labels, and what devices reported.
//!
//! | name | stands for |
//! |---|---|
//! | `id`, `profile`, `online` | the device itself; `online` is `true` or `false`, unknown after a restart |
//! | a short name of [`SHORT`] | one reported value |
//! | `telemetry.samples.frequency_hz` | a channel's last value, and a path of fields; a list stands for its last item |
//! | `label.power`, `'pole number'`, any other word | a label |

use proto::channels::DeviceChannel;

/// What a condition speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The device's id.
    Id,
    /// Which settings it shares with others.
    Profile,
    /// Whether it has a session.
    Online,
    /// One of its labels.
    Label(Box<str>),
    /// Something that it reported.
    Reported(Path),
}

/// The way to a reported value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The last segment of the channel's name.
    pub channel: &'static str,
    /// Field after field, from the message inwards.
    pub fields: Box<[Box<str>]>,
    /// The short name that it came by, if any.
    pub short: Option<&'static Short>,
}

/// A short name for a reported value.
#[derive(Debug, PartialEq, Eq)]
pub struct Short {
    /// As it is written.
    pub name: &'static str,
    /// Channel and fields, with dots.
    pub path: &'static str,
    /// Taken off the names of an enum, whose rest is in lower case: `on`, not `LAMP_STATE_ON`.
    pub prefix: &'static str,
}

/// The short names: the words of lighting people for what lamps report.
pub const SHORT: &[Short] = &[
    short("level", "telemetry.samples.actual_level_pct", ""),
    short("target", "telemetry.samples.target_level_pct", ""),
    short("state", "telemetry.samples.state", "LAMP_STATE_"),
    short("reason", "telemetry.samples.reason", "CONTROL_REASON_"),
    short("power", "telemetry.samples.active_power_w", ""),
    short("power_factor", "telemetry.samples.power_factor", ""),
    short("voltage", "telemetry.samples.supply_voltage_v", ""),
    short("current", "telemetry.samples.supply_current_a", ""),
    short("energy", "telemetry.samples.active_energy_wh", ""),
    short("burn_time", "telemetry.samples.burn_time_s", ""),
    short("temperature", "telemetry.samples.driver_temperature_c", ""),
    short("firmware", "info.firmware_version", ""),
    short("model", "info.model", ""),
    short("manufacturer", "info.manufacturer", ""),
    short("hardware", "info.hardware_version", ""),
    short("serial", "info.serial", ""),
    short("asset", "info.asset_id", ""),
    short("config", "reported.applied_version", ""),
    short("fault", FAULT_PATH, "FAULT_CODE_"),
];

/// The path of `fault`: the last fault event, `none` if that said that a fault ended.
pub const FAULT_PATH: &str = "faults.code";

const fn short(name: &'static str, path: &'static str, prefix: &'static str) -> Short {
    Short { name, path, prefix }
}

/// Before a label whose name means something else.
pub(super) const LABEL_PREFIX: &str = "label.";

impl Name {
    /// What a word without quotes means.
    pub(super) fn of_word(word: &str) -> Self {
        match word {
            "id" => return Self::Id,
            "profile" => return Self::Profile,
            "online" => return Self::Online,
            _ => {}
        }
        if let Some(label) = word.strip_prefix(LABEL_PREFIX) {
            return Self::Label(label.into());
        }
        if let Some(short) = SHORT.iter().find(|short| short.name == word) {
            return Path::read(short.path, Some(short)).map_or_else(|| label(word), Self::Reported);
        }
        Path::read(word, None).map_or_else(|| label(word), Self::Reported)
    }

    /// What a key means in the older form.
    pub(super) fn of_key(key: &str) -> Self {
        match key {
            "id" => Self::Id,
            "profile" => Self::Profile,
            key => label(key),
        }
    }
}

fn label(word: &str) -> Name {
    Name::Label(word.into())
}

impl Path {
    /// The path that a word stands for, if it is one.
    pub fn named(word: &str) -> Option<Self> {
        match Name::of_word(word) {
            Name::Reported(path) => Some(path),
            Name::Id | Name::Profile | Name::Online | Name::Label(_) => None,
        }
    }

    fn read(text: &str, short: Option<&'static Short>) -> Option<Self> {
        let (channel, fields) = text.split_once('.')?;
        let channel = DeviceChannel::by_suffix(channel)?.suffix;
        Some(Self { channel, fields: fields.split('.').map(Box::from).collect(), short })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_short_name_is_a_path_into_the_types_of_its_channel() {
        let types = proto::json::Types::built_in();
        for short in SHORT {
            let Name::Reported(path) = Name::of_word(short.name) else { panic!("{short:?}") };
            let channel = DeviceChannel::by_suffix(path.channel).expect("known");
            // JSON names fields, so a document with just this field fits a type or it doesn't.
            let fits = |type_name: &str| {
                let candidates = ["1", "\"x\"", "{}"].map(|leaf| document(&path.fields, leaf));
                candidates.iter().any(|text| {
                    let value = serde_json::from_str(text).expect("JSON");
                    let result = types.payload_from_json(type_name, &value);
                    result.is_ok()
                })
            };
            assert!(channel.types.iter().any(|name| fits(name)), "{short:?}");
        }
    }

    fn document(fields: &[Box<str>], leaf: &str) -> String {
        match fields {
            [] => leaf.to_owned(),
            [first, rest @ ..] if &**first == "samples" => {
                format!("{{\"samples\":[{}]}}", document(rest, leaf))
            }
            [first, rest @ ..] => format!("{{\"{first}\":{}}}", document(rest, leaf)),
        }
    }
}
