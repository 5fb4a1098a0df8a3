//! Stories of senders: acceptance, repeated requests, withdrawal, replacement, full queues.

use std::time::Duration;

use bytes::Bytes;
use proto::CommandState;

use super::{Bench, accept, accept_keyed, asking, cancel, gone, id, lamp, new, ready, report};
use crate::ledger::{Input, Limits, NewCommand, Refusal};

fn requested(number: u8, request: &str) -> NewCommand {
    NewCommand { request_id: Some(request.into()), ..new(number) }
}

#[test]
fn acceptance_is_told_once_the_disk_has_it() {
    let mut bench = Bench::new();
    assert_eq!(bench.feed(accept(1)), [""; 0]);
    assert!(bench.ledger.command(&id(1)).is_none(), "not durable, not shown");
    assert_eq!(bench.commit(), ["1 ACCEPTED", "reply 1: 1 ACCEPTED"]);
}

#[test]
fn a_ready_device_gets_its_command_after_one_commit() {
    let mut bench = Bench::ready();
    let seen = bench.run(accept(1));
    assert_eq!(seen, ["1 ACCEPTED", "reply 1: 1 ACCEPTED", "deliver 1 to lamp-1@1 #1", "1 SENT"]);
    assert_eq!(bench.commits, 1);
}

#[test]
fn a_repeated_request_is_the_same_command_and_another_body_a_conflict() {
    let mut bench = Bench::new();
    bench.run(Input::Accept(requested(1, "r")));

    let again = NewCommand { payload: new(1).payload, ..requested(2, "r") };
    assert_eq!(bench.run(Input::Accept(again)), ["reply 2: 1 ACCEPTED again"]);
    let other = requested(3, "r");
    let conflict = "reply 3: the request id stands for another command";
    assert_eq!(bench.run(Input::Accept(other)), [conflict]);
    let elsewhere = NewCommand { device: lamp(2), payload: new(1).payload, ..requested(3, "r") };
    assert_eq!(bench.run(Input::Accept(elsewhere)), [conflict]);
    let sender = NewCommand { sender: "operator bob".into(), ..requested(4, "r") };
    assert_eq!(bench.run(Input::Accept(sender)), ["4 ACCEPTED", "reply 4: 4 ACCEPTED"]);
}

#[test]
fn a_repeated_request_is_answered_no_sooner_than_the_original() {
    let mut bench = Bench::new();
    bench.feed(Input::Accept(requested(1, "r")));
    let again = NewCommand { payload: new(1).payload, ..requested(2, "r") };
    assert_eq!(bench.feed(Input::Accept(again)), [""; 0]);
    assert_eq!(bench.commit(), ["1 ACCEPTED", "reply 1: 1 ACCEPTED", "reply 2: 1 ACCEPTED again"]);
}

#[test]
fn a_request_id_holds_for_a_day_after_the_end_and_over_a_restart() {
    let mut bench = Bench::ready();
    bench.run(Input::Accept(requested(1, "r")));
    bench.run(report(1, 1, CommandState::Succeeded));
    bench.skip(Duration::from_secs(24 * 3600 - 1));
    bench.crash();

    let again = NewCommand { payload: new(1).payload, ..requested(2, "r") };
    assert_eq!(bench.run(Input::Accept(again)), ["reply 2: 1 SUCCEEDED again"]);
    bench.wait(Duration::from_secs(1));
    assert!(bench.disk.is_empty(), "forgotten");
    let anew = requested(3, "r");
    assert_eq!(bench.run(Input::Accept(anew)), ["3 ACCEPTED", "reply 3: 3 ACCEPTED"]);
}

#[test]
fn sending_a_batch_again_touches_only_what_was_refused() {
    let mut bench = Bench::with(Limits { queue_max: 2, ..Limits::default() });
    let batch = [(1, "a"), (2, "b"), (3, "c"), (4, "d")];
    let mut answers = Vec::new();
    for (number, request) in batch {
        answers.extend(bench.run(Input::Accept(requested(number, request))));
    }
    let full = Refusal::QueueFull;
    assert_eq!(answers[4..], [format!("reply 3: {full}"), format!("reply 4: {full}")]);

    // The answer to the second was lost on the way, so the sender doesn't know of it.
    bench.run(ready(1, 1));
    let mut answers = Vec::new();
    for (number, request) in batch {
        let new = NewCommand { command: id(number + 10), ..requested(number, request) };
        answers.extend(bench.run(Input::Accept(new)));
    }
    answers.retain(|line| line.starts_with("reply"));
    assert_eq!(
        answers,
        [
            "reply 1: 1 SENT again",
            "reply 2: 2 SENT again",
            "reply 3: 13 ACCEPTED",
            "reply 4: 14 ACCEPTED"
        ]
    );
}

