//! Input that is wrong on purpose, by the rows of the project's table of bad input. Here is what a
//! codec can decide; what a session makes of it is tested with the hub.

#![cfg(feature = "json")]

mod support;

use proto::envelope::{Batch, Envelope, Kind, Publish};
use proto::json::{JsonError, PayloadError, Types, parse, parse_envelope};
use proto::limits;
use proto::wire::{Encode, Sink, WireError};
use support::Random;

const BATCH: &str = "lighting.v1.TelemetryBatch";

/// BP1: random bytes, zeros, ones.
#[test]
fn bp1_bytes_that_are_no_message_are_refused() {
    for bytes in [vec![], vec![0; 64], vec![0xff; 64], vec![0xff; limits::MESSAGE_BYTES_MAX]] {
        assert!(Batch::parse(&bytes).is_err());
    }
    assert!(parse_envelope("{}").is_err());
    let mut random = Random(1);
    for _ in 0..10_000 {
        let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
        if let Ok(batch) = Batch::parse(&bytes) {
            assert!(batch.count() > 0, "what is accepted says something: {bytes:02x?}");
        }
    }
}

/// BP2: a valid message, cut at every byte; none is taken for a whole one.
#[test]
fn bp2_a_message_of_every_kind_is_refused_when_cut_at_any_byte() {
    let mut random = Random(2);
    for (field, content) in support::kinds() {
        let mut envelope = Vec::new();
        let body = prost::Message::encode_to_vec(&random.message(&content));
        envelope.delimited(field.number(), &body);
        let mut message = Vec::new();
        message.varint(envelope.len() as u64);
        message.raw(&envelope);
        for end in 0..message.len() {
            assert!(Batch::parse(&message[..end]).is_err(), "{} cut at {end}", content.name());
        }
        assert!(Batch::parse(&message).is_ok(), "{}", content.name());
    }
}

/// BP4: nesting over the limit, far over it, and groups.
#[test]
fn bp4_nesting_beyond_the_limit_is_refused_without_growing_the_stack() {
    // `Value` holds `ListValue` holds `Value`: one level of JSON each.
    let nested = |levels: usize| {
        let mut bytes = vec![0x08, 0];
        for _ in 1..levels {
            let mut list = Vec::new();
            list.delimited(1, &bytes);
            bytes.clear();
            bytes.delimited(6, &list);
        }
        bytes
    };
    let types = Types::built_in();
    let check = |levels| types.check_payload("google.protobuf.Value", &nested(levels));
    assert_eq!(check(limits::NESTING_MAX), Ok(()));
    assert_eq!(check(limits::NESTING_MAX + 1), Err(PayloadError::TooDeep));
    assert_eq!(check(5_000), Err(PayloadError::TooDeep));
    assert!(types.payload_to_json("google.protobuf.Value", &nested(limits::NESTING_MAX)).is_ok());
    assert!(types.payload_to_json("google.protobuf.Value", &nested(5_000)).is_err());

    for group in [&[0x0b, 0x0c][..], &[0x9b, 1, 0x9c, 1]] {
        assert_eq!(types.check_payload(BATCH, group), Err(WireError::WireType.into()));
        assert_eq!(Envelope::decode(group), Err(WireError::WireType));
    }
}

/// BP5: what a newer peer may send is let pass.
#[test]
fn bp5_unknown_fields_are_skipped_in_any_number_and_size() {
    let mut publish = Vec::new();
    Publish { seq: 1, payload: Some(b"x"), ..Publish::default() }.encode(&mut publish);
    for _ in 0..10_000 {
        publish.uint(1_000, 7);
    }
    publish.delimited(1_001, &vec![1; 32 * 1024]);
    let mut envelope = Vec::new();
    envelope.delimited(3, &publish);
    let decoded = Envelope::decode(&envelope).expect("well-formed");
    let Kind::Publish(publish) = decoded.kind else { panic!("{decoded:?}") };
    assert_eq!((publish.seq, publish.payload), (1, Some(&b"x"[..])));

    let mut payload = Vec::new();
    payload.delimited(1_000, &vec![0xff; 1024]);
    assert_eq!(Types::built_in().check_payload(BATCH, &payload), Ok(()));
}

/// BP6: the trap of "the last one wins".
#[test]
fn bp6_a_known_field_that_stands_twice_is_refused_in_every_kind() {
    let mut random = Random(6);
    for (kind, content) in support::kinds() {
        for field in content.fields().filter(|field| !field.is_list()) {
            let mut message = prost_reflect::DynamicMessage::new(content.clone());
            message.set_field(&field, random.field(&field));
            let once = prost::Message::encode_to_vec(&message);
            if once.is_empty() {
                continue;
            }
            let mut envelope = Vec::new();
            envelope.delimited(kind.number(), &[once.clone(), once].concat());
            assert_eq!(
                Envelope::decode(&envelope),
                Err(WireError::Duplicate { field: field.number() }),
                "{}",
                field.full_name()
            );
        }
    }
}

