//! Readers that come back by themselves, each by another way: text over the socket, server-sent events,
//! long polling, and a page in Chromium. What they do is what `docs/readers.md` asks of a reader.

use serde_json::{Value, json};
use tests::http::Http;
use tests::{Client, Event, Events, PATIENCE, Via, deadline};
use tokio::sync::watch::Sender;

use super::page::Page;
use super::shown::{Report, Shown};

const PATTERN: &str = "devices.*.telemetry";

/// JSON over the socket.
pub(super) async fn socket(via: Via, token: String, shown: Sender<Shown>) {
    let mut since = Value::Null;
    loop {
        let dial = || async { Client::try_dial(&via).await.ok() };
        let mut client = deadline::until(PATIENCE, "the socket is back", dial).await;
        let hello = json!({ "protocol": 1, "token": token });
        client.text(&json!({ "request": "1", "hello": hello }).to_string()).await;
        let mut wish = json!({ "pattern": PATTERN, "snapshot": true });
        if !since.is_null() {
            wish["since"] = since.clone();
        }
        client.text(&json!({ "request": "2", "subscribe": wish }).to_string()).await;
        while let Event::Json(envelope) = client.listen().await {
            assert!(envelope.get("error").is_none(), "{envelope}");
            shown.send_modify(|shown| envelope_of(&envelope, shown));
            follow(&envelope, &mut since);
        }
    }
}

/// Where to come back to after an envelope.
fn follow(envelope: &Value, since: &mut Value) {
    let position = &envelope["ack"]["position"];
    if position.is_object() && envelope["ack"]["recovered"] != true {
        since["epoch"] = position["epoch"].clone();
    }
    if envelope["snapshot"]["last"] == true {
        *since = envelope["snapshot"]["position"].clone();
    }
    if let Some(offset) = envelope["message"].get("offset") {
        since["offset"] = offset.clone();
    }
}

/// Server-sent events.
pub(super) async fn events(http: Http, shown: Sender<Shown>) {
    let path = format!("/v1/events?pattern={PATTERN}&snapshot=true");
    let mut last = String::new();
    loop {
        let headers = [("last-event-id", last.as_str())];
        let headers = if last.is_empty() { &[][..] } else { &headers[..] };
        let open = || async { http.try_open(&path, headers).await.ok() };
        let response = deadline::until(PATIENCE, "the stream is back", open).await;
        assert_eq!(response.status().as_u16(), 200);
        let mut events = Events::new(response);
        while let Some(event) = events.listen().await {
            shown.send_modify(|shown| envelope_of(&event.data, shown));
            last = event.id.unwrap_or(last);
        }
    }
}

/// Long polling.
pub(super) async fn poll(http: Http, shown: Sender<Shown>) {
    let mut since = String::new();
    loop {
        let path = format!("/v1/poll?pattern={PATTERN}{since}");
        let ask = || async {
            let response = http.try_open(&path, &[("prefer", "wait=10")]).await.ok()?;
            assert_eq!(response.status().as_u16(), 200);
            // An answer that was cut short is no JSON.
            serde_json::from_str::<Value>(&response.text().await.ok()?).ok()
        };
        let answer = deadline::until(PATIENCE, "polling is back", ask).await;
        shown.send_modify(|shown| answer_of(&answer, shown));
        since = format!("&since={}", answer["position"].as_str().expect("a position"));
    }
}

/// The browser's module.
pub(super) async fn page(mut page: Page, shown: Sender<Shown>) {
    loop {
        let (kind, text) = page.line().await;
        shown.send_modify(|shown| match kind.as_str() {
            "snapshot" => {
                if shown.reloads() == 0 {
                    shown.reload();
                    text.split(", ").for_each(|one| shown.value(Report::printed(one)));
                }
                shown.complete();
            }
            "reload" => shown.reload(),
            "update" => shown.change(Report::printed(&text)),
            "open" | "lost" => {}
            other => panic!("`{other} {text}` of the page"),
        });
    }
}

/// An envelope in JSON, as the socket and events have it.
fn envelope_of(envelope: &Value, shown: &mut Shown) {
    if envelope["ack"].is_object() {
        if envelope["ack"]["recovered"] != true {
            shown.reload();
        }
    } else if let Some(page) = envelope.get("snapshot") {
        list(&page["values"]).for_each(|value| shown.value(Report::of(value)));
        if page["last"] == true {
            shown.complete();
        }
    } else if let Some(message) = envelope.get("message") {
        shown.message(Report::of(message));
    } else if envelope.get("gap").is_some() {
        shown.reload();
    }
}

/// What a poll was answered.
fn answer_of(answer: &Value, shown: &mut Shown) {
    if answer["recovered"] != true {
        shown.reload();
        list(&answer["snapshot"]).for_each(|value| shown.value(Report::of(value)));
        shown.complete();
    }
    list(&answer["messages"]).for_each(|message| shown.message(Report::of(message)));
}

/// JSON leaves out an empty list.
fn list(values: &Value) -> impl Iterator<Item = &Value> {
    values.as_array().into_iter().flatten()
}