#[test]
fn an_unsent_command_can_be_withdrawn_and_a_sent_one_not() {
    let mut bench = Bench::new();
    bench.run(accept(1));
    assert_eq!(bench.feed(cancel(1, 7)), [""; 0], "told once the disk has it");
    assert_eq!(bench.commit(), ["1 CANCELED", "reply 7: 1 CANCELED"]);
    assert_eq!(bench.run(cancel(1, 8)), ["reply 8: 1 CANCELED again"]);
    assert_eq!(bench.detail(1), "withdrawn by bob");
    assert_eq!(bench.run(ready(1, 1)), [""; 0]);

    bench.run(accept(2));
    assert_eq!(bench.run(cancel(2, 9)), ["reply 9: the command was sent; the device may have it"]);
    bench.run(report(1, 2, CommandState::Failed));
    assert_eq!(bench.run(cancel(2, 10)), ["reply 10: the command has ended as FAILED"]);
    assert_eq!(bench.run(cancel(99, 11)), ["reply 11: no such command"]);
}

#[test]
fn a_command_withdrawn_while_it_gets_ready_to_go_is_never_sent() {
    let mut bench = Bench::new();
    bench.run(accept(1));
    assert_eq!(bench.feed(ready(1, 1)), [""; 0]);
    assert_eq!(bench.feed(cancel(1, 7)), [""; 0]);
    assert_eq!(bench.commit(), ["1 CANCELED", "reply 7: 1 CANCELED"]);
}

#[test]
fn a_newer_command_replaces_the_unsent_one_with_its_key() {
    let mut bench = Bench::new();
    bench.run(accept_keyed(1, "override"));
    bench.run(accept_keyed(2, "calendar"));
    bench.run(accept(3));
    let seen = bench.run(accept_keyed(4, "override"));
    assert_eq!(seen, ["4 ACCEPTED", "reply 4: 4 ACCEPTED", "1 SUPERSEDED"]);
    assert_eq!(bench.detail(1), format!("replaced by {}", id(4)));

    bench.run(ready(1, 1));
    bench.run(accept_keyed(5, "override"));
    assert_eq!(bench.state(4), CommandState::Sent, "what was sent is not replaced");
}

#[test]
fn a_replaced_command_is_given_up_only_for_one_that_the_disk_has() {
    let mut bench = Bench::new();
    bench.run(accept_keyed(1, "override"));
    bench.feed(accept_keyed(2, "override"));
    bench.crash();
    assert_eq!(bench.state(1), CommandState::Accepted);

    bench.feed(accept_keyed(3, "override"));
    let Some(super::Write::Put(command, record, step)) = bench.pending.pop_front() else {
        panic!("the record of 3 was asked for")
    };
    bench.disk.insert(command, record);
    bench.feed(Input::Durable { command, step });
    bench.pending.clear();
    bench.ledger = crate::ledger::Ledger::new(bench.limits);
    for record in bench.disk.values().rev() {
        bench.ledger.restore(bench.now, record).expect("a record");
    }
    bench.drain();
    assert_eq!(bench.commit(), ["1 SUPERSEDED"], "the crash came between the two records");
}

#[test]
fn a_full_queue_refuses_the_newest_by_count_and_by_bytes() {
    let mut bench = Bench::new();
    for number in 1..=64 {
        bench.run(accept(number));
    }
    assert_eq!(bench.run(accept(65)), ["reply 65: the device's queue is full"]);
    assert!(Refusal::QueueFull.is_retryable());
    // The lamp returns and takes eight; so many may follow.
    bench.run(ready(1, 1));
    bench.run(gone(1));
    for number in 65..=72 {
        assert_eq!(bench.run(accept(number)).len(), 2);
    }
    assert_eq!(bench.run(accept(73)), ["reply 73: the device's queue is full"]);

    let mut bench = Bench::new();
    let big = |number| NewCommand { payload: Bytes::from(vec![0; 32 * 1024]), ..new(number) };
    for number in 1..=8 {
        assert_eq!(bench.run(Input::Accept(big(number))).len(), 2);
    }
    assert_eq!(bench.run(accept(9)), ["reply 9: the device's queue is full"]);
}

