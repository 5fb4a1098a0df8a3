//! Somebody who reads a steady stream of small messages, while others keep the hub busy: what they notice.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use proto::envelope::{Batch, Kind, Publish};
use tokio::task::JoinSet;

use super::{Bench, peers};
use crate::clock::{Clock, Micros};
use crate::hub::HubError;
use crate::link::{Link, LinkError, encode};
use crate::metrics::Latency;
use crate::schedule::Periodic;

const CHANNEL: &str = "bench.beside";
const EVERY: Duration = Duration::from_millis(10);
const PAYLOAD: &[u8] = &[7; 64];

/// A publisher and its reader, until they are asked.
#[derive(Debug)]
pub(super) struct Beside {
    latency: Arc<Latency>,
    living: JoinSet<Result<(), LinkError>>,
}

impl Beside {
    /// Connects both, and begins.
    ///
    /// # Errors
    /// They can't connect.
    pub(super) async fn start(bench: &Bench) -> Result<Self, HubError> {
        let (target, token) = (bench.hub.target(), bench.hub.token());
        let (publisher, _) = Link::open(&target, token, 0).await?;
        let (mut reader, _) = Link::open(&target, token, 0).await?;
        peers::subscribe(&mut reader, CHANNEL).await?;
        let latency = Arc::<Latency>::default();
        let mut living = JoinSet::new();
        living.spawn(read(reader, bench.clock, latency.clone()));
        living.spawn(publish(publisher, bench.clock));
        Ok(Self { latency, living })
    }

    /// Ends both; how late messages came (µs).
    pub(super) async fn end(mut self) -> Histogram<u64> {
        self.living.shutdown().await;
        self.latency.snapshot()
    }
}

async fn publish(mut link: Link, clock: Clock) -> Result<(), LinkError> {
    let mut schedule = Periodic::new(clock.now(), EVERY);
    loop {
        clock.sleep_until(schedule.next()).await;
        while let Some(intended) = schedule.take(clock.now()) {
            let publish = Publish {
                channel: CHANNEL,
                time_unix_ms: intended.0,
                payload: Some(PAYLOAD),
                ..Publish::default()
            };
            link.send(&encode(0, Kind::Publish(publish))).await?;
        }
    }
}

async fn read(mut link: Link, clock: Clock, latency: Arc<Latency>) -> Result<(), LinkError> {
    loop {
        let bytes = link.next().await?;
        let now = clock.now();
        for envelope in Batch::parse(&bytes).map_err(|_| LinkError::Lost)? {
            if let Kind::Message(message) = envelope.kind {
                latency.record(now.since(Micros(message.measured_unix_ms)));
            }
        }
    }
}
