//! Measures one hub process from outside: memory, CPU time, latency. Bare clients, no physics.
//!
//! Each subcommand prints one row for each of its measurements. CPU time and memory are the kernel's
//! figures for `--hub-pid`; latencies count from intended moments. Who starts and stops the hub is the
//! caller's affair.

mod certificates;

mod commands;

mod connects;

mod conversion;

mod crowd;

mod deaf;

mod fan_in;

mod fan_out;

mod flood;

mod idle;

mod peers;

mod plain;

mod process;

mod relay;

mod reporter;

mod restart;

mod slow;

mod storm;

mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::args::HubSettings;
use crate::clock::Clock;
use crate::hub::{Hub, HubError};
use crate::report;

use process::HubProcess;

/// Settings of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchSettings {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    hub: HubSettings,
    /// Process id of the hub, whose CPU time and memory are measured
    #[arg(long, global = true)]
    hub_pid: Option<u32>,
    /// Print rows as JSON, one a line
    #[arg(long, global = true)]
    json: bool,
}

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
enum Scenario {
    /// Memory of an idle connection: the slope between two numbers of them
    Idle(idle::Settings),
    /// CPU time of a delivery: one publisher, many subscribers
    FanOut(fan_out::Settings),
    /// Durable acks: many devices, one reader
    FanIn(fan_in::Settings),
    /// Messages without acks: many publishers, one reader, at one rate after the other
    Plain(plain::Settings),
    /// CPU time of a conversion: telemetry read as protobuf and as JSON
    Conversion(conversion::Settings),
    /// Round trips of commands
    Commands(commands::Settings),
    /// New connections, greeting included
    Connects(connects::Settings),
    /// Fill the hub with last values; restarting it is the caller's part
    Restart(restart::Settings),
    /// Bytes on the wire: a report, an idle hour, beside MQTT and HTTP polling
    Wire(wire::Settings),
    /// All connections are lost at once; ending and starting the hub is the caller's part
    Storm(storm::Settings),
    /// Dashboards that read slowly or not at all, beside others
    Slow(slow::Settings),
    /// Devices that stop reading while commands come
    Deaf(deaf::Settings),
    /// Devices that send far too much, beside honest ones
    Flood(flood::Settings),
    /// One process's share of a crowd: at rest, then at a city's pace
    Crowd(crowd::Settings),
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
struct Row {
    bench: String,
    figures: Vec<Figure>,
}

#[derive(Debug, Clone, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
}

impl Row {
    fn new(bench: impl Into<String>) -> Self {
        Self { bench: bench.into(), figures: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: f64, unit: &'static str) -> Self {
        self.figures.push(Figure { name, value, unit });
        self
    }

    /// Adds a figure that needs the hub's process.
    fn with_known(self, name: &'static str, value: Option<f64>, unit: &'static str) -> Self {
        match value {
            Some(value) => self.with(name, value, unit),
            None => self,
        }
    }

    /// Adds the quantiles of a latency (µs) that everybody asks for.
    fn with_latency(self, latency: &Histogram<u64>) -> Self {
        let ms = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1000.0;
        self.with("p50", ms(0.5), "ms").with("p99", ms(0.99), "ms")
    }
}

/// What all benches share.
#[derive(Debug, Clone)]
struct Bench {
    hub: Hub,
    clock: Clock,
    process: HubProcess,
    ca_file: Option<PathBuf>,
}

impl Bench {
    /// The sum of one of the hub's counters and gauges over all its labels; or of those whose line
    /// begins as `name` does, labels included.
    async fn counted(&self, name: &str) -> Result<f64, HubError> {
        let page = self.hub.metrics().await?;
        let lines = page.lines().filter_map(|line| line.strip_prefix("lamplighter_"));
        let values = lines.filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let is_whole = rest.starts_with(['{', ' ']);
            is_whole.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
        });
        Ok(values.fold(0.0, |sum, value| sum + value))
    }
}

/// How the caller and a bench that share the work tell each other where they are.
mod signal {
    use super::{Duration, Path};

    const EVERY: Duration = Duration::from_millis(100);

    /// Tells by making the file.
    pub(super) fn give(file: Option<&Path>) -> std::io::Result<()> {
        file.map_or(Ok(()), |file| std::fs::write(file, []))
    }

    /// Waits until the caller has made the file.
    pub(super) async fn wait(file: Option<&Path>) {
        while file.is_some_and(|file| !file.exists()) {
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Measures and prints. Always true: figures keep no promises.
///
/// # Errors
/// The hub could not be used.
pub async fn run_and_print(settings: &BenchSettings) -> Result<bool, HubError> {
    let clock = Clock::start();
    let hub = Hub::new(&settings.hub).await?;
    let process = HubProcess::new(settings.hub_pid);
    let bench = Bench { hub, clock, process, ca_file: settings.hub.ca_file.clone() };
    let rows = match &settings.scenario {
        Scenario::Idle(settings) => idle::run(&bench, settings).await?,
        Scenario::FanOut(settings) => fan_out::run(&bench, settings).await?,
        Scenario::FanIn(settings) => fan_in::run(&bench, settings).await?,
        Scenario::Conversion(settings) => conversion::run(&bench, settings).await?,
        Scenario::Commands(settings) => commands::run(&bench, settings).await?,
        Scenario::Connects(settings) => connects::run(&bench, settings).await?,
        Scenario::Plain(settings) => plain::run(&bench, settings).await?,
        Scenario::Restart(settings) => restart::run(&bench, settings).await?,
        Scenario::Wire(settings) => wire::run(&bench, settings).await?,
        Scenario::Storm(settings) => storm::run(&bench, settings).await?,
        Scenario::Slow(settings) => slow::run(&bench, settings).await?,
        Scenario::Deaf(settings) => deaf::run(&bench, settings).await?,
        Scenario::Flood(settings) => flood::run(&bench, settings).await?,
        Scenario::Crowd(settings) => crowd::run(&bench, settings).await?,
    };
    for row in &rows {
        if settings.json {
            report::print_json(row);
        } else {
            let figures = row.figures.iter();
            let figures = figures.map(|f| format!("{} {:.2} {}", f.name, f.value, f.unit));
            report::print(&format!("{}: {}", row.bench, figures.collect::<Vec<_>>().join(" · ")));
        }
    }
    Ok(true)
}
