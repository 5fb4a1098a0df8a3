//! The hub beside its peers: the same load for all, on this machine, in one run.
//!
//! Each scenario takes all servers in turn, and all scenarios are repeated in rounds, so that what else the
//! machine does falls on everybody alike. A server runs alone on its core; the generator runs on the
//! others, speaks each protocol by a small adapter, and counts CPU time as the kernel does.
//!
//! ```text
//!   order ─▶ scenario ─▶ server (a fresh one) ─▶ load ─▶ engine ─▶ connection ─▶ dialect, ws
//!      │                                           └─ figures
//!      └─▶ results ─▶ marks, page, chart ─▶ docs/, README.md
//! ```
//!
//! Read in this order: `order`, `scenario`, `load`, `engine`, `connection`, `dialect`, then `results` and `page`.

mod order;

mod scenario;

mod load;

mod engine;

mod connection;

mod dialect;

mod ws;

mod stamp;

mod servers;

mod process;

mod awake;

mod results;

mod marks;

mod page;

mod readme;

mod chart;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::HubSettings;
use crate::clock::Clock;
use crate::hub::{Hub, HubError};
use crate::provision::{register, tokens_of};
use crate::report::print;

use awake::Awake;
use dialect::Member;
use order::bouts;
use results::{Results, Rounds};
use scenario::{Bout, Plan, Scenario, Steps};
use servers::{Certificates, Programs, Server, ServerKind};

/// The hub takes no more in one request.
const DEVICES_PER_REQUEST: usize = 1_000;
/// The hub keeps 2,000 for itself; the rest is for the requests that register devices.
const DESCRIPTORS_RESERVED: usize = 2_100;
const IDLE_MAX: usize = 18_000;
const DATA: &str = "benchmarks.json";
const PAGE: &str = "benchmarks.md";
const PICTURE: &str = "benchmarks.svg";
const README: &str = "README.md";

/// Settings of `compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareSettings {
    /// Folder with the programs hub and floor
    #[arg(long, default_value = "target/release")]
    programs: PathBuf,
    /// Folder into which deploy/bench-peers.sh installed the peers
    #[arg(long, default_value = "target/peers")]
    peers: PathBuf,
    /// The core on which each server runs
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// Servers to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = ServerKind::ALL)]
    servers: Vec<ServerKind>,
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::ALL)]
    scenarios: Vec<Scenario>,
    /// Rounds of all that isn't memory
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    rounds: u32,
    /// One short round, results to stdout only
    #[arg(long)]
    quick: bool,
    /// No scenario begins after this time
    #[arg(long, value_parser = crate::args::span, default_value = "25m")]
    budget: Duration,
    /// Folder for benchmarks.json, .md and .svg, beside the README; without it results go to stdout only
    #[arg(long)]
    docs: Option<PathBuf>,
    /// What the other benches wrote of the hub's own scenarios; files that aren't there are left out
    #[arg(long, default_values = ["target/bench.json", "target/bench-long.json"])]
    own: Vec<PathBuf>,
    /// Measure nothing, write the page and the picture anew from benchmarks.json
    #[arg(long, requires = "docs")]
    render: bool,
}

/// Why there is no comparison, or a part of it is missing.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A file or a program.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// A server that could not be started or stopped.
    #[error(transparent)]
    Server(std::io::Error),
    /// A server that didn't do its part.
    #[error("{0}")]
    Load(String),
    /// The hub's registry.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The picture could not be drawn.
    #[error("the picture: {0}")]
    Picture(String),
    /// A signal.
    #[error("stopped before the end")]
    Stopped,
}

impl CompareSettings {
    fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    fn plan(&self) -> Plan {
        let (one_at_a_time_s, bursts_s, span_s, search_ms, rest_s) =
            if self.quick { (4, 2, 2, 600, 1) } else { (12, 3, 4, 800, 2) };
        Plan {
            one_at_a_time_span: Duration::from_secs(one_at_a_time_s),
            bursts_span: Duration::from_secs(bursts_s),
            span: Duration::from_secs(span_s),
            pairs_span: Duration::from_secs(2),
            rest: Duration::from_secs(rest_s),
            search_span: Duration::from_millis(search_ms),
            fan_out_rate: 20.0,
            fan_in_rate: 10_000.0,
            pairs_rate: 5_000.0,
            answers_rate: 2_000.0,
            connects: if self.quick { 1_000 } else { 3_000 },
            idle_to: if self.quick { 4_000 } else { idle_connections() },
            idle_tls_to: if self.quick { 2_000 } else { 6_000 },
        }
    }
}

