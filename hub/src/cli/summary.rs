//! Values in few words: what a lamp, an event or a command says, for one line of a terminal.
//!
//! The message type decides how a value is put; one that isn't known here is shown as JSON. A value
//! that wasn't measured is left out, never shown as zero.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::channels::RESULT_TYPE;
use proto::json::Types;
use serde_json::Value;

use super::fields::{flag, float, items, level, number, state, variant, word};
use super::units;

/// Characters of JSON that stand for a value that isn't known here.
const JSON_CHARS_MAX: usize = 160;

/// One value in few words. `value` is a message of a channel, or a value of a twin.
pub(crate) fn value(value: &Value) -> String {
    let Some(data) = value.get("data").filter(|data| !data.is_null()) else {
        let bytes = word(value, "payload").len() / 4 * 3;
        return format!("about {bytes} bytes without a known type");
    };
    match word(value, "type") {
        "lighting.v1.TelemetryBatch" => telemetry(data),
        "lighting.v1.FaultEvent" => fault(data),
        "lighting.v1.LightStateChange" => light_change(data),
        "lighting.v1.BootEvent" => boot(data),
        "lighting.v1.DeviceInfo" => device_info(data),
        "lamplighter.v1.CommandUpdate" => command(data),
        "lamplighter.v1.Presence" => presence(data),
        "lamplighter.v1.Registration" => registration(data),
        _ => shortened(&data.to_string()),
    }
}

/// `on 40 % · 43.1 W · 231 V · 31.5 °C` of one `LampSample`.
pub(crate) fn sample(sample: &Value) -> String {
    let mut parts = Vec::new();
    let lamp_state = variant(sample, "state", "LAMP_STATE_");
    let actual = level(sample, "actual_level_pct").map(|level| format!("{level} %"));
    let light = [Some(lamp_state), actual].into_iter().flatten().filter(|part| !part.is_empty());
    parts.push(light.collect::<Vec<_>>().join(" "));
    let measured = [
        ("active_power_w", "W", 1),
        ("supply_voltage_v", "V", 0),
        ("driver_temperature_c", "°C", 1),
    ];
    for (field, unit, digits) in measured {
        parts.extend(float(sample, field).map(|value| format!("{value:.digits$} {unit}")));
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { "nothing measured".to_owned() } else { parts.join(" · ") }
}

/// The measured proof behind a command's end, in the field `result`: a `CommandResult`, in base64
/// as pushed, or decoded as in the record.
pub(crate) fn proof(step: &Value) -> Option<String> {
    match step.get("result")? {
        Value::String(text) => proof_of(&decoded_result(text)?),
        decoded => proof_of(decoded),
    }
}

fn proof_of(result: &Value) -> Option<String> {
    items(result, "after").last().map(sample)
}

fn decoded_result(text: &str) -> Option<Value> {
    let bytes = STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())?;
    let json = Types::built_in().payload_to_json(RESULT_TYPE, &bytes).ok()?;
    serde_json::from_str(&json).ok()
}

/// The newest sample; how many others came with it.
fn telemetry(data: &Value) -> String {
    let samples = items(data, "samples");
    let Some(newest) = samples.last() else { return "no samples".to_owned() };
    let others = samples.len() - 1;
    let more = if others > 0 { format!(" · {others} earlier") } else { String::new() };
    format!("{}{more}", sample(newest))
}

fn fault(data: &Value) -> String {
    let edge = if flag(data, "active") { "began" } else { "ended" };
    let severity = variant(data, "severity", "SEVERITY_");
    let code = variant(data, "code", "FAULT_CODE_");
    join(&[code, edge.to_owned(), severity])
}

fn light_change(data: &Value) -> String {
    let of = |name| level(data, name).map_or_else(|| "?".to_owned(), |level| format!("{level} %"));
    let change = format!("{} → {}", of("from_level_pct"), of("to_level_pct"));
    let power = float(data, "power_after_w").map(|power| format!("{power:.1} W"));
    join(&[change, power.unwrap_or_default(), variant(data, "reason", "CONTROL_REASON_")])
}

fn boot(data: &Value) -> String {
    let reason = variant(data, "reset_reason", "RESET_REASON_");
    join(&["started".to_owned(), reason, word(data, "firmware_version").to_owned()])
}

fn device_info(data: &Value) -> String {
    let names = ["manufacturer", "model", "firmware_version", "serial"];
    join(&names.map(|name| word(data, name).to_owned()))
}

fn command(data: &Value) -> String {
    let late = if flag(data, "late") { "late" } else { "" };
    join(&[
        step(data),
        word(data, "command").to_owned(),
        late.to_owned(),
        word(data, "detail").to_owned(),
    ])
}

/// `RUNNING 40 %` of a `CommandUpdate`, or of a step in a command's record.
pub(crate) fn step(update: &Value) -> String {
    let step = state(update);
    match number(update, "percent") {
        percent if percent > 0 && step == proto::CommandState::Running => {
            format!("{} {percent} %", step.word())
        }
        _ => step.word().to_owned(),
    }
}

fn presence(data: &Value) -> String {
    let online = match (flag(data, "unknown"), flag(data, "online")) {
        (true, _) => "unknown since the hub restarted",
        (false, true) => "online",
        (false, false) => "offline",
    };
    join(&[online.to_owned(), word(data, "reason").to_owned(), word(data, "agent").to_owned()])
}

