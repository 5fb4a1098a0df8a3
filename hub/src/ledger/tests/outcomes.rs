//! Stories of reports: doubled, reordered, late, foreign, too long.

use bytes::Bytes;
use proto::CommandState;
use proto::CommandState::{
    Accepted, Delivered, Expired, Failed, Running, Sent, Succeeded, Unknown,
};

use super::{Bench, GRACE, TTL, accept, asking, gone, id, lamp, ready, report, running, said};
use crate::ledger::{Input, ReplyToken, Report};

#[test]
fn a_result_before_its_receipt_succeeds_and_the_queue_goes_on() {
    let mut bench = Bench::new();
    bench.run(Input::DeviceReady { device: lamp(1), session: 1, boot: 1, window: 1 });
    bench.run(accept(1));
    bench.run(accept(2));
    let seen = bench.run(asking(1, 1, Succeeded, 5));
    assert_eq!(seen, ["1 SUCCEEDED", "ack 5", "deliver 2 to lamp-1@1 #1", "2 SENT"]);
    assert_eq!(bench.run(asking(1, 1, Delivered, 6)), ["ack 6"]);
    assert_eq!(bench.state(1), Succeeded);
}

#[test]
fn running_and_succeeded_in_one_millisecond_is_succeeded() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    bench.feed(running(1, 1, 50));
    bench.feed(report(1, 1, Succeeded));
    assert_eq!(bench.feed(running(1, 1, 60)), [""; 0], "too late, and no error");
    assert_eq!(bench.commit(), ["1 SUCCEEDED 50%"]);
    assert_eq!(bench.ledger.stats().reports_late, 0);
}

#[test]
fn an_end_is_told_and_acknowledged_once_the_disk_has_it() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    let proof = Report {
        result: Bytes::from_static(b"at 40"),
        detail: "dimmed".into(),
        ..said(1, 1, Succeeded)
    };
    let asking = |token| Input::Report(Report { reply: Some(ReplyToken(token)), ..proof.clone() });
    assert_eq!(bench.feed(asking(5)), [""; 0]);
    assert_eq!(bench.feed(asking(6)), [""; 0], "a repetition waits with the first");
    let view = bench.ledger.command(&id(1)).expect("known");
    assert_eq!((view.state(), view.detail(), view.result()), (Sent, "", &b""[..]));
    assert_eq!(view.steps().count(), 2);

    assert_eq!(bench.commit(), ["1 SUCCEEDED", "ack 5", "ack 6"]);
    let view = bench.ledger.command(&id(1)).expect("known");
    assert_eq!((view.state(), view.detail(), view.result()), (Succeeded, "dimmed", &b"at 40"[..]));
    assert_eq!(view.steps().count(), 3);
    assert_eq!(bench.run(asking(7)), ["ack 7"]);
}

#[test]
fn the_first_end_stands_and_a_different_one_is_noted() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    bench.run(gone(1));
    assert_eq!(bench.wait(TTL + GRACE), ["1 UNKNOWN"]);
    bench.run(ready(2, 1));
    assert_eq!(bench.feed(asking(2, 1, Succeeded, 5)), [""; 0]);
    assert_eq!(bench.commit(), ["1 SUCCEEDED (late)", "ack 5"]);
    assert_eq!(bench.run(asking(2, 1, Succeeded, 6)), ["ack 6"], "noted once");
    bench.crash();
    assert_eq!(bench.state(1), Unknown);
    let view = bench.ledger.command(&id(1)).expect("known");
    let last = view.steps().last().expect("steps");
    assert_eq!((last.state, last.late), (Succeeded, true));
    assert_eq!(bench.ledger.stats().in_state(Unknown), 1);
}

#[test]
fn a_device_that_changes_its_mind_for_ever_is_noted_four_times() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    bench.run(report(1, 1, Succeeded));
    for round in 0..100_u64 {
        let detail = format!("round {round}").into();
        let report = Report { detail, reply: Some(ReplyToken(round)), ..said(1, 1, Failed) };
        let seen = bench.run(Input::Report(report));
        assert_eq!(seen.last(), Some(&format!("ack {round}")));
    }
    let view = bench.ledger.command(&id(1)).expect("known");
    assert_eq!(view.steps().filter(|step| step.late).count(), 4);
    assert_eq!(view.state(), Succeeded);
    assert_eq!(bench.ledger.stats().notes_dropped, 96);
}