/// As many as a hub takes with the descriptors that a process may have here.
fn idle_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).maximum.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(IDLE_MAX, |limit| limit.saturating_sub(DESCRIPTORS_RESERVED).min(IDLE_MAX))
}

/// Compares, and writes what was found. True if everything could be measured.
///
/// # Errors
/// Nothing could be measured at all, or the results can't be written.
pub async fn run_and_print(settings: &CompareSettings) -> Result<bool, CompareError> {
    let docs = settings.docs.as_deref().filter(|_| !settings.quick);
    let results = match docs {
        Some(docs) if settings.render => read(docs)?,
        _ => run_until_stopped(settings).await?,
    };
    let own = settings.own.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let own: Vec<String> = own.collect();
    match docs {
        Some(docs) => write(docs, &results, &own)?,
        None => print(&page::write(&results, "", &own)),
    }
    Ok(results.failures.is_empty())
}

/// Whichever server runs is killed when the run is dropped.
async fn run_until_stopped(settings: &CompareSettings) -> Result<Results, CompareError> {
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        results = Box::pin(run(settings)) => results,
        _ = interrupt.recv() => Err(CompareError::Stopped),
        _ = terminate.recv() => Err(CompareError::Stopped),
    }
}

fn read(docs: &Path) -> Result<Results, CompareError> {
    let path = docs.join(DATA);
    let json = std::fs::read_to_string(&path).map_err(|error| file_error(&path, error))?;
    serde_json::from_str(&json).map_err(|error| file_error(&path, error.into()))
}

