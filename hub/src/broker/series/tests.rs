//! Lives of a hub that keeps pasts, on a store in memory.

use std::time::Duration;

use prost::Message as _;
use proto::messages::lighting::v1::{LampSample, TelemetryBatch};

use super::kept::ROUND_TURNS;
use super::*;
use crate::broker::Settings as BrokerSettings;
use crate::broker::loading::tests::life::{Life, Shelf};
use crate::broker::publish::Receipt;
use crate::mailbox::Wakes;
use crate::series::Settings;
use crate::series::field::Place;
use crate::store::{Store as _, Table};
use crate::twin::ReportId;

const BATCH: &str = "lighting.v1.TelemetryBatch";
const LAMP: &str = "lamp-1";
const SLOT: Duration = Duration::from_secs(300);

fn field(name: &str, path: &str, holds: Holds) -> Field {
    Field {
        name: name.to_owned(),
        channel: "telemetry".to_owned(),
        type_name: BATCH.to_owned(),
        path: path.to_owned(),
        holds,
        step: 1.0,
        place: Place::parse(&proto::json::Types::built_in(), BATCH, path).expect("a number"),
        epoch: None,
    }
}

fn settings(channels_max: usize) -> BrokerSettings {
    let fields = vec![
        field("level", "samples.actual_level_pct", Holds::Last),
        field("energy", "samples.active_energy_wh", Holds::Increase),
    ];
    let series = Settings { channels_max, fields, ..Settings::default() };
    BrokerSettings { series, ..BrokerSettings::default() }
}

/// A report of a lamp whose boot is 1, measured at `now`.
fn report(life: &Life, now: Now, id: &str, seq: u64, level: u32, energy_wh: u64) {
    let id = DeviceId::parse(id).expect("valid");
    let sample = LampSample {
        actual_level_pct: Some(level),
        active_energy_wh: Some(energy_wh),
        ..LampSample::default()
    };
    let payload =
        TelemetryBatch { samples: vec![sample], ..TelemetryBatch::default() }.encode_to_vec();
    let value = Value {
        type_name: BATCH,
        payload: &payload,
        report: ReportId { boot: 1, seq },
        measured_unix_ms: now.unix_ms,
        instead_of: None,
    };
    let channel = life.broker.channel(&channels::TELEMETRY.of(&id)).expect("there is room");
    let wakes = &mut Wakes::default();
    life.broker.publish(now, &channel, value, &Receipt::None, wakes).expect("there is room");
}

fn values(life: &Life, now: Now, name: &str) -> Vec<f64> {
    let field = life.broker.series_fields().find(|field| field.name == name).expect("it is kept");
    let open = life.broker.series_grid().slot(now.unix_ms);
    let id = DeviceId::parse(LAMP).expect("valid");
    let found = life.broker.series_of(&id, field, open - 30, open).expect("readable");
    found.values.into_iter().flatten().collect()
}

fn load(life: &Life, now: Now) {
    life.load();
    life.broker.load_pasts(now).expect("it can be read");
}

fn stored(store: &Shelf) -> usize {
    let mut count = 0;
    store.scan(Table::Series, &mut |_, _| count += 1).expect("readable");
    count
}

#[test]
fn the_past_is_back_after_a_restart_also_under_what_came_first() {
    let store = Shelf::default();
    let now = Now::read();
    let life = Life::begin_with(&store, settings(10));
    load(&life, now);
    for (at, energy) in [(0, 1_000), (1, 1_020), (2, 1_045)] {
        report(&life, now.after(SLOT * at), LAMP, u64::from(at) + 1, 50 + at, energy);
    }
    life.end();

    let life = Life::begin_with(&store, settings(10));
    let later = now.after(SLOT * 2);
    report(&life, later, LAMP, 9, 99, 1_050);
    assert!(!life.broker.has_loaded_pasts());
    assert_eq!(values(&life, later, "level"), [99.0]);
    load(&life, later);
    assert_eq!(values(&life, later, "level"), [50.0, 51.0, 99.0]);
    assert_eq!(values(&life, later, "energy"), [20.0, 30.0], "of the last slot, both lives");
}

#[test]
fn a_late_report_fills_its_gap() {
    let life = Life::begin_with(&Shelf::default(), settings(10));
    let now = Now::read();
    report(&life, now.after(SLOT * 20), LAMP, 7, 70, 0);
    report(&life, now, LAMP, 3, 30, 0);
    assert_eq!(values(&life, now.after(SLOT * 20), "level"), [30.0, 70.0]);
}

#[test]
fn a_slot_that_is_over_is_stored_in_one_round_and_old_records_are_deleted() {
    let store = Shelf::default();
    let now = Now::read();
    let life = Life::begin_with(&store, settings(10));
    load(&life, now);
    report(&life, now, LAMP, 1, 70, 0);
    let round = |now| (0..ROUND_TURNS).for_each(|_| life.broker.pasts_tick(now));
    round(now.after(SLOT));
    life.broker.publish_barrier(&life);
    assert_eq!(stored(&store), 1);
    round(now.after(Duration::from_secs(50 * 3600)));
    life.broker.publish_barrier(&life);
    assert_eq!(stored(&store), 0);
}

#[test]
fn a_channel_above_the_limit_has_no_past_and_is_counted() {
    let life = Life::begin_with(&Shelf::default(), settings(1));
    let now = Now::read();
    for id in ["lamp-2", LAMP, LAMP] {
        report(&life, now, id, now.unix_ms, 70, 0);
    }
    assert!(values(&life, now, "level").is_empty());
    let page = life.broker.metrics_page();
    assert!(page.contains("limit_hits_total{limit=\"Series\"} 1"), "{page}");
    assert!(page.contains("lamplighter_series_channels 1"), "{page}");
}

#[test]
fn totals_add_up_those_that_may_be_seen() {
    let life = Life::begin_with(&Shelf::default(), settings(10));
    let now = Now::read();
    for id in [LAMP, "lamp-2", "lamp-3"] {
        for (seq, energy) in [(1, 100), (2, 130)] {
            report(&life, now, id, seq, 70, energy);
        }
    }
    let field = life.broker.series_fields().find(|field| field.name == "energy").expect("kept");
    let open = life.broker.series_grid().slot(now.unix_ms);
    let may_see = |channel: &str| !channel.contains("lamp-3");
    let Totals { slots, devices, from } = life.broker.series_totals(field, open - 1, open, may_see);
    assert_eq!((from, devices), (open - 1, 2));
    assert_eq!(slots, [(0.0, 0), (60.0, 2)]);
}

impl Broker {
    /// Waits until all that was submitted is stored.
    fn publish_barrier(&self, life: &Life) {
        let (done, wait) = tokio::sync::oneshot::channel();
        let barrier = crate::broker::Ticket::Waiter(done);
        self.submit(Vec::new(), Some(barrier)).expect("the store is healthy");
        life.wait(wait).expect("it is stored");
    }
}