#[test]
fn a_full_queue_takes_what_replaces_one_of_its_commands() {
    let mut bench = Bench::with(Limits { queue_max: 1, ..Limits::default() });
    bench.run(accept_keyed(1, "override"));
    let seen = bench.run(accept_keyed(2, "override"));
    assert_eq!(seen, ["2 ACCEPTED", "reply 2: 2 ACCEPTED", "1 SUPERSEDED"]);
    assert_eq!(bench.run(accept(3)), ["reply 3: the device's queue is full"]);
}

#[test]
fn a_slow_disk_does_not_let_a_queue_grow() {
    let limits = Limits { queue_max: 4, in_flight_max: 2, ..Limits::default() };
    let mut bench = Bench::with(limits);
    for number in 1..=40 {
        bench.feed(accept_keyed(number, "override"));
    }
    assert_eq!(bench.pending.len(), 12);
}

#[test]
fn the_hub_takes_no_more_commands_than_it_may_hold() {
    let mut bench = Bench::with(Limits { live_max: 2, ..Limits::default() });
    bench.run(accept(1));
    bench.run(Input::Accept(NewCommand { device: lamp(2), ..new(2) }));
    let other = || Input::Accept(NewCommand { device: lamp(3), ..new(3) });
    assert_eq!(bench.run(other()), ["reply 3: the hub holds as many commands as it may"]);
    bench.run(cancel(1, 9));
    assert_eq!(bench.run(other()), ["3 ACCEPTED", "reply 3: 3 ACCEPTED"]);
}

#[test]
fn the_oldest_ends_make_room_and_are_counted() {
    let mut bench = Bench::with(Limits { retained_max: 2, bytes_max: 32, ..Limits::default() });
    bench.run(ready(1, 1));
    for number in 1..=4 {
        bench.run(accept(number));
        bench.run(asking(1, number, CommandState::Succeeded, 1));
    }
    bench.commit();
    assert!(bench.ledger.command(&id(2)).is_none());
    assert!(bench.ledger.command(&id(3)).is_some());
    assert_eq!(bench.disk.len(), 2);
    assert_eq!(bench.ledger.stats().forgotten_early, 2);
    assert_eq!(bench.ledger.stats().bytes, 16);

    let big = NewCommand { payload: Bytes::from(vec![0; 33]), ..new(5) };
    assert_eq!(
        bench.run(Input::Accept(big)),
        ["reply 5: the hub holds as many commands as it may"]
    );
}

#[test]
fn a_command_beyond_the_limits_is_refused_with_the_limit() {
    let mut bench = Bench::new();
    let check = |bench: &mut Bench, new: NewCommand, answer: &str| {
        assert_eq!(bench.run(Input::Accept(new)), [format!("reply 1: {answer}")]);
    };
    let ttl = "the time to live is not within 5s to 604800s";
    for seconds in [0, 4, 604_801] {
        let new = NewCommand { ttl: Duration::from_secs(seconds), ..new(1) };
        check(&mut bench, new, ttl);
    }
    let long = "x".repeat(65);
    let new_key = NewCommand { supersede_key: Some(long.as_str().into()), ..new(1) };
    check(&mut bench, new_key, "`supersede_key` is longer than 64 bytes");
    check(&mut bench, requested(1, &long), "`request_id` is longer than 64 bytes");
    let payload = NewCommand { payload: Bytes::from(vec![0; 32 * 1024 + 1]), ..new(1) };
    check(&mut bench, payload, "`payload` is longer than 32768 bytes");
    assert_eq!(bench.ledger.deadline(), None, "nothing was changed");
}

#[test]
fn a_full_disk_refuses_new_commands_and_recovers() {
    let mut bench = Bench::new();
    bench.feed(Input::Accept(requested(1, "r")));
    assert_eq!(bench.refuse_writes(), ["reply 1: the hub's disk has no room"]);
    assert!(Refusal::StoreFull.is_retryable());
    assert_eq!(bench.ledger.deadline(), None);

    let again = NewCommand { payload: new(1).payload, ..requested(2, "r") };
    assert_eq!(bench.run(Input::Accept(again)), ["2 ACCEPTED", "reply 2: 2 ACCEPTED"]);
    bench.feed(ready(1, 1));
    assert_eq!(bench.refuse_writes(), [""; 0], "not sent, since that could not be remembered");
    assert_eq!(bench.wait(Duration::from_secs(1)), ["deliver 2 to lamp-1@1 #1", "2 SENT"]);
    bench.feed(asking(1, 2, CommandState::Succeeded, 5));
    assert_eq!(bench.refuse_writes(), [""; 0]);
    assert_eq!(bench.wait(Duration::from_secs(1)), ["2 SUCCEEDED", "ack 5"]);
}
