//! Values over HTTP: JSON or protobuf in, JSON or protobuf out, and nothing lost between.

use prost::Message as _;
use proto::messages::lamplighter::v1::Quarantined;
use proto::messages::lamplighter::v1::Subscribe;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lighting::v1::DeviceConfig;
use serde_json::json;
use tests::http::Http;
use tests::{Device, Hub, Person, person};

const PROTOBUF: &str = "application/x-protobuf";
const PATCH: &str = "application/merge-patch+json";
const DESIRED: &str = "/v1/channels/devices.lamp-1.desired";

const RULE: &str = "[[channel]]
pattern = \"site.*\"
types = [\"lighting.v1.LampSample\"]
undecodable = \"quarantine\"

[[channel]]
pattern = \"merged.*\"
types = [\"lighting.v1.LampSample\"]
last = \"merge\"
undecodable = \"quarantine\"
";
/// A length that goes beyond the end.
const BROKEN: &[u8] = &[0x0a, 0x7f, 1];

#[tokio::test]
async fn json_that_is_put_reaches_the_device_as_protobuf_and_both_can_be_read() {
    let hub = Hub::in_memory().await;
    let http = hub.http();
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let request = lamp.client.next_request();
    let pattern = "devices.lamp-1.desired".to_owned();
    lamp.client.say(request, Kind::Subscribe(Subscribe { pattern, ..Subscribe::default() })).await;
    lamp.client.answer(request).await;
    let data = json!({ "version": "7", "lamp": { "wattage_w": 65 } });
    let put = http.call("PUT", DESIRED, &[("if-none-match", "*")], &data).await;
    assert_eq!(put.status, 200, "{}", put.body);

    let message = lamp.client.find("desired settings", |kind| match kind {
        Kind::Message(message) => Some(message.clone()),
        _ => None,
    });
    let message = message.await;
    let config = DeviceConfig::decode(person::payload(&message)).expect("of its type");
    assert_eq!(config.version, 7);
    let (kind, encoded) = read(&http, DESIRED, PROTOBUF).await;
    assert_eq!((kind.as_str(), encoded.as_slice()), (PROTOBUF, person::payload(&message)));
    let (kind, shown) = read(&http, DESIRED, "application/json").await;
    let shown: serde_json::Value = serde_json::from_slice(&shown).expect("JSON");
    assert_eq!((kind.as_str(), &shown["data"]), ("application/json", &data));
}

#[tokio::test]
async fn a_patch_in_json_keeps_what_the_hub_does_not_know_of_the_value() {
    let hub = Hub::in_memory().await;
    let http = hub.http();
    let known = DeviceConfig { version: 7, ..DeviceConfig::default() }.encode_to_vec();
    // Field 2000 as bytes that are no text, and 2001 as an overlong varint.
    let unknown = [0x82, 0x7d, 2, 0xff, 0xfe, 0x88, 0x7d, 0x81, 0x80, 0x00];
    let sent = [&unknown[..], &known].concat();
    let put =
        http.send_bytes("PUT", DESIRED, PROTOBUF, &[("if-none-match", "*")], sent.clone()).await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!(read(&http, DESIRED, PROTOBUF).await.1, sent);

    let headers = [("if-match", put.etag.as_str()), ("content-type", PATCH)];
    let patched = http.call("PATCH", DESIRED, &headers, &json!({ "version": "8" })).await;
    assert_eq!(patched.status, 200, "{}", patched.body);
    let (_, held) = read(&http, DESIRED, PROTOBUF).await;
    assert_eq!(DeviceConfig::decode(held.as_slice()).expect("of its type").version, 8);
    assert!(held.ends_with(&unknown), "{held:?}");
}

#[tokio::test]
async fn a_value_that_is_not_of_its_type_is_not_patched_but_put() {
    let hub = Hub::builder().plain().memory().config_text(RULE).start().await;
    let http = hub.http();
    let mut guard = Person::viewer(&hub).await;
    guard.watch("quarantine.>").await;
    let put = http.send_bytes("PUT", "/v1/channels/site.1", PROTOBUF, &[], BROKEN.to_vec()).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let shown = guard.message().await;
    let said = Quarantined::decode(person::payload(&shown)).expect("the hub's own");
    assert_eq!((said.channel.as_str(), said.sender.as_str()), ("site.1", "operator dev"));

    let headers = [("content-type", PATCH)];
    let patched = http.call("PATCH", "/v1/channels/site.1", &headers, &json!({})).await;
    assert_eq!(patched.status, 409, "{}", patched.body);
    assert!(patched.body.contains("write it as a whole"), "{}", patched.body);
    assert_eq!(read(&http, "/v1/channels/site.1", PROTOBUF).await.1, BROKEN);
    assert_eq!(http.call("PUT", "/v1/channels/site.1", &[], &json!({})).await.status, 200);
    let patched = http.call("PATCH", "/v1/channels/site.1", &headers, &json!({})).await;
    assert_eq!(patched.status, 200, "{}", patched.body);
}

#[tokio::test]
async fn where_values_merge_what_is_no_protobuf_is_refused_and_the_held_value_stays() {
    let hub = Hub::builder().memory().config_text(RULE).start().await;
    let mut sender = Person::operator(&hub).await;
    let mut viewer = Person::viewer(&hub).await;
    viewer.watch("merged.*").await;
    sender.publish("merged.1", vec![0x18, 3]).await.expect("of its type");
    sender.publish("merged.1", BROKEN.to_vec()).await.expect_err("nothing merges with it");
    // A text where a number belongs: no LampSample, but protobuf.
    sender.publish("merged.1", vec![0x1a, 1, b'x']).await.expect("it goes on as bytes");
    sender.publish("merged.1", vec![0x18, 4]).await.expect("of its type");
    assert_eq!(person::payload(&viewer.message().await), [0x18, 3]);
    assert_eq!(person::payload(&viewer.message().await), [0x1a, 1, b'x']);
    assert_eq!(person::payload(&viewer.message().await), [0x18, 4]);
}

/// Media type and body of a value in this encoding.
async fn read(http: &Http, path: &str, accept: &str) -> (String, Vec<u8>) {
    let response = http.open(path, &[("accept", accept)]).await;
    assert_eq!(response.status().as_u16(), 200);
    let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
    (kind, response.bytes().await.expect("a body").to_vec())
}
