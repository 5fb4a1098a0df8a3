//! BW: frames that break RFC 6455, and control frames without measure.

use std::time::{Duration, Instant};

use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::{Ping, Publish, publish};
use tests::client::envelope;
use tests::raw::{BINARY, CLOSE, PING, PONG, Raw, TEXT, frame, head};
use tests::{Client, Device, Hub, Person, Via, device, person};

use crate::hostile;

/// FIN is not set.
const UNFINISHED_BINARY: u8 = 0x02;
const CONTINUATION: u8 = 0x80;
const UNFINISHED_CONTINUATION: u8 = 0x00;

#[tokio::test]
async fn bw1_a_frame_without_a_mask() {
    let bare = [head(BINARY, 3), b"abc".to_vec()].concat();
    check(&[("BW1 binary", bare, &[1002]), ("BW1 ping", head(PING, 0), &[1002])]).await;
}

#[tokio::test]
async fn bw2_reserved_bits_and_opcodes() {
    check(&[
        ("BW2 RSV1", frame(BINARY | 0x40, b"abc"), &[1002]),
        ("BW2 RSV2", frame(BINARY | 0x20, b"abc"), &[1002]),
        ("BW2 RSV3", frame(BINARY | 0x10, b"abc"), &[1002]),
        ("BW2 opcode 3", frame(0x83, b"abc"), &[1002]),
        ("BW2 opcode 15", frame(0x8f, b"abc"), &[1002]),
    ])
    .await;
}

#[tokio::test]
async fn bw4_control_frames_that_are_long_or_in_pieces() {
    check(&[
        ("BW4 ping of 126 bytes", frame(PING, &[0; 126]), &[1002]),
        ("BW4 close of 126 bytes", frame(CLOSE, &[0x03; 126]), &[1002]),
        ("BW4 ping in pieces", frame(0x09, b"a"), &[1002]),
    ])
    .await;
}

#[tokio::test]
async fn bw5_lengths_that_lie() {
    let long = |length: u64| {
        let mut bytes = vec![BINARY, 0x80 | 127];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    };
    let hub = hostile::hub().await;
    let before = hostile::memory_kib(&hub);
    for (id, bytes) in [
        ("BW5 top bit", long(1 << 63)),
        ("BW5 all bits", long(u64::MAX)),
        ("BW5 2^63-1", long(u64::MAX >> 1)),
        ("BW5 1 GiB", long(1 << 30)),
    ] {
        closes(&hub, id, &bytes, &[1009, 1002]).await;
    }
    let grown = hostile::memory_kib(&hub).saturating_sub(before);
    assert!(grown < 4096, "BW5: the hub grew by {grown} KiB");
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bw6_messages_over_64_kib() {
    let half = vec![0; 40 * 1024];
    let pieces = [frame(UNFINISHED_BINARY, &half), frame(CONTINUATION, &half)].concat();
    check(&[
        ("BW6 one frame", frame(BINARY, &vec![0; 64 * 1024 + 1]), &[1009]),
        ("BW6 two pieces", pieces, &[1009]),
    ])
    .await;
}

#[tokio::test]
async fn bw8_pieces_out_of_order() {
    let twice = [frame(UNFINISHED_BINARY, b"a"), frame(BINARY, b"b")].concat();
    check(&[
        ("BW8 continuation of nothing", frame(CONTINUATION, b"a"), &[1002]),
        (
            "BW8 continuation of nothing, more to come",
            frame(UNFINISHED_CONTINUATION, b"a"),
            &[1002],
        ),
        ("BW8 a start inside a message", twice, &[1002]),
    ])
    .await;
}

#[tokio::test]
async fn bw10_close_frames_and_texts_that_are_wrong() {
    check(&[
        ("BW10 reason is no UTF-8", frame(CLOSE, &[0x03, 0xe8, 0xff, 0xfe]), &[1007, 1002]),
        ("BW10 body of one byte", frame(CLOSE, &[0x03]), &[1002]),
        ("BW10 code 999", frame(CLOSE, &[0x03, 0xe7]), &[1002]),
        ("BW10 code 1005", frame(CLOSE, &[0x03, 0xed]), &[1002]),
        ("BW10 text is no UTF-8", frame(TEXT, &[0xc0, 0xaf]), &[1007]),
    ])
    .await;
}

#[tokio::test]
async fn bw12_data_after_close_has_no_effect() {
    let hub = hostile::hub().await;
    let mut raw = hostile::admitted(&hub).await;
    let publish = Publish { channel: "site.after-close".to_owned(), ..Publish::default() };
    let late = frame(BINARY, &envelope(2, Kind::Publish(publish)));
    raw.write(&[frame(CLOSE, &[0x03, 0xe8]), late].concat()).await;
    assert_eq!(raw.close_code().await, Some(1000), "BW12");
    assert_eq!(raw.frame().await, None, "BW12: nothing is answered after the close");

    let mut person = Person::operator(&hub).await;
    person.subscribe("site.>", None, true).await;
    assert_eq!(person.snapshot().await, [], "BW12: published after close");
}

#[tokio::test]
async fn bw12_a_peer_that_never_answers_a_close_is_cut() {
    let hub = hostile::hub().await;
    let mut raw = hostile::admitted(&hub).await;
    #[expect(clippy::disallowed_methods, reason = "the test measures what a peer sees")]
    let begun = Instant::now();
    raw.write(&frame(BINARY, &[])).await;
    assert_eq!(raw.close_code().await, Some(4504), "BW12");
    assert_eq!(raw.frame().await, None, "BW12: cut");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "BW12: {took:?}, where 5 s are promised");
}

