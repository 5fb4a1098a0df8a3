//! Stories of sessions: order, windows, reconnects, deadlines, devices that crash.

use std::time::Duration;

use proto::CommandState;

use super::{
    Bench, GRACE, MS, TTL, accept, asking, cancel, gone, id, lamp, line, new, ready, report,
};
use crate::ledger::{Effect, Input, Limits, NewCommand};

#[test]
fn a_device_that_is_ready_late_loses_no_command() {
    let mut bench = Bench::new();
    for number in 1..=3 {
        bench.run(accept(number));
    }
    bench.skip(Duration::from_secs(20));
    bench.feed(ready(1, 1));
    // One more comes in while the lamp is ready and the disk is not.
    bench.feed(accept(4));
    let seen = bench.commit();
    let sent: Vec<_> = seen.iter().filter(|line| line.starts_with("deliver")).collect();
    assert_eq!(
        sent,
        [
            "deliver 1 to lamp-1@1 #1",
            "deliver 2 to lamp-1@1 #1",
            "deliver 3 to lamp-1@1 #1",
            "deliver 4 to lamp-1@1 #1"
        ]
    );
    assert_eq!(bench.commits, 1 + 1 + 1 + 1, "one for the whole window");
}

#[test]
fn what_remains_of_a_commands_time_travels_with_it() {
    let mut bench = Bench::new();
    bench.run(accept(1));
    bench.skip(Duration::from_secs(20));
    bench.feed(ready(1, 1));
    let Some(super::Write::Put(command, _, step)) = bench.pending.pop_front() else {
        panic!("the dispatch is written first")
    };
    bench.ledger.handle(bench.now, Input::Durable { command, step });
    let Some(Effect::Deliver(out)) = bench.ledger.poll_effect() else { panic!("delivered") };
    assert_eq!(out.remaining, TTL - Duration::from_secs(20));
    assert_eq!(out.payload, new(1).payload);
}

#[test]
fn a_command_waits_for_the_record_of_the_one_before_it() {
    let mut bench = Bench::ready();
    bench.feed(accept(1));
    bench.feed(accept(2));
    assert_eq!(
        bench.feed(Input::Durable { command: id(2), step: 1 }),
        ["2 ACCEPTED", "reply 2: 2 ACCEPTED"]
    );
    assert_eq!(
        bench.feed(Input::Durable { command: id(1), step: 1 }),
        [
            "1 ACCEPTED",
            "reply 1: 1 ACCEPTED",
            "deliver 1 to lamp-1@1 #1",
            "1 SENT",
            "deliver 2 to lamp-1@1 #1",
            "2 SENT"
        ]
    );
}

#[test]
fn no_more_than_a_window_is_in_flight() {
    let mut bench = Bench::new();
    let small = Input::DeviceReady { device: lamp(1), session: 1, boot: 1, window: 2 };
    bench.run(small);
    for number in 1..=4 {
        bench.run(accept(number));
    }
    assert_eq!(bench.state(3), CommandState::Accepted);
    // The second ends first: the lamp has room for the third.
    let seen = bench.run(report(1, 2, CommandState::Succeeded));
    assert_eq!(seen, ["2 SUCCEEDED", "deliver 3 to lamp-1@1 #1", "3 SENT"]);
    bench.run(ready(2, 1));
    assert_eq!(bench.state(4), CommandState::Sent, "a newer session may have a larger window");
}

#[test]
fn a_reconnect_brings_again_in_order_what_has_not_ended() {
    let mut bench = Bench::ready();
    for number in 1..=3 {
        bench.run(accept(number));
    }
    bench.run(report(1, 1, CommandState::Running));
    bench.run(report(1, 2, CommandState::Succeeded));
    bench.run(gone(1));
    assert_eq!(bench.ledger.queue(&lamp(1)).count(), 2);
    let seen = bench.run(ready(2, 1));
    assert_eq!(
        seen,
        ["deliver 1 to lamp-1@2 #2", "1 RUNNING", "deliver 3 to lamp-1@2 #2", "3 SENT"],
        "the state that is shown doesn't go back"
    );
}

#[test]
fn an_older_session_is_fenced() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    bench.run(ready(2, 1));
    assert_eq!(bench.run(asking(1, 1, CommandState::Succeeded, 5)), [""; 0]);
    assert_eq!(bench.run(gone(1)), [""; 0], "its late end doesn't touch the newer one");
    assert_eq!(bench.run(ready(1, 1)), [""; 0]);
    assert_eq!(bench.ledger.stats().stale, 3);
    assert_eq!(bench.run(accept(2)).len(), 4, "the newer session takes commands");
    assert_eq!(bench.run(asking(2, 1, CommandState::Succeeded, 6)), ["1 SUCCEEDED", "ack 6"]);
}

#[test]
fn a_write_into_a_dead_connection_is_sent_then_unknown_never_delivered() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    bench.run(gone(1));
    assert_eq!(bench.wait(TTL + GRACE - MS), [""; 0]);
    assert_eq!(bench.state(1), CommandState::Sent);
    assert_eq!(bench.wait(MS), ["1 UNKNOWN"]);
    let view = bench.ledger.command(&id(1)).expect("remembered");
    let steps: Vec<_> = view.steps().map(|step| step.state).collect();
    assert_eq!(steps, [CommandState::Accepted, CommandState::Sent, CommandState::Unknown]);
}

