//! `hub watch`, `hub state`, `hub devices`, `hub token`.

use serde_json::{Value, json};
use tokio::task::LocalSet;

use super::fake_hub::{FakeHub, Reply, Routes, Script};
use super::{code, shell, shell_at};

fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}

fn value(device: &str, level: u32) -> Value {
    json!({
        "channel": format!("devices.{device}.telemetry"), "time_unix_ms": "1795296600000",
        "type": "lighting.v1.TelemetryBatch", "data": {"samples": [{"actual_level_pct": level}]},
    })
}

/// Answers a subscription with these envelopes.
fn on_subscribe(envelopes: Vec<Value>, then: Option<u16>) -> Script {
    Box::new(move |envelope| {
        if envelope.get("subscribe").is_none() {
            return vec![];
        }
        let said = envelopes.iter().cloned().map(Reply::Say);
        said.chain(then.map(Reply::Close)).collect()
    })
}

#[test]
fn watch_shows_the_last_values_and_then_what_is_new_one_a_line() {
    local(async {
        let envelopes = vec![
            json!({"request": "1", "ack": {}}),
            json!({"snapshot": {"values": [value("lamp-0001", 40), value("lamp-0002", 50)]}}),
            json!({"message": value("lamp-0001", 60)}),
        ];
        let hub = FakeHub::start(vec![on_subscribe(envelopes, None)], Routes::new()).await;
        let (outcome, text) =
            shell(&hub, &["watch", "devices.*.telemetry", "--count", "3", "--json"]).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines, [value("lamp-0001", 40), value("lamp-0002", 50), value("lamp-0001", 60)]);
        assert_eq!(
            hub.heard("subscribe")[0],
            json!({"pattern": "devices.*.telemetry", "snapshot": true})
        );
    });
}

#[test]
fn watch_comes_back_after_a_loss_with_a_snapshot() {
    local(async {
        let first = on_subscribe(vec![json!({"message": value("lamp-0001", 40)})], Some(4000));
        let page = json!({"snapshot": {"values": [value("lamp-0001", 70)], "last": true}});
        let second = on_subscribe(vec![page], None);
        let hub = FakeHub::start(vec![first, second], Routes::new()).await;
        let (outcome, text) =
            shell(&hub, &["watch", "devices.>", "--no-snapshot", "--count", "2"]).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        assert!(text.lines().nth(1).is_some_and(|line| line.ends_with("70 %")), "{text}");
        let snapshots: Vec<_> =
            hub.heard("subscribe").iter().map(|body| body["snapshot"].clone()).collect();
        assert_eq!(snapshots, [json!(false), json!(true)]);
    });
}

#[test]
fn watch_does_not_come_back_where_it_is_not_wanted() {
    local(async {
        let hub = FakeHub::start(vec![on_subscribe(vec![], Some(4502))], Routes::new()).await;
        let (outcome, _) = shell(&hub, &["watch", "devices.>"]).await;
        assert_eq!(code(&outcome), 3, "{outcome:?}");
    });
}

#[test]
fn watch_ends_when_its_time_is_up() {
    local(async {
        let hub = FakeHub::start(vec![on_subscribe(vec![], None)], Routes::new()).await;
        let (outcome, text) = shell(&hub, &["watch", "devices.>", "--for", "50ms"]).await;
        assert_eq!((code(&outcome), text.as_str()), (0, ""));
    });
}

fn twin() -> Value {
    json!({"device": "lamp-0001", "now_unix_ms": 1_795_296_600_000_u64, "online": true,
        "since_unix_ms": 1_795_296_588_000_u64, "values": [
            {"channel": "devices.lamp-0001.telemetry", "type": "lighting.v1.TelemetryBatch",
             "revision": "17", "age_ms": 12_000,
             "data": {"samples": [{"actual_level_pct": 40, "active_power_w": 17.2}]}}]})
}