#[test]
fn what_a_device_says_of_the_end_is_honoured() {
    for state in [Succeeded, Failed, CommandState::Rejected, Expired, Unknown] {
        let mut bench = Bench::ready();
        bench.run(accept(1));
        assert_eq!(bench.run(report(1, 1, state)), [format!("1 {}", state.word())]);
    }
}

#[test]
fn progress_never_goes_back_and_costs_no_write() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    let commits = bench.commits;
    assert_eq!(bench.run(report(1, 1, Delivered)), ["1 DELIVERED"]);
    assert_eq!(bench.run(report(1, 1, Delivered)), [""; 0], "doubled");
    assert_eq!(bench.run(running(1, 1, 40)), ["1 RUNNING 40%"]);
    assert_eq!(bench.run(running(1, 1, 30)), [""; 0], "reordered");
    assert_eq!(bench.run(report(1, 1, Delivered)), [""; 0], "reordered");
    assert_eq!(bench.run(running(1, 1, 200)), ["1 RUNNING 100%"]);
    assert_eq!(bench.commits, commits);
}

#[test]
fn a_long_life_keeps_its_first_and_its_last_steps() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    for percent in 1..=100 {
        bench.run(running(1, 1, percent));
    }
    let view = bench.ledger.command(&id(1)).expect("known");
    assert_eq!(view.steps().count(), 4, "of a row of progress the first and the last");
    for session in 2..=50 {
        bench.run(ready(session, 1));
    }
    bench.run(report(50, 1, Succeeded));
    let view = bench.ledger.command(&id(1)).expect("known");
    let states: Vec<_> = view.steps().map(|step| step.state).collect();
    assert_eq!(states.len(), 32);
    assert_eq!((states[0], states[31]), (Accepted, Succeeded));
    assert_eq!(view.steps_dropped(), 22);
    assert_eq!(view.attempt(), 50);
}

#[test]
fn a_report_of_an_unknown_or_foreign_command_changes_nothing() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    let foreign = Report { device: lamp(2), reply: Some(ReplyToken(5)), ..said(9, 1, Succeeded) };
    assert_eq!(bench.run(Input::Report(foreign)), ["ack 5"]);
    assert_eq!(bench.run(asking(1, 99, Succeeded, 6)), ["ack 6"], "or it is repeated for ever");
    for state in [CommandState::Unspecified, Accepted, Sent, CommandState::Superseded] {
        assert_eq!(bench.run(asking(1, 1, state, 7)), [""; 0]);
    }
    assert_eq!(bench.state(1), Sent);
    assert_eq!(bench.ledger.stats().reports_ignored, 6);
}

#[test]
fn a_flood_of_one_report_keeps_a_bounded_number_waiting() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    for token in 0..1_000 {
        bench.feed(asking(1, 1, Succeeded, token));
    }
    assert_eq!(bench.pending.len(), 1);
    assert_eq!(bench.commit().len(), 1 + 16);
    assert_eq!(bench.ledger.stats().acks_dropped, 984);
}

#[test]
fn long_texts_are_cut_and_long_results_not_kept() {
    let mut bench = Bench::ready();
    bench.run(accept(1));
    let detail = "ä".repeat(100).into();
    bench.run(Input::Report(Report { detail, ..said(1, 1, Running) }));
    assert_eq!(bench.detail(1), "ä".repeat(60));
    let result = Bytes::from(vec![0; 4 * 1024 + 1]);
    bench.run(Input::Report(Report { result, ..said(1, 1, Succeeded) }));
    assert_eq!(bench.detail(1), "the result was longer than 4096 bytes and not kept");
    assert_eq!(bench.ledger.stats().notes_dropped, 1);
}

#[test]
fn what_the_device_has_though_the_hub_never_sent_it_counts() {
    // The data folder is older than the device's journal: an export was read back.
    let mut bench = Bench::new();
    bench.run(accept(1));
    assert_eq!(bench.run(report(1, 1, Delivered)), ["1 DELIVERED"]);
    assert_eq!(bench.wait(TTL), [""; 0], "no longer a command that can simply expire");
    assert_eq!(bench.wait(GRACE), ["1 UNKNOWN"]);
}
