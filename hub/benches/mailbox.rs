//! What a mailbox costs for each message that goes through it: offered by a publisher, taken by the
//! receiver's task.
//!
//! Nobody contends for the lock here; that a publisher and a receiver meet is rare and short.

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Waker};

use criterion::{Criterion, Throughput};
use hub::codec::{Draft, Frame};
use hub::mailbox::{Budget, Mailbox, Overflow, Queue, Taken};
use proto::envelope::Message;

const MAILBOX_BYTES: usize = 1024 * 1024;
const BUDGET_BYTES: usize = 512 * 1024 * 1024;
/// As much as one wake-up of a receiver takes.
const TAKE_BYTES: usize = 64 * 1024;
const BURST: u64 = 32;

/// All of this file.
pub(crate) fn measure(criterion: &mut Criterion) {
    messages(criterion);
    acks(criterion);
    lagging(criterion);
}

fn mailbox() -> Arc<Mailbox> {
    Mailbox::new(1, Queue::new(Overflow::Conflate, MAILBOX_BYTES), Budget::new(BUDGET_BYTES))
}

fn frame() -> Arc<Frame> {
    let message = Message {
        channel: "devices.lamp-00042.telemetry",
        payload: Some(&[7; 64]),
        ..Message::default()
    };
    Arc::new(Draft::new(&message).place(1))
}

fn take(mailbox: &Mailbox, taken: &mut Taken) {
    let mut context = Context::from_waker(Waker::noop());
    assert!(mailbox.poll_take(&mut context, TAKE_BYTES, taken).is_ready(), "something waits");
    black_box(&*taken);
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mailbox: offered and taken");
    for burst in [1, BURST] {
        let (mailbox, frame, mut taken) = (mailbox(), frame(), Taken::default());
        group.throughput(Throughput::Elements(burst));
        group.bench_function(format!("in bursts of {burst}"), |bench| {
            bench.iter(|| {
                for _ in 0..burst {
                    mailbox.offer(black_box(&frame)).wake();
                }
                take(&mailbox, &mut taken);
            });
        });
    }
    group.finish();
}

/// A cumulative ack replaces the one that still waits, so many cost the receiver one.
fn acks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mailbox: acknowledged and taken");
    for burst in [1, BURST] {
        let (mailbox, mut taken, mut seq) = (mailbox(), Taken::default(), 0);
        group.throughput(Throughput::Elements(burst));
        group.bench_function(format!("in bursts of {burst}"), |bench| {
            bench.iter(|| {
                for _ in 0..burst {
                    seq += 1;
                    mailbox.acknowledge(7, black_box(seq)).wake();
                }
                take(&mailbox, &mut taken);
            });
        });
    }
    group.finish();
}

/// A dashboard that doesn't read: what each further message costs its publisher.
fn lagging(criterion: &mut Criterion) {
    let (mailbox, frame) = (mailbox(), frame());
    let fills = MAILBOX_BYTES / frame.len() + 1;
    (0..fills).for_each(|_| mailbox.offer(&frame).wake());
    criterion.bench_function("mailbox: offered to one that lags", |bench| {
        bench.iter(|| mailbox.offer(black_box(&frame)).wake());
    });
}

/// Rounds for the instruction counter; the same operations as above.
pub(crate) fn one() -> Box<dyn FnMut()> {
    offered(1)
}

pub(crate) fn burst() -> Box<dyn FnMut()> {
    offered(BURST)
}

fn offered(burst: u64) -> Box<dyn FnMut()> {
    let (mailbox, frame, mut taken) = (mailbox(), frame(), Taken::default());
    Box::new(move || {
        for _ in 0..burst {
            mailbox.offer(black_box(&frame)).wake();
        }
        take(&mailbox, &mut taken);
    })
}

pub(crate) fn acked() -> Box<dyn FnMut()> {
    let (mailbox, mut taken, mut seq) = (mailbox(), Taken::default(), 0);
    Box::new(move || {
        seq += 1;
        mailbox.acknowledge(7, black_box(seq)).wake();
        take(&mailbox, &mut taken);
    })
}

pub(crate) fn offered_to_lagging() -> Box<dyn FnMut()> {
    let (mailbox, frame) = (mailbox(), frame());
    let fills = MAILBOX_BYTES / frame.len() + 1;
    (0..fills).for_each(|_| mailbox.offer(&frame).wake());
    Box::new(move || mailbox.offer(black_box(&frame)).wake())
}
