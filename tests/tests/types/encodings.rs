//! Each subscriber chooses how it reads; nobody's choice is anyone else's trouble.

use prost::Message as _;
use proto::messages::lamplighter::v1::{Encoding, Subscribe, message};
use proto::messages::lighting::v1::DeviceConfig;
use serde_json::json;
use tests::{Device, Hub, Person, lamp, person};

use crate::{greeted, heard, say};

const TELEMETRY: &str = "devices.lamp-1.telemetry";

#[tokio::test]
async fn content_comes_in_the_encoding_that_the_subscription_asks_for() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    lamp.report_durably(1).await;
    let mut json_in_binary = Person::viewer(&hub).await;
    json_in_binary.wish(wish(TELEMETRY, Encoding::Json)).await;
    let mut plain = Person::viewer(&hub).await;
    plain.wish(wish(TELEMETRY, Encoding::Unspecified)).await;
    let mut payload_in_text = greeted(&hub).await;
    let asked = json!({ "pattern": TELEMETRY, "snapshot": true, "encoding": "ENCODING_PROTOBUF" });
    say(&mut payload_in_text, 2, "subscribe", &asked).await;

    let held = &json_in_binary.snapshot().await[0];
    assert!(held.json.contains("\"logger_id\":1") && held.content.is_none(), "{held:?}");
    let page = heard(&mut payload_in_text, "snapshot").await;
    assert!(page["values"][0]["payload"].is_string(), "{page}");
    assert_eq!(lamp::number(person::payload(&plain.snapshot().await[0])), 1);

    for number in 2..20 {
        lamp.report(number).await;
        let message = json_in_binary.message().await;
        assert!(message.json.contains(&format!("\"logger_id\":{number}")), "{message:?}");
        assert!(message.content.is_none() && message.offset > 0);
        assert_eq!(lamp::number(person::payload(&plain.message().await)), number);
        let shown = heard(&mut payload_in_text, "message").await;
        assert!(shown["payload"].is_string() && shown.get("data").is_none(), "{shown}");
    }
}

#[tokio::test]
async fn where_several_subscriptions_match_the_first_decides_and_the_message_comes_once() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut viewer = Person::viewer(&hub).await;
    let live = |pattern: &str, encoding| Subscribe { snapshot: false, ..wish(pattern, encoding) };
    viewer.wish(live(TELEMETRY, Encoding::Json)).await;
    viewer.wish(live("devices.*.telemetry", Encoding::Protobuf)).await;
    lamp.report_durably(1).await;
    assert!(!viewer.message().await.json.is_empty());
    // The exact one is over; the other goes on.
    let pattern = TELEMETRY.to_owned();
    let over = proto::messages::lamplighter::v1::Unsubscribe { pattern };
    viewer
        .ask(proto::messages::lamplighter::v1::envelope::Kind::Unsubscribe(over))
        .await
        .expect("over");
    lamp.report_durably(2).await;
    assert_eq!(lamp::number(person::payload(&viewer.message().await)), 2);
}

#[tokio::test]
async fn fault_12_one_subscriber_can_not_be_encoded_for_the_others_receive_and_it_is_told() {
    let hub = Hub::in_memory().await;
    let mut sender = Person::operator(&hub).await;
    let mut binary = Person::viewer(&hub).await;
    binary.watch("city.>").await;
    let mut json_in_binary = Person::viewer(&hub).await;
    let asked = Subscribe { snapshot: false, ..wish("city.>", Encoding::Json) };
    json_in_binary.wish(asked).await;
    let mut text = greeted(&hub).await;
    say(&mut text, 2, "subscribe", &json!({ "pattern": "city.>" })).await;
    heard(&mut text, "ack").await;

    for number in 0..10_u8 {
        sender.publish("city.raw", vec![0xff, number]).await.expect("any bytes");
        assert_eq!(person::payload(&binary.message().await), [0xff, number]);
        let told = json_in_binary.message().await;
        assert!(told.problem.contains("no type"), "{told:?}");
        assert_eq!(told.content, Some(message::Content::Payload(vec![0xff, number])));
        let told = heard(&mut text, "message").await;
        assert!(told["problem"].as_str().expect("a reason").contains("no type"), "{told}");
        assert!(told["payload"].is_string(), "{told}");
    }
    assert!(hub.metric("lamplighter_not_converted_total").await >= 10.0);
}

