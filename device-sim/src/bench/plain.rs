//! Many publishers, one reader by a pattern, and nothing kept: at one rate after the other, up to the
//! most that the reader gets without loss. The caller's hub has a rule for the channels that keeps
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use proto::envelope::{Batch, Envelope, Kind, Publish};
use tokio::task::JoinSet;

use super::{Bench, Row, peers};
use crate::clock::{Clock, Micros};
use crate::hub::HubError;
use crate::link::{Link, LinkError};
use crate::metrics::{Counter, Latency};
use crate::schedule::Periodic;

/// Segment in front of a publisher's number.
const PREFIX: &str = "bench.plain";
const PAYLOAD: &[u8] = &[7; 64];
const SETTLE: Duration = Duration::from_secs(2);
/// Part of the offered messages that has to arrive within the round's own time.
const KEPT_UP: f64 = 0.95;

/// Settings of `plain`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Connections that publish
    #[arg(long, default_value_t = 2_000)]
    publishers: usize,
    /// Messages a second, of all of them together; one round each
    #[arg(long, value_delimiter = ',', default_values_t = [10_000.0])]
    rates: Vec<f64>,
    /// Messages that a publisher sends at once, in one WebSocket message
    #[arg(long, default_value_t = 1)]
    burst: u32,
    /// How long each round takes
    #[arg(long, value_parser = crate::args::span, default_value = "8s")]
    duration: Duration,
}

/// What one round's messages became.
#[derive(Debug, Default)]
struct Round {
    sent: Counter,
    read: Counter,
    gaps: Counter,
    latency: Latency,
}

type Current = Arc<parking_lot::Mutex<Arc<Round>>>;

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let token: Arc<str> = bench.hub.token().into();
    let tokens = std::iter::repeat_n(token, settings.publishers);
    let mut links = Vec::with_capacity(settings.publishers);
    let target = bench.hub.target();
    peers::open_all(bench, &target, tokens, 0, |opened| links.push(opened.link)).await?;
    let (mut reader, _) = Link::open(&target.for_reader(), bench.hub.token(), 0).await?;
    peers::subscribe(&mut reader, &format!("{PREFIX}.*")).await?;
    let current = Current::default();
    let reading = tokio::spawn(read(reader, bench.clock, current.clone()));
    let (mut rows, mut most) = (Vec::new(), 0.0_f64);
    for rate in &settings.rates {
        let round = Arc::new(Round::default());
        *current.lock() = round.clone();
        let (row, kept_up) = one_round(bench, settings, *rate, &mut links, &round).await?;
        rows.push(row);
        if let Some(read) = kept_up {
            most = most.max(read);
        }
    }
    reading.abort();
    rows.push(Row::new("plain, the most").with("read without loss", most, "/s"));
    Ok(rows)
}

/// One rate; and what was read a second, if nothing was lost and nothing fell behind.
async fn one_round(
    bench: &Bench,
    settings: &Settings,
    rate: f64,
    links: &mut Vec<Link>,
    round: &Arc<Round>,
) -> Result<(Row, Option<f64>), HubError> {
    let count = links.len() as f64;
    let every = Duration::from_secs_f64(count * f64::from(settings.burst) / rate);
    let start = bench.clock.now().after(SETTLE);
    let end = start.after(settings.duration);
    let mut publishing = JoinSet::new();
    for (number, link) in links.drain(..).enumerate() {
        let schedule = Periodic::new(start.after(every.mul_f64(number as f64 / count)), every);
        let (clock, burst, round) = (bench.clock, settings.burst, round.clone());
        publishing
            .spawn(async move { publish(link, number, clock, schedule, end, burst, &round).await });
    }
    bench.clock.sleep_until(start).await;
    let meter = bench.process.meter();
    bench.clock.sleep_until(end).await;
    let (read, share) = (round.read.count() as f64, meter.share(settings.duration));
    let cpu = meter.spent_us().map(|us| us / read.max(1.0));
    while let Some(published) = publishing.join_next().await {
        match published {
            Ok(link) => links.push(link?),
            Err(error) => return Err(HubError::Answer(error.to_string())),
        }
    }
    tokio::time::sleep(SETTLE).await;
    let missing = round.sent.count() as f64 - round.read.count() as f64;
    let read = read / settings.duration.as_secs_f64();
    let row = Row::new(format!("plain, {} to 1 at {rate}", settings.publishers))
        .with("offered", rate, "/s")
        .with("read", read, "/s")
        .with("missing", missing, "")
        .with("gaps", round.gaps.count() as f64, "")
        .with_known("cpu a message", cpu, "us")
        .with_known("cpu", share, "% of a core")
        .with_latency(&round.latency.snapshot());
    Ok((row, (missing == 0.0 && read >= rate * KEPT_UP).then_some(read)))
}

/// One publisher's part of a round; gives its connection back.
async fn publish(
    mut link: Link,
    number: usize,
    clock: Clock,
    mut schedule: Periodic,
    end: Micros,
    burst: u32,
    round: &Round,
) -> Result<Link, LinkError> {
    let channel = format!("{PREFIX}.p{number}");
    while schedule.next() < end {
        clock.sleep_until(schedule.next()).await;
        while let Some(intended) = schedule.take(clock.now()).filter(|intended| *intended < end) {
            let publish = Publish {
                channel: &channel,
                time_unix_ms: intended.0,
                payload: Some(PAYLOAD),
                ..Publish::default()
            };
            let envelope = Envelope::new(Kind::Publish(publish));
            let mut message = Vec::new();
            (0..burst).for_each(|_| envelope.encode_delimited(&mut message));
            round.sent.add_many(u64::from(burst));
            link.send(&message).await?;
        }
    }
    Ok(link)
}

async fn read(mut link: Link, clock: Clock, current: Current) {
    while let Ok(bytes) = link.next().await {
        let Ok(batch) = Batch::parse(&bytes) else { return };
        let (now, round) = (clock.now(), current.lock().clone());
        for envelope in batch {
            match envelope.kind {
                Kind::Message(message) => {
                    round.read.add();
                    round.latency.record(now.since(Micros(message.measured_unix_ms)));
                }
                Kind::Gap(_) => round.gaps.add(),
                _ => {}
            }
        }
    }
}
