//! What is counted and timed while a run goes on: counters for live rates, histograms for the end.
//!
//! Latencies are in µs, from 1 µs to 20 min, to three digits. One lock a histogram: a fleet of 15,000
//! lamps takes it a few thousand times a second.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

const LATENCY_US_MAX: u64 = 20 * 60 * 1_000_000;

/// Times of one kind.
#[derive(Debug)]
pub struct Latency(Mutex<Histogram<u64>>);

impl Default for Latency {
    fn default() -> Self {
        Self(Mutex::new(empty()))
    }
}

/// A histogram without entries.
pub fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("constant bounds are valid")
}

impl Latency {
    /// Adds one (µs).
    pub fn record(&self, us: u64) {
        self.0.lock().saturating_record(us.max(1));
    }

    /// A copy of all so far.
    pub fn snapshot(&self) -> Histogram<u64> {
        self.0.lock().clone()
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn add(&self) {
        self.add_many(1);
    }

    /// Adds some.
    pub fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that one run measures.
#[derive(Debug, Default)]
pub struct Metrics {
    /// From the decision to connect to the hub's Welcome, TCP, TLS and upgrade included.
    pub connect: Latency,
    /// From the intended moment of a report to its durable ack.
    pub telemetry: Latency,
    /// The same, of acks that came while a storm went on.
    pub telemetry_in_storm: Latency,
    /// How late the simulator itself was with its reports. If this is large, the machine is too slow
    /// for the load and the other figures say more about it than about the hub.
    pub lateness: Latency,
    /// From the intended moment of a command to the hub's durable ACCEPTED.
    pub command_accepted: Latency,
    /// From the intended moment of a command to the start of its effect in the lamp.
    pub command_started: Latency,
    /// From the intended moment of a command to its terminal state, seen by its sender.
    pub command_ended: Latency,
    /// From a lamp's report of an outcome to the hub's durable answer.
    pub outcome_settled: Latency,
    /// From the moment when all links were cut to each lamp's next Welcome.
    pub recovery: Latency,

    /// Lamps that are connected now.
    pub connected: AtomicU64,
    /// Connections that the hub admitted.
    pub admissions: Counter,
    /// Tries that no connection came of.
    pub connect_failures: Counter,
    /// Reports handed to the firmware client.
    pub reports: Counter,
    /// Reports that the hub acknowledged.
    pub acked: Counter,
    /// Reports that the hub refused.
    pub refused: Counter,
    /// Reports that a full ring gave up before they were acknowledged.
    pub displaced: Counter,
    /// Effects that were begun.
    pub executions: Counter,
    /// Boots after the first.
    pub reboots: Counter,
    /// Values that the observer saw.
    pub observed: Counter,
    /// Links that the scenario broke on purpose.
    pub links_broken: Counter,
    /// Bytes of WebSocket messages to the hub.
    pub bytes_sent: Counter,
    /// Bytes of WebSocket messages from the hub.
    pub bytes_received: Counter,
    /// Lost connections by close code; 0 for those without one.
    pub disconnects: Mutex<BTreeMap<u16, u64>>,
}

impl Metrics {
    /// A connection that stood is gone.
    pub fn disconnected(&self, code: Option<u16>) {
        self.connected.fetch_sub(1, Ordering::Relaxed);
        *self.disconnects.lock().entry(code.unwrap_or(0)).or_default() += 1;
    }

    /// A connection stands.
    pub fn admitted(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
        self.admissions.add();
    }

    /// Lamps that are connected now.
    pub fn connected_now(&self) -> u64 {
        self.connected.load(Ordering::Relaxed)
    }

    /// Lost connections of all kinds.
    pub fn disconnects_total(&self) -> u64 {
        self.disconnects.lock().values().sum()
    }
}
