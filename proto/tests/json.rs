//! JSON and protobuf tell the same; the hot path tells what the descriptors tell.

#![cfg(feature = "json")]

mod support;

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use proto::envelope::{Envelope, Kind, Message, Position, Snapshot};
use proto::json::{
    JsonError, PayloadError, Types, envelope_to_json, message_json, parse, parse_envelope,
    parse_envelopes, snapshot_json, value_json,
};
use proto::wire::{Encode, Sink};
use serde_json::{Value, json};
use support::Random;

#[test]
fn an_envelope_may_be_written_in_both_spellings_and_its_data_is_set_apart() {
    let snake =
        r#"{"request":"7","publish":{"channel":"a.b","time_unix_ms":"5","data":{"x":[1]}}}"#;
    let camel = r#"{"request":7,"publish":{"channel":"a.b","timeUnixMs":5,"data":{"x":[1]}}}"#;
    let text = parse_envelope(snake).expect("an envelope");
    assert_eq!(parse_envelope(camel), Ok(text.clone()));
    assert_eq!(text.data, Some(json!({"x": [1]})));

    let envelope = Envelope::decode(&text.bytes).expect("well-formed");
    assert_eq!(envelope.request, 7);
    let Kind::Publish(publish) = envelope.kind else { panic!("{envelope:?}") };
    assert_eq!((publish.channel, publish.time_unix_ms), ("a.b", 5));
    assert_eq!((publish.payload, publish.data), (None, None));
}

