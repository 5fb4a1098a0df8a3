//! From `dim 40 --fade 5s` to the command that goes over the wire.
//!
//! An [`Order`] is one command without its device: the same for one lamp and for a street.

use std::time::Duration;

use jiff::tz::TimeZone;
use proto::channels::COMMAND_TYPE;
use proto::json::Types;
use serde_json::{Map, Value, json};

use super::args::SendArgs;
use super::exit::Failure;
use super::units;

/// The key under which a newer override takes the place of one that still waits.
const OVERRIDE_KEY: &str = "override";
/// s: the longest that a lamp blinks.
const IDENTIFY_S_MAX: u64 = 300;

/// A command that can be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    /// Full name of the message in `data`.
    pub(crate) type_name: String,
    /// The command, in proto3 JSON.
    pub(crate) data: Value,
    /// s, 5 to 604800.
    pub(crate) ttl_s: u64,
    /// Empty: replaces nothing.
    pub(crate) supersede_key: &'static str,
    /// ms since 1970, UTC: when its level ends, if it was told.
    pub(crate) ends_unix_ms: Option<u64>,
    /// For people: `dim to 40 %`.
    pub(crate) words: String,
}

/// Reads the action, its values and the flags that belong to it. `words` is without the device.
pub(crate) fn order(args: &SendArgs, words: &[String], now_unix_ms: u64) -> Result<Order, Failure> {
    if let Some(json) = &args.json {
        no_words(words)?;
        flags_fit(args, "--json", &[])?;
        return raw(args, json);
    }
    let Some((action, values)) = words.split_first() else {
        let text = "no action: dim, on, off, resume, identify, read or reboot; see hub send --help";
        return Err(usage(text));
    };
    let ends = || end(args, now_unix_ms);
    let (content, words) = match action.as_str() {
        "dim" => {
            flags_fit(args, action, &["--fade", "--until", "--for"])?;
            let level = percent(values)?;
            (light(args, level, ends()?), format!("dim to {level} %"))
        }
        "on" | "off" => {
            flags_fit(args, action, &["--fade", "--until", "--for"])?;
            no_words(values)?;
            let level = if action == "on" { 100 } else { 0 };
            (light(args, level, ends()?), action.clone())
        }
        "resume" => {
            flags_fit(args, action, &["--fade"])?;
            no_words(values)?;
            (json!({"resume": ramp(args, "ramp_ms")}), action.clone())
        }
        "identify" => {
            flags_fit(args, action, &["--for"])?;
            no_words(values)?;
            (json!({"identify": blink(args.duration)?}), action.clone())
        }
        "read" => {
            flags_fit(args, action, &[])?;
            (json!({"read_now": fields(values)?}), action.clone())
        }
        "reboot" => {
            flags_fit(args, action, &["--confirm"])?;
            no_words(values)?;
            if args.confirm.is_none() && !args.yes {
                return Err(usage("reboot: leaves the street dark for a moment; say --confirm"));
            }
            (json!({"reboot": {"confirm": true}}), action.clone())
        }
        other => {
            return Err(usage(&format!(
                "`{other}` is no action: dim, on, off, resume, identify, read or reboot"
            )));
        }
    };
    checked(COMMAND_TYPE, &content)?;
    let is_light = content.get("override").is_some();
    let light_or_back = is_light || content.get("resume").is_some();
    Ok(Order {
        type_name: COMMAND_TYPE.to_owned(),
        data: content,
        ttl_s: args.ttl.as_secs(),
        supersede_key: if light_or_back { OVERRIDE_KEY } else { "" },
        ends_unix_ms: if is_light { ends()? } else { None },
        words,
    })
}

/// A command that was written by hand.
fn raw(args: &SendArgs, json: &str) -> Result<Order, Failure> {
    let type_name = args.type_name.clone().unwrap_or_else(|| COMMAND_TYPE.to_owned());
    let data: Value =
        serde_json::from_str(json).map_err(|error| usage(&format!("--json: not JSON: {error}")))?;
    if Types::built_in().contains(&type_name) {
        checked(&type_name, &data)?;
    }
    Ok(Order {
        words: type_name.clone(),
        type_name,
        data,
        ttl_s: args.ttl.as_secs(),
        supersede_key: "",
        ends_unix_ms: None,
    })
}