#[test]
fn a_command_that_was_never_sent_expires_at_its_deadline() {
    let mut bench = Bench::new();
    bench.run(accept(1));
    assert_eq!(bench.wait(TTL - MS), [""; 0]);
    assert_eq!(bench.wait(MS), ["1 EXPIRED"]);
    assert_eq!(bench.run(ready(1, 1)), [""; 0]);
}

#[test]
fn nothing_is_delivered_after_its_deadline() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    let longer = NewCommand { ttl: 3 * TTL, ..new(2) };
    bench.run(Input::Accept(longer));
    bench.run(gone(1));
    bench.skip(TTL);
    // The timer has not fired, and the first may still be reported.
    assert_eq!(bench.run(ready(2, 1)), ["deliver 2 to lamp-1@2 #2", "2 SENT"]);
    assert_eq!(bench.run(report(2, 1, CommandState::Succeeded)), ["1 SUCCEEDED"]);

    bench.run(gone(2));
    bench.run(accept(3));
    bench.skip(TTL);
    assert_eq!(bench.run(ready(3, 1)), ["deliver 2 to lamp-1@3 #3", "2 SENT"]);
    assert_eq!(bench.wait(Duration::ZERO), ["3 EXPIRED"], "it never was on its way");
}

#[test]
fn a_deadline_that_passes_while_the_disk_writes_still_holds() {
    let mut bench = Bench::new();
    bench.run(accept(1));
    bench.feed(ready(1, 1));
    bench.skip(TTL);
    assert_eq!(bench.commit(), [""; 0]);
    assert_eq!(bench.wait(Duration::ZERO), ["1 EXPIRED"]);
}

#[test]
fn a_device_that_crashes_on_the_same_command_is_freed_from_it() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    bench.run(accept(2));
    for start in 2..=5 {
        bench.run(report(start - 1, 1, CommandState::Delivered));
        bench.run(gone(start - 1));
        let boot = u32::try_from(start).expect("small");
        assert_eq!(bench.run(ready(start, boot)).len(), 4, "both are delivered again");
    }
    bench.run(gone(5));
    let seen = bench.run(ready(6, 6));
    assert_eq!(seen, ["deliver 2 to lamp-1@6 #6", "2 SENT", "1 FAILED"]);
    assert_eq!(bench.detail(1), "the connection was lost 5 times after delivery");
    assert_eq!(bench.ledger.stats().poisoned, 1);
    // The one behind it was not to blame, and is counted only now.
    bench.run(gone(6));
    assert_eq!(bench.run(ready(7, 7)), ["deliver 2 to lamp-1@7 #7", "2 SENT"]);
}

#[test]
fn crashes_are_counted_over_a_restart_of_the_hub() {
    let mut bench = Bench::with(Limits { attempts_max: 2, ..Limits::default() });
    bench.run(ready(1, 1));
    bench.run(accept(1));
    bench.run(ready(2, 2));
    bench.crash();
    bench.run(ready(3, 3));
    assert_eq!(bench.run(ready(4, 4)), ["1 FAILED"]);
}

#[test]
fn a_bad_link_is_not_a_crash() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    for session in 2..=20 {
        bench.run(gone(session - 1));
        assert_eq!(bench.run(ready(session, 1)).len(), 2, "delivered again");
    }
    assert_eq!(bench.ledger.stats().redeliveries, 19);
    assert_eq!(bench.run(report(20, 1, CommandState::Succeeded)), ["1 SUCCEEDED"]);
}

#[test]
fn a_removed_device_ends_its_commands() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    bench.run(gone(1));
    bench.run(accept(2));
    let seen = bench.run(Input::DeviceRemoved { device: lamp(1) });
    assert_eq!(seen, ["1 UNKNOWN", "2 CANCELED"]);
    assert_eq!(bench.ledger.queue(&lamp(1)).count(), 0);
    assert!(bench.ledger.queues.is_empty(), "nothing is held for it");
}

#[test]
fn devices_that_only_come_and_go_leave_nothing_behind() {
    let mut bench = Bench::new();
    for session in 1..=1_000 {
        bench.run(ready(session, 1));
        bench.run(gone(session));
    }
    assert!(bench.ledger.queues.is_empty());
    assert_eq!(bench.run(ready(0, 1)), [""; 0]);
    assert!(bench.ledger.queues.is_empty());
}

#[test]
fn devices_do_not_wait_for_each_other() {
    let mut bench = Bench::ready();
    let other = NewCommand { device: lamp(2), ..new(2) };
    bench.feed(accept(1));
    bench.run(Input::DeviceReady { device: lamp(2), session: 1, boot: 1, window: 1 });
    bench.ledger.handle(bench.now, Input::Accept(other));
    let Some(persist) = bench.ledger.poll_effect() else { panic!("written") };
    assert_eq!(line(&persist), "persist 2 1");
    let seen = bench.feed(Input::Durable { command: id(2), step: 1 });
    assert_eq!(seen[2..], ["deliver 2 to lamp-2@1 #1", "2 SENT"]);
    assert_eq!(bench.run(cancel(2, 9)).len(), 1);
}
