//! `docs/protocol.md` says what the code does: its numbers, its tables, and its examples.

#![cfg(feature = "json")]

mod support;

use proto::channels::{self, Writer};
use proto::envelope::{Ack, Envelope, Kind, Publish};
use proto::json::{Types, envelope_to_json, parse, parse_envelope};
use proto::messages::lighting::v1::{ControlReason, LampSample, LampState, TelemetryBatch};
use proto::wire::Encode;
use proto::{CloseCode, CommandState, ErrorCode, limits};
use serde_json::Value;

#[test]
fn every_limit_stands_on_the_page_with_its_value() {
    macro_rules! check {
        ($($name:ident)*) => {{
            $(assert_row(&format!("| `{}` | {} |", stringify!($name), limits::$name));)*
            [$(stringify!($name)),*]
        }};
    }
    let names = check! {
        CHANNEL_BYTES_MAX SEGMENTS_MAX SEGMENT_BYTES_MAX DEVICE_ID_BYTES_MIN DEVICE_ID_BYTES_MAX
        COMMAND_ID_BYTES MESSAGE_BYTES_MAX ENVELOPE_BYTES_MAX ENVELOPES_PER_MESSAGE_MAX
        PAYLOAD_BYTES_MAX GREETING_BYTES_MAX NESTING_MAX TOKEN_BYTES_MAX AGENT_BYTES_MAX
        TYPE_BYTES_MAX KEY_BYTES_MAX DETAIL_BYTES_MAX RESULT_BYTES_MAX CLOSE_REASON_BYTES_MAX
        COMMAND_TTL_S_MIN COMMAND_TTL_S_MAX COMMANDS_IN_FLIGHT_MAX
        COMMANDS_QUEUED_MAX COMMANDS_QUEUED_BYTES_MAX KEEPALIVE_S_MIN KEEPALIVE_S_MAX
        PING_INTERVAL_S_DEFAULT PONG_TIMEOUT_S RECONNECT_WINDOW_S_MIN RECONNECT_WINDOW_S_MAX
        BACKOFF_MS_MIN BACKOFF_MS_MAX HEALTHY_AFTER_S STAY_AWAY_S_MIN
    };
    let source = include_str!("../src/limits.rs");
    for line in source.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = line.split(':').next().expect("a constant has a type");
        assert!(names.contains(&name), "`{name}` is not compared with the page");
    }
}

#[test]
fn every_close_code_stands_on_the_page_in_its_range() {
    let page = page();
    let (temporary, permanent) = page.split_once("**Stay away**").expect("two ranges");
    for code in CloseCode::ALL {
        let range = if code.is_temporary() { temporary } else { permanent };
        assert!(range.contains(&format!("| {} | `{}` |", code.0, code.name())), "{code:?}");
    }
    assert_row(&format!("a device at least {} s", limits::STAY_AWAY_S_MIN));
}

#[test]
fn every_error_and_every_state_stands_on_the_page() {
    for code in ErrorCode::ALL {
        let number = i32::try_from(code.number()).expect("small");
        let schema = support::pool().get_enum_by_name("lamplighter.v1.ErrorCode").expect("errors");
        let value = schema.get_value(number).expect("in the schema");
        let name = value.name().trim_start_matches("ERROR_CODE_");
        assert_row(&format!("| {number} | `{name}` |"));
    }
    for state in CommandState::ALL {
        assert_row(&format!("| {} | `{}` |", state.number(), state.word()));
    }
}

#[test]
fn every_channel_of_a_device_stands_on_the_page() {
    for channel in channels::ALL {
        let writer = match channel.writer {
            Writer::Device => "device",
            Writer::Hub => "hub",
            Writer::Operator => "operator",
        };
        let types: Vec<String> = channel.types.iter().map(|name| format!("`{name}`")).collect();
        assert_row(&format!("| `{}` | {writer} | {} |", channel.suffix, types.join(", ")));
    }
}

#[test]
fn a_report_costs_what_the_page_says() {
    let sample = LampSample {
        state: LampState::On.into(),
        reason: ControlReason::Program.into(),
        target_level_pct: Some(70),
        actual_level_pct: Some(70),
        supply_voltage_v: Some(231.4),
        supply_current_a: Some(0.19),
        active_power_w: Some(43.5),
        power_factor: Some(0.97),
        active_energy_wh: Some(412_345),
        burn_time_s: Some(8_123_456),
        driver_temperature_c: Some(48.5),
        ..LampSample::default()
    };
    let batch = TelemetryBatch { samples: vec![sample], ..TelemetryBatch::default() };
    let payload = prost::Message::encode_to_vec(&batch);
    let publish = Publish {
        seq: 96,
        time_unix_ms: 1_800_000_000_000,
        payload: Some(&payload),
        ..Publish::default()
    };
    let envelope = delimited(&Envelope::new(Kind::Publish(publish)));
    assert_row(&format!("| payload: `TelemetryBatch` | {0} | {0} |", payload.len()));
    let around = envelope - payload.len();
    assert_row(&format!("time, sequence, content | {around} | {envelope} |"));
    let (masked, record) = (6, 22);
    assert_row(&format!("| {masked} | {} |", envelope + masked));
    assert_row(&format!("| {record} | {} |", envelope + masked + record));

    let ack = Ack { boot: 12, seq: 96, ..Ack::default() };
    let ack = delimited(&Envelope::new(Kind::Ack(ack)));
    assert_row(&format!("cumulative ack is {ack} bytes"));
}

#[test]
fn every_example_is_an_envelope_that_can_be_sent() {
    let page = page();
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(['→', '←'])).collect();
    assert!(lines.len() >= 15, "the page has a worked example");
    for line in lines {
        let json = line.trim_start_matches(['→', '←', ' ']);
        let text = parse_envelope(json).unwrap_or_else(|error| panic!("{error}: {json}"));
        let written = parse(&envelope_to_json(&text.bytes).expect("an envelope")).expect("JSON");
        let mut document = parse(json).expect("JSON");
        check_values(&document);
        if text.data.is_some() {
            let content = document.as_object_mut().expect("an object").values_mut();
            for object in content.filter_map(Value::as_object_mut) {
                object.remove("data");
            }
        }
        assert_eq!(written, document, "nothing in the example is a default: {json}");
    }
}

/// All `data` in the document fits the type that stands beside it, or the channel's.
fn check_values(value: &Value) {
    match value {
        Value::Object(object) => {
            if let Some(data) = object.get("data") {
                let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
                let by_channel = channels::known(text("channel")).map(|(_, channel)| *channel);
                let channel = by_channel.unwrap_or(channels::TELEMETRY);
                let type_name = match text("type") {
                    "" => channel.default_type(),
                    named => named,
                };
                let read = Types::built_in().payload_from_json(type_name, data);
                assert!(read.is_ok(), "{type_name}: {read:?}: {data}");
            }
            object.values().for_each(check_values);
        }
        Value::Array(items) => items.iter().for_each(check_values),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn delimited(envelope: &Envelope<'_>) -> usize {
    let mut bytes = Vec::new();
    envelope.encode_delimited(&mut bytes);
    assert!(bytes.len() > envelope.encoded_len());
    bytes.len()
}

#[track_caller]
fn assert_row(text: &str) {
    assert!(page().contains(text), "docs/protocol.md lacks: {text}");
}

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
    std::fs::read_to_string(path).expect("the page is in the repository")
}
