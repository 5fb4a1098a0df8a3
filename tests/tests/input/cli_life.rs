//! The command line against a real hub: each verb, each exit code.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;
use tests::cli::{Cli, Ran};
use tests::{Device, Hub};

use crate::hostile;

#[tokio::test]
async fn devices_come_and_go() {
    let hub = hostile::hub().await;
    let shell = Cli::of(&hub);
    let made =
        shell.ok(&["device", "add", "lamp-0001", "--label", "street=Queen St", "--json"]).await;
    assert_eq!(json(&made)["id"], "lamp-0001");
    assert!(json(&made)["token"].as_str().is_some_and(|token| token.starts_with("ll_")), "{made}");
    assert_code(&shell.run(&["device", "add", "lamp-0001"]).await, 7, "conflict");
    shell.ok(&["device", "add", "lamp-0001", "--new-token"]).await;
    shell.ok(&["device", "add", "lamp-0002", "--position", "51.5,-0.12"]).await;

    let listed = shell.ok(&["device", "list", "--json"]).await;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let some = shell.ok(&["devices", "--where", "street=Queen St", "--json"]).await;
    assert_eq!(json(&some)["id"], "lamp-0001", "{some}");

    shell.ok(&["device", "remove", "lamp-0002"]).await;
    assert_code(&shell.run(&["device", "remove", "lamp-0002"]).await, 4, "not found");
    assert_code(&shell.run(&["state", "lamp-0002"]).await, 4, "not found");
    let viewer = Cli::with_token(&hub, "viewer");
    assert_code(&viewer.run(&["device", "remove", "lamp-0001"]).await, 3, "not permitted");
}

#[tokio::test]
async fn tokens_come_and_go() {
    let hub = hostile::hub().await;
    let shell = Cli::of(&hub);
    let made =
        json(&shell.ok(&["token", "issue", "--role", "viewer", "--name", "wall", "--json"]).await);
    let (id, secret) = (text(&made["id"]), text(&made["token"]));
    let listed = shell.ok(&["token", "list", "--json"]).await;
    assert!(listed.contains(&id) && !listed.contains(&secret), "{listed}");

    let file = hub.data_folder().join("wall.token");
    fs::copy(hub.dev_file("viewer.token"), &file).expect("a file of mode 0600");
    fs::write(&file, secret).expect("writable");
    let wall = shell.clone().var("LAMPLIGHTER_TOKEN_FILE", &file.to_string_lossy());
    wall.ok(&["devices"]).await;
    assert_code(&wall.run(&["send", "lamp-1", "off"]).await, 3, "a viewer sends nothing");
    shell.ok(&["token", "revoke", &id]).await;
    assert_code(&wall.run(&["devices"]).await, 3, "revoked");
    assert_code(&shell.run(&["token", "revoke", &id]).await, 4, "revoked already");
}

#[tokio::test]
async fn a_command_is_sent_followed_and_shown() {
    let hub = hostile::hub().await;
    let shell = Cli::of(&hub);
    obedient(&hub, "lamp-good").await;
    let out = shell.ok(&["send", "lamp-good", "dim", "40", "--wait", "--output", "json"]).await;
    let last = json(out.lines().last().expect("a line"));
    let id = text(&last["command"]);
    let shown = shell.ok(&["command", &id]).await;
    assert!(shown.contains("SUCCEEDED"), "{shown}");
    let state = json(&shell.ok(&["state", "lamp-good", "--json"]).await);
    assert_eq!(state["device"], "lamp-good");
    shell.ok(&["state", "lamp-good"]).await;

    let nobody = "01890000-0000-7000-8000-000000000000";
    assert_code(&shell.run(&["command", nobody]).await, 4, "no such command");
    assert_code(&shell.run(&["send", "lamp-none", "off"]).await, 4, "no such device");

    // The same name for another order.
    shell.ok(&["send", "lamp-good", "dim", "30", "--request-id", "r-1"]).await;
    assert_code(
        &shell.run(&["send", "lamp-good", "dim", "30", "--request-id", "r-1"]).await,
        0,
        "again",
    );
    assert_code(
        &shell.run(&["send", "lamp-good", "dim", "31", "--request-id", "r-1"]).await,
        7,
        "another",
    );
}