/// What the schema refuses is told before it is sent.
fn checked(type_name: &str, data: &Value) -> Result<(), Failure> {
    let types = Types::built_in();
    types
        .payload_from_json(type_name, data)
        .map(drop)
        .map_err(|error| usage(&format!("{type_name}: {error}")))
}

fn light(args: &SendArgs, level: u32, ends_unix_ms: Option<u64>) -> Value {
    let mut content = ramp(args, "ramp_to_ms");
    content.insert("level_pct".to_owned(), level.into());
    if let Some(ends) = ends_unix_ms {
        content.insert("expires_unix_ms".to_owned(), ends.to_string().into());
    }
    json!({"override": content})
}

fn ramp(args: &SendArgs, field: &str) -> Map<String, Value> {
    let ms = args.fade.and_then(|fade| u64::try_from(fade.as_millis()).ok());
    ms.map(|ms| (field.to_owned(), ms.into())).into_iter().collect()
}

/// When the level ends, to the second, so that the moment can be typed again.
fn end(args: &SendArgs, now_unix_ms: u64) -> Result<Option<u64>, Failure> {
    if let Some(until) = args.until {
        return until.unix_ms(now_unix_ms, &TimeZone::system()).map(Some).map_err(Failure::Usage);
    }
    let ms = args.duration.and_then(|duration| u64::try_from(duration.as_millis()).ok());
    Ok(ms.map(|ms| now_unix_ms.saturating_add(ms).div_ceil(1000) * 1000))
}

fn blink(duration: Option<Duration>) -> Result<Value, Failure> {
    let Some(duration) = duration else { return Ok(json!({})) };
    let seconds = duration.as_secs();
    if seconds == 0 || seconds > IDENTIFY_S_MAX || duration.subsec_millis() > 0 {
        let most = units::short(Duration::from_secs(IDENTIFY_S_MAX));
        return Err(usage(&format!("--for: a lamp blinks for 1s to {most}, in whole seconds")));
    }
    Ok(json!({"duration_s": seconds}))
}

fn fields(values: &[String]) -> Result<Value, Failure> {
    let legal = |word: &String| {
        word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    match values.iter().find(|word| !legal(word)) {
        Some(word) => Err(usage(&format!("read: `{word}` is no field, as active_power_w is one"))),
        None if values.is_empty() => Ok(json!({})),
        None => Ok(json!({"fields": values})),
    }
}

fn percent(values: &[String]) -> Result<u32, Failure> {
    let wrong = || usage("dim: give one level in whole percent, 0 to 100, as in dim 40");
    let [value] = values else { return Err(wrong()) };
    let digits = value.strip_suffix('%').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    digits.parse().ok().filter(|level| *level <= 100).ok_or_else(wrong)
}

fn no_words(values: &[String]) -> Result<(), Failure> {
    match values.first() {
        None => Ok(()),
        Some(word) => Err(usage(&format!("`{word}` is one word too many"))),
    }
}

/// A flag that means nothing here would be ignored; that is never what its writer wants.
fn flags_fit(args: &SendArgs, action: &str, allowed: &[&str]) -> Result<(), Failure> {
    let given = [
        ("--fade", args.fade.is_some()),
        ("--until", args.until.is_some()),
        ("--for", args.duration.is_some()),
        // With --where it is about the number of devices.
        ("--confirm", args.confirm.is_some_and(|n| n.is_none() || args.selector.is_none())),
    ];
    match given.iter().find(|(flag, given)| *given && !allowed.contains(flag)) {
        None => Ok(()),
        Some((flag, _)) => Err(usage(&format!("{flag} means nothing with {action}"))),
    }
}

fn usage(text: &str) -> Failure {
    Failure::Usage(text.to_owned())
}
