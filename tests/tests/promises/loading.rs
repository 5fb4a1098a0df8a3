//! Right after a restart, while last values are still coming into memory: whoever asks finds what was
//! acknowledged, and nothing older replaces it.

use std::time::Duration;

use proto::channels;
use tests::cli::Cli;
use tests::deadline::until;
use tests::{Device, Hub, HubBuilder, Person};

use crate::readers::{publish, text_of, values_of};

/// So many that the hub is ready before all of them are in memory.
const MANY: usize = 20_000;
/// Its channels come after all others in the order of the store.
const LAMP: &str = "zz-lamp";
/// Kills, each as soon as the hub is ready again.
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn at_once_after_a_kill_late_reports_are_late_and_snapshots_are_complete() {
    let mut hub = builder().start().await;
    let mut operator = filled(&hub).await;
    let token = hub.register(LAMP).await;
    let mut lamp = Device::connect(&hub, LAMP, &token, 1).await;
    lamp.report_as(0, 5, 55).await;
    lamp.durable(5).await;
    operator.publish(&channel(MANY - 1), b"newest".to_vec()).await.expect("it is durable");

    hub.kill().await;
    hub.restart().await;
    let mut viewer = Person::viewer(&hub).await;
    viewer.subscribe(">", None, true).await;
    let mut lamp = Device::connect(&hub, LAMP, &token, 1).await;
    assert_eq!(lamp.welcome.accepted_seq, 5, "the hub knows what it acknowledged");
    lamp.report_as(0, 3, 33).await;
    lamp.durable(3).await;
    let ran = Cli::of(&hub).run(&["state", LAMP, "--json"]).await;
    println!("still loading then: {}", hub.metric("lamplighter_values_loading").await);

    let twin: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    let values = twin["values"].as_array().expect("values");
    let telemetry = values.iter().find(|value| value["type"] == channels::TELEMETRY.types[0]);
    let telemetry = telemetry.unwrap_or_else(|| panic!("no telemetry: {twin}"));
    assert_eq!((&telemetry["seq"], &telemetry["data"]["logger_id"]), (&"5".into(), &55.into()));
    let found = values_of(viewer.snapshot().await);
    for at in 0..MANY - 1 {
        let value = found.get(&channel(at)).map(|(_, payload)| payload);
        assert_eq!(value, Some(&text_of(at)), "{}", channel(at));
    }
    assert_eq!(found[&channel(MANY - 1)].1, b"newest");
    let of_lamp = found.keys().filter(|name| channels::device_of(name) == Some(LAMP));
    assert_eq!(of_lamp.count(), 2, "registration and telemetry");
    // It came back after the viewer subscribed, so its presence is news.
    assert_eq!(viewer.message().await.channel, "devices.zz-lamp.presence");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_while_values_are_loading_lose_nothing() {
    let mut hub = builder().start().await;
    drop(filled(&hub).await);
    for round in 0..KILLS {
        hub.kill().await;
        hub.restart().await;
        let mut operator = Person::operator(&hub).await;
        for at in [round, MANY - 1 - round] {
            operator.publish(&channel(at), b"newer".to_vec()).await.expect("it is durable");
        }
    }
    hub.kill().await;
    hub.restart().await;

    let all = "all last values are in memory";
    let loaded = || async { (hub.metric("lamplighter_values_loading").await == 0.0).then_some(()) };
    until(Duration::from_secs(60), all, loaded).await;
    assert!(hub.metric("lamplighter_values_restored").await >= MANY as f64);
    let mut viewer = Person::viewer(&hub).await;
    viewer.subscribe("city.>", None, true).await;
    let found = values_of(viewer.snapshot().await);
    assert_eq!(found.len(), MANY);
    for at in 0..MANY {
        let is_newer = !(KILLS..MANY - KILLS).contains(&at);
        let expected = if is_newer { b"newer".to_vec() } else { text_of(at) };
        assert_eq!(found[&channel(at)].1, expected, "{}", channel(at));
    }
}

fn builder() -> HubBuilder {
    Hub::builder().plain().set("log.filter", "info")
}

/// Publishes all values; the operator that did, when all are durable.
async fn filled(hub: &Hub) -> Person {
    let mut operator = Person::operator(hub).await;
    publish(&mut operator, 0..MANY, |at| (channel(at), text_of(at))).await;
    operator.publish(&channel(0), text_of(0)).await.expect("it and all before it are durable");
    operator
}

fn channel(at: usize) -> String {
    format!("city.x.{at:05}")
}
