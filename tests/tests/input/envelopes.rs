//! BP: binary messages that are no envelopes, or envelopes that don't belong where they are.

use prost::Message as _;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::publish::Content;
use proto::messages::lamplighter::v1::{Envelope, Hello, Ping, Publish};
use proto::wire::Sink as _;
use tests::client::envelope;
use tests::{Client, Event, Hub, Via, device, lamp, person};

use crate::hostile;

const MALFORMED: u16 = 4504;

#[tokio::test]
async fn bp1_bytes_that_are_no_envelope() {
    let mut rows = vec![("BP1 0x00", vec![0; 64]), ("BP1 0xff", vec![0xff; 64])];
    // A linear congruence is random enough, and the same every day.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..16 {
        let bytes = (0..200).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        // A first length that goes beyond the end.
        rows.push(("BP1 random", [0xff, 0x7f].into_iter().chain(bytes).collect()));
    }
    check(&rows).await;
}

#[tokio::test]
async fn bp2_a_message_cut_at_every_byte_has_no_effect() {
    let hub = hostile::hub().await;
    let token = hub.register("lamp-cut").await;
    let publish = |seq| Publish {
        seq,
        content: Some(Content::Payload(lamp::telemetry(7))),
        ..Publish::default()
    };
    let hello = Kind::Hello(device::hello(&token, 1, false));
    let first = envelope(1, hello);
    let whole = [1, 2].map(|seq| envelope(0, Kind::Publish(publish(seq)))).concat();
    let boundary = whole.len() / 2;
    for length in 0..whole.len() {
        let mut client = Client::dial(&Via::of(&hub)).await;
        client.binary(first.clone()).await;
        assert!(matches!(client.hear().await, Event::Envelope(_)), "a welcome");
        if length == boundary {
            // The first of them alone is a message.
            continue;
        }
        client.binary(whole[..length].to_vec()).await;
        assert_eq!(client.close_code().await, MALFORMED, "BP2: cut after {length} bytes");
    }
    let twin = hub.http().get("/v1/devices/lamp-cut/twin").await;
    assert!(!twin.body.contains("telemetry"), "BP2: an effect in part: {}", twin.body);
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bp4_groups_and_nesting() {
    let mut rows = Vec::new();
    for depth in [1, 17, 10_000] {
        let groups = [vec![0x0b; depth], vec![0x0c; depth]].concat();
        rows.push(("BP4 groups in the envelope", delimited(&groups)));
        let mut field = Vec::new();
        field.delimited(3, &groups);
        rows.push(("BP4 groups in a kind", delimited(&field)));
    }
    check(&rows).await;
}

#[tokio::test]
async fn bp5_unknown_fields_are_ignored_up_to_the_limit() {
    let hub = hostile::hub().await;
    let mut client = admitted(&hub).await;
    let mut bytes = Envelope { request: 9, kind: Some(Kind::Ping(Ping {})) }.encode_to_vec();
    while bytes.len() < 60 * 1024 {
        bytes.uint(1000, 1);
    }
    client.binary(delimited(&bytes)).await;
    assert!(matches!(client.answer(9).await, Kind::Pong(_)), "BP5");

    let mut bytes = Vec::new();
    bytes.delimited(1000, &vec![0; 1024 * 1024]);
    client.binary(delimited(&bytes)).await;
    assert_eq!(client.close_code().await, 1009, "BP5 1 MiB");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bp6_a_field_that_stands_twice() {
    let hub = hostile::hub().await;
    let twice = |number: u32, field: &dyn Fn(&mut Vec<u8>)| {
        let mut kind = Vec::new();
        field(&mut kind);
        field(&mut kind);
        let mut bytes = Vec::new();
        bytes.delimited(number, &kind);
        delimited(&bytes)
    };
    let mut requests = Vec::new();
    requests.uint(1, 5);
    requests.uint(1, 6);
    requests.delimited(8, b"");
    let mut kinds = Vec::new();
    kinds.delimited(8, b"");
    kinds.delimited(8, b"");
    for (id, bytes) in [
        ("BP6 token", twice(2, &|kind| kind.bytes(2, b"t"))),
        ("BP6 channel", twice(3, &|kind| kind.bytes(1, b"a.b"))),
        ("BP6 seq", twice(3, &|kind| kind.uint(2, 4))),
        ("BP6 device", twice(6, &|kind| kind.bytes(1, b"lamp-1"))),
        ("BP6 command", twice(7, &|kind| kind.bytes(1, b"c"))),
        ("BP6 request", delimited(&requests)),
        ("BP6 kind", delimited(&kinds)),
    ] {
        let mut client = admitted(&hub).await;
        client.binary(bytes).await;
        assert_eq!(client.close_code().await, MALFORMED, "{id}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bp8_hello_comes_first_and_once() {
    let hub = hostile::hub().await;
    let mut silent = Client::dial(&Via::of(&hub)).await;
    silent.say(1, Kind::Ping(Ping {})).await;
    assert_eq!(silent.close_code().await, MALFORMED, "BP8 something else first");
    let mut twice = admitted(&hub).await;
    twice.say(2, Kind::Hello(person::hello(&hub.dev_token("operator")))).await;
    assert_eq!(twice.close_code().await, MALFORMED, "BP8 a second hello");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bp9_versions_of_the_protocol() {
    let hub = hostile::hub().await;
    for protocol in [0, 2, 999, u32::MAX] {
        let hello = Hello { protocol, ..person::hello(&hub.dev_token("operator")) };
        let mut client = Client::dial(&Via::of(&hub)).await;
        client.say(1, Kind::Hello(hello)).await;
        assert_eq!(client.close_code().await, 4503, "BP9 {protocol}");
    }
    hostile::serves(&hub).await;
}

/// Each row is malformed, before the greeting and after it.
async fn check(rows: &[(&str, Vec<u8>)]) {
    let hub = hostile::hub().await;
    for (id, bytes) in rows {
        let mut silent = Client::dial(&Via::of(&hub)).await;
        silent.binary(bytes.clone()).await;
        assert_eq!(silent.close_code().await, MALFORMED, "{id}, silent: {} bytes", bytes.len());
        let mut client = admitted(&hub).await;
        client.binary(bytes.clone()).await;
        assert_eq!(client.close_code().await, MALFORMED, "{id}: {} bytes", bytes.len());
    }
    hostile::serves(&hub).await;
}

async fn admitted(hub: &Hub) -> Client {
    let mut client = Client::dial(&Via::of(hub)).await;
    client.greet(person::hello(&hub.dev_token("operator"))).await;
    client
}

/// Bytes with their length in front.
fn delimited(bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.varint(bytes.len() as u64);
    message.extend_from_slice(bytes);
    message
}
