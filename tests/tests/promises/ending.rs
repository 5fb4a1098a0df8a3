//! Stopping and revoking: everybody is told, and what was acknowledged stays.

use std::time::Duration;

use proto::CloseCode;
use proto::messages::lamplighter::v1::envelope::Kind;
use serde_json::{Value, json};
use tests::deadline::until;
use tests::{Device, Hub, Person, Via, person};

use super::commands::nothing_comes;

/// Promise P20.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_sends_everybody_away_exits_0_and_keeps_what_was_acknowledged() {
    let mut hub = Hub::start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    for number in 1..=10 {
        lamp.report_durably(number).await;
    }
    hub.ask_to_stop();
    let away = |kind: &Kind| match kind {
        Kind::GoAway(away) => Some(away.code),
        _ => None,
    };
    let code = lamp.client.find("a farewell", away).await;
    assert_eq!(code, u32::from(CloseCode::DRAIN.0));
    assert_eq!(lamp.client.close_code().await, CloseCode::DRAIN.0);
    assert_eq!(hub.wait(tests::PATIENCE).await.code(), Some(0));
    hub.restart().await;
    let twin = hub.http().get("/v1/devices/lamp-1/twin").await.json();
    let values = twin["values"].as_array().expect("values");
    assert!(values.iter().any(|value| value["data"]["logger_id"] == 10), "{twin}");
}

/// Promise P24.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_its_sessions() {
    let hub = Hub::in_memory().await;
    let body = json!({ "role": "viewer", "name": "wall" });
    let made = hub.http().post("/v1/tokens", &body).await.json();
    let token = made["token"].as_str().expect("a token");
    let mut viewer = Person::with(&Via::of(&hub), token).await;
    let path = format!("/v1/tokens/{}", made["id"].as_str().expect("an id"));
    assert_eq!(hub.http().delete(&path).await.status, 204);
    assert_eq!(viewer.client.close_code().await, CloseCode::REVOKED.0);
    let mut lamp = Device::start(&hub, "lamp-1").await;
    assert_eq!(hub.http().delete("/v1/devices/lamp-1").await.status, 204);
    assert_eq!(lamp.client.close_code().await, CloseCode::REVOKED.0);
}

/// Promise P24: what waits of a sender who is revoked is not delivered, also over a restart; what others sent is.
#[tokio::test(flavor = "multi_thread")]
async fn unsent_commands_of_a_revoked_sender_are_withdrawn_within_5_s() {
    let mut hub = Hub::start().await;
    let http = hub.http();
    let token = hub.register("lamp-1").await;
    let issue = async |name: &str| {
        let body = json!({ "role": "operator", "name": name });
        http.post("/v1/tokens", &body).await.json()
    };
    let (ann, second, bob) = (issue("ann").await, issue("ann").await, issue("bob").await);
    let word = |made: &Value, field: &str| made[field].as_str().expect("text").to_owned();
    let mut sent = Vec::new();
    for (made, reference) in [(&ann, "a-1"), (&second, "a-2"), (&bob, "b-1")] {
        let mut person = Person::with(&Via::of(&hub), &word(made, "token")).await;
        sent.push(person.send(person::command("lamp-1", reference)).await);
    }
    let revoke = async |made: &Value| {
        let path = format!("/v1/tokens/{}", word(made, "id"));
        assert_eq!(http.delete(&path).await.status, 204);
    };
    // Ann has another token: she may still send.
    revoke(&ann).await;
    let pending = http.get(&format!("/v1/commands/{}", sent[0])).await.json();
    assert_eq!(pending["state"], "ACCEPTED", "{pending}");
    revoke(&second).await;
    let withdrawn = async || {
        let first = http.get(&format!("/v1/commands/{}", sent[0])).await.json();
        let other = http.get(&format!("/v1/commands/{}", sent[1])).await.json();
        (first["state"] == "CANCELED" && other["state"] == "CANCELED").then_some(other)
    };
    let ended = until(Duration::from_secs(5), "they are withdrawn", withdrawn).await;
    assert!(ended.to_string().contains("sender revoked"), "{ended}");
    let page = http.get("/v1/audit?what=cancel-command&who=hub").await.json();
    assert_eq!(page["records"].as_array().map(Vec::len), Some(2), "{page}");

    hub.kill().await;
    hub.restart().await;
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    assert_eq!(lamp.command().await.command, sent[2], "of who may still send");
    nothing_comes(&mut lamp).await;
}

/// Promise P27.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_in_the_log_or_on_the_metrics_page() {
    let hub = Hub::in_memory().await;
    let token = hub.register("lamp-1").await;
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    lamp.report_durably(1).await;
    let page = hub.http().get("/metrics").await.body;
    for secret in [token, hub.dev_token("operator"), hub.dev_token("viewer")] {
        assert!(!hub.log().contains(&secret) && !page.contains(&secret));
    }
}
