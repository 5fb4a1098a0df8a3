//! Server-sent events: the socket's guarantees, with a position in each `id`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tests::http::Http;
use tests::{Hub, PATIENCE, Person, within};

use super::{hub, put, said, stream, told};

/// Bytes of one message of a flood.
const FLOOD_PAYLOAD: usize = 1024;
const FLOOD: usize = 20_000;
const FLOOD_CHANNELS: usize = 50;

#[tokio::test]
async fn a_stream_begins_with_the_last_values_and_goes_on_with_every_message() {
    let (hub, mut operator) = hub().await;
    put(&mut operator, "city.a", "before").await;
    let mut events = stream(&hub.http(), "pattern=city.*&snapshot=true", None).await;
    assert_eq!(events.next().await.expect("a beginning").kind, "ack");
    let page = events.next().await.expect("a page");
    assert_eq!((page.kind.as_str(), &page.data["snapshot"]["last"]), ("snapshot", &json!(true)));
    assert_eq!(said(&page.data["snapshot"]["values"][0]), "before");
    assert!(page.id.is_some(), "a complete snapshot has a position");

    for number in 0..100 {
        put(&mut operator, "city.a", &number.to_string()).await;
    }
    for number in 0..100 {
        let event = events.next().await.expect("a message");
        assert_eq!(told(&event), number.to_string());
        let (_, offset) = event.id.as_deref().and_then(|id| id.split_once('.')).expect("an id");
        assert_eq!(event.data["message"]["offset"], offset);
    }
}

/// Fault 1, over events; and several patterns at one position.
#[tokio::test]
async fn a_stream_that_comes_back_with_its_position_gets_all_that_it_missed_once() {
    let (hub, mut operator) = hub().await;
    let http = hub.http();
    let query = "pattern=city.*&pattern=city.a&pattern=news";
    let mut events = stream(&http, query, None).await;
    let id = events.find("ack").await.id.expect("nothing is owed, so there is a position");
    drop(events);
    for (channel, text) in [("city.a", "1"), ("news", "2"), ("city.b", "3")] {
        put(&mut operator, channel, text).await;
    }

    let mut events = stream(&http, query, Some(&id)).await;
    assert_eq!(events.find("ack").await.data["ack"]["recovered"], true);
    let mut last = None;
    for text in ["1", "2", "3"] {
        let event = events.next().await.expect("a message");
        assert_eq!(told(&event), text);
        last = event.id;
    }
    put(&mut operator, "city.a", "live").await;
    assert_eq!(told(&events.next().await.expect("a message")), "live");

    let mut again = stream(&http, query, last.as_deref()).await;
    again.find("ack").await;
    assert_eq!(told(&again.next().await.expect("a message")), "live");
}

#[tokio::test]
async fn after_a_crash_of_the_hub_a_stream_is_told_so_and_gets_the_values_anew() {
    let (mut hub, mut operator) = hub().await;
    put(&mut operator, "city.a", "1").await;
    let mut events = stream(&hub.http(), "pattern=city.*&snapshot=true", None).await;
    put(&mut operator, "city.a", "2").await;
    let mut last = events.find("snapshot").await;
    while last.kind != "message" {
        last = events.next().await.expect("a message");
    }
    hub.kill().await;
    assert_eq!(events.next().await, None, "the stream ends with the hub");

    hub.restart().await;
    let http = hub.http();
    let mut events = stream(&http, "pattern=city.*", last.id.as_deref()).await;
    assert_eq!(events.find("ack").await.data["ack"].get("recovered"), None);
    let page = events.find("snapshot").await;
    assert_eq!(said(&page.data["snapshot"]["values"][0]), "2");
    let mut operator = Person::operator(&hub).await;
    put(&mut operator, "city.a", "3").await;
    assert_eq!(told(&events.next().await.expect("a message")), "3");

    let mut only_live = stream(&http, "pattern=city.*&snapshot=false", last.id.as_deref()).await;
    let ack = only_live.find("ack").await;
    assert!(ack.data["ack"].get("recovered").is_none() && ack.id.is_some());
    put(&mut operator, "city.a", "4").await;
    assert_eq!(told(&only_live.next().await.expect("a message")), "4");
}

