//! Who reads over HTTP chooses the encoding, too, and gets what has no JSON as bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::{Device, Hub, Person};

use super::{poll, stream};

const TELEMETRY: &str = "devices.lamp-1.telemetry";

/// One channel has a type and lets everything through.
const RULE: &str = "[[channel]]
pattern = \"site.*\"
types = [\"lighting.v1.LampSample\"]
undecodable = \"quarantine\"
";
/// A length that goes beyond the end.
const BROKEN: &[u8] = &[0x0a, 0x7f, 1];

#[tokio::test]
async fn events_and_polls_come_as_json_or_with_the_message_itself() {
    let hub = Hub::builder().plain().memory().start().await;
    let http = hub.http();
    let mut lamp = Device::start(&hub, "lamp-1").await;
    lamp.report_durably(1).await;
    let query = |encoding: &str| format!("pattern={TELEMETRY}&snapshot=true{encoding}");
    let mut json = stream(&http, &query(""), None).await;
    let mut asked = stream(&http, &query("&encoding=json"), None).await;
    let mut bytes = stream(&http, &query("&encoding=protobuf"), None).await;
    for events in [&mut json, &mut asked] {
        let page = events.find("snapshot").await.data;
        assert_eq!(logger(&page["snapshot"]["values"][0]), 1, "{page}");
    }
    let page = bytes.find("snapshot").await.data;
    assert_eq!(number(&page["snapshot"]["values"][0]), 1, "{page}");

    let first = poll(&http, &format!("pattern={TELEMETRY}&encoding=protobuf"), 0).await;
    assert_eq!(number(&first["snapshot"][0]), 1, "{first}");
    for report in 2..12 {
        lamp.report_durably(report).await;
        for events in [&mut json, &mut asked] {
            assert_eq!(logger(&events.find("message").await.data["message"]), report);
        }
        assert_eq!(number(&bytes.find("message").await.data["message"]), report);
    }
    let since = first["position"].as_str().expect("a position");
    let since = format!("pattern={TELEMETRY}&since={since}");
    // The history is short: what it doesn't have any more comes as the last value.
    let last = |answer: &Value| {
        let lists = [&answer["messages"], &answer["snapshot"]].map(|list| list.as_array().cloned());
        lists.into_iter().flatten().flatten().last().expect("something came")
    };
    assert_eq!(number(&last(&poll(&http, &format!("{since}&encoding=protobuf"), 0).await)), 11);
    assert_eq!(logger(&last(&poll(&http, &since, 0).await)), 11);
    let refused = http.get(&format!("/v1/events?pattern={TELEMETRY}&encoding=xml")).await;
    assert_eq!((refused.status, &refused.json()["field"]), (400, &json!("encoding")));
}

#[tokio::test]
async fn what_can_not_be_decoded_stops_no_reader_over_http_and_is_shown_in_quarantine() {
    let hub = Hub::builder().plain().memory().config_text(RULE).start().await;
    let http = hub.http();
    let mut operator = Person::operator(&hub).await;
    let mut events = stream(&http, "pattern=site.*", None).await;
    let mut guard = stream(&http, "pattern=quarantine.>", None).await;
    let first = poll(&http, "pattern=site.*", 0).await;
    operator.publish("site.1", BROKEN.to_vec()).await.expect("it goes on as bytes");
    operator.publish("site.2", vec![0x18, 3]).await.expect("it is of its type");

    let check = |broken: &Value, good: &Value| {
        assert_eq!(bytes(broken), BROKEN);
        assert!(broken["problem"].as_str().expect("a reason").contains("LampSample"), "{broken}");
        assert!(good["data"].is_object() && good.get("problem").is_none(), "{good}");
    };
    let (broken, good) = (events.find("message").await.data, events.find("message").await.data);
    check(&broken["message"], &good["message"]);
    let since = first["position"].as_str().expect("a position");
    let polled = poll(&http, &format!("pattern=site.*&since={since}"), 0).await;
    check(&polled["messages"][0], &polled["messages"][1]);
    let snapshot = poll(&http, "pattern=site.*", 0).await;
    check(&snapshot["snapshot"][0], &snapshot["snapshot"][1]);

    let shown = guard.find("message").await.data;
    let (channel, data) = (&shown["message"]["channel"], &shown["message"]["data"]);
    assert_eq!((channel, &data["channel"]), (&json!("quarantine.site.1"), &json!("site.1")));
    assert_eq!(data["sender"], "operator dev");
    assert_eq!(bytes(data), BROKEN);

    let held = http.get("/v1/channels/site.1").await.json();
    assert_eq!(bytes(&held), BROKEN);
    assert!(held["problem"].is_string() && held.get("data").is_none(), "{held}");
    let listed = http.get("/v1/channels?pattern=site.*").await.json();
    assert!(listed["values"][1]["data"].is_object(), "{listed}");
    let fleet = http.get("/v1/channels?pattern=quarantine.>").await.json();
    assert_eq!(fleet["values"][0]["data"]["sender"], "operator dev", "{fleet}");
}

/// What stands in `payload`.
fn bytes(message: &Value) -> Vec<u8> {
    STANDARD.decode(message["payload"].as_str().expect("a payload")).expect("base64")
}

/// The report's number, where the message itself came.
fn number(message: &Value) -> u32 {
    assert!(message.get("data").is_none(), "{message}");
    tests::lamp::number(&bytes(message))
}

/// The same, where JSON came.
fn logger(message: &Value) -> u32 {
    assert!(message.get("payload").is_none(), "{message}");
    let text = message["data"].to_string();
    let (_, rest) = text.split_once("\"logger_id\":").unwrap_or_else(|| panic!("{text}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}