fn registration(data: &Value) -> String {
    if flag(data, "removed") {
        return "removed".to_owned();
    }
    join(&["registered".to_owned(), word(data, "profile").to_owned(), labels(data)])
}

/// `feeder=F12, street=Queen St` of something with labels.
pub(crate) fn labels(of: &Value) -> String {
    let Some(labels) = of.get("labels").and_then(Value::as_object) else { return String::new() };
    let pairs =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("?")));
    pairs.collect::<Vec<_>>().join(", ")
}

fn join(parts: &[String]) -> String {
    let said = parts.iter().filter(|part| !part.is_empty()).map(String::as_str);
    said.collect::<Vec<_>>().join(" · ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(JSON_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// `12 s ago`; how old a value is, in the largest unit that says enough.
pub(crate) fn age(age_ms: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(2 * 86_400_000, "d"), (2 * 3_600_000, "h"), (2 * 60_000, "min"), (1_000, "s")];
    const SIZES: [u64; 4] = [86_400_000, 3_600_000, 60_000, 1_000];
    let fitting = UNITS.iter().zip(SIZES).find(|((from, _), _)| age_ms >= *from);
    match fitting {
        Some(((_, unit), size)) => format!("{} {unit} ago", age_ms / size),
        None => "just now".to_owned(),
    }
}

/// The age of something of `then`, seen at `now`; both ms since 1970, by the same clock.
pub(crate) fn age_at(now_unix_ms: u64, then_unix_ms: u64) -> String {
    match now_unix_ms.checked_sub(then_unix_ms) {
        Some(age_ms) => age(age_ms),
        // Two clocks never agree to the second.
        None if then_unix_ms - now_unix_ms < 2_000 => age(0),
        None => {
            let ahead = std::time::Duration::from_secs((then_unix_ms - now_unix_ms) / 1000);
            format!("{} in the future", units::short(ahead))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn telemetry_is_level_power_voltage_and_temperature() {
        let batch = json!({"type": "lighting.v1.TelemetryBatch", "data": {"samples": [
            {"actual_level_pct": 100},
            {"state": "LAMP_STATE_ON", "actual_level_pct": 40, "active_power_w": 43.06,
             "supply_voltage_v": 231.2, "driver_temperature_c": 31.5},
        ]}});
        assert_eq!(value(&batch), "on 40 % · 43.1 W · 231 V · 31.5 °C · 1 earlier");
    }

    #[test]
    fn what_was_not_measured_is_not_zero() {
        assert_eq!(sample(&json!({})), "nothing measured");
        assert_eq!(sample(&json!({"actual_level_pct": 0})), "0 %");
        assert_eq!(
            sample(&json!({"state": "LAMP_STATE_UNSPECIFIED", "active_power_w": 0.0})),
            "0.0 W"
        );
    }

    #[test]
    fn events_and_states_read_like_words() {
        check(
            "lighting.v1.FaultEvent",
            &json!({
                "code": "FAULT_CODE_LAMP_FAILURE", "active": true, "severity": "SEVERITY_MAJOR",
            }),
            "lamp failure · began · major",
        );
        check(
            "lighting.v1.LightStateChange",
            &json!({
                "from_level_pct": 100, "to_level_pct": 40, "reason": "CONTROL_REASON_OVERRIDE",
            }),
            "100 % → 40 % · override",
        );
        check(
            "lamplighter.v1.CommandUpdate",
            &json!({"state": "COMMAND_STATE_RUNNING", "percent": 40, "command": "c"}),
            "RUNNING 40 % · c",
        );
        check("lamplighter.v1.Presence", &json!({"reason": "lost"}), "offline · lost");
        check("x.Other", &json!({"a": 1}), "{\"a\":1}");
    }

    #[track_caller]
    fn check(type_name: &str, data: &Value, words: &str) {
        assert_eq!(value(&json!({"type": type_name, "data": data})), words);
    }

    #[test]
    fn the_proof_of_a_command_is_read_from_its_result() {
        let sample =
            json!({"state": "LAMP_STATE_ON", "actual_level_pct": 40, "active_power_w": 17.2});
        let json = json!({"after": [sample]});
        let bytes =
            Types::built_in().payload_from_json(RESULT_TYPE, &json).expect("fits the schema");
        let pushed = json!({"result": STANDARD.encode(bytes)});
        assert_eq!(proof(&pushed).as_deref(), Some("on 40 % · 17.2 W"));
        assert_eq!(proof(&json!({"result": json})).as_deref(), Some("on 40 % · 17.2 W"));
        for nothing in [
            json!({}),
            json!({"result": null}),
            json!({"result": ""}),
            json!({"result": "%%"}),
            json!({"result": "/////w=="}),
        ] {
            assert_eq!(proof(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn ages_are_told_in_words() {
        for (ms, words) in [
            (0, "just now"),
            (999, "just now"),
            (12_000, "12 s ago"),
            (119_000, "119 s ago"),
            (120_000, "2 min ago"),
            (7_200_000, "2 h ago"),
            (172_800_000, "2 d ago"),
        ] {
            assert_eq!(age(ms), words);
        }
        assert_eq!(age_at(10_000, 11_000), "just now");
        assert_eq!(age_at(10_000, 100_000), "1m30s in the future");
    }
}
