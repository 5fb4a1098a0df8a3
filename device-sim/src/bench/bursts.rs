//! One publisher and many receivers, one round a size of burst: what all receivers got, and what it cost
//! the hub.
//!
//! Who receives, and over which way, is the affair of the scenario; it tells of each message through
//! [`Current`].

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use proto::envelope::{Envelope, Kind, Publish};

use super::{Bench, Row};
use crate::clock::Micros;
use crate::hub::HubError;
use crate::link::Link;
use crate::metrics::{Counter, Latency};
use crate::schedule::Periodic;

const PAYLOAD: &[u8] = &[7; 64];
const REST: Duration = Duration::from_secs(2);

/// What the receivers of a round got.
#[derive(Debug, Default)]
pub(super) struct Received {
    messages: Counter,
    gaps: Counter,
    latency: Latency,
}

impl Received {
    /// A message that was meant to be published at `intended`.
    pub(super) fn message(&self, intended: Micros, now: Micros) {
        self.messages.add();
        self.latency.record(now.since(intended));
    }

    /// A gap was told.
    pub(super) fn gap(&self) {
        self.gaps.add();
    }
}

/// The round that goes on.
#[derive(Debug, Clone, Default)]
pub(super) struct Current(Arc<parking_lot::Mutex<Arc<Received>>>);

impl Current {
    /// Where to count what comes now.
    pub(super) fn round(&self) -> Arc<Received> {
        self.0.lock().clone()
    }

    fn begin(&self) -> Arc<Received> {
        let round = Arc::new(Received::default());
        *self.0.lock() = round.clone();
        round
    }
}

/// What is published, and to how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) channel: &'static str,
    pub(super) receivers: usize,
    /// Messages a second.
    pub(super) rate: f64,
    /// Of a round.
    pub(super) duration: Duration,
}

/// What became of a round.
#[derive(Debug)]
pub(super) struct Outcome {
    /// µs of the hub for each message that a receiver got.
    pub(super) cpu_us: Option<f64>,
    delivered: f64,
    missing: f64,
    gaps: f64,
    latency: Histogram<u64>,
}

impl Offer {
    /// Publishes for one round, so many messages at once.
    ///
    /// # Errors
    /// The publisher's connection ended.
    pub(super) async fn round(
        &self,
        bench: &Bench,
        publisher: &mut Link,
        burst: u32,
        current: &Current,
    ) -> Result<Outcome, HubError> {
        tokio::time::sleep(REST).await;
        let round = current.begin();
        let start = bench.clock.now();
        let every = Duration::from_secs_f64(f64::from(burst) / self.rate);
        let mut schedule = Periodic::new(start.after(every), every);
        let end = start.after(self.duration);
        let meter = bench.process.meter();
        let mut published = 0;
        while schedule.next() <= end {
            bench.clock.sleep_until(schedule.next()).await;
            while let Some(intended) = schedule.take(bench.clock.now()) {
                publisher.send(&self.burst(intended, burst)).await?;
                published += u64::from(burst);
            }
        }
        tokio::time::sleep(REST).await;
        let delivered = round.messages.count() as f64;
        Ok(Outcome {
            cpu_us: meter.spent_us().map(|us| us / delivered.max(1.0)),
            delivered,
            missing: (published * self.receivers as u64) as f64 - delivered,
            gaps: round.gaps.count() as f64,
            latency: round.latency.snapshot(),
        })
    }

    fn burst(&self, intended: Micros, count: u32) -> Vec<u8> {
        // The intended moment stands in the message's own time, which the hub carries along.
        let envelope = Envelope::new(Kind::Publish(Publish {
            channel: self.channel,
            time_unix_ms: intended.0,
            payload: Some(PAYLOAD),
            ..Publish::default()
        }));
        let mut bytes = Vec::new();
        (0..count).for_each(|_| envelope.encode_delimited(&mut bytes));
        bytes
    }
}

impl Outcome {
    /// As a row of this name.
    pub(super) fn row(&self, name: String) -> Row {
        Row::new(name)
            .with_known("cpu a delivery", self.cpu_us, "us")
            .with("delivered", self.delivered, "")
            .with("missing", self.missing, "")
            .with("gaps", self.gaps, "")
            .with_latency(&self.latency)
    }
}
