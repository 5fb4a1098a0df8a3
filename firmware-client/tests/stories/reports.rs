//! Reports: kept, numbered, repeated, acknowledged.

use firmware_client::{Config, Event, Pace, Report, ReportError, TimeQuality};
use proto::ErrorCode;
use proto::envelope::{Ack, Error, Kind};

use crate::support::{NOON, Weather, World};

#[test]
fn everything_reported_over_a_bad_link_is_stored_once_and_unchanged() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.weather = Weather { delay_ms_max: 2_000, doubled: 7, broken: 12 };
        let mut made = Vec::new();
        for number in 0..200_u32 {
            let payload = number.to_le_bytes();
            let report = match number % 5 {
                0 => Report::event("faults", &payload),
                _ => Report::telemetry(&payload),
            };
            let seq = world.machine.report(world.now, &report).expect("it fits");
            made.push((seq, world.now.0, payload.to_vec()));
            let pause = world.dice.up_to(3_000);
            world.run(pause);
        }
        world.weather = Weather { delay_ms_max: 100, ..Weather::default() };
        world.run(600_000);

        assert_eq!(world.machine.reports_waiting(), 0, "seed {seed}");
        assert_eq!(world.machine.stats().records_lost, 0, "seed {seed}");
        assert_eq!(world.hub.stored.len(), made.len(), "seed {seed}");
        for ((boot, stored_seq), (time, payload)) in &world.hub.stored {
            let (seq, measured, original) = &made[usize::try_from(*stored_seq - 1).expect("small")];
            assert_eq!((*boot, stored_seq, payload), (1, seq, original), "seed {seed}");
            // One-way delay is all that the learned clock may be wrong by.
            let off = (NOON + measured).abs_diff(*time);
            assert!(off <= 2_000, "seed {seed}: {off} ms");
        }
    }
}

#[test]
fn what_was_measured_before_the_hub_told_the_time_gets_its_time() {
    let mut world = World::new(1);
    world.hub_up = false;
    world.run(10_000);
    assert_eq!(world.machine.time_quality(world.now), TimeQuality::Unsynced);
    let seq = world.machine.report(world.now, &Report::telemetry(b"early")).expect("it fits");
    world.run(100_000);
    world.hub_up = true;
    world.run(200_000);

    let (time, _) = &world.hub.stored[&(1, seq)];
    assert!((NOON + 10_000).abs_diff(*time) <= 100, "{time}");
    assert_eq!(world.machine.time_quality(world.now), TimeQuality::Synced);
    let unix_ms = world.machine.unix_ms(world.now).expect("learned");
    assert!(unix_ms.abs_diff(NOON + world.now.0) <= 100);
}

#[test]
fn a_full_ring_gives_up_the_oldest_samples_and_never_an_event() {
    let mut world = World::with(2, 400, |seed| Config::new("lamp-0042", seed));
    world.hub_up = false;
    let fault =
        world.machine.report(world.now, &Report::event("faults", b"dark")).expect("it fits");
    let mut last = 0;
    for number in 0..100_u32 {
        last = world
            .machine
            .report(world.now, &Report::telemetry(&number.to_le_bytes()))
            .expect("it fits");
    }
    world.hub_up = true;
    world.run(300_000);

    let kept: Vec<u64> = world.hub.stored.keys().map(|(_, seq)| *seq).collect();
    let newest: Vec<u64> = (last - 19..=last).collect();
    assert_eq!(kept, [&[fault][..], &newest].concat(), "20 records of 20 bytes fit 400");
    assert_eq!(world.machine.stats().records_lost, 80);
    assert_eq!(world.machine.reports_waiting(), 0);
}

#[test]
fn no_more_reports_are_in_flight_than_the_window_and_a_reconnect_repeats_them() {
    let mut world =
        World::with(3, 8192, |seed| Config { window: 8, ..Config::new("lamp-0042", seed) });
    world.hub.acks = false;
    for number in 0..50_u32 {
        world
            .machine
            .report(world.now, &Report::telemetry(&number.to_le_bytes()))
            .expect("it fits");
    }
    world.run(10_000);
    assert_eq!(world.hub.received, 8);

    // The hub had them: `Welcome` says so, and only the others follow.
    world.cut(None);
    world.hub.acks = true;
    world.run(60_000);
    assert_eq!(world.hub.received, 50);
    assert_eq!(world.hub.stored.len(), 50);
}

