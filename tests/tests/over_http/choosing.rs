//! Subscriptions that want less: not every message, or only of some devices; the same on the socket and
//! over HTTP.

use std::collections::BTreeMap;

use proto::messages::lamplighter::v1::{ErrorCode, Subscribe};
use serde_json::json;
use tests::{Person, person};

use super::{all, hub, poll, put, stream, told};

/// Messages on four channels, far more than beats come meanwhile.
const COUNT: usize = 200;
const CHANNELS: usize = 4;

async fn publish(operator: &mut Person) -> BTreeMap<String, String> {
    let mut newest = BTreeMap::new();
    for number in 1..=COUNT {
        let (channel, text) = (format!("city.{}", number % CHANNELS), number.to_string());
        put(operator, &channel, &text).await;
        newest.insert(channel, text);
    }
    newest
}

#[tokio::test]
async fn at_each_beat_comes_the_newest_of_each_channel_and_offsets_only_grow() {
    let (hub, mut operator) = hub().await;
    let mut socket = Person::viewer(&hub).await;
    let pattern = "city.*".to_owned();
    socket.wish(Subscribe { pattern, max_rate: 2, ..Subscribe::default() }).await;
    let mut events = stream(&hub.http(), "pattern=city.*&max_rate=2", None).await;
    let begun = events.find("ack").await.id.expect("nothing is owed");
    let newest = publish(&mut operator).await;

    let (mut seen, mut offsets) = (BTreeMap::new(), Vec::new());
    while seen != newest {
        let message = socket.message().await;
        let text = String::from_utf8(person::payload(&message).to_vec()).expect("text");
        offsets.push(message.offset);
        seen.insert(message.channel, text);
    }
    assert!(offsets.is_sorted(), "{offsets:?}");
    assert!(offsets.len() < COUNT / 2, "{} messages", offsets.len());

    let (mut seen, mut ids) = (BTreeMap::new(), Vec::new());
    while seen != newest {
        let event = events.next().await.expect("a message");
        let channel = event.data["message"]["channel"].as_str().expect("a channel").to_owned();
        seen.insert(channel, told(&event));
        ids.push(event.id.expect("a position"));
    }
    assert!(ids.len() < COUNT / 2, "{} events", ids.len());

    // Whoever comes back is owed nothing that a beat left out, and nothing twice.
    let mut again =
        stream(&hub.http(), "pattern=city.*&max_rate=2", ids.last().map(|id| &**id)).await;
    assert_eq!(again.find("ack").await.data["ack"]["recovered"], true);
    put(&mut operator, "city.0", "end").await;
    assert_eq!(told(&again.next().await.expect("a message")), "end");

    let query = format!("pattern=city.*&conflate=true&since={begun}");
    let mut texts = all(&poll(&hub.http(), &query, 10).await["messages"]);
    texts.sort_unstable();
    let mut wanted: Vec<_> =
        newest.values().filter(|text| **text != COUNT.to_string()).cloned().collect();
    wanted.push("end".to_owned());
    wanted.sort_unstable();
    assert_eq!(texts, wanted, "of what was missed, the newest of each channel");
}

#[tokio::test]
async fn a_subscription_with_labels_gets_what_is_of_its_devices_and_sees_one_leave() {
    let (hub, _) = hub().await;
    let http = hub.http();
    for (id, street) in [("lamp-1", "Queen St"), ("lamp-2", "King St")] {
        let body = json!({ "id": id, "labels": { "street": street } });
        assert_eq!(http.post("/v1/devices", &body).await.status, 201);
    }
    let mut socket = Person::viewer(&hub).await;
    let wish = Subscribe {
        pattern: "devices.*.registration".to_owned(),
        labels: "street = 'Queen St'".to_owned(),
        snapshot: true,
        ..Subscribe::default()
    };
    socket.wish(wish.clone()).await;
    let values = socket.snapshot().await;
    let channels: Vec<_> = values.iter().map(|value| value.channel.as_str()).collect();
    assert_eq!(channels, ["devices.lamp-1.registration"]);

    for (id, street) in [
        ("lamp-2", "Mill Rd"),
        ("lamp-1", "King St"),
        ("lamp-1", "Mill Rd"),
        ("lamp-2", "Queen St"),
    ] {
        let body = json!({ "id": id, "labels": { "street": street } });
        assert_eq!(http.post("/v1/devices?existing=new-token", &body).await.status, 201);
    }
    let left = socket.message().await;
    assert_eq!(left.channel, "devices.lamp-1.registration", "it is seen leaving, once");
    let came = socket.message().await;
    assert_eq!(came.channel, "devices.lamp-2.registration");

    for (labels, max_rate, field) in
        [("street", 0, "subscribe.labels"), ("", 101, "subscribe.max_rate")]
    {
        let wish = Subscribe { labels: labels.to_owned(), max_rate, ..wish.clone() };
        let refused = socket.try_wish(wish).await.expect_err("it makes no sense");
        assert_eq!((refused.code(), refused.field.as_str()), (ErrorCode::BadValue, field));
    }
}