#[test]
fn state_shows_each_value_with_its_age_also_in_20_columns() {
    local(async {
        let hub =
            FakeHub::start(vec![], vec![("GET /v1/devices/lamp-0001/twin", 200, twin())]).await;
        let (outcome, text) = shell(&hub, &["state", "lamp-0001"]).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        assert!(text.starts_with("lamp-0001  online since 12 s ago\nCHANNEL"), "{text}");
        assert!(text.contains("telemetry  40 % · 17.2 W  12 s ago  17"), "{text}");
        let (_, narrow) = shell_at(&hub, &["state", "lamp-0001"], Some(20)).await;
        assert!(narrow.lines().skip(1).all(|line| line.chars().count() <= 20), "{narrow}");
        assert!(narrow.contains("age: 12 s ago"), "{narrow}");
        let (_, raw) = shell(&hub, &["state", "lamp-0001", "--json"]).await;
        assert_eq!(serde_json::from_str::<Value>(&raw).expect("JSON"), twin());
    });
}

#[test]
fn a_device_that_is_not_there_is_exit_4() {
    local(async {
        let hub = FakeHub::start(vec![], Routes::new()).await;
        let (outcome, _) = shell(&hub, &["state", "lamp-0001"]).await;
        assert_eq!(code(&outcome), 4);
    });
}

#[test]
fn devices_are_listed_page_by_page() {
    local(async {
        let page =
            |id: &str, next: Value| json!({"devices": [{"id": id, "online": null}], "next": next});
        let routes = vec![
            ("GET /v1/devices?limit=500 HTTP", 200, page("lamp-a", json!("lamp-a"))),
            ("GET /v1/devices?limit=500&cursor=lamp-a", 200, page("lamp-b\u{1b}[31m", Value::Null)),
        ];
        let hub = FakeHub::start(vec![], routes).await;
        let (outcome, text) = shell(&hub, &["devices"]).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("lamp-b\\u{1b}[31m") && text.contains("never seen"), "{text}");
    });
}

#[test]
fn a_device_is_registered_and_its_token_shown() {
    local(async {
        let made = json!({"devices": [{"id": "lamp-9", "token": "t-9"}]});
        let hub =
            FakeHub::start(vec![], vec![("POST /v1/devices?existing=new-token", 201, made)]).await;
        let line = [
            "device",
            "add",
            "lamp-9",
            "--label",
            "street=Queen St",
            "--position",
            "-51.5,-0.1",
            "--new-token",
        ];
        let (outcome, text) = shell(&hub, &line).await;
        assert_eq!((code(&outcome), text.as_str()), (0, "lamp-9  t-9\n"), "{outcome:?}");
    });
}

#[test]
fn a_device_that_exists_is_a_conflict_and_removing_needs_it() {
    local(async {
        let taken = json!({"code": "CONFLICT", "detail": "lamp-9 is registered", "field": "id"});
        let routes =
            vec![("POST /v1/devices", 409, taken), ("DELETE /v1/devices/lamp-9", 204, Value::Null)];
        let hub = FakeHub::start(vec![], routes).await;
        let (outcome, _) = shell(&hub, &["device", "add", "lamp-9"]).await;
        assert_eq!(code(&outcome), 7);
        assert_eq!(outcome.expect_err("taken").to_string(), "id: lamp-9 is registered");
        assert_eq!(code(&shell(&hub, &["device", "remove", "lamp-9"]).await.0), 0);
        assert_eq!(code(&shell(&hub, &["device", "remove", "lamp-8"]).await.0), 4);
        assert!(hub.asked().iter().any(|line| line.starts_with("DELETE /v1/devices/lamp-8")));
    });
}

#[test]
fn tokens_are_issued_listed_and_revoked() {
    local(async {
        let routes = vec![
            ("POST /v1/tokens", 201, json!({"id": "t1", "role": "viewer", "token": "secret"})),
            ("GET /v1/tokens", 200, json!({"tokens": [{"id": "t1", "role": "viewer"}]})),
            ("DELETE /v1/tokens/a%2Fb", 204, Value::Null),
        ];
        let hub = FakeHub::start(vec![], routes).await;
        let (outcome, text) = shell(&hub, &["token", "issue", "--role", "viewer"]).await;
        assert_eq!((code(&outcome), text.as_str()), (0, "secret\n"));
        let (_, text) = shell(&hub, &["token", "list"]).await;
        assert!(text.contains("t1  viewer  -"), "{text}");
        assert_eq!(code(&shell(&hub, &["token", "revoke", "a/b"]).await.0), 0);
    });
}
