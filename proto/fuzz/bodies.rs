//! What the fuzz targets check. The same bodies run over the corpus and its mutations in the ordinary
//! tests (`tests/fuzz_bodies.rs`), since cargo-fuzz needs a nightly compiler.
//!
//! A body panics if a promise of the codec is broken; refusing input is always right.

use proto::envelope::{Batch, Envelope, Kind};
use proto::json::{JsonError, PayloadError, Types, envelope_to_json, parse, parse_envelopes};
use proto::limits;
use proto::name::{check_name, check_pattern, matches};
use proto::wire::Encode;

/// The types that payloads are tried as.
const TYPES: &[&str] = &[
    "lighting.v1.TelemetryBatch",
    "lighting.v1.Calendar",
    "lighting.v1.Command",
    "lighting.v1.DeviceConfig",
    "lamplighter.v1.Registration",
    "google.protobuf.Value",
];

/// A binary WebSocket message: what is read can be written, and reads the same again.
pub(crate) fn envelope_binary(data: &[u8]) {
    let Ok(batch) = Batch::parse(data) else { return };
    for envelope in batch {
        let mut bytes = Vec::new();
        envelope.encode(&mut bytes);
        assert_eq!(bytes.len(), envelope.encoded_len());
        if let Kind::Unknown(_) = envelope.kind {
            continue;
        }
        if let Kind::Snapshot(page) = &envelope.kind {
            assert!(page.values().count() <= page.encoded_values.len());
        }
        assert_eq!(Envelope::decode(&bytes), Ok(envelope));
        if let Ok(line) = envelope_to_json(&bytes) {
            assert!(!line.contains('\n'), "an envelope is one line");
        }
    }
}

/// A text WebSocket message: what is read is an envelope, and comes back from JSON as the same bytes.
pub(crate) fn envelope_text(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(envelopes) = parse_envelopes(text) else { return };
    for envelope in envelopes {
        Envelope::decode(&envelope.bytes).expect("what JSON gives is an envelope");
        let line = envelope_to_json(&envelope.bytes).expect("what JSON gives has a JSON form");
        if line.len() <= limits::MESSAGE_BYTES_MAX {
            let again = parse_envelopes(&line).expect("what we write, we read");
            assert_eq!(again[0].bytes, envelope.bytes);
        }
    }
}

/// A pattern and a name on two lines: the matcher agrees with a slow one that is easy to believe.
pub(crate) fn channel_pattern(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (pattern, name) = text.split_once('\n').unwrap_or((text, text));
    if check_name(name).is_ok() {
        assert_eq!(check_pattern(name), Ok(()), "a name is a pattern");
        assert!(matches(name, name), "a name stands for itself");
    }
    if check_pattern(pattern).is_ok() && check_name(name).is_ok() {
        let pattern: Vec<&str> = pattern.split('.').collect();
        let segments: Vec<&str> = name.split('.').collect();
        assert_eq!(matches(&pattern.join("."), name), slow_matches(&pattern, &segments));
    }
}

fn slow_matches(pattern: &[&str], name: &[&str]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [">"] => !name.is_empty(),
        [first, rest @ ..] => {
            !name.is_empty()
                && (*first == "*" || *first == name[0])
                && slow_matches(rest, &name[1..])
        }
    }
}

/// A payload of a type that the first byte chooses: as bytes, and as JSON.
pub(crate) fn payload_json(data: &[u8]) {
    let Some((first, payload)) = data.split_first() else { return };
    let type_name = TYPES[usize::from(*first) % TYPES.len()];
    let types = Types::built_in();
    as_bytes(&types, type_name, payload);
    if let Ok(text) = str::from_utf8(payload) {
        as_text(&types, type_name, text);
    }
}

fn as_bytes(types: &Types, type_name: &str, payload: &[u8]) {
    let checked = types.check_payload(type_name, payload);
    let Ok(text) = types.payload_to_json(type_name, payload) else { return };
    assert!(matches!(checked, Ok(()) | Err(PayloadError::NotFinite { .. })));
    assert!(!text.contains('\n'), "a payload is one line");
    match parse(&text) {
        Ok(value) => match types.payload_from_json(type_name, &value) {
            Ok(bytes) => {
                let again = types.payload_to_json(type_name, &bytes).expect("what we write");
                assert_eq!(again, text);
            }
            Err(error) => assert!(matches!(error, PayloadError::NotFinite { .. }), "{error}"),
        },
        // Bytes may hold texts with NUL, and lists that count as a level of their own in JSON.
        Err(JsonError::Character | JsonError::TooDeep | JsonError::TooLong) => {}
        Err(error) => panic!("what we write is JSON: {error}: {text}"),
    }
}

fn as_text(types: &Types, type_name: &str, text: &str) {
    let Ok(value) = parse(text) else { return };
    let Ok(bytes) = types.payload_from_json(type_name, &value) else { return };
    assert_eq!(types.check_payload(type_name, &bytes), Ok(()));
    types.payload_to_json(type_name, &bytes).expect("what JSON gives has a JSON form");
}
