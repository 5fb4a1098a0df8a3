//! `hub send` and `hub command`.

use serde_json::{Value, json};
use tokio::task::LocalSet;

use super::fake_hub::{FakeHub, Reply, Routes, Script};
use super::{code, shell};

const COMMAND: &str = "01900000-0000-7000-8000-000000000001";

/// A connection that plays `steps` once a command came, and welcomes subscriptions.
fn script(mut on_send: impl FnMut(u64, &Value) -> Vec<Reply> + 'static) -> Script {
    Box::new(move |envelope| {
        let request = envelope["request"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        if envelope.get("subscribe").is_some() {
            return vec![ack(request, &json!({"position": {"epoch": "1"}}))];
        }
        envelope.get("send").map_or_else(Vec::new, |send| on_send(request, send))
    })
}

fn ack(request: u64, body: &Value) -> Reply {
    Reply::Say(json!({"request": request.to_string(), "ack": body}))
}

fn accepted(request: u64) -> Reply {
    ack(request, &json!({"command": COMMAND, "state": "COMMAND_STATE_ACCEPTED", "durable": true}))
}

fn update(mut fields: Value) -> Reply {
    if fields.get("command").is_none() {
        fields["command"] = json!(COMMAND);
    }
    let channel = "devices.lamp-0001.commands";
    Reply::Say(json!({"message": {"channel": channel, "data": fields}}))
}

pub(super) fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}

#[test]
fn send_returns_once_the_command_is_durable() {
    local(async {
        let hub =
            FakeHub::start(vec![script(|request, _| vec![accepted(request)])], Routes::new()).await;
        let (outcome, text) = shell(
            &hub,
            &[
                "send",
                "lamp-0001",
                "dim",
                "40",
                "--fade",
                "5s",
                "--ttl",
                "1h",
                "--request-id",
                "r1",
            ],
        )
        .await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        assert!(text.contains(&format!("ACCEPTED  {COMMAND}  lamp-0001: dim to 40 %")), "{text}");
        assert!(text.contains(&format!("hub command {COMMAND}")), "{text}");
        assert_eq!(hub.heard("hello")[0]["token"], "secret-1");
        let sent = &hub.heard("send")[0];
        assert_eq!(sent["data"], json!({"override": {"level_pct": 40, "ramp_to_ms": 5000}}));
        assert_eq!(
            (&sent["ttl_s"], &sent["request_id"], &sent["supersede_key"]),
            (&json!(3600), &json!("r1"), &json!("override"))
        );
    });
}

#[test]
fn a_wait_shows_each_state_and_the_proof() {
    local(async {
        let hub = FakeHub::start(
            vec![script(|request, _| {
                vec![
                    // Another command of the same device, and ours before its answer.
                    update(json!({"command": "other", "state": "COMMAND_STATE_FAILED"})),
                    update(json!({"state": "COMMAND_STATE_SENT", "attempt": 1})),
                    accepted(request),
                    update(json!({"state": "COMMAND_STATE_DELIVERED"})),
                    update(json!({"state": "COMMAND_STATE_RUNNING", "percent": 40})),
                    update(json!({"state": "COMMAND_STATE_SUCCEEDED", "result": "GgQIABgD"})),
                ]
            })],
            Routes::new(),
        )
        .await;
        let (outcome, text) = shell(&hub, &["send", "lamp-0001", "off", "--wait"]).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        let states: Vec<_> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(states, ["ACCEPTED", "SENT", "DELIVERED", "RUNNING", "SUCCEEDED"], "{text}");
        assert!(text.contains("RUNNING 40 %") && text.ends_with("  on\n"), "{text}");
        assert_eq!(hub.heard("subscribe")[0]["pattern"], "devices.lamp-0001.commands");
    });
}

#[test]
fn a_hub_that_closes_before_its_answer_leaves_an_unknown_outcome_and_the_way_to_ask_again() {
    local(async {
        for reply in [|| Reply::Close(4000), || Reply::Cut] {
            let hub = FakeHub::start(vec![script(move |_, _| vec![reply()])], Routes::new()).await;
            let (outcome, text) =
                shell(&hub, &["send", "lamp-0001", "on", "--request-id", "r1"]).await;
            assert_eq!(code(&outcome), 6, "{outcome:?}");
            let said = outcome.expect_err("unknown").to_string();
            assert!(said.contains("outcome unknown"), "{said}");
            assert!(said.contains("re-run with --request-id r1"), "{said}");
            assert!(said.contains("send --request-id r1 lamp-0001 on"), "{said}");
            assert_eq!(text, "");
        }
    });
}

