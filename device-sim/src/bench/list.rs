//! Lists of a large fleet by selectors: how long a page takes, what it costs the hub, and what memory it
//! takes while many ask at once.
//!
//! ```text
//!   pole='…'                    one device of all           registry alone
//!   district='Centre'           a quarter, a full page      registry alone
//!   street='…' and power>40     within a street             last values of the street's
//!   power>40                    of all                      last values of all that may be meant
//! ```
//!
//! The hub judges a device by the registry first and decodes last values only where that leaves it open, so
//! the four differ in how much is left open.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use prost::Message as _;
use proto::messages::lighting::v1::{LampSample, TelemetryBatch};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::beside::Beside;
use super::http::Http;
use super::reporter::{Reporter, Totals};
use super::{Bench, Row, peers};
use crate::clock::Clock;
use crate::hub::HubError;
use crate::link::{Link, LinkError};
use crate::metrics::empty;
use crate::provision::{register, tokens_of};

const DEVICES_PER_REQUEST: usize = 1000;
/// Devices of a street, of which there are so many that none is large.
const STREET: usize = 200;
const DISTRICTS: [&str; 4] = ["Centre", "Harbour", "Hill", "Mill"];
/// W, of the devices that report: one half is above the 40 that are asked for.
const POWERS_W: [f32; 2] = [30.0, 48.5];
const PAGE: &str = "500";
const REST: Duration = Duration::from_secs(3);
/// Requests of each kind before those that count.
const WARM_UP: usize = 2;

/// Settings of `list`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Devices to register; whole thousands
    #[arg(long, default_value_t = 100_000, value_parser = thousands)]
    devices: usize,
    /// One of so many devices reports its power
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..))]
    reporting_each: u16,
    /// Requests of each kind, one after the other
    #[arg(long, default_value_t = 30)]
    requests: usize,
    /// Requests of each kind at once
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// How often they ask at once
    #[arg(long, default_value_t = 4)]
    rounds: usize,
}

/// A question, and how many devices are meant by it.
#[derive(Debug, Clone)]
struct Question {
    name: &'static str,
    selector: String,
    total: usize,
}

/// What came of asking.
#[derive(Debug)]
struct Asked {
    /// µs.
    latency: Histogram<u64>,
    /// Of the last answer.
    bytes: usize,
    /// Answers with another total than the right one.
    wrong: usize,
    /// Of the hub, for all requests.
    cpu_us: Option<f64>,
    /// The hub's peak over what was resident before.
    grew_kib: Option<f64>,
    /// µs: how late the messages of somebody else came meanwhile.
    beside: Option<Histogram<u64>>,
}

impl Asked {
    fn new() -> Self {
        Self { latency: empty(), bytes: 0, wrong: 0, cpu_us: None, grew_kib: None, beside: None }
    }

    fn requests(&self) -> u64 {
        self.latency.len()
    }

    fn row(&self, name: String) -> Row {
        let requests = self.requests().max(1) as f64;
        let beside = self.beside.as_ref().map(|late| late.value_at_quantile(0.99) as f64 / 1000.0);
        Row::new(name)
            .with("page", self.bytes as f64 / 1024.0, "KiB")
            .with("wrong totals", self.wrong as f64, "")
            .with_known("cpu a request", self.cpu_us.map(|us| us / 1000.0 / requests), "ms")
            .with_known("memory grew", self.grew_kib.map(|kib| kib / 1024.0), "MiB")
            .with_known("p99 of others", beside, "ms")
            .with_latency(&self.latency)
    }
}

#[derive(Debug, Deserialize)]
struct Page {
    total: usize,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let before = bench.process.resident_kib();
    let reporting = register_all(bench, settings).await?;
    let registered = resident_at_rest(bench).await;
    report_all(bench, &reporting).await?;
    let reported = resident_at_rest(bench).await;
    let http = Http::new(bench)?;
    let mut rows = vec![memory_row(settings, reporting.len(), [before, registered, reported])];
    let (mut requests, mut wrong) = (0, 0);
    for question in questions(settings) {
        let alone = ask_in_turn(bench, settings, &http, &question).await?;
        rows.push(alone.row(format!("list, {}", question.name)));
        let together = ask_at_once(bench, settings, &http, &question).await?;
        let name = format!("list, {}, {} at once", question.name, settings.at_once);
        rows.push(together.row(name));
        requests += alone.requests() + together.requests();
        wrong += alone.wrong + together.wrong;
    }
    let all = Row::new("list, in all").with("requests", requests as f64, "");
    rows.push(all.with("wrong totals", wrong as f64, ""));
    Ok(rows)
}

