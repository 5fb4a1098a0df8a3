//! Dashboards that get much at once, or read too slowly: pages that fit, and the newest values in the
//! end.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::{
    Envelope, Message, Publish, Snapshot, Subscribe, message, publish,
};
use serde_json::{Value, json};
use tests::client::envelope;
use tests::raw::{BINARY, PING, Raw, TEXT, frame};
use tests::{Event, Hub, PATIENCE, Person, Via, person, within};

/// Channels of the large snapshot: many pages in both encodings.
const MANY: usize = 3_000;
/// Envelopes in one message of a publisher: below what the hub takes, also with the flood's payloads.
const BATCH: usize = 40;
/// Twice what the sockets of loopback hold for a reader that doesn't read.
const FLOOD: usize = 20_000;
/// Channels of the flood.
const FLOOD_CHANNELS: usize = 50;
/// Bytes of one message of the flood.
const FLOOD_PAYLOAD: usize = 1024;

/// The newest of each channel: where it is in the hub's order, and what it says.
pub(crate) type Values = BTreeMap<String, (u64, Vec<u8>)>;

/// Fault 14, with fewer channels.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_many_channels_is_paged_and_no_frame_is_above_the_limit() {
    let hub = Hub::builder().plain().memory().start().await;
    let mut operator = Person::operator(&hub).await;
    publish(&mut operator, 0..MANY, |at| (format!("city.x.{at}"), text_of(at))).await;

    let (pages, binary) = snapshot_in_protobuf(&hub).await;
    assert!(pages > 1, "{pages} pages");
    assert_eq!(binary.len(), MANY);
    for at in 0..MANY {
        assert_eq!(binary[&format!("city.x.{at}")].1, text_of(at));
    }
    let (pages, text) = snapshot_in_json(&hub).await;
    assert!(pages > 1, "{pages} pages");
    assert!(text == binary, "both encodings show the same");
}

/// Promise P12 and fault 15.
#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_stops_reading_is_not_cut_and_ends_up_equal_to_the_hub() {
    let hub = Hub::builder().plain().memory().set("mailbox.person_bytes", "65536").start().await;
    let mut slow = Person::viewer(&hub).await;
    slow.watch("city.>").await;
    let mut operator = Person::operator(&hub).await;
    // Meanwhile nobody reads for the slow one.
    publish(&mut operator, 0..FLOOD, |at| {
        let mut payload = text_of(at);
        payload.resize(FLOOD_PAYLOAD, b'.');
        (format!("city.x.{}", at % FLOOD_CHANNELS), payload)
    })
    .await;
    let mut fresh = Person::viewer(&hub).await;
    fresh.subscribe("city.>", None, true).await;
    let truth = values_of(fresh.snapshot().await);
    assert_eq!(truth.len(), FLOOD_CHANNELS);

    let mut seen = Values::new();
    let catching_up = async {
        let mut dropped = 0;
        while seen != truth {
            match slow.client.listen().await {
                Event::Envelope(Envelope { kind: Some(Kind::Message(message)), .. }) => {
                    take(&mut seen, &message);
                }
                Event::Envelope(Envelope { kind: Some(Kind::Snapshot(page)), .. }) => {
                    page.values.iter().for_each(|value| take(&mut seen, value));
                }
                Event::Envelope(Envelope { kind: Some(Kind::Gap(gap)), .. }) => {
                    assert!(gap.snapshot_follows && gap.from <= gap.to, "{gap:?}");
                    dropped += gap.dropped;
                }
                other => panic!("not expected by a slow reader: {other:?}"),
            }
        }
        dropped
    };
    let dropped = within(PATIENCE, "the slow reader equals the hub", catching_up).await;
    assert!(dropped > 0, "a gap was told");
    slow.client.barrier().await;
    let (channel, payload) = ("city.x.0", b"live again".to_vec());
    operator.publish(channel, payload.clone()).await.expect("the hub takes it");
    let live = slow.message().await;
    assert_eq!((live.channel.as_str(), person::payload(&live)), (channel, payload.as_slice()));
}

/// A value that tells which it is.
pub(crate) fn text_of(at: usize) -> Vec<u8> {
    format!("value {at}").into_bytes()
}