#[test]
fn each_refusal_has_its_exit_code() {
    local(async {
        for (name, expected) in [
            ("NOT_FOUND", 4),
            ("NOT_PERMITTED", 3),
            ("QUEUE_FULL", 5),
            ("CONFLICT", 7),
            ("UNAVAILABLE", 6),
        ] {
            let code_name = format!("ERROR_CODE_{name}");
            let error = json!({"code": code_name, "message": "no", "field": "send.device"});
            let on_send = move |request: u64, _: &Value| {
                vec![Reply::Say(json!({"request": request.to_string(), "error": error}))]
            };
            let hub = FakeHub::start(vec![script(on_send)], Routes::new()).await;
            let (outcome, _) = shell(&hub, &["send", "lamp-0001", "on"]).await;
            assert_eq!(code(&outcome), expected, "{name}");
            assert_eq!(outcome.expect_err("refused").to_string(), "send.device: no");
        }
    });
}

#[test]
fn each_end_of_a_command_has_its_exit_code() {
    local(async {
        for (state, expected) in [
            ("FAILED", 5),
            ("REJECTED", 5),
            ("CANCELED", 5),
            ("SUPERSEDED", 5),
            ("EXPIRED", 6),
            ("UNKNOWN", 6),
        ] {
            let end = json!({"state": format!("COMMAND_STATE_{state}"), "detail": "why"});
            let hub = FakeHub::start(
                vec![script(move |request, _| vec![accepted(request), update(end.clone())])],
                Routes::new(),
            )
            .await;
            let (outcome, _) = shell(&hub, &["send", "lamp-0001", "resume", "--wait"]).await;
            assert_eq!(code(&outcome), expected, "{state}");
            assert_eq!(outcome.expect_err("no success").to_string(), format!("{state}: why"));
        }
    });
}

#[test]
fn a_wait_goes_on_over_a_lost_connection() {
    local(async {
        let first = script(|request, _| vec![accepted(request), Reply::Cut]);
        let second = script(|_, _| vec![]);
        let record = json!({"command": COMMAND, "steps": [
            {"state": "COMMAND_STATE_ACCEPTED", "time_unix_ms": 1},
            {"state": "COMMAND_STATE_SENT", "time_unix_ms": 2, "attempt": 1},
            {"state": "COMMAND_STATE_SUCCEEDED", "time_unix_ms": 3},
        ]});
        let hub =
            FakeHub::start(vec![first, second], vec![("GET /v1/commands/", 200, record)]).await;
        let (outcome, text) = shell(&hub, &["send", "lamp-0001", "on", "--wait"]).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        assert_eq!(text.matches("ACCEPTED").count(), 1, "{text}");
        assert!(text.contains("SUCCEEDED"), "{text}");
    });
}

#[test]
fn patience_ends_the_wait_and_not_the_command() {
    local(async {
        let hub =
            FakeHub::start(vec![script(|request, _| vec![accepted(request)])], Routes::new()).await;
        let (outcome, _) =
            shell(&hub, &["send", "lamp-0001", "on", "--wait", "--timeout", "50ms"]).await;
        assert_eq!(code(&outcome), 6);
        assert!(
            outcome
                .expect_err("time is up")
                .to_string()
                .contains(&format!("hub command {COMMAND}"))
        );
    });
}

#[test]
fn a_token_that_the_hub_refuses_is_exit_3() {
    local(async {
        let refuse: Script = Box::new(|_| vec![Reply::Close(4501)]);
        let hub = FakeHub::start(vec![refuse], Routes::new()).await;
        let (outcome, _) = shell(&hub, &["send", "lamp-0001", "on", "--wait"]).await;
        assert_eq!(code(&outcome), 3, "{outcome:?}");
    });
}

#[test]
fn a_hub_that_is_not_there_is_exit_6() {
    local(async {
        let hub = FakeHub::start(vec![], Routes::new()).await;
        let line = ["--hub=ws://127.0.0.1:1", "send", "lamp-0001", "on"];
        let mut words = vec!["hub".to_owned(), hub.token_flag()];
        words.extend(line.map(str::to_owned));
        let cli = super::parse(&words).expect("valid words");
        let mut out = super::Captured::default().out(None);
        let outcome = super::ask(&cli.command, &cli.connection, words, &mut out).await;
        assert_eq!(code(&outcome), 6);
        assert!(outcome.expect_err("nobody listens").to_string().contains("is the hub running?"));
    });
}

#[test]
fn a_command_is_shown_as_a_timeline_after_it_was_withdrawn() {
    local(async {
        let cancel: Script = Box::new(|envelope| match envelope.get("cancel") {
            Some(body) => vec![ack(1, body)],
            None => vec![],
        });
        let record = json!({
            "command": COMMAND, "device": "lamp-0001", "state": "CANCELED", "sender": "alice",
            "data": {"override": {"level_pct": 40}}, "steps": [
                {"state": "ACCEPTED", "time_unix_ms": 1000},
                {"state": "CANCELED", "time_unix_ms": 2500},
            ],
        });
        let hub = FakeHub::start(vec![cancel], vec![("GET /v1/commands/", 200, record)]).await;
        let (outcome, text) = shell(&hub, &["command", COMMAND, "--cancel"]).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        assert!(text.contains("lamp-0001: override 40 %, by alice"), "{text}");
        assert!(text.contains("CANCELED  +1.500 s"), "{text}");
    });
}