fn memory_row(settings: &Settings, reporting: usize, kib: [Option<f64>; 3]) -> Row {
    let [before, registered, reported] = kib;
    let devices = settings.devices as f64;
    let a_device = registered.zip(before).map(|(after, before)| (after - before) / devices);
    let mib = |kib: Option<f64>| kib.map(|kib| kib / 1024.0);
    Row::new("list, prepared")
        .with("devices", devices, "")
        .with("reporting", reporting as f64, "")
        .with_known("resident before", mib(before), "MiB")
        .with_known("resident", mib(reported), "MiB")
        .with_known("memory a device", a_device, "KiB")
}

async fn resident_at_rest(bench: &Bench) -> Option<f64> {
    tokio::time::sleep(REST).await;
    bench.process.resident_kib()
}

/// What is asked, with what is right for the devices of [`labels`] and the powers of [`report_all`].
fn questions(settings: &Settings) -> Vec<Question> {
    let devices = 0..settings.devices;
    let (pole, street) = (settings.devices / 2, settings.devices / 2 / STREET);
    let above_40 = |number: &usize| reports(settings, *number) && power_w(settings, *number) > 40.0;
    let of_street = devices.clone().filter(|number| number / STREET == street);
    let question = |name, selector, total| Question { name, selector, total };
    vec![
        question("one by its pole", format!("pole='P-{pole}'"), 1),
        question(
            "a quarter by district",
            format!("district='{}'", DISTRICTS[0]),
            devices.clone().filter(|number| district(*number) == DISTRICTS[0]).count(),
        ),
        question(
            "a street's by power",
            format!("street='Street {street}' and power>40"),
            of_street.filter(above_40).count(),
        ),
        question("all by power", "power>40".to_owned(), devices.filter(above_40).count()),
    ]
}

fn district(number: usize) -> &'static str {
    DISTRICTS[number / STREET % DISTRICTS.len()]
}

fn reports(settings: &Settings, number: usize) -> bool {
    number.is_multiple_of(settings.reporting_each.into())
}

fn power_w(settings: &Settings, number: usize) -> f32 {
    POWERS_W[number / usize::from(settings.reporting_each) % POWERS_W.len()]
}

fn id(number: usize) -> String {
    format!("bench-{number:06}")
}

fn labels(number: usize) -> Value {
    json!({
        "pole": format!("P-{number}"),
        "street": format!("Street {}", number / STREET),
        "district": district(number),
        "feeder": format!("F{}", number / 50),
    })
}

/// Registers all; returns the tokens of those that will report, with their powers.
async fn register_all(
    bench: &Bench,
    settings: &Settings,
) -> Result<Vec<(Arc<str>, f32)>, HubError> {
    let mut reporting = Vec::new();
    for first in (0..settings.devices).step_by(DEVICES_PER_REQUEST) {
        let numbers = first..first + DEVICES_PER_REQUEST;
        let body = numbers
            .clone()
            .map(|number| json!({"id": id(number), "profile": "led-65", "labels": labels(number)}));
        let answer = register(&bench.hub, &Value::Array(body.collect())).await?;
        let ids: Vec<String> = numbers.clone().map(id).collect();
        let all = numbers.zip(tokens_of(&answer, &ids)?);
        let some = all.filter(|(number, _)| reports(settings, *number));
        reporting.extend(some.map(|(number, token)| (token, power_w(settings, number))));
    }
    Ok(reporting)
}

/// Each reports its power once, and leaves when that is acknowledged.
async fn report_all(bench: &Bench, reporting: &[(Arc<str>, f32)]) -> Result<(), HubError> {
    let mut working = JoinSet::new();
    let tokens = reporting.iter().map(|(token, _)| token.clone());
    let (target, boot) = (bench.hub.target(), peers::boot(bench));
    peers::open_all(bench, &target, tokens, boot, |opened| {
        let payload = telemetry(reporting[opened.number].1);
        working.spawn(report(opened.link, payload, bench.clock));
    })
    .await?;
    while let Some(reported) = working.join_next().await {
        reported.map_err(|error| HubError::Answer(error.to_string()))??;
    }
    Ok(())
}

