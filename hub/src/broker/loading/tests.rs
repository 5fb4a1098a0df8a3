//! A hub that works while its last values are loading: the test drives the loader, run by run.
//!
//! Each life of the hub is a broker on the same store in memory. What happens between the reading of
//! records and their coming into memory is put there by a hook.

pub(crate) mod life;

use std::time::Duration;

use proto::ChannelPattern;

use super::*;
use crate::audit::Actor;
use crate::broker::registry::operation;
use crate::clock::{self, Now};
use crate::store::{Store as _, Table};
use crate::twin::ReportId;
use life::{Life, Shelf, put};

/// More than one run.
const MANY: usize = 3 * RUN.records;
const LAMP: &str = "lamp-1";

#[test]
fn a_late_report_is_late_also_before_its_value_is_loaded() {
    let store = Shelf::default();
    let life = Life::begin(&store);
    life.register(LAMP);
    let lamp = life.enter(LAMP, 1);
    life.report(&lamp, 5);
    life.end();

    let life = Life::begin(&store);
    let lamp = life.enter(LAMP, 1);
    assert_eq!(*lamp.device.as_ref().expect("a device").durable.lock(), report(5));
    life.report(&lamp, 3);
    assert_eq!(life.telemetry(LAMP), [5]);

    life.load();
    assert_eq!(life.telemetry(LAMP), [5]);
    life.report(&lamp, 6);
    assert_eq!(life.telemetry(LAMP), [6]);
}

#[test]
fn a_boot_counter_that_went_back_is_noticed_before_anything_is_loaded() {
    let store = Shelf::default();
    let life = Life::begin(&store);
    life.register(LAMP);
    let lamp = life.enter(LAMP, 7);
    life.report(&lamp, 1);
    life.end();

    let life = Life::begin(&store);
    assert!(life.enter(LAMP, 6).device.expect("a device").stale);
}

#[test]
fn what_is_published_while_a_run_is_on_its_way_is_not_overwritten() {
    let store = Shelf::default();
    let life = Life::begin(&store);
    life.publish("a.b", b"old");
    life.end();

    let life = Life::begin(&store);
    let broker = life.broker.clone();
    // The run has the old value already, and the channel is not in memory.
    store.after_next_visit(move || put(&broker, "a.b", b"new"));
    life.load();

    assert_eq!(life.values("a.b"), [b"new"]);
    life.end();
    let life = Life::begin(&store);
    life.load();
    assert_eq!(life.values("a.b"), [b"new"]);
}

#[test]
fn a_value_that_merges_meets_the_stored_one() {
    let store = Shelf::default();
    let life = Life::begin(&store);
    life.publish("merged.a", &[8, 1]);
    life.end();

    let life = Life::begin(&store);
    life.publish("merged.a", &[16, 2]);
    assert_eq!(life.values("merged.a"), [[8, 1, 16, 2]]);
}

#[test]
fn a_snapshot_is_complete_and_in_order_wherever_the_loader_stands() {
    for runs in [0, 1, 2, 10] {
        let store = filled();
        let life = Life::begin(&store);
        for _ in 0..runs {
            life.broker.load_run().expect("it can be read");
        }

        let found = life.snapshot("city.*.light");

        let expected: Vec<_> = (0..MANY).map(name).collect();
        assert!(found == expected, "{} of {MANY} after {runs} runs", found.len());
    }
}

#[test]
fn a_snapshot_beside_a_loader_and_a_publisher_has_every_channel_once() {
    let store = filled();
    let life = Life::begin(&store);
    let broker = life.broker.clone();
    let loader = std::thread::spawn(move || broker.load_values());
    let broker = life.broker.clone();
    let publisher = std::thread::spawn(move || {
        for at in (0..MANY).rev().step_by(7) {
            put(&broker, &name(at), b"new");
        }
    });

    let mailbox = life.broker.new_mailbox(&life::dashboard());
    let mut found = life.snapshot_with("city.>", &mailbox);
    loader.join().expect("no panic");
    publisher.join().expect("no panic");
    // What was published after the subscription is in the mailbox, or counted there.
    found.extend((0..MANY).filter(|at| at % 7 == (MANY - 1) % 7).map(name));
    found.sort();
    found.dedup();

    assert_eq!(found.len(), MANY);
    for at in (0..MANY).rev().step_by(7) {
        assert_eq!(life.values(&name(at)), [b"new"]);
    }
}

#[test]
fn a_snapshot_of_one_channel_or_one_device_reads_nothing_else() {
    let store = filled();
    let life = Life::begin(&store);
    life.register(LAMP);
    let lamp = life.enter(LAMP, 1);
    life.report(&lamp, 1);
    life.end();

    let life = Life::begin(&store);
    assert_eq!(life.snapshot(&name(MANY - 1)), [name(MANY - 1)]);
    let of_lamp = ["presence", "registration", "telemetry"];
    assert_eq!(
        life.snapshot("devices.lamp-1.>"),
        of_lamp.map(|suffix| format!("devices.lamp-1.{suffix}"))
    );
    assert!(life.broker.is_loading());
    assert!(life.broker.channels.read().len() <= 4);
}

#[test]
fn who_wants_only_what_came_after_the_restart_waits_for_nothing() {
    let store = filled();
    let life = Life::begin(&store);
    life.publish(&name(MANY - 1), b"new");

    let revisions = Revisions { after: life.broker.loading.restart.offset, up_to: u64::MAX };
    let all = ChannelPattern::parse(">").expect("valid");
    let page = life.broker.page(&all, revisions, None, usize::MAX);

    assert_eq!((page.values.len(), page.rest), (1, Rest::Nothing));
    assert!(life.broker.is_loading());
}