#[tokio::test]
async fn bw13_control_frames_without_measure() {
    let hub = hostile::hub().await;
    for (id, one) in [("BW13 pings", frame(PING, b"")), ("BW13 pongs", frame(PONG, b""))] {
        closes(&hub, id, &one.repeat(2000), &[4003]).await;
    }
    // Also before it said who it is.
    for (id, one) in
        [("BW13 pings, silent", frame(PING, b"")), ("BW13 pongs, silent", frame(PONG, b""))]
    {
        let mut raw = Raw::upgrade(&Via::of(&hub)).await;
        raw.write(&one.repeat(10_000)).await;
        let code = raw.close_code().await;
        assert!([Some(4003), None].contains(&code), "{id}: {code:?}");
    }
    hostile::serves(&hub).await;
}

#[tokio::test]
async fn bw17_a_message_of_no_bytes() {
    check(&[
        ("BW17 binary", frame(BINARY, b""), &[4504]),
        ("BW17 text", frame(TEXT, b""), &[4504]),
    ])
    .await;
}

#[tokio::test]
async fn bw18_a_half_closed_connection_ends_its_session_and_keeps_its_commands() {
    let hub = hostile::hub().await;
    let token = hub.register("lamp-half").await;
    let mut raw = Raw::upgrade(&Via::of(&hub)).await;
    // Not ready: what is sent stays queued.
    let hello = Kind::Hello(device::hello(&token, 1, false));
    raw.write(&frame(BINARY, &envelope(1, hello))).await;
    assert!(raw.frame().await.is_some(), "a welcome");
    let mut person = Person::operator(&hub).await;
    let command = person.send(person::command("lamp-half", "queued")).await;

    raw.close_write().await;
    drop(raw.to_end().await);

    let state = hub.http().get(&format!("/v1/commands/{command}")).await;
    assert_eq!(state.json()["state"], "ACCEPTED", "BW18: {}", state.body);
    let mut device = Device::connect(&hub, "lamp-half", &token, 2).await;
    assert_eq!(device.command().await.command, command, "BW18: delivered to the next session");
}

#[tokio::test]
async fn bw_a_message_in_many_pieces_with_pings_between_them_is_one_message() {
    let hub = hostile::hub().await;
    let mut raw = hostile::admitted(&hub).await;
    let bytes = envelope(7, Kind::Ping(Ping {}));
    let (last, first) = bytes.split_last().expect("not empty");
    let mut sent = frame(UNFINISHED_BINARY, &[]);
    for byte in first {
        sent.extend(frame(UNFINISHED_CONTINUATION, &[*byte]));
    }
    sent.extend(frame(PING, b"between"));
    sent.extend(frame(CONTINUATION, &[*last]));
    raw.write(&sent).await;
    let mut answers = Vec::new();
    while answers.len() < 2 {
        answers.push(raw.frame().await.expect("an answer").first);
    }
    answers.sort_unstable();
    assert_eq!(answers, [BINARY, PONG]);
}

#[tokio::test]
async fn bw_messages_of_one_write_reach_their_reader_however_many_they_are() {
    let hub = hostile::hub().await;
    let mut person = Person::operator(&hub).await;
    person.watch("site.bursts").await;
    let mut raw = hostile::admitted(&hub).await;
    // Around what one turn takes, and with more bytes than one write to a reader has.
    for (count, bytes) in
        [(1, 8), (31, 8), (32, 8), (33, 8), (64, 8), (65, 8), (64, 1_000), (200, 200)]
    {
        let message = |number: u32| {
            let mut payload = vec![b'.'; bytes];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            let content = Some(publish::Content::Payload(payload));
            let publish = Publish { channel: "site.bursts".into(), content, ..Publish::default() };
            frame(BINARY, &envelope(0, Kind::Publish(publish)))
        };
        raw.write(&(0..count).flat_map(message).collect::<Vec<u8>>()).await;
        for number in 0..count {
            let heard = person.message().await;
            let payload = person::payload(&heard);
            assert_eq!(payload[..4], number.to_be_bytes(), "{count} of {bytes} bytes");
        }
    }
}

/// Each row is closed with one of its codes, before the greeting and after it.
async fn check(rows: &[(&str, Vec<u8>, &[u16])]) {
    let hub = hostile::hub().await;
    for (id, bytes, wanted) in rows {
        let mut raw = Raw::upgrade(&Via::of(&hub)).await;
        raw.write(bytes).await;
        let code = raw.close_code().await;
        assert!(code.is_some_and(|code| wanted.contains(&code)), "{id}, silent: {code:?}");
        closes(&hub, id, bytes, wanted).await;
    }
    hostile::serves(&hub).await;
}

async fn closes(hub: &Hub, id: &str, bytes: &[u8], wanted: &[u16]) {
    let mut witness = Client::dial(&Via::of(hub)).await;
    witness.greet(person::hello(&hub.dev_token("viewer"))).await;
    let mut raw = hostile::admitted(hub).await;
    raw.write(bytes).await;
    let code = raw.close_code().await;
    assert!(code.is_some_and(|code| wanted.contains(&code)), "{id}: {code:?}, not {wanted:?}");
    // Only this connection is affected.
    witness.barrier().await;
}
