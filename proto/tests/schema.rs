//! The hand-written views, the generated types and the schema say the same.

#![cfg(feature = "json")]

mod support;

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use proto::channels;
use proto::envelope::{self, CommandState, Encoding, Envelope, ErrorCode, GapReason, Kind};
use proto::messages::lamplighter::v1;
use proto::wire::Encode;
use support::Random;

/// Every view that has the fields of one message.
macro_rules! with_views {
    ($check:ident) => {
        $check!(
            Ack,
            Cancel,
            CommandReport,
            CommandUpdate,
            Deliver,
            Error,
            Gap,
            GoAway,
            Hello,
            Message,
            Ping,
            Pong,
            Position,
            Presence,
            Publish,
            Quarantined,
            Ready,
            Send,
            Subscribe,
            Unsubscribe,
            Welcome
        )
    };
}

#[test]
fn every_view_has_exactly_the_fields_of_its_message() {
    macro_rules! check {
        ($($view:ident),*) => {$(
            let descriptor = support::message(concat!("lamplighter.v1.", stringify!($view)));
            let schema: Vec<(String, u32)> =
                descriptor.fields().map(|field| (field.name().to_owned(), field.number())).collect();
            let view: Vec<(String, u32)> = envelope::$view::FIELDS
                .iter()
                .map(|(name, number)| (name.replace("type_name", "type"), *number))
                .collect();
            assert_eq!(view, schema, "{}", descriptor.full_name());
        )*};
    }
    with_views!(check);
}

#[test]
fn every_field_alone_comes_through_its_view_unchanged() {
    macro_rules! check {
        ($($view:ident),*) => {$(
            let descriptor = support::message(concat!("lamplighter.v1.", stringify!($view)));
            for field in descriptor.fields() {
                for seed in 0..20 {
                    let mut message = DynamicMessage::new(descriptor.clone());
                    message.set_field(&field, Random(seed).field(&field));
                    let bytes = message.encode_to_vec();
                    let view = envelope::$view::decode(&bytes).expect(field.full_name());
                    let mut again = Vec::new();
                    view.encode(&mut again);
                    assert_eq!(again, bytes, "{} with seed {seed}", field.full_name());
                }
            }
        )*};
    }
    with_views!(check);
}

#[test]
fn every_kind_has_its_number_and_no_other_number_is_one() {
    let kinds = support::kinds();
    for number in 1..64_u32 {
        let mut bytes = Vec::new();
        proto::wire::Sink::delimited(&mut bytes, number, b"");
        let Ok(envelope) = Envelope::decode(&bytes) else {
            assert_eq!(number, 1, "only the request id is no message");
            continue;
        };
        match kinds.iter().find(|(field, _)| field.number() == number) {
            Some((_, message)) => assert_eq!(envelope.kind.name(), message.name()),
            None => assert_eq!(envelope.kind, Kind::Unknown(number)),
        }
    }
    assert_eq!(kinds.len(), 18);
}

#[test]
fn every_enum_has_the_numbers_of_the_schema() {
    check_enum("CommandState", "COMMAND_STATE", CommandState::ALL, |state| state.number());
    check_enum("Encoding", "ENCODING", Encoding::ALL, |encoding| encoding.number());
    check_enum("ErrorCode", "ERROR_CODE", ErrorCode::ALL, |code| code.number());
    check_enum("GapReason", "GAP_REASON", GapReason::ALL, |reason| reason.number());
}

#[track_caller]
fn check_enum<T: std::fmt::Debug>(name: &str, prefix: &str, all: &[T], number: fn(&T) -> u64) {
    let descriptor =
        support::pool().get_enum_by_name(&format!("lamplighter.v1.{name}")).expect("in the schema");
    let schema: Vec<(String, u64)> = descriptor
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| (value.name().replace('_', ""), u64::try_from(value.number()).expect("small")))
        .collect();
    let ours: Vec<(String, u64)> = all
        .iter()
        .map(|item| (format!("{prefix}{item:?}").replace('_', "").to_uppercase(), number(item)))
        .collect();
    assert_eq!(ours, schema);
}

#[test]
fn the_words_of_command_states_are_the_schemas_names() {
    for state in CommandState::ALL {
        let typed = v1::CommandState::try_from(i32::try_from(state.number()).expect("small"));
        let name = typed.expect("in the schema").as_str_name();
        assert_eq!(name, format!("COMMAND_STATE_{}", state.word()));
    }
}

#[test]
fn every_type_of_a_well_known_channel_is_in_the_schema() {
    let types = channels::ALL.iter().flat_map(|channel| channel.types);
    for name in types.chain([&channels::COMMAND_TYPE, &channels::RESULT_TYPE]) {
        support::message(name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn views_and_generated_types_read_and_write_the_same_bytes(seed: u64) {
        let mut random = Random(seed);
        let kinds = support::kinds();
        let (field, _) = &kinds[random.below(kinds.len())];
        let descriptor = field.parent_message();
        let mut dynamic = DynamicMessage::new(descriptor.clone());
        let value = random.field(field);
        dynamic.set_field(field, value);
        dynamic.set_field_by_name("request", prost_reflect::Value::U64(random.next() >> 40));

        let typed: v1::Envelope = dynamic.transcode_to().expect("generated from the same schema");
        let bytes = typed.encode_to_vec();
        let view = Envelope::decode(&bytes).expect("well-formed");
        prop_assert_eq!(view.encoded_len(), bytes.len());
        let mut again = Vec::new();
        view.encode(&mut again);
        prop_assert_eq!(&again, &bytes);
        prop_assert_eq!(v1::Envelope::decode(again.as_slice()).expect("well-formed"), typed);
    }
}
