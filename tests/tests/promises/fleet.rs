//! One order for many devices: over HTTP, by selectors, through kill -9.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost::Message as _;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::{CommandState as State, FleetProgress};
use proto::messages::lighting::v1::{LampSample, TelemetryBatch};
use serde_json::{Value, json};
use tests::deadline::{until, within};
use tests::http::Http;
use tests::{Device, Event, Hub, PATIENCE, Person, person};

const STATES: [&str; 12] = [
    "waiting",
    "accepted",
    "sent",
    "delivered",
    "running",
    "succeeded",
    "failed",
    "rejected",
    "expired",
    "canceled",
    "superseded",
    "unknown",
];

/// Lamps `lamp-0000` and so on, on two streets; their tokens.
async fn street(hub: &Hub, count: usize) -> Vec<String> {
    let device = |number: usize| {
        let street = if number.is_multiple_of(2) { "Queen St" } else { "King St" };
        json!({ "id": format!("lamp-{number:04}"), "labels": { "street": street } })
    };
    let devices: Vec<Value> = (0..count).map(device).collect();
    let answer = hub.http().post("/v1/devices", &json!(devices)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let made = answer.json();
    let tokens = made["devices"].as_array().expect("a list").iter();
    tokens.map(|device| device["token"].as_str().expect("a token").to_owned()).collect()
}

fn order(selector: &str) -> Value {
    json!({ "where": selector, "data": { "identify": { "duration_s": 3 } }, "ttl_s": 600 })
}

async fn stands(http: &Http, id: &str) -> Value {
    let answer = http.get(&format!("/v1/fleet-commands/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let fleet = answer.json();
    let sum: u64 = STATES.iter().map(|state| fleet["counts"][state].as_u64().expect("all")).sum();
    assert_eq!(Some(sum), fleet["targets"].as_u64(), "{fleet}");
    fleet
}

async fn is(http: &Http, id: &str, phase: &str) -> Value {
    until(PATIENCE, &format!("the fleet command is {phase}"), || async {
        Some(stands(http, id).await).filter(|fleet| fleet["phase"] == phase)
    })
    .await
}

/// What became of each device.
async fn outcomes(http: &Http, id: &str) -> BTreeMap<String, (String, String)> {
    let mut outcomes = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/fleet-commands/{id}/targets?limit=7&cursor={cursor}");
        let page = http.get(&path).await.json();
        for target in page["targets"].as_array().expect("targets") {
            let text = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
            outcomes.insert(text("device"), (text("state"), text("command")));
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return outcomes,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_over_labels_and_reported_values_picks_the_lamps_that_are_meant() {
    let hub = Hub::start().await;
    let tokens = street(&hub, 4).await;
    let http = hub.http();
    for (number, power) in [(0, 43.5), (1, 60.0), (2, 20.0)] {
        let id = format!("lamp-{number:04}");
        let mut lamp = Device::connect(&hub, &id, &tokens[number], 1).await;
        let sample = LampSample { active_power_w: Some(power), ..LampSample::default() };
        let batch = TelemetryBatch { samples: vec![sample], ..TelemetryBatch::default() };
        let channel = lamp.channel(&proto::channels::TELEMETRY);
        lamp.report_typed(&channel, "", 1, batch.encode_to_vec()).await;
        lamp.durable(1).await;
    }
    let dry_run = |selector: &str| {
        let mut order = order(selector);
        order["dry_run"] = json!(true);
        let http = http.clone();
        async move { http.post("/v1/fleet-commands", &order).await }
    };
    let counts = dry_run("street='Queen St' and power>40").await;
    assert_eq!(counts.status, 200, "{}", counts.body);
    assert_eq!(counts.json()["targets"], 1);
    let counts = dry_run("power>40").await.json();
    assert_eq!((&counts["targets"], &counts["unknown"]), (&json!(2), &json!(1)), "{counts}");
    let listed = http.get("/v1/devices?where=not%20exists(power)").await.json();
    assert_eq!(listed["devices"][0]["id"], "lamp-0003", "{listed}");
    let bad = dry_run("street='Queen St' power>40").await;
    assert_eq!(bad.status, 400);
    assert_eq!(bad.json()["field"], "where");
    assert!(
        bad.json()["detail"].as_str().expect("a text").contains("at character 19"),
        "{}",
        bad.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_outcome_is_named_the_aggregate_adds_up_and_again_touches_only_what_failed() {
    let hub = Hub::start().await;
    let tokens = street(&hub, 4).await;
    let http = hub.http();
    let mut watcher = Person::viewer(&hub).await;
    watcher.watch("fleet.*").await;
    let ends = [State::Succeeded, State::Failed, State::Failed, State::Unknown];
    let mut lamps = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        lamps.push(Device::connect(&hub, &format!("lamp-{number:04}"), token, 1).await);
    }
    let sent = http.post("/v1/fleet-commands", &order("id>='lamp-0000'")).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let id = sent.json()["id"].as_str().expect("an id").to_owned();
    for (lamp, end) in lamps.iter_mut().zip(ends) {
        let command = lamp.command().await.command;
        lamp.say(&command, State::Running).await;
        lamp.say_durably(&command, end).await;
    }
    let fleet = is(&http, &id, "ended").await;
    assert_eq!(
        (&fleet["counts"]["succeeded"], &fleet["counts"]["failed"], &fleet["counts"]["unknown"]),
        (&json!(1), &json!(2), &json!(1))
    );
    let named = outcomes(&http, &id).await;
    let words: Vec<_> = named.values().map(|(state, _)| state.as_str()).collect();
    assert_eq!(words, ["succeeded", "failed", "failed", "unknown"]);

    loop {
        let message = watcher.message().await;
        let said = FleetProgress::decode(person::payload(&message)).expect("progress");
        let sum = said.waiting
            + said.accepted
            + said.sent
            + said.delivered
            + said.running
            + said.succeeded
            + said.failed
            + said.rejected
            + said.expired
            + said.canceled
            + said.superseded
            + said.unknown;
        assert_eq!(
            (message.channel.as_str(), sum),
            (format!("fleet.{id}").as_str(), 4),
            "{said:?}"
        );
        if said.phase == "ended" {
            break;
        }
    }

    let again = http.post("/v1/fleet-commands", &json!({ "again_of": id })).await;
    assert_eq!(again.status, 202, "{}", again.body);
    let second = again.json()["id"].as_str().expect("an id").to_owned();
    for lamp in &mut lamps[1..3] {
        let command = lamp.command().await.command;
        lamp.say_durably(&command, State::Succeeded).await;
    }
    is(&http, &second, "ended").await;
    let touched: Vec<_> = outcomes(&http, &second).await.into_keys().collect();
    assert_eq!(touched, ["lamp-0001", "lamp-0002"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_one_must_be_confirmed_and_is_only_for_those_who_may() {
    let hub = Hub::builder().memory().set("commands.confirm_above", "3").start().await;
    street(&hub, 6).await;
    let http = hub.http();
    let mut order = order("street='Queen St' or street='King St'");
    let refused = http.post("/v1/fleet-commands", &order).await;
    assert_eq!((refused.status, &refused.json()["targets"]), (409, &json!(6)), "{}", refused.body);
    assert_eq!(refused.json()["field"], "confirm");
    order["confirm"] = json!(5);
    assert_eq!(http.post("/v1/fleet-commands", &order).await.status, 409);
    order["confirm"] = json!(6);
    order["request_id"] = json!("ticket-7");
    let sent = http.post("/v1/fleet-commands", &order).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let repeated = http.post("/v1/fleet-commands", &order).await.json();
    assert_eq!(repeated["id"], sent.json()["id"], "the same request is the same fleet command");
    order["ttl_s"] = json!(60);
    assert_eq!(http.post("/v1/fleet-commands", &order).await.status, 409, "another body");

    let viewer = Http::new(&hub, &hub.dev_token("viewer"));
    let denied = viewer.post("/v1/fleet-commands", &order).await;
    assert_eq!(denied.status, 403, "{}", denied.body);
    let path = format!("/v1/fleet-commands/{}", sent.json()["id"].as_str().expect("an id"));
    assert_eq!(viewer.delete(&path).await.status, 403);
    assert_eq!(viewer.get(&path).await.status, 200);
    assert_eq!(http.delete(&path).await.status, 204);
    let ended = is(&http, path.rsplit('/').next().expect("an id"), "ended").await;
    assert_eq!((&ended["stopped"], &ended["counts"]["canceled"]), (&json!("canceled"), &json!(6)));
    assert_eq!(http.delete(&path).await.status, 409, "nothing is left to withdraw");
    for (field, value) in [
        ("where", json!("")),
        ("ttl_s", json!(1)),
        ("data", json!({"no": 1})),
        ("confirm", json!(-1)),
        ("abort_above_pct", json!(101)),
        ("waves", json!({"size": 0})),
        ("supersede_key", json!("")),
        ("window", json!({"to_unix_ms": 5})),
        ("window", json!([])),
        ("unknown", json!(1)),
        ("again_of", json!("x")),
    ] {
        let mut wrong = order.clone();
        wrong[field] = value;
        let answer = http.post("/v1/fleet-commands", &wrong).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.body);
    }
    let nobody = http.post("/v1/fleet-commands", &super::fleet::order("street=None")).await;
    assert_eq!(nobody.status, 404, "{}", nobody.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_middle_of_a_fleet_command_doubles_nothing_and_loses_nothing() {
    const COUNT: usize = 120;
    let mut hub = Hub::start().await;
    let tokens = street(&hub, COUNT).await;
    let mut order = order("exists(id)");
    order["confirm"] = json!(COUNT);
    order["waves"] = json!({ "per_s": 60 });
    let sent = hub.http().post("/v1/fleet-commands", &order).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let id = sent.json()["id"].as_str().expect("an id").to_owned();
    let mut before = BTreeMap::new();
    for accepted in [20, 60] {
        let http = hub.http();
        until(PATIENCE, "some were accepted", || async {
            let fleet = stands(&http, &id).await;
            (fleet["counts"]["accepted"].as_u64() >= Some(accepted)).then_some(())
        })
        .await;
        before = outcomes(&http, &id).await;
        hub.kill().await;
        hub.restart().await;
    }
    let http = hub.http();
    until(PATIENCE, "all were accepted", || async {
        (stands(&http, &id).await["counts"]["accepted"] == COUNT).then_some(())
    })
    .await;
    let after = outcomes(&http, &id).await;
    for (device, (state, command)) in &before {
        assert!(state == "waiting" || after[device].1 == *command, "{device} got another command");
    }
    let commands: BTreeSet<_> = after.values().map(|(_, command)| command).collect();
    assert_eq!(commands.len(), COUNT);
    for (number, token) in tokens.iter().enumerate().take(30) {
        let mut lamp = Device::connect(&hub, &format!("lamp-{number:04}"), token, 1).await;
        let deliver = lamp.command().await;
        assert_eq!(deliver.command, after[lamp.id()].1);
        lamp.say_durably(&deliver.command, State::Succeeded).await;
        lamp.client.barrier().await;
        let more = lamp.client.waiting().filter(|event| is_command(event)).count();
        assert_eq!(more, 0, "one command a lamp");
    }
    let fleet = within(Duration::from_secs(5), "it is counted", stands(&http, &id)).await;
    assert_eq!(fleet["counts"]["succeeded"], 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_says_plainly_why_a_lamp_did_not_switch() {
    let hub = Hub::builder().set("devices.offline_after", "0s").start().await;
    let shell = tests::cli::Cli::of(&hub);
    let mut lamp = Device::start(&hub, "lamp-0001").await;
    let mut operator = Person::operator(&hub).await;
    let refused = operator.send(person::command("lamp-0001", "one")).await;
    lamp.command().await;
    lamp.say_durably(&refused, State::Rejected).await;
    lamp.client.close().await;
    operator.send(person::command("lamp-0001", "two")).await;
    let http = hub.http();
    let timeline = until(PATIENCE, "its absence is told", || async {
        let answer = http.get("/v1/devices/lamp-0001/timeline").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Some(answer.json()).filter(|timeline| timeline["online"] == false)
    })
    .await;
    let entries = timeline["entries"].as_array().expect("entries");
    let kinds: BTreeSet<_> = entries.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    assert!(kinds.contains("session") && kinds.contains("command"), "{timeline}");
    let times: Vec<_> = entries.iter().map(|entry| entry["time_unix_ms"].as_u64()).collect();
    assert!(times.is_sorted(), "{timeline}");
    let told = shell.ok(&["explain", "lamp-0001"]).await;
    for words in
        ["was rejected by the device", "waits until", "the device is offline since", "REJECTED"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(http.get("/v1/devices/lamp-none/timeline").await.status, 404);
    assert_eq!(http.get("/v1/devices/lamp-0001/timeline?from=2&to=1").await.status, 400);
    assert_eq!(shell.run(&["explain", "lamp-none"]).await.code, 4);
    assert_eq!(shell.run(&["explain", "lamp-0001", "--at", "25:00"]).await.code, 2);
    shell.ok(&["explain", "lamp-0001", "--at", "22:00", "--around", "2h", "--json"]).await;
}

fn is_command(event: &Event) -> bool {
    matches!(event, Event::Envelope(envelope) if matches!(envelope.kind, Some(Kind::Deliver(_))))
}
