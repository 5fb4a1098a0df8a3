//! Stories of kill -9: what the disk had is known again, what it had not was never told.

use std::time::Duration;

use proto::CommandState;

use super::{Bench, GRACE, MS, TTL, accept, asking, cancel, gone, id, lamp, ready, report};
use crate::ledger::{Effect, Input, Ledger};

#[test]
fn queued_commands_survive_a_kill_with_their_time_intact() {
    let mut bench = Bench::new();
    for number in 1..=3 {
        bench.run(accept(number));
    }
    let before = bench.ledger.command(&id(1)).map(|it| it.deadline_unix_ms());
    bench.skip(TTL / 2);
    bench.feed(accept(4));
    bench.crash();

    let queue: Vec<_> = bench.ledger.queue(&lamp(1)).map(|it| super::number(it.id())).collect();
    assert_eq!(queue, [1, 2, 3], "the fourth was never acknowledged");
    assert_eq!(bench.ledger.command(&id(1)).map(|it| it.deadline_unix_ms()), before);
    assert_eq!(bench.wait(TTL / 2 - MS), [""; 0]);
    assert_eq!(bench.wait(MS), ["1 EXPIRED", "2 EXPIRED", "3 EXPIRED"]);
}

#[test]
fn what_may_have_been_sent_is_brought_again_after_a_kill() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    bench.feed(accept(2));
    bench.crash();
    assert_eq!(bench.state(1), CommandState::Sent);
    assert_eq!(bench.run(ready(2, 1)), ["deliver 1 to lamp-1@2 #2", "1 SENT"]);
    assert_eq!(bench.run(report(2, 1, CommandState::Succeeded)), ["1 SUCCEEDED"]);
}

#[test]
fn what_may_have_been_sent_is_unknown_after_a_kill_and_cannot_be_withdrawn() {
    let mut bench = Bench::new();
    bench.run(accept(1));
    bench.feed(ready(1, 1));
    // The record that it may be sent is written, the frame perhaps not.
    let Some(super::Write::Put(command, record, _)) = bench.pending.pop_front() else {
        panic!("the dispatch is written first")
    };
    bench.disk.insert(command, record);
    bench.crash();
    assert_eq!(bench.run(cancel(1, 5)), ["reply 5: the command was sent; the device may have it"]);
    assert_eq!(bench.wait(TTL + GRACE - MS), [""; 0]);
    assert_eq!(bench.wait(MS), ["1 UNKNOWN"]);
}

#[test]
fn a_deadline_that_passed_while_the_hub_was_down_is_handled_at_once() {
    let mut bench = Bench::new();
    bench.run(accept(1));
    bench.run(ready(1, 1));
    bench.run(gone(1));
    bench.run(accept(2));
    bench.skip(TTL);
    bench.crash();
    assert_eq!(bench.run(ready(2, 1)), [""; 0], "nothing is delivered after its deadline");
    assert_eq!(bench.wait(Duration::ZERO), ["2 EXPIRED"]);
    assert_eq!(bench.wait(GRACE), ["1 UNKNOWN"]);
}

#[test]
fn an_end_that_the_disk_has_not_was_never_told() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    assert_eq!(bench.feed(asking(1, 1, CommandState::Failed, 5)), [""; 0]);
    bench.crash();
    bench.run(ready(2, 1));
    assert_eq!(bench.run(asking(2, 1, CommandState::Failed, 6)), ["1 FAILED", "ack 6"]);
    bench.crash();
    assert_eq!(bench.state(1), CommandState::Failed);
    assert_eq!(bench.run(ready(3, 1)), [""; 0]);
}

#[test]
fn the_order_of_commands_survives_a_clock_that_was_set_back() {
    let mut bench = Bench::new();
    // Ids follow the wall clock, so a later command may have a smaller id.
    for number in [9, 3, 7] {
        bench.run(accept(number));
    }
    bench.crash();
    bench.run(accept(1));
    let queue: Vec<_> = bench.ledger.queue(&lamp(1)).map(|it| super::number(it.id())).collect();
    assert_eq!(queue, [9, 3, 7, 1]);
}

#[test]
fn a_clock_set_back_over_a_restart_gives_no_more_time_than_there_was() {
    let mut bench = Bench::new();
    bench.run(accept(1));
    bench.now.unix_ms = 0;
    bench.crash();
    assert_eq!(bench.wait(TTL - MS), [""; 0]);
    assert_eq!(bench.wait(MS), ["1 EXPIRED"]);
    bench.now.unix_ms = u64::MAX;
    bench.crash();
    bench.wait(Duration::ZERO);
    assert!(bench.disk.is_empty(), "a clock far ahead forgets");
}

#[test]
fn a_command_whose_dispatch_was_written_twice_is_known_once() {
    let mut bench = Bench::new();
    bench.run(accept(1));
    let record = bench.disk[&id(1)].clone();
    let mut ledger = Ledger::new(bench.limits);
    ledger.restore(bench.now, &record).expect("a record");
    ledger.restore(bench.now, &record).expect_err("the same command again");
    assert_eq!(ledger.stats().in_state(CommandState::Accepted), 1);
}

#[test]
fn a_mass_of_deadlines_is_worked_off_in_batches() {
    let mut bench = Bench::new();
    let count = 3_000_u32;
    for number in 0..count {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let device = format!("lamp-{number}");
        let new = super::NewCommand {
            command: proto::id::CommandId::from_bytes(bytes),
            device: proto::id::DeviceId::parse(&device).expect("a device id"),
            ..super::new(1)
        };
        bench.run(Input::Accept(new));
    }
    bench.skip(TTL);
    bench.ledger.handle(bench.now, Input::Timeout);
    let first = std::iter::from_fn(|| bench.ledger.poll_effect());
    let writes = first.filter(|effect| matches!(effect, Effect::Persist { .. })).count();
    assert_eq!(writes, 1_024);
    assert!(bench.ledger.deadline().is_some_and(|due| due <= bench.now.mono), "more is due");
}
