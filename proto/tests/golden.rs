//! Every kind of envelope and every payload of a well-known channel, in both encodings, kept in files
//! so that a change of the wire is seen in review.
//!
//! `golden/**/<name>.json` is written by people; `<name>.hex` beside it is what it must encode to.
//! `UPDATE_GOLDEN=1` rewrites the hex.

#![cfg(feature = "json")]

mod support;

use std::path::{Path, PathBuf};

use prost::Message as _;
use proto::channels;
use proto::envelope::{Envelope, Kind};
use proto::json::{Types, envelope_to_json, parse, parse_envelope};
use proto::messages::lighting::v1::{ControlReason, LampState, TelemetryBatch};
use proto::wire::Encode;

#[test]
fn every_kind_of_envelope_has_its_golden_bytes() {
    for (field, _) in support::kinds() {
        let name = format!("envelope/{}", field.name());
        let json = read(&name, "json");
        let bytes = parse_envelope(&json).expect(&name).bytes;
        check_hex(&name, &bytes);
        assert_eq!(envelope_to_json(&bytes).expect(&name), compact(&json), "{name}");

        let view = Envelope::decode(&bytes).expect(&name);
        assert_ne!(view.kind, Kind::Unknown(field.number()), "{name}");
        let mut again = Vec::new();
        view.encode(&mut again);
        assert_eq!(again, bytes, "{name}");
    }
}

#[test]
fn a_message_with_its_content_as_json_in_protobuf_has_its_golden_bytes() {
    let name = "envelope/message_json";
    let json = read(name, "json");
    let bytes = parse_envelope(&json).expect(name).bytes;
    check_hex(name, &bytes);
    let view = Envelope::decode(&bytes).expect(name);
    let Kind::Message(message) = view.kind else { panic!("{view:?}") };
    let data = parse(message.json).expect("JSON in it");
    let types = Types::built_in();
    let payload = types.payload_from_json(message.type_name, &data).expect("of its type");
    let again = types.payload_to_json(message.type_name, &payload).expect("of its type");
    assert_eq!(message.json, again);
}

#[test]
fn every_payload_of_a_device_has_its_golden_bytes() {
    let types = Types::built_in();
    let on_channels = channels::ALL.iter().flat_map(|channel| channel.types.iter().copied());
    let others = [channels::COMMAND_TYPE, channels::RESULT_TYPE, channels::QUARANTINED_TYPE];
    for type_name in on_channels.chain(others) {
        let name = format!("payload/{type_name}");
        let json = read(&name, "json");
        let bytes = types.payload_from_json(type_name, &parse(&json).expect(&name)).expect(&name);
        check_hex(&name, &bytes);
        assert_eq!(types.payload_to_json(type_name, &bytes).expect(&name), compact(&json));
    }
}

#[test]
fn every_field_of_every_kind_stands_in_a_golden_envelope() {
    for (kind, content) in support::kinds() {
        let json = read(&format!("envelope/{}", kind.name()), "json");
        // `data` has no form in bytes; `json` stands in place of the payload, in `message_json`.
        for field in content.fields().filter(|field| !matches!(field.name(), "data" | "json")) {
            assert!(json.contains(&format!("\"{}\":", field.name())), "{}", field.full_name());
        }
    }
}

#[test]
fn the_generated_types_read_the_golden_telemetry() {
    let hex = read("payload/lighting.v1.TelemetryBatch", "hex");
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).expect("ascii"), 16);
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| byte(pair).expect("hex")).collect();
    let batch = TelemetryBatch::decode(bytes.as_slice()).expect("telemetry");

    let header = batch.header.as_ref().expect("a header");
    assert_eq!((header.boot_id, header.sequence), (12, 96));
    let (first, second) = (&batch.samples[0], &batch.samples[1]);
    assert_eq!((first.state(), first.reason()), (LampState::On, ControlReason::Program));
    assert_eq!(first.active_power_w, Some(43.5));
    assert_eq!(second.actual_level_pct, Some(0), "off is not unknown");
    assert_eq!(second.power_factor, None, "unknown is not zero");
    assert_eq!(batch.encode_to_vec(), bytes);
}

#[track_caller]
fn check_hex(name: &str, bytes: &[u8]) {
    let hex = support::hex(bytes);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(name, "hex"), &hex).expect("the folder is writable");
    }
    assert_eq!(read(name, "hex"), hex, "{name}; UPDATE_GOLDEN=1 rewrites it");
}

fn read(name: &str, extension: &str) -> String {
    let path = path(name, extension);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn path(name: &str, extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.{extension}"))
}

/// The same JSON on one line: without white space outside of texts.
fn compact(json: &str) -> String {
    let mut inside = false;
    let mut escaped = false;
    let keep = |letter: &char| {
        match letter {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = *letter == '\\' && !escaped;
        inside || !letter.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}