/// What can't be converted is counted where it is tried, so the count tells how often it was.
#[tokio::test]
async fn a_message_is_converted_once_a_form_and_not_once_a_subscriber() {
    let hub = Hub::in_memory().await;
    let mut sender = Person::operator(&hub).await;
    let (mut texts, mut binaries) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let mut text = greeted(&hub).await;
        say(&mut text, 2, "subscribe", &json!({ "pattern": "city.raw" })).await;
        heard(&mut text, "ack").await;
        texts.push(text);
        let mut binary = Person::viewer(&hub).await;
        let asked = Subscribe { snapshot: false, ..wish("city.raw", Encoding::Json) };
        binary.wish(asked).await;
        binaries.push(binary);
    }
    for number in 0..5 {
        sender.publish("city.raw", vec![number]).await.expect("any bytes");
    }
    for (text, binary) in texts.iter_mut().zip(&mut binaries) {
        for _ in 0..5 {
            assert!(heard(text, "message").await["problem"].is_string());
            assert!(!binary.message().await.problem.is_empty());
        }
    }
    assert_eq!(hub.metric("lamplighter_not_converted_total").await, 10.0, "5 messages, 2 forms");
}

#[tokio::test]
async fn fault_13_an_empty_payload_and_two_types_on_a_channel_are_json_of_their_own() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut text = greeted(&hub).await;
    let channel = "devices.lamp-1.diagnostics";
    say(&mut text, 2, "subscribe", &json!({ "pattern": channel })).await;
    heard(&mut text, "ack").await;
    // Field 1 is a record's header in both.
    for (seq, name, payload, data) in [
        (1, "lighting.v1.DriverDiagnostics", vec![], json!({})),
        (2, "lighting.v1.ConnectivityReport", vec![], json!({})),
        (3, "lighting.v1.DriverDiagnostics", vec![0x0a, 0], json!({ "header": {} })),
        (4, "lighting.v1.ConnectivityReport", vec![0x0a, 0], json!({ "header": {} })),
    ] {
        lamp.report_typed(channel, name, seq, payload).await;
        let shown = heard(&mut text, "message").await;
        assert_eq!((&shown["type"], &shown["data"]), (&json!(name), &data), "{shown}");
    }
}

#[tokio::test]
async fn json_that_is_published_reaches_the_device_as_protobuf() {
    let hub = Hub::in_memory().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let request = lamp.client.next_request();
    let kind = proto::messages::lamplighter::v1::envelope::Kind::Subscribe(Subscribe {
        pattern: "devices.lamp-1.desired".to_owned(),
        ..Subscribe::default()
    });
    lamp.client.say(request, kind).await;
    lamp.client.answer(request).await;
    let mut text = greeted(&hub).await;
    let data = json!({ "version": 7 });
    let publish =
        json!({ "channel": "devices.lamp-1.desired", "data": data, "expected_revision": "0" });
    say(&mut text, 2, "publish", &publish).await;
    heard(&mut text, "ack").await;

    let message = lamp.client.find("desired settings", |kind| match kind {
        proto::messages::lamplighter::v1::envelope::Kind::Message(message) => Some(message.clone()),
        _ => None,
    });
    let message = message.await;
    let config = DeviceConfig::decode(person::payload(&message)).expect("of its type");
    assert_eq!(config.version, 7);
}

#[tokio::test]
async fn fields_that_the_hub_does_not_know_survive_bit_for_bit_also_through_a_merge() {
    let rule = "[[channel]]\npattern = \"site.*.lamp\"\ntypes = [\"lighting.v1.LampSample\"]\nlast = \"merge\"\n";
    let hub = Hub::builder().memory().config_text(rule).start().await;
    let mut sender = Person::operator(&hub).await;
    let mut viewer = Person::viewer(&hub).await;
    viewer.watch("site.1.lamp").await;
    // Field 2000 as bytes, 2001 as an overlong varint, and a known number between them.
    let unknown = [0x82, 0x7d, 2, 0xff, 0xfe, 0x18, 3, 0x88, 0x7d, 0x81, 0x80, 0x00];
    sender.publish("site.1.lamp", unknown.to_vec()).await.expect("of its type");
    assert_eq!(person::payload(&viewer.message().await), unknown);

    sender.publish("site.1.lamp", vec![0x18, 4]).await.expect("of its type");
    let merged = [0x82, 0x7d, 2, 0xff, 0xfe, 0x88, 0x7d, 0x81, 0x80, 0x00, 0x18, 4];
    assert_eq!(person::payload(&viewer.message().await), merged);
    viewer.subscribe("site.1.lamp", None, true).await;
    assert_eq!(person::payload(&viewer.snapshot().await[0]), merged);
}

fn wish(pattern: &str, encoding: Encoding) -> Subscribe {
    let (pattern, encoding) = (pattern.to_owned(), encoding.into());
    Subscribe { pattern, snapshot: true, encoding, ..Subscribe::default() }
}