/// Publishes many values, many envelopes in a message, and waits until all are handled.
pub(crate) async fn publish(
    operator: &mut Person,
    range: Range<usize>,
    make: impl Fn(usize) -> (String, Vec<u8>),
) {
    let mut batch = Vec::new();
    for at in range {
        let (channel, payload) = make(at);
        let content = Some(publish::Content::Payload(payload));
        let wish = Publish { channel, content, ..Publish::default() };
        batch.extend(envelope(0, Kind::Publish(wish)));
        if (at + 1).is_multiple_of(BATCH) {
            operator.client.binary(std::mem::take(&mut batch)).await;
        }
    }
    if !batch.is_empty() {
        operator.client.binary(batch).await;
    }
    operator.client.barrier().await;
}

/// A newer value replaces an older one, and an older one never comes later.
fn take(seen: &mut Values, message: &Message) {
    let payload = person::payload(message).to_vec();
    let before = seen.insert(message.channel.clone(), (message.offset, payload));
    let before = before.map_or(0, |(offset, _)| offset);
    assert!(message.offset >= before, "{} went back to an older value", message.channel);
}

/// Values of which each channel has one.
pub(crate) fn values_of(messages: Vec<Message>) -> Values {
    let mut values = Values::new();
    for message in messages {
        let payload = person::payload(&message).to_vec();
        let before = values.insert(message.channel.clone(), (message.offset, payload));
        assert!(before.is_none(), "{} came twice", message.channel);
    }
    values
}

/// The pages of a snapshot of `city.>`, and what is in them.
async fn snapshot_in_protobuf(hub: &Hub) -> (usize, Values) {
    let mut raw = Raw::upgrade(&Via::of(hub)).await;
    let hello = Kind::Hello(person::hello(&hub.dev_token("viewer")));
    raw.write(&frame(BINARY, &envelope(1, hello))).await;
    let wish = Subscribe { pattern: "city.>".to_owned(), snapshot: true, ..Default::default() };
    raw.write(&frame(BINARY, &envelope(2, Kind::Subscribe(wish)))).await;
    let (mut pages, mut values) = (0, Vec::new());
    loop {
        let payload = sound(&mut raw, BINARY).await;
        for page in pages_of(&payload) {
            pages += 1;
            values.extend(page.values);
            if page.last {
                return (pages, values_of(values));
            }
        }
    }
}

fn pages_of(mut payload: &[u8]) -> Vec<Snapshot> {
    let mut pages = Vec::new();
    while !payload.is_empty() {
        let envelope = Envelope::decode_length_delimited(&mut payload).expect("an envelope");
        match envelope.kind {
            Some(Kind::Snapshot(page)) => pages.push(page),
            Some(Kind::Error(error)) => panic!("{error:?}"),
            _ => {}
        }
    }
    pages
}

/// The same for a dashboard that speaks text.
async fn snapshot_in_json(hub: &Hub) -> (usize, Values) {
    let mut raw = Raw::upgrade(&Via::of(hub)).await;
    let hello = json!({ "protocol": 1, "token": hub.dev_token("viewer") });
    let hello = json!({ "request": "1", "hello": hello });
    raw.write(&frame(TEXT, hello.to_string().as_bytes())).await;
    let wish = json!({ "pattern": "city.>", "snapshot": true });
    let wish = json!({ "request": "2", "subscribe": wish });
    raw.write(&frame(TEXT, wish.to_string().as_bytes())).await;
    let (mut pages, mut values) = (0, Vec::new());
    loop {
        let payload = sound(&mut raw, TEXT).await;
        for line in payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let envelope: Value = serde_json::from_slice(line).expect("JSON");
            assert!(envelope.get("error").is_none(), "{envelope}");
            let Some(page) = envelope.get("snapshot") else { continue };
            pages += 1;
            values.extend(page["values"].as_array().into_iter().flatten().map(message_of));
            if page["last"] == true {
                return (pages, values_of(values));
            }
        }
    }
}

/// What is compared of a message in JSON.
fn message_of(value: &Value) -> Message {
    let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("no {key}: {value}"));
    let payload = STANDARD.decode(text("payload")).expect("base64");
    Message {
        channel: text("channel").to_owned(),
        offset: text("offset").parse().expect("a number"),
        content: Some(message::Content::Payload(payload)),
        ..Message::default()
    }
}

/// The next message: whole in its frame, of this encoding, and within the limit.
async fn sound(raw: &mut Raw, encoding: u8) -> Vec<u8> {
    loop {
        let frame = raw.frame().await.expect("the hub goes on");
        if frame.first == PING {
            continue;
        }
        assert_eq!(frame.first, encoding);
        let length = frame.payload.len();
        assert!(length <= proto::limits::MESSAGE_BYTES_MAX, "a message of {length} bytes");
        return frame.payload;
    }
}