#[test]
fn null_is_data_too() {
    let text = parse_envelope(r#"{"publish":{"channel":"a","data":null}}"#).expect("an envelope");
    assert_eq!(text.data, Some(Value::Null));
    assert_eq!(parse_envelope(r#"{"ping":{}}"#).expect("an envelope").data, None);
}

#[test]
fn what_the_schema_does_not_know_is_refused_with_its_path() {
    for (line, path) in [
        (r#"{"publsh":{}}"#, "publsh"),
        (r#"{"publish":{"chanel":"a"}}"#, "publish.chanel"),
        (r#"{"subscribe":{"since":{"epoch":1,"ofset":2}}}"#, "subscribe.since.ofset"),
        (r#"{"snapshot":{"values":[{},{"x":1}]}}"#, "snapshot.values[1].x"),
    ] {
        assert_eq!(parse_envelope(line), Err(JsonError::UnknownField { path: path.to_owned() }));
    }
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_its_path() {
    for (line, path) in [
        (r#"[]"#, ""),
        (r#"{"request":"x"}"#, "request"),
        (r#"{"request":-1}"#, "request"),
        (r#"{"request":1.5}"#, "request"),
        (r#"{"request":"007"}"#, "request"),
        (r#"{"hello":{"boot":4294967296}}"#, "hello.boot"),
        (r#"{"hello":{"ready":"true"}}"#, "hello.ready"),
        (r#"{"hello":{"token":5}}"#, "hello.token"),
        (r#"{"hello":[]}"#, "hello"),
        (r#"{"command_report":{"state":"DONE"}}"#, "command_report.state"),
        (r#"{"publish":{"payload":"§"}}"#, "publish.payload"),
        (r#"{"publish":{"payload":"","data":1}}"#, "publish"),
        (r#"{"ping":{},"pong":{}}"#, "pong"),
    ] {
        let error = parse_envelope(line).expect_err(line);
        assert!(matches!(error, JsonError::Mismatch { .. }), "{line}: {error}");
        assert_eq!(error.path(), path, "{line}: {error}");
    }
}

#[test]
fn one_field_in_two_spellings_stands_twice() {
    let line = r#"{"publish":{"time_unix_ms":1,"timeUnixMs":2}}"#;
    let error = parse_envelope(line).expect_err("twice");
    assert!(matches!(error, JsonError::DuplicateKey { .. }), "{error}");
}

#[test]
fn a_text_message_has_one_envelope_a_line_and_is_read_as_a_whole() {
    let both = parse_envelopes("{\"ping\":{}}\n\r\n{\"ready\":{}}\n").expect("two");
    assert_eq!(both.len(), 2);
    assert!(parse_envelopes("{\"ping\":{}}\n{\"png\":{}}").is_err());
    assert!(parse_envelopes("").is_err());
    assert_eq!(parse_envelopes(&"{\"ping\":{}}\n".repeat(1025)), Err(JsonError::TooLong));
}

#[test]
fn the_hot_path_writes_a_payload_as_the_descriptors_do() {
    let message = Message {
        channel: "devices.lamp-1.telemetry",
        payload: Some(&[0, 255, 16]),
        offset: 12,
        time_unix_ms: 1_800_000_000_000,
        boot: 3,
        seq: u64::MAX,
        measured_unix_ms: 9,
        type_name: "a \"type\"",
        ..Message::default()
    };
    for message in [message, Message::default(), Message { payload: Some(b""), ..message }] {
        let line = message_json(&message, None);
        let envelope = Envelope::new(Kind::Message(message));
        assert_eq!(line, generic(&envelope));
        let read = parse_envelope(&line).expect("an envelope");
        assert_eq!(Envelope::decode(&read.bytes), Ok(envelope));
    }
}

#[test]
fn the_hot_path_writes_data_as_the_descriptors_do() {
    let data = r#"{"level":70.5,"on":true,"why":["program",null]}"#;
    let message = Message { channel: "a.b", offset: 1, ..Message::default() };
    let line = message_json(&message, Some(data));
    assert!(!line.contains('\n'));

    // The schema's way: `data` is a `google.protobuf.Value` inside the bytes.
    let value = Types::built_in()
        .payload_from_json("google.protobuf.Value", &parse(data).expect("JSON"))
        .expect("a value");
    let generic = generic(&Envelope::new(Kind::Message(Message { data: Some(&value), ..message })));
    assert_eq!(parse(&line), parse(&generic));
    assert_eq!(parse_envelope(&line).expect("an envelope").data, Some(parse(data).expect("JSON")));
}

#[test]
fn the_hot_path_writes_a_snapshot_as_the_descriptors_do() {
    let value =
        |offset| Message { channel: "a.b", payload: Some(b"x"), offset, ..Message::default() };
    let position = Some(Position { epoch: 7, offset: 2, ..Position::default() });
    for (count, last, position) in [(2, true, position), (0, false, None)] {
        let mut encoded = Vec::new();
        let mut lines = Vec::new();
        for offset in 0..count {
            encoded.message(2, &value(offset));
            lines.push(value_json(&value(offset), None));
        }
        let page = Snapshot { pattern: "a.>", encoded_values: &encoded, last, position };
        let line = snapshot_json("a.>", &lines, last, position);
        assert_eq!(line, generic(&Envelope::new(Kind::Snapshot(page))));
    }
}

#[test]
fn a_payload_is_checked_before_it_is_built() {
    let types = Types::built_in();
    let batch = "lighting.v1.TelemetryBatch";
    let sample =
        |bytes: &[u8]| [&[0x12, u8::try_from(bytes.len()).expect("short")], bytes].concat();
    let nan = [&[0x3d][..], &f32::NAN.to_le_bytes()].concat();
    assert_eq!(
        types.check_payload(batch, &sample(&nan)),
        Err(PayloadError::NotFinite { path: "samples.supply_voltage_v".to_owned() })
    );
    for finite in [-0.0, f32::MIN_POSITIVE / 2.0, f32::MAX] {
        let bytes = [&[0x3d][..], &finite.to_le_bytes()].concat();
        assert_eq!(types.check_payload(batch, &sample(&bytes)), Ok(()));
    }
    assert_eq!(types.check_payload(batch, b""), Ok(()));
    assert!(matches!(types.check_payload(batch, &[0x10, 1]), Err(PayloadError::Wire(_))));
    assert!(matches!(types.check_payload("x.Y", b""), Err(PayloadError::UnknownType { .. })));
}

#[test]
fn a_payload_with_a_number_that_is_none_is_a_bad_value() {
    let types = Types::built_in();
    let data = json!({"samples": [{"supply_voltage_v": "NaN"}]});
    let error = types.payload_from_json("lighting.v1.TelemetryBatch", &data).expect_err("NaN");
    assert_eq!(error.code(), proto::ErrorCode::BadValue);
    assert_eq!(error.path(), "samples.supply_voltage_v");
}

fn generic(envelope: &Envelope<'_>) -> String {
    let mut bytes = Vec::new();
    envelope.encode(&mut bytes);
    envelope_to_json(&bytes).expect("an envelope")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_payload_of_any_type_comes_back_from_json(seed: u64) {
        let mut random = Random(seed);
        let types = Types::built_in();
        let all: Vec<_> = support::pool()
            .all_messages()
            .filter(|message| message.full_name().starts_with('l') && !message.is_map_entry())
            .collect();
        let descriptor = &all[random.below(all.len())];
        let (name, bytes) = (descriptor.full_name(), random.message(descriptor).encode_to_vec());
        let decode = |bytes: &[u8]| DynamicMessage::decode(descriptor.clone(), bytes);
        let message = decode(&bytes).expect("a message");

        let text = types.payload_to_json(name, &bytes).expect("a message");
        prop_assert!(!text.contains('\n'));
        let reference = serde_json::to_value(&message).expect("a message");
        let value = parse(&text).expect("strict JSON");
        let again = types.payload_from_json(name, &value).expect(&text);
        prop_assert!(decode(&again).expect("a message") == message, "{}: {}", name, text);
        prop_assert_eq!(types.payload_to_json(name, &again).expect("a message"), text);
        // What another implementation writes is read, too: it uses lowerCamelCase.
        prop_assert_eq!(types.payload_from_json(name, &reference).expect("a message"), again);
    }
}
