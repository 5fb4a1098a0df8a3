//! Backup and moving: what a hub keeps comes back equal in another folder, or not at all.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::publish::Content;
use proto::messages::lamplighter::v1::{Message as WireMessage, Publish};
use proto::messages::lighting::v1::DeviceConfig;
use serde_json::{Value, json};
use tests::cli::Cli;
use tests::deadline::until;
use tests::http::Http;
use tests::{Device, Hub, PATIENCE, Person, person};

const DEVICES: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_10_000_devices_comes_back_equal_in_another_folder() {
    let mut hub = Hub::builder().plain().start().await;
    let ids: Vec<String> = (0..DEVICES).map(|number| format!("lamp-{number:05}")).collect();
    let tokens = hub.register_many(&ids).await;
    let commands = fill(&hub, &ids).await;
    let mut lamp = Device::connect(&hub, &ids[7], &tokens[7], 3).await;
    lamp.report_durably(1).await;

    let folder = tempfile::tempdir().expect("a folder");
    let [file, offline, data] = ["a.jsonl", "b.jsonl", "data"].map(|name| folder.path().join(name));
    let shell = Cli::of(&hub);
    shell.ok(&["export", "--out", text(&file)]).await;
    let operator = hub.dev_token("operator");
    let before = everything(&hub.http(), &ids, &commands).await;
    for secret in [&operator, &tokens[0], &hub.dev_token("viewer")] {
        assert!(!fs::read_to_string(&file).expect("text").contains(secret.as_str()));
    }
    hub.terminate().await;
    let old = hub.data_folder();
    Cli::default()
        .ok(&["export", "--offline", "--data-dir", text(&old), "--out", text(&offline)])
        .await;

    let said = Cli::default().ok(&["import", text(&file), "--data-dir", text(&data)]).await;
    assert!(said.contains("device 10000"), "{said}");
    let ran = Cli::default().run(&["import", text(&file), "--data-dir", text(&data)]).await;
    assert!(ran.code == 7 && ran.err.contains("--merge"), "{ran:?}");

    let moved = Hub::builder().plain().data_folder(&data).start().await;
    let http = Http::new(&moved, &operator);
    let after = everything(&http, &ids, &commands).await;
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    Device::connect(&moved, &ids[9_999], &tokens[9_999], 1).await;
    let mut lamp = Device::connect(&moved, &ids[7], &tokens[7], 4).await;
    lamp.report_durably(2).await;
    let shell = Cli::of(&moved);
    let proof = shell.ok(&["audit", "verify"]).await;
    assert!(proof.starts_with("intact from record 1 "), "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_cut_or_changed_is_refused_and_nothing_is_written() {
    let hub = Hub::builder().plain().start().await;
    hub.register("lamp-1").await;
    let folder = tempfile::tempdir().expect("a folder");
    let [good, bad, data] = ["a.jsonl", "b.jsonl", "data"].map(|name| folder.path().join(name));
    Cli::of(&hub).ok(&["export", "--out", text(&good)]).await;
    let whole = fs::read_to_string(&good).expect("text");
    let cut = whole.rsplit_once("{\"end\"").expect("a last line").0.to_owned();
    for (id, content, wanted) in [
        ("no end", cut, "cut off"),
        ("a device more", whole.replacen("\"key\":\"lamp-1\"", "\"key\":\"lamp-2\"", 1), "changed"),
        ("no export", "{}\n".to_owned(), "no export"),
        ("empty", String::new(), "cut off"),
        ("a newer one", whole.replace("_export\":1", "_export\":2"), "newer hub"),
    ] {
        fs::write(&bad, content).expect("ours");
        let ran = Cli::default().run(&["import", text(&bad), "--data-dir", text(&data)]).await;
        assert!(ran.code == 5 && ran.err.contains(wanted), "{id}: {ran:?}");
        assert!(!data.exists(), "{id}: the folder was touched");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_adds_what_is_missing_and_keeps_what_is_there() {
    let mut first = Hub::builder().plain().start().await;
    let mut second = Hub::builder().plain().start().await;
    let [token, _] = [first.register("lamp-1").await, first.register("lamp-2").await];
    let kept = second.register("lamp-2").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.jsonl");
    Cli::of(&first).ok(&["export", "--out", text(&file)]).await;
    first.terminate().await;
    second.terminate().await;
    let data = second.data_folder();
    Cli::default().ok(&["import", text(&file), "--merge", "--data-dir", text(&data)]).await;
    second.restart().await;
    Device::connect(&second, "lamp-1", &token, 1).await;
    Device::connect(&second, "lamp-2", &kept, 1).await;
    let proof = Cli::of(&second).ok(&["audit", "verify"]).await;
    assert!(proof.starts_with("intact from record 1 "), "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_under_fire_is_as_of_one_moment_and_only_for_operators() {
    let hub = Hub::builder().plain().start().await;
    let viewer = Http::new(&hub, &hub.dev_token("viewer"));
    assert_eq!(viewer.get("/v1/export").await.status, 403);
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let durable = Arc::new(AtomicU64::new(0));
    let counted = durable.clone();
    let reports = tokio::spawn(async move {
        for number in 1..=300 {
            let seq = lamp.report_durably(number).await;
            counted.store(seq, Ordering::SeqCst);
        }
    });
    let mut last = 0;
    while !reports.is_finished() {
        let durable_before = durable.load(Ordering::SeqCst);
        let text = hub.http().get("/v1/export").await.body;
        let end: Value = serde_json::from_str(text.lines().last().expect("lines")).expect("JSON");
        let position = end["end"]["position"]["offset"].as_str().expect("a position");
        let position: u64 = position.parse().expect("a number");
        assert!(position >= last, "{position} after {last}");
        last = position;
        // All that was durable when the export was asked for is in it, and nothing newer than it says.
        let values = text.lines().filter(|line| line.contains("lighting.v1.TelemetryBatch"));
        let newest = values.map(report_in).max().unwrap_or_default();
        assert!(newest.0 >= durable_before && newest.1 <= position, "{newest:?} {position}");
    }
    reports.await.expect("all of them durable");
}

/// The number and the place in the order of a report in an export.
fn report_in(line: &str) -> (u64, u64) {
    let record: Value = serde_json::from_str(line).expect("JSON");
    let body = STANDARD.decode(record["base64"].as_str().expect("no JSON")).expect("base64");
    let message = WireMessage::decode(&body[..]).expect("a message");
    (message.seq, message.offset)
}

/// BS6: the hub has written exports of its own.
#[tokio::test(flavor = "multi_thread")]
async fn bs6_a_state_that_is_damaged_or_gone_comes_back_from_the_last_export() {
    let mut hub = Hub::builder().plain().set("data.export_every", "1s").start().await;
    let token = hub.register("lamp-1").await;
    let latest = hub.data_folder().join("exports/latest.jsonl");
    until(PATIENCE, "an export has the device", async || {
        let text = fs::read_to_string(&latest).unwrap_or_default();
        (text.contains("\"key\":\"lamp-1\"") && text.contains("{\"end\"")).then_some(())
    })
    .await;
    let state = hub.data_folder().join("state");
    let damages: [(&str, &dyn Fn()); 3] = [
        ("conf garbage", &|| fs::write(state.join("conf"), [0xa5; 4096]).expect("ours")),
        ("db garbage", &|| fs::write(state.join("db"), [0xa5; 65_536]).expect("ours")),
        ("gone", &|| fs::remove_dir_all(&state).expect("ours")),
    ];
    for ((id, damage), boot) in damages.into_iter().zip(1..) {
        assert!(hub.terminate().await.success(), "{id}");
        damage();
        let said = hub.log().len();
        hub.restart().await;
        assert!(hub.log()[said..].contains("restoring it from the hub's own export"), "{id}");
        Device::connect(&hub, "lamp-1", &token, boot).await;
        let proof = Cli::of(&hub).ok(&["audit", "verify"]).await;
        assert!(proof.starts_with("intact from record 1 "), "{id}: {proof}");
    }
}

/// Desired settings for every device, and commands for some; the commands' ids.
async fn fill(hub: &Hub, ids: &[String]) -> Vec<String> {
    let mut operator = Person::operator(hub).await;
    for id in ids {
        let channel = format!("devices.{id}.desired");
        let config = DeviceConfig { calendar_id: format!("of {id}"), ..DeviceConfig::default() };
        let content = Some(Content::Payload(config.encode_to_vec()));
        let publish =
            Publish { channel, content, expected_revision: Some(0), ..Publish::default() };
        operator.client.say(0, Kind::Publish(publish)).await;
    }
    let pinned = json!({ "keys": ["7".repeat(64)] });
    let path = format!("/v1/devices/{}/certificates", ids[0]);
    assert_eq!(hub.http().post(&path, &pinned).await.status, 201);
    let mut commands = Vec::new();
    for id in ids.iter().step_by(500) {
        commands.push(operator.send(person::command(id, "later")).await);
    }
    commands
}

/// Devices, twins and commands, without what depends on the moment.
async fn everything(http: &Http, ids: &[String], commands: &[String]) -> Vec<Value> {
    let pins = http.get("/v1/certificates").await.json();
    assert_eq!(pins["certificates"].as_array().map(Vec::len), Some(1), "{pins}");
    let mut found = vec![pins];
    for (id, _) in ids.iter().zip(0..).filter(|(_, number)| number % 100 == 7) {
        let mut twin = http.get(&format!("/v1/devices/{id}/twin")).await.json();
        twin["now_unix_ms"].take();
        for key in ["online", "since_unix_ms", "reason", "presence_revision"] {
            twin[key].take();
        }
        let values = twin["values"].as_array_mut().expect("values");
        values.retain(|value| !value["channel"].as_str().is_some_and(|c| c.ends_with("presence")));
        assert!(values.len() >= 2, "settings and registration: {values:?}");
        values.iter_mut().for_each(|value| drop(value["age_ms"].take()));
        found.push(twin);
    }
    let mut cursor = String::new();
    loop {
        let page = http.get(&format!("/v1/devices?limit=1000&cursor={cursor}")).await.json();
        let devices = page["devices"].as_array().expect("a list");
        found.extend(devices.iter().map(|device| {
            let mut device = device.clone();
            for key in ["online", "since_unix_ms", "reason", "presence_revision"] {
                device[key].take();
            }
            device
        }));
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    for command in commands {
        found.push(http.get(&format!("/v1/commands/{command}")).await.json());
    }
    found
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}