#[tokio::test]
async fn a_refused_command_and_one_that_is_not_done_in_time_have_their_codes() {
    let hub = hostile::hub().await;
    let shell = Cli::of(&hub);
    let mut stubborn = Device::start(&hub, "lamp-no").await;
    tokio::spawn(async move {
        let deliver = stubborn.command().await;
        let state = proto::messages::lamplighter::v1::CommandState::Rejected;
        stubborn.say_durably(&deliver.command, state).await;
        stubborn.client.listen().await
    });
    assert_code(&shell.run(&["send", "lamp-no", "off", "--wait"]).await, 5, "rejected");
    hub.register("lamp-away").await;
    let words = ["send", "lamp-away", "off", "--wait", "--timeout", "200ms"];
    assert_code(&shell.run(&words).await, 6, "not in time");
}

#[tokio::test]
async fn a_street_is_commanded_at_once() {
    let hub = hostile::hub().await;
    let shell = Cli::of(&hub);
    for number in 0..5 {
        let id = format!("lamp-{number:04}");
        shell.ok(&["device", "add", &id, "--label", "street=Queen St"]).await;
        obedient(&hub, &id).await;
    }
    shell.ok(&["device", "add", "lamp-else", "--label", "street=King St"]).await;
    let words = ["send", "--where", "street=Queen St", "dim", "40", "--wait", "--output", "json"];
    let out = shell.ok(&words).await;
    for number in 0..5 {
        assert!(out.contains(&format!("lamp-{number:04}")), "{out}");
    }
    assert!(!out.contains("lamp-else"), "{out}");
    let nobody = shell.run(&["send", "--where", "street=Nowhere", "off"]).await;
    assert_code(&nobody, 4, "nobody is addressed");
}

#[tokio::test]
async fn watch_shows_values_as_json_and_counts() {
    let hub = hostile::hub().await;
    let mut device = Device::start(&hub, "lamp-seen").await;
    device.report_durably(7).await;
    let words = ["watch", "devices.lamp-seen.telemetry", "--json", "--count", "1"];
    let out = Cli::of(&hub).ok(&words).await;
    let value = json(&out);
    assert_eq!(value["channel"], "devices.lamp-seen.telemetry", "{out}");
    assert_eq!(value["data"]["logger_id"], 7, "{out}");
}

#[tokio::test]
async fn bl4_a_reader_that_goes_away_is_no_fault() {
    let hub = hostile::hub().await;
    for number in 0..50 {
        hub.register(&format!("lamp-{number:04}")).await;
    }
    for words in [
        &["devices", "--json"][..],
        &["completions", "bash"],
        &["--help"],
        &["config", "show", "--dev"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = Cli::of(&hub).command(words).stdout(writer).status().await;
        let code = status.expect("the program can be started").code();
        assert!([Some(0), Some(141), None].contains(&code), "BL4 {words:?}: {code:?}");
    }
}

#[tokio::test]
async fn bl8_the_first_interrupt_tells_how_to_follow_the_second_ends() {
    let hub = hostile::hub().await;
    hub.register("lamp-asleep").await;
    let words = ["send", "lamp-asleep", "off", "--wait", "--output", "json"];
    let mut running = Cli::of(&hub).start(&words);
    let line = running.line().await.expect("the order is accepted");
    assert!(line.contains("command"), "{line}");
    let status = running.end_by(Signal::INT).await;
    assert_eq!(status.code(), Some(130), "BL8: {status}");
}

#[tokio::test]
async fn completions_help_and_configuration_need_no_hub() {
    let shell = Cli::default();
    for name in ["bash", "zsh", "fish"] {
        let script = shell.ok(&["completions", name]).await;
        assert!(script.contains("hub"), "{name}");
    }
    let shown = shell.ok(&["config", "show", "--effective", "--dev"]).await;
    assert!(shown.contains("accept_per_s"), "{shown}");
    assert!(shell.ok(&["--help"]).await.contains("Exit codes"));
    assert!(shell.ok(&["--version"]).await.starts_with("hub "));
}

/// A device that does what it is told, for as long as the test runs.
async fn obedient(hub: &Hub, id: &str) {
    let mut device = Device::start(hub, id).await;
    tokio::spawn(async move {
        loop {
            // A street lamp waits longer than a test's patience.
            let event = device.client.listen().await;
            let tests::Event::Envelope(envelope) = event else { return };
            use proto::messages::lamplighter::v1::envelope::Kind;
            if let Some(Kind::Deliver(deliver)) = envelope.kind {
                device.obey(&deliver.command).await;
            }
        }
    });
}

#[track_caller]
fn assert_code(ran: &Ran, code: i32, what: &str) {
    assert_eq!(ran.code, code, "{what}: {ran:?}");
}

fn json(text: &str) -> Value {
    serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
