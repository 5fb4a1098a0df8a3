//! Envelopes there and back, and bytes that are none.

use super::*;

#[test]
fn an_envelope_comes_back_as_it_was_written() {
    let publish = Publish { seq: 7, payload: Some(b"xyz"), ..Publish::default() };
    check(&Envelope { request: 300, kind: Kind::Publish(publish) });
    check(&Envelope::new(Kind::Ping(Ping::default())));
    let position = Some(Position { epoch: 5, offset: 9, ..Position::default() });
    check(&Envelope::new(Kind::Ack(Ack { position, durable: true, ..Ack::default() })));
}

#[test]
fn an_empty_payload_is_not_an_absent_one() {
    check(&Envelope::new(Kind::Publish(Publish { payload: Some(b""), ..Publish::default() })));
    check(&Envelope::new(Kind::Publish(Publish::default())));
}

#[test]
fn a_page_of_a_snapshot_yields_its_values() {
    let mut values = Vec::new();
    for offset in 1..=3 {
        values.message(2, &Message { channel: "a.b", offset, ..Message::default() });
    }
    let page = Snapshot { pattern: "a.>", encoded_values: &values, last: true, position: None };
    let mut bytes = Vec::new();
    page.encode(&mut bytes);

    let read = Snapshot::decode(&bytes).expect("well-formed");
    assert_eq!(read, page);
    let offsets: Vec<u64> = read.values().map(|value| value.offset).collect();
    assert_eq!(offsets, [1, 2, 3]);
}

#[test]
fn a_field_that_stands_twice_is_refused() {
    let mut bytes = Vec::new();
    bytes.message(6, &Send { device: "lamp-1", ..Send::default() });
    let twice = [bytes.clone(), bytes.clone()].concat();
    assert_eq!(Envelope::decode(&twice), Err(WireError::Duplicate { field: 6 }));

    let mut inner = Vec::new();
    inner.bytes(1, b"lamp-1");
    inner.bytes(1, b"lamp-2");
    let mut bytes = Vec::new();
    bytes.delimited(6, &inner);
    assert_eq!(Envelope::decode(&bytes), Err(WireError::Duplicate { field: 1 }));
}

#[test]
fn an_unknown_kind_and_an_empty_envelope_are_told_apart_from_garbage() {
    let mut bytes = Vec::new();
    bytes.uint(1, 9);
    bytes.delimited(99, b"later");
    let envelope = Envelope::decode(&bytes).expect("well-formed");
    assert_eq!(envelope, Envelope { request: 9, kind: Kind::Unknown(99) });
    assert_eq!(Envelope::decode(b"").map(|envelope| envelope.kind), Ok(Kind::Unknown(0)));
}

#[test]
fn an_unknown_field_beside_a_known_kind_is_skipped() {
    let mut bytes = Vec::new();
    bytes.delimited(99, b"later");
    bytes.message(8, &Ping::default());
    bytes.uint(98, 7);
    let envelope = Envelope::decode(&bytes).expect("well-formed");
    assert_eq!(envelope.kind, Kind::Ping(Ping::default()));
}

#[test]
fn a_payload_in_two_forms_is_refused() {
    let publish = Publish { payload: Some(b"x"), data: Some(b""), ..Publish::default() };
    let mut bytes = Vec::new();
    Envelope::new(Kind::Publish(publish)).encode(&mut bytes);
    assert_eq!(Envelope::decode(&bytes), Err(WireError::Duplicate { field: 6 }));
}

#[test]
fn a_message_that_is_cut_at_any_byte_has_no_effect_at_all() {
    let mut bytes = Vec::new();
    for seq in 1..=3 {
        let publish = Publish { seq, payload: Some(b"payload"), ..Publish::default() };
        Envelope::new(Kind::Publish(publish)).encode_delimited(&mut bytes);
    }
    assert_eq!(Batch::parse(&bytes).expect("whole").count(), 3);
    let third = bytes.len() / 3;
    for end in 0..bytes.len() {
        let whole = end > 0 && end % third == 0;
        assert_eq!(Batch::parse(&bytes[..end]).is_ok(), whole, "cut at {end}");
    }
}

#[test]
fn more_envelopes_than_the_limit_are_refused() {
    let mut bytes = Vec::new();
    for _ in 0..limits::ENVELOPES_PER_MESSAGE_MAX {
        Envelope::new(Kind::Ping(Ping::default())).encode_delimited(&mut bytes);
    }
    assert!(Batch::parse(&bytes).is_ok());
    Envelope::new(Kind::Ping(Ping::default())).encode_delimited(&mut bytes);
    assert!(matches!(Batch::parse(&bytes), Err(WireError::TooLong)));
}

#[track_caller]
fn check(envelope: &Envelope<'_>) {
    let mut buffer = [0; 256];
    let mut sink = crate::wire::SliceSink::new(&mut buffer);
    envelope.encode_delimited(&mut sink);
    let length = sink.finish().expect("it fits");
    let read: Vec<Envelope<'_>> = Batch::parse(&buffer[..length]).expect("whole").collect();
    assert_eq!(read, [*envelope]);
}
