//! A command's whole life, from the operator to the lamp and back, as everybody sees it.

use proto::messages::lamplighter::v1::{CommandState as State, ErrorCode};
use tests::deadline::until;
use tests::device::hello;
use tests::{Device, Event, Hub, PATIENCE, Person, Via, person};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_to_a_connected_device_goes_through_all_states() {
    let hub = Hub::start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    operator.watch("devices.lamp-1.commands").await;
    let ack = operator.try_send(person::command("lamp-1", "one")).await.expect("accepted");
    assert!(ack.durable);
    let delivery = lamp.command().await;
    assert_eq!(delivery.command, ack.command);
    assert_eq!(tests::lamp::reference(&delivery.payload), "one");
    assert_eq!(delivery.attempt, 1);
    assert!((590_000..=600_000).contains(&delivery.remaining_ms), "{}", delivery.remaining_ms);
    lamp.obey(&ack.command).await;
    let life = operator.life(&ack.command).await;
    use State::{Accepted, Delivered, Running, Sent, Succeeded};
    assert_eq!(life, [Accepted, Sent, Delivered, Running, Succeeded]);
    assert_eq!(ack.state(), Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_sent_while_the_device_was_away_is_delivered_once_when_it_returns() {
    let hub = Hub::start().await;
    let token = hub.register("lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    let sent = operator.send(person::command("lamp-1", "later")).await;
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    assert_eq!(lamp.command().await.command, sent);
    lamp.obey(&sent).await;
    ended(&hub, &sent, "SUCCEEDED").await;
    let mut again = Device::connect(&hub, "lamp-1", &token, 1).await;
    nothing_comes(&mut again).await;
}

/// Fault 6.7.
#[tokio::test(flavor = "multi_thread")]
async fn the_device_is_ready_late_and_no_queued_command_is_lost_in_between() {
    let hub = Hub::start().await;
    let token = hub.register("lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    let first = operator.send(person::command("lamp-1", "before")).await;
    let mut lamp = Device::with(&Via::of(&hub), "lamp-1", hello(&token, 1, false)).await;
    let second = operator.send(person::command("lamp-1", "between")).await;
    nothing_comes(&mut lamp).await;
    lamp.ready().await;
    assert_eq!(lamp.command().await.command, first);
    assert_eq!(lamp.command().await.command, second);
}

/// Fault 6.4.
#[tokio::test(flavor = "multi_thread")]
async fn the_result_arrives_before_the_receipt_and_the_queue_goes_on() {
    let hub = Hub::start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    let first = operator.send(person::command("lamp-1", "one")).await;
    assert_eq!(lamp.command().await.command, first);
    lamp.say_durably(&first, State::Succeeded).await;
    lamp.say(&first, State::Delivered).await;
    lamp.say(&first, State::Running).await;
    let second = operator.send(person::command("lamp-1", "two")).await;
    assert_eq!(lamp.command().await.command, second);
    lamp.say_durably(&second, State::Succeeded).await;
    ended(&hub, &first, "SUCCEEDED").await;
    ended(&hub, &second, "SUCCEEDED").await;
}

/// Fault 6.9.
#[tokio::test(flavor = "multi_thread")]
async fn running_and_succeeded_in_the_same_millisecond_is_succeeded() {
    let hub = Hub::start().await;
    let mut lamp = Device::start(&hub, "lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    operator.watch("devices.lamp-1.commands").await;
    let sent = operator.send(person::command("lamp-1", "one")).await;
    lamp.command().await;
    let mut both = Vec::new();
    for state in [State::Running, State::Succeeded] {
        both.extend(tests::client::envelope(0, tests::device::report_of(&sent, state)));
    }
    lamp.client.binary(both).await;
    let life = operator.life(&sent).await;
    assert_eq!(life, [State::Accepted, State::Sent, State::Running, State::Succeeded]);
}

/// Fault 6.5.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_into_a_dead_connection_is_sent_and_never_delivered() {
    let hub = Hub::start().await;
    let token = hub.register("lamp-1").await;
    // It reads nothing from here on, as if the network had gone.
    let dead = Device::connect(&hub, "lamp-1", &token, 1).await;
    let mut operator = Person::operator(&hub).await;
    operator.watch("devices.lamp-1.commands").await;
    let sent = operator.send(person::command("lamp-1", "one")).await;
    assert_eq!(operator.update().await.state(), State::Accepted);
    assert_eq!(operator.update().await.state(), State::Sent);
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    let again = lamp.command().await;
    assert_eq!((again.command.as_str(), again.attempt), (sent.as_str(), 2));
    let update = operator.update().await;
    assert_eq!((update.state(), update.attempt), (State::Sent, 2));
    drop(dead);
}

/// Fault 6.8.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_crashes_on_a_command_gets_it_a_few_times_and_then_the_next_one() {
    let hub = Hub::start().await;
    let token = hub.register("lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    let poison = operator.send(person::command("lamp-1", "poison")).await;
    let good = operator.send(person::command("lamp-1", "good")).await;
    let mut attempts = 0;
    for boot in 1.. {
        let mut lamp = Device::connect(&hub, "lamp-1", &token, boot).await;
        let delivery = lamp.command().await;
        if delivery.command == good {
            lamp.say_durably(&good, State::Succeeded).await;
            break;
        }
        attempts = delivery.attempt;
        assert!(boot < 20, "the poison comes for ever");
    }
    assert_eq!(attempts, 5);
    let document = ended(&hub, &poison, "FAILED").await;
    assert_eq!(document["attempts"], 5);
    ended(&hub, &good, "SUCCEEDED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_command_can_be_withdrawn_and_a_finished_one_cannot() {
    let hub = Hub::start().await;
    let token = hub.register("lamp-1").await;
    let mut operator = Person::operator(&hub).await;
    let sent = operator.send(person::command("lamp-1", "one")).await;
    operator.cancel(&sent).await.expect("withdrawn");
    ended(&hub, &sent, "CANCELED").await;
    let mut lamp = Device::connect(&hub, "lamp-1", &token, 1).await;
    nothing_comes(&mut lamp).await;
    let other = operator.send(person::command("lamp-1", "two")).await;
    lamp.command().await;
    lamp.say_durably(&other, State::Succeeded).await;
    let error = operator.cancel(&other).await.expect_err("it has ended");
    assert_eq!(error.code(), ErrorCode::Conflict);
    let unknown = operator.cancel("0190a0a0-0000-7000-8000-000000000000").await;
    assert_eq!(unknown.expect_err("nobody knows it").code(), ErrorCode::NotFound);
}

/// The life of a command by HTTP, once it is in this state.
pub(crate) async fn ended(hub: &Hub, command: &str, state: &str) -> serde_json::Value {
    let path = format!("/v1/commands/{command}");
    let http = hub.http();
    until(PATIENCE, &format!("command {command} is {state}"), || async {
        let answer = http.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Some(answer.json()).filter(|document| document["state"] == state)
    })
    .await
}

/// Everything that the hub had to say has been said, and no command was among it.
pub(crate) async fn nothing_comes(lamp: &mut Device) {
    lamp.client.barrier().await;
    for event in lamp.client.waiting() {
        let Event::Envelope(envelope) = event else { continue };
        let kind = envelope.kind.as_ref();
        let is_command =
            matches!(kind, Some(proto::messages::lamplighter::v1::envelope::Kind::Deliver(_)));
        assert!(!is_command, "a command came: {kind:?}");
    }
}
