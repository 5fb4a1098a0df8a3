//! One publisher, many subscribers: the hub's CPU time for each delivery, one message at a time and in
//! bursts.

use std::sync::Arc;
use std::time::Duration;

use proto::envelope::{Batch, Envelope, Kind, Publish, Subscribe};
use tokio::task::JoinSet;

use super::{Bench, Row, peers};
use crate::clock::Micros;
use crate::hub::HubError;
use crate::link::{Link, encode};
use crate::metrics::{Counter, Latency};
use crate::schedule::Periodic;

const CHANNEL: &str = "bench.fan-out";
const PAYLOAD_BYTES: usize = 64;
const REST: Duration = Duration::from_secs(2);

/// Settings of `fan-out`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Subscribers
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Messages a second that are published
    #[arg(long, default_value_t = 32.0)]
    rate: f64,
    /// How long each round takes
    #[arg(long, value_parser = crate::args::span, default_value = "10s")]
    duration: Duration,
    /// Messages that are published at once, one round each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32])]
    bursts: Vec<u32>,
}

#[derive(Debug, Default)]
struct Received {
    messages: Counter,
    gaps: Counter,
    latency: Latency,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let mut readers = JoinSet::new();
    let mut links = Vec::with_capacity(settings.subscribers);
    let token: Arc<str> = bench.hub.token().into();
    let tokens = std::iter::repeat_n(token, settings.subscribers);
    peers::open_all(bench, &bench.hub.target(), tokens, 0, |opened| links.push(opened.link))
        .await?;
    let received = Arc::new(std::sync::Mutex::new(Arc::new(Received::default())));
    for mut link in links {
        link.send(&encode(
            0,
            Kind::Subscribe(Subscribe { pattern: CHANNEL, ..Subscribe::default() }),
        ))
        .await?;
        readers.spawn(read(link, bench.clock, received.clone()));
    }
    let (mut publisher, _) = Link::open(&bench.hub.target(), bench.hub.token(), 0).await?;
    let mut rows = Vec::new();
    for burst in &settings.bursts {
        let round = Arc::new(Received::default());
        tokio::time::sleep(REST).await;
        *received.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = round.clone();
        rows.push(one_round(bench, settings, &mut publisher, *burst, &round).await?);
    }
    Ok(rows)
}

async fn one_round(
    bench: &Bench,
    settings: &Settings,
    publisher: &mut Link,
    burst: u32,
    round: &Received,
) -> Result<Row, HubError> {
    let start = bench.clock.now();
    let every = Duration::from_secs_f64(f64::from(burst) / settings.rate);
    let mut schedule = Periodic::new(start.after(every), every);
    let end = start.after(settings.duration);
    let cpu = bench.process.cpu_us();
    let mut published = 0;
    while schedule.next() <= end {
        bench.clock.sleep_until(schedule.next()).await;
        while let Some(intended) = schedule.take(bench.clock.now()) {
            let mut message = Vec::new();
            for _ in 0..burst {
                envelope(intended).encode_delimited(&mut message);
            }
            publisher.send(&message).await?;
            published += u64::from(burst);
        }
    }
    tokio::time::sleep(REST).await;
    let delivered = round.messages.count() as f64;
    let cpu = bench
        .process
        .cpu_us()
        .zip(cpu)
        .map(|(after, before)| (after - before) / delivered.max(1.0));
    let latency = round.latency.snapshot();
    let ms = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Row::new(format!("fan-out 1 to {} in bursts of {burst}", settings.subscribers))
        .with_known("cpu a delivery", cpu, "us")
        .with("delivered", delivered, "")
        .with("missing", (published * settings.subscribers as u64) as f64 - delivered, "")
        .with("gaps", round.gaps.count() as f64, "")
        .with("p50", ms(0.5), "ms")
        .with("p99", ms(0.99), "ms"))
}

fn envelope(intended: Micros) -> Envelope<'static> {
    // The intended moment stands in the message's own time, which the hub carries along.
    const PAYLOAD: &[u8] = &[7; PAYLOAD_BYTES];
    Envelope::new(Kind::Publish(Publish {
        channel: CHANNEL,
        time_unix_ms: intended.0,
        payload: Some(PAYLOAD),
        ..Publish::default()
    }))
}

async fn read(
    mut link: Link,
    clock: crate::clock::Clock,
    received: Arc<std::sync::Mutex<Arc<Received>>>,
) {
    while let Ok(bytes) = link.next().await {
        let Ok(batch) = Batch::parse(&bytes) else { return };
        let now = clock.now();
        let round = received.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        for envelope in batch {
            match envelope.kind {
                Kind::Message(message) => {
                    round.messages.add();
                    round.latency.record(now.since(Micros(message.measured_unix_ms)));
                }
                Kind::Gap(_) => round.gaps.add(),
                _ => {}
            }
        }
    }
}