async fn report(mut link: Link, payload: Vec<u8>, clock: Clock) -> Result<(), LinkError> {
    let (mut reporter, totals) = (Reporter::default(), Totals::default());
    link.send(&reporter.publish(&payload, clock.now(), &totals)).await?;
    while totals.acked.count() == 0 {
        let bytes = link.next().await?;
        reporter.take_acks(&bytes, clock.now(), &totals);
        if totals.refused.count() > 0 {
            return Err(LinkError::Greeting("an error"));
        }
    }
    Ok(())
}

fn telemetry(power_w: f32) -> Vec<u8> {
    let sample = LampSample {
        state: 3,
        actual_level_pct: Some(70),
        supply_voltage_v: Some(230.1),
        active_power_w: Some(power_w),
        ..LampSample::default()
    };
    TelemetryBatch { samples: vec![sample], ..TelemetryBatch::default() }.encode_to_vec()
}

/// One request after the other.
async fn ask_in_turn(
    bench: &Bench,
    settings: &Settings,
    http: &Http,
    question: &Question,
) -> Result<Asked, HubError> {
    ask(bench, http, question, WARM_UP).await?;
    let meter = bench.process.meter();
    let asked = ask(bench, http, question, settings.requests).await?;
    Ok(Asked { cpu_us: meter.spent_us(), ..asked })
}

/// Many at once, from as many connections. Memory is the most of it over what there was before.
async fn ask_at_once(
    bench: &Bench,
    settings: &Settings,
    http: &Http,
    question: &Question,
) -> Result<Asked, HubError> {
    tokio::time::sleep(REST).await;
    let beside = Beside::start(bench).await?;
    bench.process.forget_peak();
    let (before, meter) = (bench.process.peak_kib(), bench.process.meter());
    let mut asking = JoinSet::new();
    for _ in 0..settings.at_once {
        let (bench, http, question, times) =
            (bench.clone(), http.clone(), question.clone(), settings.rounds);
        asking.spawn(async move { ask(&bench, &http, &question, times).await });
    }
    let mut all = Asked::new();
    while let Some(asked) = asking.join_next().await {
        let asked = asked.map_err(|error| HubError::Answer(error.to_string()))??;
        all.latency += asked.latency;
        all.bytes = asked.bytes;
        all.wrong += asked.wrong;
    }
    let grew = bench.process.peak_kib().zip(before);
    let grew_kib = grew.map(|(peak, before)| (peak - before).max(0.0));
    let cpu_us = meter.spent_us();
    Ok(Asked { cpu_us, grew_kib, beside: Some(beside.end().await), ..all })
}

/// Asks so many times for the first page; each timed until its last byte is here.
async fn ask(
    bench: &Bench,
    http: &Http,
    question: &Question,
    times: usize,
) -> Result<Asked, HubError> {
    let query = [("where", question.selector.as_str()), ("limit", PAGE)];
    let mut asked = Asked::new();
    for _ in 0..times {
        let start = bench.clock.now();
        let body = http.get("/v1/devices", &query).await?.bytes().await?;
        asked.latency.saturating_record(bench.clock.now().since(start));
        asked.bytes = body.len();
        let page: Page = serde_json::from_slice(&body)
            .map_err(|_| HubError::Answer("GET /v1/devices".to_owned()))?;
        asked.wrong += usize::from(page.total != question.total);
    }
    Ok(asked)
}

fn thousands(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count
        .filter(|count: &usize| count.is_multiple_of(DEVICES_PER_REQUEST))
        .ok_or_else(|| format!("`{text}`: say whole thousands"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_right_is_counted_as_the_devices_are_made() {
        let settings =
            Settings { devices: 100_000, reporting_each: 25, requests: 1, at_once: 1, rounds: 1 };
        let totals: Vec<usize> =
            questions(&settings).into_iter().map(|question| question.total).collect();
        assert_eq!(totals, [1, 25_000, 4, 2_000]);
    }

    #[test]
    fn only_whole_thousands_are_registered() {
        assert_eq!(thousands("2000"), Ok(2_000));
        assert!(thousands("0").is_err() && thousands("1500").is_err() && thousands("x").is_err());
    }
}