/// Promise P12 and fault 15, over events.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_stream_gets_a_gap_and_then_the_newest_values() {
    let hub = Hub::builder().plain().memory().set("mailbox.person_bytes", "65536").start().await;
    let mut operator = Person::operator(&hub).await;
    let mut slow = stream(&hub.http(), "pattern=city.>", None).await;
    slow.find("ack").await;
    flood(&mut operator).await;

    let mut seen = BTreeMap::new();
    let mut dropped = 0;
    let newest = |at: usize| (FLOOD - FLOOD_CHANNELS + at).to_string();
    let is_equal = |seen: &BTreeMap<String, (u64, String)>| {
        (0..FLOOD_CHANNELS).all(|at| {
            seen.get(&format!("city.x.{at}")).is_some_and(|(_, text)| *text == newest(at))
        })
    };
    let catching_up = async {
        while !is_equal(&seen) {
            let event = slow.listen().await.expect("the stream goes on");
            let gap = &event.data["gap"];
            if event.kind == "gap" {
                dropped +=
                    gap["dropped"].as_str().map_or(0, |text| text.parse().expect("a number"));
            }
            let page = event.data["snapshot"]["values"].as_array();
            let one = event.data.get("message");
            for value in page.into_iter().flatten().chain(one) {
                let channel = value["channel"].as_str().expect("a channel").to_owned();
                let offset: u64 =
                    value["offset"].as_str().and_then(|text| text.parse().ok()).expect("an offset");
                let text = said(value).trim_end_matches('.').to_owned();
                let before = seen.insert(channel, (offset, text));
                assert!(before.is_none_or(|(before, _)| before <= offset), "it went back");
            }
        }
    };
    within(PATIENCE, "the slow stream equals the hub", catching_up).await;
    assert!(dropped > 0, "a gap was told");
    put(&mut operator, "city.x.0", "live again").await;
    loop {
        let event = slow.next().await.expect("the stream goes on");
        if event.kind == "message" && told(&event) == "live again" {
            assert!(event.id.is_some());
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_cut_and_its_session_ends() {
    let hub = Hub::builder().plain().memory().set("limits.write_stall", "1s").start().await;
    let mut operator = Person::operator(&hub).await;
    let mut deaf = stream(&hub.http(), "pattern=city.>", None).await;
    deaf.find("ack").await;
    assert!((hub.metric("lamplighter_http_readers").await - 1.0).abs() < 0.1);
    flood(&mut operator).await;
    let gone = || async { (hub.metric("lamplighter_http_readers").await < 0.5).then_some(()) };
    tests::deadline::until(PATIENCE, "the deaf reader is gone", gone).await;
    assert!(hub.metric("lamplighter_limit_hits_total{limit=\"WriteTime\"}").await >= 1.0);
}

/// Promise P24, over events.
#[tokio::test]
async fn a_revoked_token_ends_its_stream_within_5_s() {
    let (hub, _operator) = hub().await;
    let body = json!({ "role": "viewer", "name": "wall" });
    let made = hub.http().post("/v1/tokens", &body).await.json();
    let http = Http::new(&hub, made["token"].as_str().expect("a token"));
    let mut events = stream(&http, "pattern=city.*", None).await;
    events.find("ack").await;
    let path = format!("/v1/tokens/{}", made["id"].as_str().expect("an id"));
    assert_eq!(hub.http().delete(&path).await.status, 204);
    let end = within(Duration::from_secs(5), "the end of the stream", events.find("go_away")).await;
    assert_eq!(end.data["go_away"]["code"], proto::CloseCode::REVOKED.0);
    assert_eq!(events.next().await, None);
    assert_eq!(http.open("/v1/events?pattern=city.*", &[]).await.status().as_u16(), 401);
}

#[tokio::test]
async fn a_stream_ends_with_the_drain_of_the_hub_and_is_told_when_to_come_back() {
    let (mut hub, _operator) = hub().await;
    let mut events = stream(&hub.http(), "pattern=city.*", None).await;
    events.find("ack").await;
    hub.ask_to_stop();
    let end = events.find("go_away").await;
    assert_eq!(end.data["go_away"]["code"], proto::CloseCode::DRAIN.0);
    assert!(end.data["go_away"]["reconnect_window_s"].as_u64() >= Some(5));
    assert_eq!(hub.wait(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn labels_choose_devices_and_show_one_that_leaves() {
    let hub = Hub::in_memory().await;
    let http = hub.http();
    let register = async |id: &str, street: &str| {
        let body = json!({ "id": id, "labels": { "street": street } });
        assert_eq!(http.post("/v1/devices?existing=new-token", &body).await.status, 201);
    };
    register("lamp-1", "Queen St").await;
    register("lamp-2", "King St").await;
    let query = "pattern=devices.*.registration&labels=street%3DQueen%20St&snapshot=true";
    let mut events = stream(&http, query, None).await;
    let page = events.find("snapshot").await;
    let values = page.data["snapshot"]["values"].as_array().expect("values").clone();
    let [one] = values.as_slice() else { panic!("only those of the street: {values:?}") };
    assert_eq!(one["data"]["device"], "lamp-1");

    register("lamp-2", "King St").await;
    register("lamp-1", "King St").await;
    let left = events.next().await.expect("a message");
    assert_eq!(left.data["message"]["data"]["device"], "lamp-1");
    assert_eq!(left.data["message"]["data"]["labels"]["street"], "King St");
    register("lamp-1", "Queen St").await;
    let back = events.next().await.expect("a message");
    assert_eq!(back.data["message"]["data"]["labels"]["street"], "Queen St");
}

/// Numbers, each a kilobyte, to a few channels; and waits until all are handled.
async fn flood(operator: &mut Person) {
    use proto::messages::lamplighter::v1::envelope::Kind;
    use proto::messages::lamplighter::v1::{Publish, publish};
    let mut batch = Vec::new();
    for at in 0..FLOOD {
        let mut payload = at.to_string().into_bytes();
        payload.resize(FLOOD_PAYLOAD, b'.');
        let content = Some(publish::Content::Payload(payload));
        let channel = format!("city.x.{}", at % FLOOD_CHANNELS);
        let wish = Publish { channel, content, ..Publish::default() };
        batch.extend(tests::client::envelope(0, Kind::Publish(wish)));
        if (at + 1).is_multiple_of(40) {
            operator.client.binary(std::mem::take(&mut batch)).await;
        }
    }
    operator.client.barrier().await;
}
