//! Readers that can't hold a WebSocket see the same: server-sent events, long polling, and the
//! browser's module over each of them.

mod access;
mod encodings;
mod events;
mod limits;
mod poll;
mod sdk;
mod value;

use serde_json::Value;
use tests::events::{Event, Events};
use tests::http::Http;
use tests::{Hub, Person};

/// A stream of these events, from a position on if one is given.
async fn stream(http: &Http, query: &str, last: Option<&str>) -> Events {
    let headers: Vec<(&str, &str)> = last.map(|id| ("last-event-id", id)).into_iter().collect();
    let response = http.open(&format!("/v1/events?{query}"), &headers).await;
    assert_eq!(response.status().as_u16(), 200, "{:?}", response.text().await);
    Events::new(response)
}

/// One long poll, answered.
async fn poll(http: &Http, query: &str, wait_s: u32) -> Value {
    let prefer = format!("wait={wait_s}");
    let response = http.open(&format!("/v1/poll?{query}"), &[("prefer", &prefer)]).await;
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["preference-applied"], prefer.as_str());
    serde_json::from_str(&response.text().await.expect("text")).expect("JSON")
}

/// Publishes text to a channel without a type.
async fn put(operator: &mut Person, channel: &str, text: &str) {
    operator.publish(channel, text.as_bytes().to_vec()).await.expect("the hub takes it");
}

/// What such a message of JSON says.
fn said(message: &Value) -> String {
    use base64::Engine as _;
    let payload = message["payload"].as_str().expect("a payload");
    let bytes = base64::engine::general_purpose::STANDARD.decode(payload).expect("base64");
    String::from_utf8(bytes).expect("text")
}

/// What a live event says.
fn told(event: &Event) -> String {
    assert_eq!(event.kind, "message", "{event:?}");
    said(&event.data["message"])
}

/// What the messages of a list say.
fn all(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(said).collect()
}

/// A hub in the clear and an operator on it.
async fn hub() -> (Hub, Person) {
    let hub = Hub::builder().plain().start().await;
    let operator = Person::operator(&hub).await;
    (hub, operator)
}
