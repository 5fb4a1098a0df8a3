//! From keys to what is kept of each device's past.

use std::time::Duration;

use proto::json::Types;
use proto::{ChannelName, channels};
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::check::{span, within, wrong};
use super::span::Span;
use crate::series::field::Place;
use crate::series::{self, FIELDS_MAX, Holds, SLOTS_MAX};

/// Bytes of a field's name.
const NAME_BYTES_MAX: usize = 32;

/// What is kept of each device's past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Series {
    /// Length of a slot.
    pub interval: Span,
    /// How far back.
    pub span: Span,
    /// Channels with a past.
    pub channels: usize,
    /// None: nothing is kept.
    pub field: Vec<Field>,
}

/// One number of each device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// As it is asked for.
    pub name: String,
    /// Its channel, after `devices.<id>.`.
    #[serde(default = "default_channel")]
    pub channel: String,
    /// The full name of the payload's message; that of the channel if left out.
    #[serde(default, rename = "type")]
    pub type_name: String,
    /// As in `samples.actual_level_pct`.
    pub path: String,
    /// The least difference that is kept.
    #[serde(default = "default_step")]
    pub step: f64,
    #[serde(default = "default_holds")]
    pub holds: Kind,
    /// Of an increase: the number that is raised when the counter begins anew.
    #[serde(default)]
    pub epoch: String,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The value that was measured last in it.
    Last,
    /// How much a counter grew.
    Increase,
}

fn default_channel() -> String {
    channels::TELEMETRY.suffix.to_owned()
}

fn default_step() -> f64 {
    1.0
}

fn default_holds() -> Kind {
    Kind::Last
}

impl Default for Series {
    fn default() -> Self {
        let settings = series::Settings::default();
        let field = |name: &str, path: &str, step| Field {
            name: name.to_owned(),
            channel: default_channel(),
            type_name: String::new(),
            path: format!("samples.{path}"),
            step,
            holds: Kind::Last,
            epoch: String::new(),
        };
        let energy = Field {
            holds: Kind::Increase,
            epoch: "samples.counter_epoch".to_owned(),
            ..field("energy", "active_energy_wh", 1.0)
        };
        let (level, power) =
            (field("level", "actual_level_pct", 1.0), field("power", "active_power_w", 0.1));
        Self {
            interval: Span(settings.interval),
            span: Span(settings.span),
            channels: settings.channels_max,
            field: vec![level, power, energy],
        }
    }
}

/// The settings of these keys.
///
/// # Errors
/// Names the first key that is out of its range, or leads to no number.
pub fn settings(file: &Series) -> Result<series::Settings, ConfigError> {
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let interval = span("series.interval", file.interval, second..=hour)?;
    let longest = interval * u32::try_from(SLOTS_MAX).unwrap_or(u32::MAX);
    let whole = span("series.span", file.span, interval..=longest.min(hour * 24 * 14))?;
    if file.field.len() > FIELDS_MAX {
        return wrong("series.field", format!("stands over {FIELDS_MAX} times"));
    }
    let mut fields: Vec<series::Field> = Vec::new();
    for keys in &file.field {
        let field = field(keys)?;
        if fields.iter().any(|known| known.name == field.name) {
            return wrong("series.field", format!("has the name `{}` twice", field.name));
        }
        fields.push(field);
    }
    Ok(series::Settings {
        interval,
        span: whole,
        channels_max: within("series.channels", file.channels, 0..=1_000_000)?,
        fields,
    })
}

fn field(keys: &Field) -> Result<series::Field, ConfigError> {
    let is_word = |c: char| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit();
    let name = &keys.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_word) {
        let problem = format!("is `{name}`; use 1 to {NAME_BYTES_MAX} of a-z, 0-9 and _");
        return wrong("series.field.name", problem);
    }
    let channel = &keys.channel;
    if ChannelName::parse(&format!("{}.a.{channel}", channels::PREFIX)).is_err() {
        let problem = format!("is `{channel}`; write what comes after the device's id");
        return wrong("series.field.channel", problem);
    }
    let known = channels::DeviceChannel::by_suffix(channel);
    let type_name = match (keys.type_name.as_str(), known) {
        ("", Some(channel)) => channel.default_type(),
        ("", None) => return wrong("series.field.type", "is missing for a channel of your own"),
        (name, _) => name,
    };
    let types = Types::built_in();
    if !types.contains(type_name) {
        return wrong("series.field.type", format!("is `{type_name}`, which is not built in"));
    }
    let place = |key, path: &str| match Place::parse(&types, type_name, path) {
        Ok(place) => Ok(place),
        Err(problem) => wrong(key, format!("of `{name}`: {problem}")),
    };
    let step = within("series.field.step", keys.step, 1e-6..=1e6)?;
    let epoch = (!keys.epoch.is_empty()).then(|| place("series.field.epoch", &keys.epoch));
    Ok(series::Field {
        name: name.clone(),
        channel: channel.clone(),
        type_name: type_name.to_owned(),
        path: keys.path.clone(),
        holds: match keys.holds {
            Kind::Last => Holds::Last,
            Kind::Increase => Holds::Increase,
        },
        step,
        place: place("series.field.path", &keys.path)?,
        epoch: epoch.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_level_power_and_energy() {
        let settings = settings(&Series::default()).expect("valid");
        let names: Vec<_> = settings.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["level", "power", "energy"]);
        assert_eq!(settings.grid().slots, 576);
    }

    #[test]
    fn what_is_out_of_range_or_leads_nowhere_is_named() {
        check("series.interval", |series| series.interval = Span::ms(10));
        check("series.span", |series| series.span = Span::s(60));
        check("series.span", |series| series.span = Span::s(100 * 24 * 3600));
        check("series.channels", |series| series.channels = 2_000_000);
        check("series.field.name", |series| series.field[0].name = "Level!".to_owned());
        check("series.field.channel", |series| series.field[0].channel = "a b".to_owned());
        check("series.field.type", |series| series.field[0].type_name = "a.B".to_owned());
        check("series.field.path", |series| series.field[0].path = "samples.nothing".to_owned());
        check("series.field.epoch", |series| series.field[2].epoch = "header".to_owned());
        check("series.field.step", |series| series.field[0].step = 0.0);
        check("series.field", |series| series.field[0].name = "power".to_owned());
        check("series.field", |series| {
            let field = series.field[0].clone();
            series.field = (0..9).map(|_| field.clone()).collect();
        });
    }

    #[track_caller]
    fn check(key: &str, change: impl FnOnce(&mut Series)) {
        let mut file = Series::default();
        change(&mut file);
        let error = settings(&file).expect_err("refused").to_string();
        assert!(error.starts_with(key), "{key}: {error}");
    }
}
