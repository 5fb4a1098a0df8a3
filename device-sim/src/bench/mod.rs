//! Measures one hub process from outside: memory, CPU time, latency. Bare clients, no physics.
//!
//! Each subcommand prints one row for each of its measurements. CPU time and memory are the kernel's
//! figures for `--hub-pid`; latencies count from intended moments. Who starts and stops the hub is the
//! caller's affair.

mod commands;

mod connects;

mod fan_in;

mod fan_out;

mod idle;

mod peers;

mod process;

mod restart;

use clap::{Args, Subcommand};
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
    /// Round trips of commands
    Commands(commands::Settings),
    /// New connections, greeting included
    Connects(connects::Settings),
    /// Fill the hub with last values; restarting it is the caller's part
    Restart(restart::Settings),
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
}

/// What all benches share.
#[derive(Debug, Clone)]
struct Bench {
    hub: Hub,
    clock: Clock,
    process: HubProcess,
}

/// Measures and prints. Always true: figures keep no promises.
///
/// # Errors
/// The hub could not be used.
pub async fn run_and_print(settings: &BenchSettings) -> Result<bool, HubError> {
    let clock = Clock::start();
    let hub = Hub::new(&settings.hub).await?;
    let bench = Bench { hub, clock, process: HubProcess::new(settings.hub_pid) };
    let rows = match &settings.scenario {
        Scenario::Idle(settings) => idle::run(&bench, settings).await?,
        Scenario::FanOut(settings) => fan_out::run(&bench, settings).await?,
        Scenario::FanIn(settings) => fan_in::run(&bench, settings).await?,
        Scenario::Commands(settings) => commands::run(&bench, settings).await?,
        Scenario::Connects(settings) => connects::run(&bench, settings).await?,
        Scenario::Restart(settings) => restart::run(&bench, settings).await?,
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
