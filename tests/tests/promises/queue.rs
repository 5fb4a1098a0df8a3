//! Commands that wait: over restarts of the hub, under the sender's own ids, until their time is over.

use std::time::Duration;

use proto::messages::lamplighter::v1::{CommandState as State, ErrorCode, Send};
use tests::deadline::{until, within};
use tests::{Device, Hub, Person, person};

use super::commands::ended;

/// Fault 6.6 and promise P1.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_with_queued_commands_all_still_queued_ttl_intact() {
    let mut hub = Hub::start().await;
    let token = hub.register("lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    let mut sent = Vec::new();
    for number in 0..20 {
        let send =
            Send { ttl_s: 600 + number, ..person::command("lamp-1", &format!("c-{number}")) };
        let command = operator.send(send).await;
        let document = hub.http().get(&format!("/v1/commands/{command}")).await.json();
        sent.push((command, document["deadline_unix_ms"].clone()));
    }
    hub.kill().await;
    hub.restart().await;
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    for (at, (command, deadline)) in sent.iter().enumerate() {
        let document = hub.http().get(&format!("/v1/commands/{command}")).await.json();
        assert_eq!(&document["deadline_unix_ms"], deadline);
        let delivery = lamp.command().await;
        assert_eq!(&delivery.command, command, "in the order accepted");
        assert_eq!(tests::lamp::reference(&delivery.payload), format!("c-{at}"));
        lamp.say(command, State::Succeeded).await;
    }
    for (command, _) in &sent {
        ended(&hub, command, "SUCCEEDED").await;
    }
}

/// Promise P28.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_id_is_the_same_command_over_a_restart_and_another_body_is_a_conflict() {
    let mut hub = Hub::start().await;
    hub.register("lamp-1").await;
    let send = |reference: &str| Send {
        request_id: "ticket-77".to_owned(),
        ..person::command("lamp-1", reference)
    };
    let mut operator = Person::operator(&hub).await;
    let first = operator.send(send("one")).await;
    assert_eq!(operator.send(send("one")).await, first);
    hub.kill().await;
    hub.restart().await;
    let mut operator = Person::operator(&hub).await;
    assert_eq!(operator.send(send("one")).await, first);
    let error = operator.try_send(send("two")).await.expect_err("another body");
    assert_eq!(error.code(), ErrorCode::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_time_is_over_expires_and_is_not_delivered_any_more() {
    let hub = Hub::start().await;
    let token = hub.register("lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    operator.watch("devices.lamp-1.commands").await;
    let send = Send { ttl_s: 5, ..person::command("lamp-1", "short") };
    let command = operator.send(send).await;
    let life = within(Duration::from_secs(15), "it expires", operator.life(&command)).await;
    assert_eq!(life, [State::Accepted, State::Expired]);
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    super::commands::nothing_comes(&mut lamp).await;
    // What the device says now is a note; the state stands.
    lamp.say_durably(&command, State::Succeeded).await;
    let note = until(tests::PATIENCE, "the late result is noted", || async {
        let document = hub.http().get(&format!("/v1/commands/{command}")).await.json();
        let steps = document["steps"].as_array().expect("steps").clone();
        assert_eq!(document["state"], "EXPIRED");
        steps.into_iter().find(|step| step["late"] == true)
    });
    assert_eq!(note.await["state"], "SUCCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_the_newest() {
    let hub = Hub::start().await;
    hub.register("lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    for number in 0..64 {
        operator.send(person::command("lamp-1", &format!("c-{number}"))).await;
    }
    let error = operator.try_send(person::command("lamp-1", "one more")).await;
    assert_eq!(error.expect_err("full").code(), ErrorCode::QueueFull);
}