/// BP14: numbers that are none. Zeros with a sign and subnormal numbers are numbers.
#[test]
fn bp14_a_number_that_is_none_is_found_wherever_it_stands() {
    let types = Types::built_in();
    for name in ["lighting.v1.TelemetryBatch", "lighting.v1.DeviceConfig", "lighting.v1.FaultEvent"]
    {
        let descriptor = support::message(name);
        let mut random = Random(14);
        let mut refused = 0;
        for _ in 0..200 {
            let bytes = prost::Message::encode_to_vec(&random.message(&descriptor));
            assert_eq!(types.check_payload(name, &bytes), Ok(()));
            let json = types.payload_to_json(name, &bytes).expect("a message");
            // The first float becomes a NaN.
            let Some(dot) = json.find(".") else { continue };
            let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
            let before = json.as_bytes()[..dot].iter().rev().take_while(|byte| is_digit(byte));
            let after = json.as_bytes()[dot + 1..].iter().take_while(|byte| is_digit(byte));
            let (start, end) = (dot - before.count(), dot + 1 + after.count());
            if !json[..start].ends_with(':') {
                continue;
            }
            let value = parse(&format!("{}\"NaN\"{}", &json[..start], &json[end..])).expect("JSON");
            let error = types.payload_from_json(name, &value).expect_err("a NaN");
            assert!(matches!(error, PayloadError::NotFinite { .. }), "{error}");
            refused += 1;
        }
        assert!(refused > 20, "{name}: only {refused} floats were found");
    }
}

/// BJ1: depth 17, and 100,000 brackets.
#[test]
fn bj1_json_nested_beyond_the_limit_is_refused_without_growing_the_stack() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(parse(&nested(limits::NESTING_MAX)).is_ok());
    assert_eq!(parse(&nested(limits::NESTING_MAX + 1)), Err(JsonError::TooDeep));
    assert_eq!(parse(&"[".repeat(50_000)), Err(JsonError::TooDeep));
    assert_eq!(parse(&"[".repeat(100_000)), Err(JsonError::TooLong));
    assert_eq!(parse(&"{\"a\":".repeat(10_000)), Err(JsonError::TooDeep));
    // Brackets in texts aren't nesting.
    assert!(parse(&format!("\"\\\"{}\"", "[".repeat(100))).is_ok());
}

/// BJ2: duplicate keys.
#[test]
fn bj2_a_key_that_stands_twice_is_refused() {
    for (text, key) in [
        (r#"{"device":"a","device":"b"}"#, "device"),
        (r#"{"x":[{"y":1,"y":1}]}"#, "y"),
        (r#"{"a":1,"\u0061":2}"#, "a"),
        (r#"{"":1,"":2}"#, ""),
        (r#"{"a at line b":1,"a at line b":2}"#, "a at line b"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error, JsonError::DuplicateKey { path: key.to_owned() }, "{text}");
    }
}

/// BJ4: numbers that readers of JSON disagree about.
#[test]
fn bj4_numbers_that_would_arrive_as_others_are_refused() {
    let integer = |text: &str| JsonError::Integer { text: text.to_owned() };
    for (text, error) in [
        ("9007199254740993", integer("9007199254740993")),
        ("-9007199254740993", integer("-9007199254740993")),
        ("[1,18446744073709551616]", integer("18446744073709551616")),
        ("-0", JsonError::NegativeZero),
        (r#"{"a":-0}"#, JsonError::NegativeZero),
    ] {
        assert_eq!(parse(text), Err(error), "{text}");
    }
    for text in
        ["1e999", "-1e999", "NaN", "Infinity", "007", "1.", ".5", "+1", "0x10", "1e", "--1", "-"]
    {
        assert!(parse(text).is_err(), "{text}");
    }
    for text in ["9007199254740992", "-9007199254740992", "0", "-0.0", "1e20", "1.5e-7"] {
        assert!(parse(text).is_ok(), "{text}");
    }
    let message = parse("9007199254740993").expect_err("too large").to_string();
    assert!(message.contains("write it as a string"), "{message}");
}

/// BJ5: what isn't one document of text. (Overlong UTF-8 is no `str`, so it never comes here.)
#[test]
fn bj5_text_around_or_inside_a_document_that_is_none_is_refused() {
    for text in [
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\ud800x""#,
        "\u{feff}{}",
        "{}\u{feff}",
        "\0{}",
        "{}\0",
        r#""\u0000""#,
        r#"{"a\u0000":1}"#,
        "{}x",
        "{}{}",
        "{} {}",
        "1 2",
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "'a'",
        "{a:1}",
        "// comment\n{}",
        "\"\n\"",
        "\"",
        "\"\\",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
        assert!(parse_envelope(text).is_err(), "{text:?}");
    }
    assert!(parse(" {\"a\" : [ 1 , null ] } \n").is_ok());
    assert!(parse(r#""\ud83d\udca1""#).is_ok());
}

/// What an envelope may hold is bounded by the length of a message.
#[test]
fn a_text_over_the_limit_is_refused_before_it_is_read() {
    let long = format!("\"{}\"", "x".repeat(limits::MESSAGE_BYTES_MAX));
    assert_eq!(parse(&long), Err(JsonError::TooLong));
}
