//! What it costs that each subscriber chooses: telemetry in protobuf, read as protobuf and as JSON, by one
//! reader and by many.
//!
//! The hub converts once a message. So with one reader the difference between the two is the conversion,
//! and with many it vanishes beside the deliveries, but for the longer text that each of them gets.
//!
//! The hub needs a rule that gives [`CHANNEL`] the type [`TYPE`].

use std::sync::Arc;
use std::time::Duration;

use proto::envelope::{Batch, Encoding, Envelope, Kind, Publish, Subscribe};
use tokio::task::JoinSet;

use super::reporter::payload;
use super::{Bench, Row, peers};
use crate::hub::HubError;
use crate::link::{Link, encode};
use crate::metrics::Counter;
use crate::schedule::Periodic;

const CHANNEL: &str = "bench.lamps.telemetry";
const TYPE: &str = "lighting.v1.TelemetryBatch";
const REST: Duration = Duration::from_secs(1);

/// Settings of `conversion`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Readers, beside the rounds with one
    #[arg(long, default_value_t = 1_000)]
    readers: usize,
    /// Messages a second for one reader
    #[arg(long, default_value_t = 4_000.0)]
    rate_of_one: f64,
    /// Messages a second for all readers
    #[arg(long, default_value_t = 32.0)]
    rate_of_many: f64,
    /// How long each round takes
    #[arg(long, value_parser = crate::args::span, default_value = "6s")]
    duration: Duration,
}

#[derive(Debug, Default)]
struct Read {
    as_wanted: Counter,
    otherwise: Counter,
}

/// What a round cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    published: f64,
    read: f64,
    otherwise: f64,
    cpu_us: Option<f64>,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let (mut publisher, _) = Link::open(&bench.hub.target(), bench.hub.token(), 0).await?;
    let mut rows = Vec::new();
    for (readers, rate) in [(1, settings.rate_of_one), (settings.readers, settings.rate_of_many)] {
        let mut a_message = Vec::new();
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let cost = one_round(bench, settings.duration, &mut publisher, readers, rate, encoding)
                .await?;
            a_message.push(cost.cpu_us.map(|cpu| cpu / cost.published.max(1.0)));
            rows.push(row(readers, encoding, &cost));
        }
        if let [Some(protobuf), Some(json)] = a_message[..] {
            let name = format!("conversion, JSON instead of protobuf, {}", who(readers));
            let readers = readers as f64;
            rows.push(Row::new(name).with("cpu a message", json - protobuf, "us").with(
                "cpu a delivery",
                (json - protobuf) / readers,
                "us",
            ));
        }
    }
    Ok(rows)
}

fn row(readers: usize, encoding: Encoding, cost: &Cost) -> Row {
    let each = |count: f64| cost.cpu_us.map(|cpu| cpu / count.max(1.0));
    Row::new(format!("conversion, {} of {encoding:?}", who(readers)))
        .with_known("cpu a message", each(cost.published), "us")
        .with_known("cpu a delivery", each(cost.read), "us")
        .with("missing", cost.published * readers as f64 - cost.read, "")
        .with("not converted", cost.otherwise, "")
}

fn who(readers: usize) -> String {
    if readers == 1 { "one reader".to_owned() } else { format!("{readers} readers") }
}

async fn one_round(
    bench: &Bench,
    duration: Duration,
    publisher: &mut Link,
    readers: usize,
    rate: f64,
    encoding: Encoding,
) -> Result<Cost, HubError> {
    let read = Arc::new(Read::default());
    let _readers = subscribe(bench, readers, encoding, &read).await?;
    tokio::time::sleep(REST).await;

    let start = bench.clock.now();
    let every = Duration::from_secs_f64(1.0 / rate);
    let mut schedule = Periodic::new(start.after(every), every);
    let end = start.after(duration);
    let cpu = bench.process.cpu_us();
    let (payload, mut published) = (payload(), 0.0);
    while schedule.next() <= end {
        bench.clock.sleep_until(schedule.next()).await;
        while schedule.take(bench.clock.now()).is_some() {
            publisher.send(&publish(&payload)).await?;
            published += 1.0;
        }
    }
    tokio::time::sleep(REST).await;
    let cpu_us = bench.process.cpu_us().zip(cpu).map(|(after, before)| after - before);
    let (read, otherwise) = (read.as_wanted.count() as f64, read.otherwise.count() as f64);
    Ok(Cost { published, read, otherwise, cpu_us })
}

/// Connected readers; they end with their set.
async fn subscribe(
    bench: &Bench,
    count: usize,
    encoding: Encoding,
    read: &Arc<Read>,
) -> Result<JoinSet<()>, HubError> {
    let mut links = Vec::with_capacity(count);
    let token: Arc<str> = bench.hub.token().into();
    let tokens = std::iter::repeat_n(token, count);
    peers::open_all(bench, &bench.hub.target(), tokens, 0, |opened| links.push(opened.link))
        .await?;
    let mut readers = JoinSet::new();
    for mut link in links {
        let wish = Subscribe { pattern: CHANNEL, encoding, ..Subscribe::default() };
        link.send(&encode(0, Kind::Subscribe(wish))).await?;
        readers.spawn(listen(link, encoding, read.clone()));
    }
    Ok(readers)
}

fn publish(payload: &[u8]) -> Vec<u8> {
    let publish =
        Publish { channel: CHANNEL, type_name: TYPE, payload: Some(payload), ..Publish::default() };
    let mut bytes = Vec::new();
    Envelope::new(Kind::Publish(publish)).encode_delimited(&mut bytes);
    bytes
}

async fn listen(mut link: Link, encoding: Encoding, read: Arc<Read>) {
    while let Ok(bytes) = link.next().await {
        let Ok(batch) = Batch::parse(&bytes) else { return };
        for envelope in batch {
            let Kind::Message(message) = envelope.kind else { continue };
            if message.json.is_empty() == (encoding == Encoding::Protobuf) {
                read.as_wanted.add();
            } else {
                read.otherwise.add();
            }
        }
    }
}
