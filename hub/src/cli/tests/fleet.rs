//! `hub send --where` and `hub fleet`.

use serde_json::{Value, json};

use super::fake_hub::{FakeHub, Routes};
use super::sending::local;
use super::{code, shell};

const FLEET: &str = "01900000-0000-7000-8000-00000000000f";
const READY: (&str, u16, Value) = ("GET /readyz", 200, Value::Null);

fn fleet(phase: &str, counts: &Value) -> Value {
    let targets: u64 = counts.as_object().expect("counts").values().filter_map(Value::as_u64).sum();
    json!({
        "id": FLEET, "phase": phase, "stopped": null, "detail": "", "where": "street='Queen St'",
        "sender": "operator ann", "type": "lighting.v1.Command", "created_unix_ms": 1_000,
        "targets": targets, "counts": counts,
    })
}

fn target(device: &str, state: &str, detail: &str) -> Value {
    json!({"device": device, "state": state, "command": null, "detail": detail})
}

#[test]
fn a_selector_is_one_order_that_the_hub_keeps() {
    local(async {
        let fleet = fleet("sending", &json!({"waiting": 3}));
        let routes = vec![READY, ("POST /v1/fleet-commands", 202, fleet)];
        let hub = FakeHub::start(vec![], routes).await;
        let line = ["send", "--where", "street=Queen St", "dim", "40", "--wave-size", "2"];
        let (outcome, text) = shell(&hub, &line).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        assert!(text.contains(&format!("fleet command {FLEET}  3 devices: dim to 40 %")), "{text}");
        assert!(text.contains(&format!("hub fleet show {FLEET} --wait")), "{text}");
        let sent = &hub.posted()[0];
        assert_eq!(sent["where"], "street=Queen St");
        assert_eq!(sent["data"], json!({"override": {"level_pct": 40}}));
        assert_eq!(
            (&sent["waves"], &sent["supersede_key"]),
            (&json!({"size": 2}), &json!("override"))
        );
        assert!(sent["request_id"].is_string() && sent.get("confirm").is_none(), "{sent}");
    });
}

#[test]
fn a_wait_names_each_failure_and_how_to_send_again() {
    local(async {
        let counts = json!({"succeeded": 1, "failed": 2, "unknown": 1});
        let page = json!({"next": null, "targets": [
            target("lamp-a", "succeeded", ""),
            target("lamp-b", "failed", "relay stuck"),
            target("lamp-c", "failed", ""),
            target("lamp-d", "unknown", ""),
        ]});
        let routes = vec![
            READY,
            ("POST /v1/fleet-commands", 202, fleet("sending", &json!({"waiting": 4}))),
            ("GET /v1/fleet-commands/01900000-0000-7000-8000-00000000000f/targets", 200, page),
            (
                "GET /v1/fleet-commands/01900000-0000-7000-8000-00000000000f HTTP",
                200,
                fleet("ended", &counts),
            ),
        ];
        let hub = FakeHub::start(vec![], routes).await;
        let (outcome, text) = shell(&hub, &["send", "--where", "a=b", "off", "--wait"]).await;
        assert_eq!(code(&outcome), 5, "different failures are a partial one: {outcome:?}");
        assert!(text.contains("lamp-b  FAILED: relay stuck"), "{text}");
        assert!(text.contains("lamp-d  UNKNOWN: it was sent"), "{text}");
        assert!(text.contains("1 of 4 succeeded: off"), "{text}");
    });
}

#[test]
fn a_number_that_must_be_confirmed_is_a_conflict_and_yes_asks_for_it() {
    local(async {
        let problem = json!({
            "detail": "500 devices are meant; send `confirm`: 500 to go on", "field": "confirm",
            "code": "CONFLICT", "targets": 500,
        });
        let routes = vec![READY, ("POST /v1/fleet-commands", 409, problem)];
        let hub = FakeHub::start(vec![], routes).await;
        let (outcome, _) = shell(&hub, &["send", "--where", "a=b", "off"]).await;
        assert_eq!(code(&outcome), 7);
        let said = outcome.expect_err("a conflict").to_string();
        assert!(said.contains("500 devices") && said.contains("--yes"), "{said}");

        let counts = json!({"targets": 500, "reached_now": 400, "offline": 100});
        let routes = vec![
            READY,
            ("POST /v1/fleet-commands", 200, counts),
            ("POST /v1/fleet-commands", 202, fleet("sending", &json!({"waiting": 500}))),
        ];
        let hub = FakeHub::start(vec![], routes).await;
        let (outcome, _) = shell(&hub, &["send", "--where", "a=b", "off", "--yes"]).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        let posted = hub.posted();
        assert_eq!((&posted[0]["dry_run"], &posted[1]["confirm"]), (&json!(true), &json!(500)));
    });
}

#[test]
fn a_dry_run_only_counts() {
    local(async {
        for (targets, expected) in [(3, 0), (0, 4)] {
            let counts = json!({
                "targets": targets, "reached_now": targets, "offline": 0, "forbidden": 1, "unknown": 2,
            });
            let routes = vec![READY, ("POST /v1/fleet-commands", 200, counts)];
            let hub = FakeHub::start(vec![], routes).await;
            let (outcome, text) =
                shell(&hub, &["send", "--where", "a=b", "off", "--dry-run"]).await;
            assert_eq!(code(&outcome), expected, "{outcome:?}");
            assert!(text.contains("1 forbidden, 2 unknown"), "{text}");
        }
    });
}

#[test]
fn a_selector_that_picks_nobody_is_not_found() {
    local(async {
        let problem =
            json!({"detail": "no device is meant", "field": "where", "code": "NOT_FOUND"});
        let routes = vec![READY, ("POST /v1/fleet-commands", 404, problem)];
        let hub = FakeHub::start(vec![], routes).await;
        let (outcome, _) = shell(&hub, &["send", "--where", "street=None", "on"]).await;
        assert_eq!(code(&outcome), 4);
    });
}

#[test]
fn fleet_commands_are_listed_shown_withdrawn_and_sent_again() {
    local(async {
        let counts = json!({"succeeded": 2, "expired": 1});
        let list = json!({"fleet_commands": [fleet("ended", &counts)], "next": null});
        let waiting = fleet("sending", &json!({"waiting": 1}));
        let routes: Routes = vec![
            ("GET /v1/fleet-commands?limit", 200, list),
            ("GET /v1/fleet-commands/", 200, fleet("waiting", &counts)),
            ("DELETE /v1/fleet-commands/", 204, Value::Null),
            ("POST /v1/fleet-commands", 200, json!({"targets": 1})),
            ("POST /v1/fleet-commands", 202, waiting),
        ];
        let hub = FakeHub::start(vec![], routes).await;
        let (_, text) = shell(&hub, &["fleet", "list"]).await;
        assert!(text.contains(FLEET) && text.contains("2 succeeded, 1 expired"), "{text}");
        let (_, text) = shell(&hub, &["fleet", "show", FLEET]).await;
        assert!(text.contains("by operator ann, for street='Queen St'"), "{text}");
        assert_eq!(code(&shell(&hub, &["fleet", "cancel", FLEET]).await.0), 0);
        let (outcome, _) = shell(&hub, &["fleet", "again", FLEET, "--unknown"]).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        let sent = hub.posted().pop().expect("sent");
        assert_eq!((&sent["again_of"], &sent["confirm"]), (&json!(FLEET), &json!(1)));
        assert_eq!(sent["again_states"][3], "unknown");
    });
}