#[test]
fn reports_leave_no_faster_than_the_pace() {
    let mut world = World::with(4, 65_536, |seed| Config {
        pace: Pace { messages_per_s: 10, messages_burst: 20, ..Pace::DEFAULT },
        ..Config::new("lamp-0042", seed)
    });
    world.run(10_000);
    for number in 0..500_u32 {
        world
            .machine
            .report(world.now, &Report::telemetry(&number.to_le_bytes()))
            .expect("it fits");
    }
    world.run(10_000);
    assert!((100..=121).contains(&world.hub.received), "{}", world.hub.received);
    world.run(40_000);
    assert_eq!(world.hub.stored.len(), 500);
}

#[test]
fn a_report_refused_for_good_is_dropped_and_told() {
    let mut world = World::new(5);
    world.run(10_000);
    world.hub.acks = false;
    let seq = world.machine.report(world.now, &Report::telemetry(b"NaN")).expect("it fits");
    world.run(1_000);
    let refusal = Error { code: ErrorCode::BadValue, seq, ..Error::default() };
    world.hub_says(Kind::Error(refusal));
    world.run(1_000);

    let told = format!("{:?}", Event::ReportRefused { seq, code: ErrorCode::BadValue });
    assert!(world.events.contains(&told));
    assert_eq!(world.machine.stats().reports_refused, 1);
    world.hub.stored.clear();
    world.cut(None);
    world.run(60_000);
    assert!(world.hub.stored.is_empty(), "it is not sent again");
}

#[test]
fn a_hub_without_room_gets_everything_again_after_the_pause_it_asked_for() {
    let mut world = World::new(6);
    world.run(10_000);
    world.hub.acks = false;
    world.machine.report(world.now, &Report::telemetry(b"1")).expect("it fits");
    world.run(1_000);
    world.hub.stored.clear();
    let later = Error { code: ErrorCode::Unavailable, retry_after_ms: 20_000, ..Error::default() };
    world.hub_says(Kind::Error(later));
    world.run(19_000);
    assert!(world.hub.stored.is_empty());
    world.hub.acks = true;
    world.run(3_000);
    assert_eq!(world.hub.stored.len(), 1);
    assert_eq!(world.machine.reports_waiting(), 0);
    assert_eq!(world.connects.len(), 1);
}

#[test]
fn an_ack_of_what_was_never_sent_takes_nothing_away() {
    let mut world = World::new(7);
    world.run(10_000);
    world.silent = true;
    world.hub_says(Kind::Ack(Ack { boot: 1, seq: u64::MAX, ..Ack::default() }));
    world.run(100);
    let pace = world.machine.report(world.now, &Report::telemetry(b"1")).expect("it fits");
    world.hub_says(Kind::Ack(Ack { boot: 99, seq: pace, ..Ack::default() }));
    world.run(100);
    assert_eq!(world.machine.reports_waiting(), 1);
}

#[test]
fn a_journal_that_lost_count_of_its_boots_gets_a_new_number() {
    let mut world = World::new(8);
    for seq in 1..=9 {
        world.hub.stored.insert((1, seq), (NOON, b"of an earlier life".to_vec()));
    }
    world.machine.report(world.now, &Report::telemetry(b"new")).expect("it fits");
    world.run(60_000);

    assert_eq!(world.machine.boot(), 2);
    assert_eq!(world.hub.stored[&(2, 1)].1, b"new");
    assert_eq!(world.machine.reports_waiting(), 0);
}

#[test]
fn what_can_never_be_sent_is_refused_at_once() {
    let mut world = World::new(9);
    let mut report = |report: &Report<'_>| world.machine.report(world.now, report);
    assert_eq!(report(&Report::telemetry(&[0; 40_000])), Err(ReportError::TooLong));
    assert_eq!(report(&Report::telemetry(&[0; 4_096])), Err(ReportError::TooLong));
    assert_eq!(report(&Report::event("no channel", b"")), Err(ReportError::Channel));
    assert_eq!(report(&Report::event("a.b.c.d.e.f.g", b"")), Err(ReportError::Channel));
    assert_eq!(report(&Report::telemetry(b"")), Ok(1), "a payload of zero bytes is legal");
}
