//! What it costs to find who wants a message, with 1 to 10,000 pattern subscriptions in the hub.
//!
//! All but a few of them look at other streets' lamps: as with dashboards of many customers. Once a
//! channel knows its receivers, their number must not matter; after a change it asks the trie anew.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion};
use hub::mailbox::{Budget, Mailbox, Overflow, Queue};
use hub::router::trie::Trie;
use hub::router::{Audience, Router};
use proto::ChannelPattern;

const CHANNEL: &str = "devices.lamp-00000.telemetry";
const MANY: u64 = 10_000;
const SIZES: [u64; 3] = [1, 100, MANY];
/// Receivers of one message, as in a large fan-out.
pub(crate) const CROWD: u64 = 1_000;

/// All of this file.
pub(crate) fn measure(criterion: &mut Criterion) {
    trie(criterion);
    remembered(criterion);
    after_a_change(criterion);
    crowd(criterion);
}

fn mailbox(id: u64) -> Arc<Mailbox> {
    Mailbox::new(id, Queue::new(Overflow::Conflate, 1024), Budget::new(1024))
}

fn parse(pattern: &str) -> ChannelPattern {
    ChannelPattern::parse(pattern).expect("valid")
}

/// One pattern a lamp; the first is that of the channel.
fn patterns(size: u64) -> impl Iterator<Item = (ChannelPattern, Arc<Mailbox>)> {
    (0..size).map(|id| (parse(&format!("devices.lamp-{id:05}.*")), mailbox(id)))
}

fn router(size: u64) -> Router {
    let router = Router::default();
    patterns(size).for_each(|(pattern, mailbox)| router.subscribe(&pattern, &mailbox));
    router
}

fn trie(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matching: trie asked");
    for size in SIZES {
        let mut trie = Trie::default();
        patterns(size).for_each(|(pattern, mailbox)| trie.insert(&pattern, &mailbox));
        group.bench_function(BenchmarkId::from_parameter(size), |bench| {
            let mut found = Vec::new();
            bench.iter(|| {
                found.clear();
                trie.collect(black_box(CHANNEL), &mut found);
                assert_eq!(found.len(), 1, "the pattern of this lamp");
            });
        });
    }
    group.finish();
}

fn remembered(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matching: receivers remembered");
    for size in SIZES {
        let (router, mut audience) = (router(size), Audience::default());
        group.bench_function(BenchmarkId::from_parameter(size), |bench| {
            bench.iter(|| audience.receivers(&router, black_box(CHANNEL)).count());
        });
    }
    group.finish();
}

/// A dashboard comes or goes, and then the channel has its next message.
fn after_a_change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matching: receivers after a change");
    for size in SIZES {
        let (router, mut audience) = (router(size), Audience::default());
        let (pattern, newcomer) = (parse("devices.*.telemetry"), mailbox(size));
        let mut here = false;
        group.bench_function(BenchmarkId::from_parameter(size), |bench| {
            bench.iter(|| {
                if here {
                    router.unsubscribe(&pattern, newcomer.id());
                } else {
                    router.subscribe(&pattern, &newcomer);
                }
                here = !here;
                audience.receivers(&router, black_box(CHANNEL)).count()
            });
        });
    }
    group.finish();
}

/// All want the same: what the fan-out itself walks over.
fn crowd(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matching: walk over all receivers");
    for size in SIZES {
        let (router, mut audience) = (Router::default(), Audience::default());
        let pattern = parse("devices.*.telemetry");
        (0..size).for_each(|id| router.subscribe(&pattern, &mailbox(id)));
        group.bench_function(BenchmarkId::from_parameter(size), |bench| {
            bench.iter(|| {
                let receivers = audience.receivers(&router, black_box(CHANNEL));
                receivers.map(|mailbox| mailbox.id()).sum::<u64>()
            });
        });
    }
    group.finish();
}

/// Rounds for the instruction counter; the same operations as above.
pub(crate) fn asked() -> Box<dyn FnMut()> {
    let mut trie = Trie::default();
    patterns(MANY).for_each(|(pattern, mailbox)| trie.insert(&pattern, &mailbox));
    let mut found = Vec::new();
    Box::new(move || {
        found.clear();
        trie.collect(black_box(CHANNEL), &mut found);
    })
}

pub(crate) fn recalled() -> Box<dyn FnMut()> {
    let (router, mut audience) = (router(MANY), Audience::default());
    Box::new(move || {
        black_box(audience.receivers(&router, black_box(CHANNEL)).count());
    })
}

pub(crate) fn changed() -> Box<dyn FnMut()> {
    let (router, mut audience) = (router(MANY), Audience::default());
    let (pattern, newcomer) = (parse("devices.*.telemetry"), mailbox(MANY));
    Box::new(move || {
        router.subscribe(&pattern, &newcomer);
        black_box(audience.receivers(&router, black_box(CHANNEL)).count());
        router.unsubscribe(&pattern, newcomer.id());
        black_box(audience.receivers(&router, black_box(CHANNEL)).count());
    })
}

pub(crate) fn walked() -> Box<dyn FnMut()> {
    let (router, mut audience) = (Router::default(), Audience::default());
    let pattern = parse("devices.*.telemetry");
    (0..CROWD).for_each(|id| router.subscribe(&pattern, &mailbox(id)));
    Box::new(move || {
        let receivers = audience.receivers(&router, black_box(CHANNEL));
        black_box(receivers.map(|mailbox| mailbox.id()).sum::<u64>());
    })
}
