//! Stopping and revoking: everybody is told, and what was acknowledged stays.

use proto::CloseCode;
use proto::messages::lamplighter::v1::envelope::Kind;
use serde_json::json;
use tests::{Device, Hub, Person, Via};

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