#[test]
fn a_device_that_was_here_is_unknown_whoever_asks_first() {
    let store = Shelf::default();
    let life = Life::begin(&store);
    life.register(LAMP);
    life.register("lamp-2");
    let generation = life.enter(LAMP, 1).device.expect("a device").generation;
    life.end();

    for loads_first in [false, true] {
        let life = Life::begin(&store);
        if loads_first {
            life.load();
        }
        let id = DeviceId::parse(LAMP).expect("valid");
        let view = life.broker.device(&id).expect("readable").expect("registered");
        assert_eq!((view.online, view.reason.as_str()), (None, "hub restarted"));
        assert_eq!(view.since_unix_ms, life.broker.loading.restart.unix_ms);
        let said = life.presence(LAMP);
        assert!(said.unknown && !said.online, "{said:?}");
        let other = DeviceId::parse("lamp-2").expect("valid");
        let other = life.broker.device(&other).expect("readable").expect("registered");
        assert_eq!(other.reason, "never seen");
    }
    let life = Life::begin(&store);
    assert_eq!(life.enter(LAMP, 1).device.expect("a device").generation, generation + 1);
    assert!(life.presence(LAMP).online);
    life.load();
    assert!(life.presence(LAMP).online);
}

#[test]
fn a_device_that_does_not_come_back_is_lost_also_if_it_was_loaded_late() {
    let store = Shelf::default();
    let life = Life::begin(&store);
    life.register(LAMP);
    life.enter(LAMP, 1);
    life.end();

    let life = Life::begin(&store);
    let much_later = Now::read().after(Duration::from_secs(3600));
    life.broker.presence_tick(much_later, Duration::from_secs(10), clock::mono());
    assert!(life.presence(LAMP).unknown, "nobody read it yet, so nobody was told that it is lost");
    life.load();
    life.broker.presence_tick(much_later, Duration::from_secs(10), clock::mono());
    assert_eq!(life.presence(LAMP).reason, "lost");
}

#[test]
fn a_device_that_is_removed_while_loading_stays_removed() {
    let store = Shelf::default();
    let life = Life::begin(&store);
    life.register(LAMP);
    let lamp = life.enter(LAMP, 1);
    life.report(&lamp, 5);
    life.end();

    let id = DeviceId::parse(LAMP).expect("valid");
    let life = Life::begin(&store);
    let by = Actor::hub();
    life.wait(life.broker.remove_device(Now::read(), &id, &by, |_| true))
        .expect("it is registered");
    life.load();
    assert!(life.broker.device(&id).expect("readable").is_none());
    life.end();
    let life = Life::begin(&store);
    life.load();
    assert!(life.broker.device(&id).expect("readable").is_none());
}

#[test]
fn a_stop_while_loading_loses_nothing() {
    let store = filled();
    let life = Life::begin(&store);
    life.broker.load_run().expect("it can be read");
    life.publish(&name(0), b"new");
    life.publish(&name(MANY - 1), b"new");
    life.end();

    let life = Life::begin(&store);
    assert_eq!(life.load().values, MANY);
    assert_eq!(life.values(&name(0)), [b"new"]);
    assert_eq!(life.values(&name(1)), [b"old"]);
    assert_eq!(life.values(&name(MANY - 1)), [b"new"]);
}

#[test]
fn positions_never_go_back_over_a_restart() {
    let store = Shelf::default();
    let life = Life::begin(&store);
    life.publish("a.b", b"old");
    let before = life.broker.position().offset;
    life.end();

    let life = Life::begin(&store);
    assert!(life.broker.position().offset > before);
    life.publish("a.b", b"new");
    let frames = life.frames("a.b");
    assert!(frames[0].offset() > life.broker.loading.restart.offset);
}

#[test]
fn a_record_that_cannot_be_read_is_counted_and_left() {
    let store = filled();
    let broken = operation(Table::LastValue, b"city.5x\0", Some(b"\xff".to_vec().into()));
    store.clone().commit(&[broken]).expect("in memory");

    let life = Life::begin(&store);
    let restored = life.load();

    assert_eq!((restored.values, restored.unreadable), (MANY, 1));
    life.end();
    assert_eq!(Life::begin(&store).load().unreadable, 1);
}

#[test]
fn a_store_that_cannot_be_read_takes_nothing_and_is_told_of() {
    let store = filled();
    let life = Life::begin(&store);
    assert!(life.broker.loading_fault().is_none());
    store.fail();

    let name = ChannelName::parse(&name(7)).expect("valid");
    let refusal = life.broker.channel(&name).expect_err("what is stored of it is not known");

    assert_eq!(refusal.code, ErrorCode::Unavailable);
    assert!(life.broker.load_values().is_none());
    let fault = life.broker.loading_fault().expect("one of both");
    assert!(fault.may_be_damage(), "{fault}");
}

#[test]
fn a_loader_that_hangs_is_noticed() {
    let life = Life::begin(&filled());
    let looks = || (0..LOOKS_WITHOUT_RUN_MAX).find_map(|_| life.broker.loading_fault());
    assert!(looks().is_none());
    life.broker.load_run().expect("it can be read");
    assert!(looks().is_none(), "it got on in between");
    assert!(matches!(looks(), Some(StoreError::Stuck)));
    life.load();
    assert!(life.broker.loading_fault().is_none());
}

/// With a value in each of so many channels that they take several runs.
fn filled() -> Shelf {
    let shelf = Shelf::default();
    let life = Life::begin(&shelf);
    for at in 0..MANY {
        life.publish(&name(at), b"old");
    }
    life.end();
    shelf
}

fn name(at: usize) -> String {
    format!("city.{at:05}.light")
}

fn report(seq: u64) -> ReportId {
    ReportId { boot: 1, seq }
}