/// Writes data, page and picture, and the figures of the README beside the folder. What people wrote on the
/// page is kept.
fn write(docs: &Path, results: &Results, own: &[String]) -> Result<(), CompareError> {
    let readme = docs.join("..").join(README);
    let people = std::fs::read_to_string(&readme).unwrap_or_default();
    if let Some(text) = readme::write(results, &people) {
        std::fs::write(&readme, text).map_err(|error| file_error(&readme, error))?;
        eprintln!("wrote {}", readme.display());
    }
    let before = std::fs::read_to_string(docs.join(PAGE)).unwrap_or_default();
    let json = serde_json::to_string_pretty(results).expect("our own types are JSON");
    let svg = chart::draw(results).map_err(CompareError::Picture)?;
    for (name, text) in
        [(DATA, json + "\n"), (PAGE, page::write(results, &before, own)), (PICTURE, svg)]
    {
        let path = docs.join(name);
        std::fs::write(&path, text).map_err(|error| file_error(&path, error))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal, CompareError> {
    signal(kind).map_err(|error| file_error(Path::new("signals"), error))
}

async fn run(settings: &CompareSettings) -> Result<Results, CompareError> {
    let clock = Clock::start();
    let programs = Programs {
        own: settings.programs.clone(),
        peers: settings.peers.clone(),
        core: settings.server_core,
    };
    // Its data folder, with the certificates, stays until the end.
    let maker = Server::start(ServerKind::Lamplighter, &programs, None)
        .await
        .map_err(CompareError::Server)?;
    let certificates = Certificates::of(&maker.data()).map_err(CompareError::Server)?;
    let certificates_folder = maker.stop().await.map_err(CompareError::Server)?;
    let context =
        Context { plan: settings.plan(), clock, programs: &programs, certificates: &certificates };

    let mut rounds = Rounds::default();
    let mut failures = Vec::new();
    let end = clock.now().after(settings.budget);
    for (round, scenario, server) in bouts(settings) {
        let what = format!("round {} {scenario:?} {}", round + 1, server.name());
        if clock.now() > end {
            failures.push(format!("{what}: no time left"));
            continue;
        }
        match context.bout(scenario, server).await {
            Ok(steps) => {
                eprintln!("{:>5.0} s  {what}", clock.now().0 as f64 / 1e6);
                for (step, figures) in steps {
                    rounds.add(step, server.name(), &figures);
                }
            }
            Err(reason) => {
                eprintln!("{what}: {reason}");
                failures.push(format!("{what}: {reason}"));
            }
        }
    }
    drop(certificates_folder);
    Ok(Results {
        began_unix_ms: clock.start_unix_ms(),
        rounds: settings.rounds(),
        took_s: clock.now().0 / 1_000_000,
        versions: versions(&settings.peers),
        steps: rounds.steps(),
        failures,
    })
}

/// What all bouts share.
struct Context<'c> {
    plan: Plan,
    clock: Clock,
    programs: &'c Programs,
    certificates: &'c Certificates,
}

impl Context<'_> {
    /// One scenario with one server of its own.
    async fn bout(&self, scenario: Scenario, kind: ServerKind) -> Result<Steps, CompareError> {
        let certificates = scenario.has_tls().then_some(self.certificates);
        let server =
            Server::start(kind, self.programs, certificates).await.map_err(CompareError::Server)?;
        let (token, devices) = match kind {
            ServerKind::Lamplighter => {
                let count = scenario.devices(&self.plan);
                let (token, devices) = enrol(&server, count, scenario.has_tls()).await?;
                (Some(token), devices)
            }
            ServerKind::Floor | ServerKind::Mosquitto | ServerKind::Nats | ServerKind::Socketio => {
                (None, Vec::new())
            }
        };
        let boot = u32::try_from(self.clock.start_unix_ms() / 1000).unwrap_or(u32::MAX);
        let bout = Bout {
            plan: self.plan,
            clock: self.clock,
            target: server.target.clone(),
            process: server.process,
            dialect: kind.dialect(boot),
            token,
            devices,
        };
        let awake = scenario.is_of_moments().then(|| Awake::keep(self.programs.core)).transpose();
        let awake = awake.map_err(|error| file_error(Path::new("chrt"), error))?;
        let steps = tokio::task::spawn_blocking(move || bout.run(scenario)).await;
        drop(awake);
        server.stop().await.map_err(CompareError::Server)?;
        let steps = steps.map_err(|error| CompareError::Load(error.to_string()))?;
        steps.map_err(|error| CompareError::Load(error.to_string()))
    }
}

/// Registers so many devices at the hub. Returns the operator's token and the devices.
async fn enrol(
    server: &Server,
    count: usize,
    has_tls: bool,
) -> Result<(Arc<str>, Vec<Member>), HubError> {
    let folder = server.data().join("dev");
    let scheme = if has_tls { "wss" } else { "ws" };
    let settings = HubSettings {
        hub: format!("{scheme}://{}", server.target.address),
        ca_file: Some(folder.join("ca.pem")),
        token_file: Some(folder.join("operator.token")),
    };
    let hub = Hub::new(&settings).await?;
    let ids: Vec<String> = (0..count).map(|number| format!("bench-{number:05}")).collect();
    let mut devices = Vec::with_capacity(count);
    for chunk in ids.chunks(DEVICES_PER_REQUEST) {
        let body = chunk.iter().map(|id| json!({"id": id})).collect();
        let answer = register(&hub, &Value::Array(body)).await?;
        let tokens = tokens_of(&answer, chunk)?;
        devices.extend(chunk.iter().zip(tokens).map(|(id, token)| Member {
            listens: None,
            token: Some(token),
            device: Some(id.as_str().into()),
        }));
    }
    Ok((hub.token().into(), devices))
}

/// What deploy/bench-peers.sh found: a name and a version a line.
fn versions(peers: &Path) -> std::collections::BTreeMap<String, String> {
    let text = std::fs::read_to_string(peers.join("versions")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}

fn file_error(path: &Path, error: std::io::Error) -> CompareError {
    CompareError::File { path: path.display().to_string(), error }
}
