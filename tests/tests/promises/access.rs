//! Who may do what: roles with parts of a city, asked over every door, and what ends when they end.

use std::time::Duration;

use proto::CloseCode;
use proto::envelope::ErrorCode;
use proto::messages::lamplighter::v1::envelope::Kind;
use serde_json::json;
use tests::cli::Cli;
use tests::deadline::until;
use tests::http::Http;
use tests::{Device, Event, Hub, Person, Via, person};

/// North's crew sees and commands its own lamps; the desk issues tokens and nothing else.
const ROLES: &str = r#"
[[role]]
name = "north"
[[role.grant]]
verbs = ["subscribe", "command"]
pattern = "devices.>"
labels = "district=North"
[[role.grant]]
verbs = ["subscribe", "publish"]
pattern = "city.north.>"

[[role]]
name = "desk"
include = ["viewer"]
[[role.grant]]
verbs = ["manage"]
pattern = "hub.tokens"
"#;

/// Fault 19, and promise P24.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_commands_and_sees_only_what_its_role_may() {
    let hub = city().await;
    let token = issue(&hub, "north").await;
    let mut ann = Person::with(&Via::of(&hub), &token).await;
    assert_eq!(ann.welcome.identity, "north ann");
    ann.send(person::command("lamp-n", "mine")).await;
    let refused = ann.try_send(person::command("lamp-s", "not mine")).await.expect_err("South's");
    assert_eq!(refused.code, ErrorCode::NotPermitted as i32);

    let mut operator = Person::operator(&hub).await;
    let theirs = operator.send(person::command("lamp-s", "theirs")).await;
    let refused = ann.cancel(&theirs).await.expect_err("South's");
    assert_eq!(refused.code, ErrorCode::NotPermitted as i32);

    for pattern in [">", "city.>", "devices.lamp-s.telemetry", "city.south.news"] {
        let wish = proto::messages::lamplighter::v1::Subscribe {
            pattern: pattern.to_owned(),
            ..Default::default()
        };
        let refused = ann.ask(Kind::Subscribe(wish)).await.expect_err(pattern);
        assert_eq!(refused.code, ErrorCode::NotPermitted as i32, "{pattern}");
    }
    assert!(ann.publish("city.north.news", b"x".to_vec()).await.is_ok());
    assert!(ann.publish("city.south.news", b"x".to_vec()).await.is_err());

    let http = Http::new(&hub, &token);
    let seen = http.get("/v1/devices").await.json();
    let ids: Vec<_> =
        seen["devices"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, ["lamp-n"]);
    for (path, status) in [
        ("/v1/devices/lamp-n", 200),
        ("/v1/devices/lamp-n/twin", 200),
        ("/v1/devices/lamp-s", 403),
        ("/v1/devices/lamp-s/twin", 403),
        ("/v1/devices/lamp-x", 403),
        ("/v1/tokens", 403),
        (&*format!("/v1/commands/{theirs}"), 404),
    ] {
        assert_eq!(http.get(path).await.status, status, "{path}");
    }
    assert_eq!(http.delete("/v1/devices/lamp-n").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_a_part_gets_that_part_of_a_pattern_before_and_live() {
    let hub = city().await;
    let [mut north, mut south] = [connect(&hub, "lamp-n").await, connect(&hub, "lamp-s").await];
    south.report_durably(1).await;
    north.report_durably(2).await;
    let token = issue(&hub, "north").await;
    let mut ann = Person::with(&Via::of(&hub), &token).await;
    ann.subscribe("devices.*.telemetry", None, true).await;
    let values = ann.snapshot().await;
    let channels: Vec<&str> = values.iter().map(|value| value.channel.as_str()).collect();
    assert_eq!(channels, ["devices.lamp-n.telemetry"]);
    south.report_durably(3).await;
    north.report_durably(4).await;
    assert_eq!(ann.numbers(1).await, [4]);

    // A lamp that changes hands is seen by its new crew from its next message on.
    let moved = json!({ "id": "lamp-s", "labels": { "district": "North" } });
    let made = hub.http().post("/v1/devices?existing=new-token", &moved).await.json();
    assert_eq!(south.client.close_code().await, CloseCode::REVOKED.0, "its old token is gone");
    let token = made["devices"][0]["token"].as_str().expect("a token");
    let mut south = Device::connect(&hub, "lamp-s", token, 2).await;
    south.report_durably(5).await;
    assert_eq!(ann.numbers(1).await, [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bk6_who_issues_tokens_gives_away_no_more_than_its_own_role() {
    let hub = city().await;
    let desk = Http::new(&hub, &issue(&hub, "desk").await);
    for (role, status) in
        [("viewer", 201), ("desk", 201), ("operator", 403), ("north", 403), ("king", 400)]
    {
        let body = json!({ "role": role, "name": "new" });
        let made = desk.post("/v1/tokens", &body).await;
        assert_eq!(made.status, status, "{role}: {}", made.body);
    }
    assert_eq!(desk.get("/v1/tokens").await.status, 200);
    assert_eq!(desk.post("/v1/devices", &json!({ "id": "lamp-9" })).await.status, 403);
}

/// Promise P24: a restart without the role is what a reload without it is.
#[tokio::test(flavor = "multi_thread")]
async fn bk9_a_token_whose_role_is_gone_is_revoked_and_those_of_old_still_count() {
    let mut hub = Hub::builder().plain().config_text(ROLES).start().await;
    let token = issue(&hub, "desk").await;
    drop(Person::with(&Via::of(&hub), &token).await);
    hub.terminate().await;
    hub.change(|builder| builder.config_text(""));
    hub.restart().await;
    let mut client = tests::Client::dial(&Via::of(&hub)).await;
    let hello = Kind::Hello(person::hello(&token));
    client.say(1, hello).await;
    assert_eq!(client.close_code().await, CloseCode::REVOKED.0);
    assert_eq!(Http::new(&hub, &token).get("/v1/devices").await.status, 401);
    assert_eq!(Person::viewer(&hub).await.welcome.identity, "viewer dev");
}

#[tokio::test(flavor = "multi_thread")]
async fn access_explain_says_by_which_grant_or_what_is_missing() {
    let hub = city().await;
    let shell = Cli::of(&hub);
    for (words, said) in [
        (["operator dev", "command", "devices.lamp-n"], "allowed: role `operator` grants publish"),
        (
            ["viewer dev", "command", "devices.lamp-n"],
            "denied: no grant of role `viewer` has command",
        ),
        (["role:north", "subscribe", "devices.lamp-n.faults"], "of devices with district=North"),
        (
            ["role:north", "command", "devices.lamp-s"],
            "denied: role `north` grants command on `devices.>` only",
        ),
        (["device:lamp-n", "publish", "devices.lamp-s.faults"], "denied: a device writes only"),
        (["me", "manage", "hub.tokens"], "allowed: role `operator`"),
        (
            ["role:operator", "publish", "devices.lamp-n.telemetry"],
            "denied: devices and the hub write",
        ),
    ] {
        let line = shell.ok(&["access", "explain", words[0], words[1], words[2]]).await;
        assert!(line.contains(said), "{words:?}: {line}");
    }
    let viewer = Cli::with_token(&hub, "viewer");
    assert!(
        viewer.ok(&["access", "explain", "me", "subscribe", "city.news"]).await.contains("allowed")
    );
    let ran = viewer.run(&["access", "explain", "role:north", "subscribe", "city.news"]).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(shell.run(&["access", "explain", "role:king", "publish", "x"]).await.code, 5);
}

/// Promise P24, for a peer that doesn't read: its session ends nevertheless, and what waits for it with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_the_session_of_a_reader_that_stands_still_within_5_s() {
    let hub = Hub::builder().plain().memory().start().await;
    let made =
        hub.http().post("/v1/tokens", &json!({ "role": "viewer", "name": "wall" })).await.json();
    let mut still = Person::with(&Via::of(&hub), made["token"].as_str().expect("a token")).await;
    still.watch("city.>").await;
    let mut operator = Person::operator(&hub).await;
    // More than all buffers on the way hold.
    for _ in 0..400 {
        operator.publish("city.news", vec![b'.'; 30_000]).await.expect("the hub takes it");
    }
    let path = format!("/v1/tokens/{}", made["id"].as_str().expect("an id"));
    assert_eq!(hub.http().delete(&path).await.status, 204);
    let ended = || async {
        let closed = hub.metric("lamplighter_closed_total{code=\"4502\"}").await;
        (closed >= 1.0).then_some(())
    };
    until(Duration::from_secs(5), "the session ends", ended).await;
    let last = operator.publish("city.news", b"after".to_vec()).await.expect("the hub takes it");
    loop {
        match still.client.listen().await {
            Event::Closed(_) | Event::Lost => break,
            Event::Envelope(envelope) => {
                if let Some(Kind::Message(message)) = envelope.kind {
                    assert!(message.offset < last.revision, "delivered after the revocation");
                }
            }
            Event::Json(line) => panic!("JSON: {line}"),
        }
    }
}

/// A hub with a lamp in the north and one in the south.
async fn city() -> Hub {
    let hub = Hub::builder().memory().config_text(ROLES).start().await;
    for (id, district) in [("lamp-n", "North"), ("lamp-s", "South")] {
        let device = json!({ "id": id, "labels": { "district": district } });
        assert_eq!(hub.http().post("/v1/devices", &device).await.status, 201);
    }
    hub
}

/// A lamp with a new token; its labels stay as they are.
async fn connect(hub: &Hub, id: &str) -> Device {
    let token = hub.register(id).await;
    Device::connect(hub, id, &token, 1).await
}

async fn issue(hub: &Hub, role: &str) -> String {
    let made = hub.http().post("/v1/tokens", &json!({ "role": role, "name": "ann" })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()["token"].as_str().expect("a token").to_owned()
}
