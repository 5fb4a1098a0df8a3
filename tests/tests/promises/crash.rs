//! The hub is killed again and again under load. What decides is what the clients wrote down: nothing
//! acknowledged is lost, nothing is invented, no command is started twice (promises P1 to P3, P5, P28).
//!
//! The same run catches a hub that acknowledges before the disk has it; else it would prove nothing.

mod load;

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use tests::deadline::{until, within};
use tests::{Hub, Person, Via, lamp, person};

use load::{Load, Phase, number};

const DEVICES: usize = 40;
const ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_load_lose_nothing_acknowledged_and_invent_nothing() {
    let (mut hub, mut load) = begin(tests::binaries::hub(), &[]).await;
    let mut faults = Vec::new();
    for round in 0..ROUNDS {
        faults.extend(kill_once(&mut hub, &mut load, round).await);
    }
    load.end_commands().await;
    let settled = "all acknowledged commands have an end";
    until(Duration::from_secs(60), settled, || all_ended(&hub, &load)).await;
    load.end().await;
    faults.extend(check_twins(&hub, &load).await);
    faults.extend(check_commands(&hub, &load).await);
    faults.extend(load.faults());
    assert_eq!(faults, Vec::<String>::new());
    let (reports, commands) = load.counts();
    println!("{reports} reports and {commands} commands acknowledged");
    assert!(reports > 1000 && commands > 20, "too little happened: {reports}, {commands}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_acknowledges_before_the_sync_is_caught() {
    let broken = tests::binaries::hub_broken_ack();
    let (mut hub, mut load) = begin(&broken, &[("data.broken_ack", "true")]).await;
    for round in 0..ROUNDS {
        let faults = kill_once(&mut hub, &mut load, round).await;
        if !faults.is_empty() {
            println!("caught in round {round}: {}", faults[0]);
            return load.end().await;
        }
    }
    panic!("the broken hub lost nothing that was noticed");
}

async fn begin(binary: &std::path::Path, settings: &[(&str, &str)]) -> (Hub, Load) {
    // A wide window, so that a kill hits it in every round.
    let mut builder = Hub::builder().plain().binary(binary).set("data.commit_window", "200ms");
    builder = builder.set("log.filter", "info");
    for key in ["messages_per_s", "messages_burst", "bytes_per_s", "bytes_burst"] {
        builder = builder.set(&format!("limits.device_{key}"), "1e6");
    }
    for (key, value) in settings {
        builder = builder.set(key, value);
    }
    let hub = builder.start().await;
    let load = Load::begin(&hub, DEVICES).await;
    (hub, load)
}

/// Lets the load run for a while, kills the hub, starts it again and looks before anybody else does.
async fn kill_once(hub: &mut Hub, load: &mut Load, round: usize) -> Vec<String> {
    let seed = 0x6c61_6d70 + round as u64;
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let running = Duration::from_millis(random.random_range(300..1200));
    // Not a wait for anything: the moment of the kill is what is random here.
    tokio::time::sleep(running).await;
    hub.kill().await;
    load.tell(Phase::Down);
    let acknowledged = load.acknowledged();
    hub.restart().await;
    let held = last_values(hub).await;
    let mut faults = Vec::new();
    for (at, acknowledged) in acknowledged.into_iter().enumerate() {
        let seq = held.iter().find(|value| value.0 == at).map_or(0, |value| value.1);
        if seq < acknowledged {
            faults.push(format!(
                "round {round}: lamp-{at:04} had {acknowledged} acked, {seq} is held"
            ));
        }
    }
    load.tell(Phase::Up(Via::of(hub)));
    faults
}

/// Device and sequence of every telemetry value; each is what was reported under that number.
async fn last_values(hub: &Hub) -> Vec<(usize, u64)> {
    let mut viewer = Person::viewer(hub).await;
    viewer.subscribe("devices.*.telemetry", None, true).await;
    let mut held = Vec::new();
    for value in viewer.snapshot().await {
        let at = load::device_of(&value.channel);
        let expected = lamp::telemetry(number(at, value.seq));
        assert_eq!(
            person::payload(&value),
            expected,
            "the body of {} {}",
            value.channel,
            value.seq
        );
        held.push((at, value.seq));
    }
    held
}

async fn all_ended(hub: &Hub, load: &Load) -> Option<()> {
    let http = hub.http();
    for sent in load.commands() {
        let answer = http.get(&format!("/v1/commands/{}", sent.command)).await;
        // A lost command is for the checks that follow to tell.
        let state = if answer.status == 200 { answer.json()["state"].clone() } else { "".into() };
        if matches!(state.as_str(), Some("ACCEPTED" | "SENT" | "DELIVERED" | "RUNNING")) {
            return None;
        }
    }
    Some(())
}

async fn check_twins(hub: &Hub, load: &Load) -> Vec<String> {
    let mut faults = Vec::new();
    let http = hub.http();
    for (at, acknowledged) in load.acknowledged().into_iter().enumerate() {
        let twin = http.get(&format!("/v1/devices/{}/twin", load::id(at))).await.json();
        let values = twin["values"].as_array().expect("values");
        let value = values.iter().find(|value| value["type"] == "lighting.v1.TelemetryBatch");
        let seq: u64 = value
            .map_or(0, |value| value["seq"].as_str().expect("text").parse().expect("a number"));
        let body = value.map_or(0, |value| value["data"]["logger_id"].as_u64().unwrap_or(0));
        if seq < acknowledged || body != u64::from(number(at, seq)) {
            faults.push(format!(
                "lamp-{at:04}: {acknowledged} acked, the twin has {seq} with {body}"
            ));
        }
    }
    faults
}

async fn check_commands(hub: &Hub, load: &Load) -> Vec<String> {
    let mut faults = Vec::new();
    let http = hub.http();
    for sent in load.commands() {
        let path = format!("/v1/commands/{}", sent.command);
        let answer = within(tests::PATIENCE, "the life of a command", http.get(&path)).await;
        if answer.status != 200 {
            faults.push(format!("command {} of {} is lost", sent.command, sent.reference));
            continue;
        }
        let found = answer.json();
        let same = found["device"] == load::id(sent.device)
            && found["data"]["cms_ref_id"] == sent.reference
            && found["request_id"] == sent.reference;
        if !same || found["state"] != "SUCCEEDED" {
            faults.push(format!("{} became {found}", sent.reference));
        }
    }
    faults
}
