//! The audit log: who changed what, and who was refused, in a chain that shows tampering.

use prost::Message as _;
use proto::messages::lighting::v1::DeviceConfig;
use serde_json::{Value, json};
use tests::cli::Cli;
use tests::http::Http;
use tests::{Device, Hub, Person, Via, person};

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_recorded_with_who_from_where_and_what() {
    let hub = Hub::start().await;
    let http = hub.http();
    hub.register("lamp-1").await;
    let issued = http.post("/v1/tokens", &json!({ "role": "viewer", "name": "wall" })).await.json();
    let id = issued["id"].as_str().expect("an id").to_owned();
    let mut operator = Person::operator(&hub).await;
    let command = operator.send(person::command("lamp-1", "one")).await;
    operator.cancel(&command).await.expect("it waits");
    let desired = DeviceConfig::default().encode_to_vec();
    operator.replace("devices.lamp-1.desired", desired, 0).await.expect("permitted");
    assert_eq!(http.delete(&format!("/v1/tokens/{id}")).await.status, 204);
    assert_eq!(http.delete("/v1/devices/lamp-1").await.status, 204);

    for (what, object, door) in [
        ("add-device", "lamp-1", "http"),
        ("issue-token", id.as_str(), "http"),
        ("send-command", "lamp-1", "socket"),
        ("cancel-command", command.as_str(), "socket"),
        ("publish", "devices.lamp-1.desired", "socket"),
        ("revoke-token", id.as_str(), "http"),
        ("remove-device", "lamp-1", "http"),
    ] {
        let found = records(&hub, &format!("what={what}&who=operator")).await;
        let [record] = &found[..] else { panic!("{what}: {found:?}") };
        assert_eq!(
            (&record["object"], &record["door"]),
            (&json!(object), &json!(door)),
            "{record}"
        );
        assert_eq!((&record["who"], &record["result"]), (&json!("operator dev"), &json!("done")));
        assert!(record["token"].as_str().is_some_and(|id| id.len() == 16), "{record}");
        assert!(
            record["address"].as_str().is_some_and(|a| a.starts_with("127.0.0.1:")),
            "{record}"
        );
    }
    // P27: the log has no token, not even one that was just issued.
    let page = hub.http().get("/v1/audit?limit=1000").await.body;
    for secret in [issued["token"].as_str().expect("shown once"), &hub.dev_token("operator")] {
        assert!(!page.contains(secret) && !hub.log().contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_for_lack_of_identity_or_permission_is_recorded_until_there_are_too_many() {
    let hub = Hub::in_memory().await;
    let token = hub.register("lamp-1").await;
    hub.register("lamp-2").await;
    let nobody = Http::new(&hub, "");
    assert_eq!(nobody.get("/v1/devices?where=secret").await.status, 401);
    let viewer = Http::new(&hub, &hub.dev_token("viewer"));
    assert_eq!(viewer.delete("/v1/devices/lamp-1").await.status, 403);
    let mut viewer = Person::viewer(&hub).await;
    viewer.try_send(person::command("lamp-1", "one")).await.expect_err("a viewer sends nothing");
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    lamp.report_typed("devices.lamp-2.faults", "", 1, vec![]).await;
    assert_eq!(lamp.client.close_code().await, 4505);
    let mut stranger = tests::Client::dial(&Via::of(&hub)).await;
    let hello = proto::messages::lamplighter::v1::envelope::Kind::Hello(person::hello("ll_none"));
    stranger.say(1, hello).await;
    assert_eq!(stranger.close_code().await, 4501);

    for (query, who, object, result) in [
        ("what=request&who=unknown", "unknown", "GET /v1/devices", "UNAUTHENTICATED"),
        ("what=request&who=viewer", "viewer dev", "DELETE /v1/devices/lamp-1", "NOT_PERMITTED"),
        ("what=send-command", "viewer dev", "lamp-1", "NOT_PERMITTED"),
        ("what=publish", "device lamp-1", "devices.lamp-2.faults", "NOT_PERMITTED"),
        ("what=connect", "unknown", "", "BAD_CREDENTIAL"),
    ] {
        let found = records(&hub, query).await;
        let [record] = &found[..] else { panic!("{query}: {found:?}") };
        assert_eq!(record["who"], who, "{record}");
        assert_eq!(record["object"].as_str().unwrap_or_default(), object, "{record}");
        assert_eq!(record["result"], result, "{record}");
    }

    for _ in 0..100 {
        assert_eq!(nobody.get("/v1/tokens").await.status, 401);
    }
    let recorded = records(&hub, "what=request").await.len();
    assert!((15..=25).contains(&recorded), "one address fills the log: {recorded}");
    let left_out = hub.metric("lamplighter_audit_left_out_total").await;
    assert!(left_out >= 75.0, "what was left out isn't counted: {left_out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_read_the_log_and_it_comes_in_pages() {
    let hub = Hub::in_memory().await;
    let ids: Vec<String> = (0..25).map(|number| format!("lamp-{number:03}")).collect();
    hub.register_many(&ids).await;
    assert_eq!(Http::new(&hub, &hub.dev_token("viewer")).get("/v1/audit").await.status, 403);
    assert_eq!(Http::new(&hub, "").get("/v1/audit").await.status, 401);
    for bad in ["limit=0", "limit=1001", "cursor=x", "from=yesterday", "more=1"] {
        assert_eq!(hub.http().get(&format!("/v1/audit?{bad}")).await.status, 400, "{bad}");
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/audit?what=add-device&limit=10{cursor}");
        let page = hub.http().get(&path).await.json();
        let records = page["records"].as_array().expect("a list");
        seen.extend(
            records.iter().map(|record| record["object"].as_str().expect("text").to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ids);
}

/// The record rides in the commit of the command.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_costs_one_commit_together_with_its_record() {
    const COMMANDS: usize = 50;
    let hub = Hub::start().await;
    hub.register("lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    let before = hub.metric("lamplighter_store_commits").await;
    for number in 0..COMMANDS {
        operator.send(person::command("lamp-1", &number.to_string())).await;
    }
    let commits = hub.metric("lamplighter_store_commits").await - before;
    assert!(commits <= COMMANDS as f64 + 1.0, "{commits} commits for {COMMANDS} commands");
    assert_eq!(records(&hub, "what=send-command").await.len(), COMMANDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_whole_after_kill_9_and_has_every_command_that_was_accepted() {
    let mut hub = Hub::start().await;
    hub.register("lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    let mut accepted = Vec::new();
    for number in 0..20 {
        accepted.push(operator.send(person::command("lamp-1", &number.to_string())).await);
    }
    hub.kill().await;
    hub.restart().await;
    let recorded = records(&hub, "what=send-command&limit=1000").await;
    for command in accepted {
        let known =
            |record: &Value| record["detail"].as_str().is_some_and(|d| d.contains(&command));
        assert!(recorded.iter().any(known), "{command} is not in the log");
    }
    let shell = Cli::of(&hub);
    let said = shell.ok(&["audit", "verify"]).await;
    assert!(said.starts_with("intact from record 1 up to record "), "{said}");
    let listed = shell.ok(&["audit", "list", "--what", "send-command"]).await;
    assert_eq!(listed.matches("send-command").count(), 20, "{listed}");

    hub.terminate().await;
    let folder = hub.data_folder();
    let folder = folder.to_str().expect("text");
    let offline = ["audit", "verify", "--offline", "--data-dir", folder];
    let ran = Cli::default().run(&offline).await;
    assert!(ran.out.starts_with("intact from record 1 up to record "), "{ran:?}");
    let noted = ran.err.rsplit(' ').next().expect("a head").trim().to_owned();
    let ran = Cli::default().run(&[&offline[..], &["--noted", &noted]].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let other = format!("1:{}", "0".repeat(64));
    let ran = Cli::default().run(&[&offline[..], &["--noted", &other]].concat()).await;
    assert!(ran.code == 7 && ran.err.contains("record 1 was changed"), "{ran:?}");
}

async fn records(hub: &Hub, query: &str) -> Vec<Value> {
    let answer = hub.http().get(&format!("/v1/audit?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["records"].as_array().expect("a list").clone()
}
