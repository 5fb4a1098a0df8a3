//! One run from its start to its verdict: register, connect, load, settle, compare, judge.
//!
//! ```text
//!   register ─▶ ramp ─▶ scenario ─▶ settle: acks and commands come in ─▶ compare with the hub ─▶ report
//!   Ctrl-C or SIGTERM ──────┴─────────┴─▶ (once: settle now; twice: without waiting)
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use firmware_client::Backoff;
use firmware_client::driver::LinkControl;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::args::{RunSettings, ScenarioName};
use crate::city::City;
use crate::clock::{Clock, micros};
use crate::console::Console;
use crate::hub::{Hub, HubError};
use crate::lamp::{Phase, Post, Power, Shared, live};
use crate::ledger::commands::{Commands, Question};
use crate::ledger::device::Book;
use crate::ledger::{Breach, Findings};
use crate::metrics::Metrics;
use crate::observer::{Fleet, Watched, observe};
use crate::physics::{FaultPlan, UnixMillis};
use crate::report::{Report, print, print_json};
use crate::scenario::{Outcome, play};
use crate::schedule::ramp_moment;
use crate::{progress, provision, town, verify};

/// Lamps that are not connected when the ramp is over may come in for so long.
const RAMP_GRACE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Lamps say goodbye within this.
const GOODBYE: Duration = Duration::from_secs(5);
/// Ended commands whose state is asked for again.
const ENDED_ASKED_MAX: usize = 200;
const BACKOFF_STEP_DIVISOR: u32 = 4;

/// Lifts the soft limit on open files to the hard one: each lamp is a socket.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) =
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        eprintln!("device-sim: the limit of open files stays as it is: {error}");
    }
}

/// Runs and prints the report. True if no promise was broken.
///
/// # Errors
/// The hub could not be used at all, or not be asked at the end.
pub async fn run_and_print(settings: &RunSettings) -> Result<bool, HubError> {
    let report = run(settings).await?;
    if settings.json {
        print_json(&report);
    } else {
        print(&report.text());
    }
    match (report.is_clean(), &report.unverified) {
        (true, Some(reason)) => Err(HubError::Answer(reason.clone())),
        (clean, _) => Ok(clean),
    }
}

/// Everything of one run.
struct Run<'s> {
    settings: &'s RunSettings,
    hub: Hub,
    shared: Arc<Shared>,
    fleet: Arc<Fleet>,
    stops: watch::Receiver<u32>,
    report: Report,
}

/// Runs a fleet.
///
/// # Errors
/// The hub could not be used at all.
pub async fn run(settings: &RunSettings) -> Result<Report, HubError> {
    let clock = town::clock(settings, Clock::start());
    let hub = Hub::new(&settings.hub).await?;
    let city = city(settings, clock);
    let shared = Arc::new(shared(settings, clock));
    let fleet = Arc::new(fleet(settings, &hub, &city).await?);
    town::tell(settings, &hub, &city, clock).await?;
    let mut run = Run { settings, hub, shared, fleet, stops: stops(), report: Report::default() };
    let mut helpers = run.start_helpers();
    let mut lamps = run.start_lamps(&city);
    run.load().await;
    run.settle().await;
    run.shared.phase.send_replace(Phase::Over);
    run.fleet.posts.iter().for_each(|post| post.link.wake());
    let goodbye = async {
        while lamps.join_next().await.is_some() {}
        while helpers.join_next().await.is_some() {}
    };
    // Whoever hangs in a dead connection is dropped with its task.
    drop(tokio::time::timeout(GOODBYE, goodbye).await);
    Ok(run.judge())
}

fn city(settings: &RunSettings, clock: Clock) -> City {
    let faults = FaultPlan { scale: 1.0, repair_days: 3.0 };
    let now = UnixMillis(clock.city_unix_ms());
    let place = settings.speed.map(|_| town::place(settings)).or(settings.place);
    City::new(settings.seed, &settings.id_prefix, place, now, faults)
}

fn shared(settings: &RunSettings, clock: Clock) -> Shared {
    let ms = |span: Duration| micros(span) / 1000;
    let mut backoff = Backoff::DEFAULT;
    if let Some(max) = settings.reconnect_max {
        backoff.step_max_ms = ms(max);
        backoff.step_min_ms = backoff.step_min_ms.min(ms(max / BACKOFF_STEP_DIVISOR));
    }
    if let Some(window) = settings.reconnect_window {
        backoff.first_window_ms = ms(window);
        backoff.window_max_ms = ms(window);
    }
    Shared {
        clock,
        metrics: Metrics::default(),
        findings: Findings::default(),
        commands: Commands::default(),
        phase: watch::Sender::new(Phase::Load),
        report_every: settings.report_every,
        follows_light: settings.follow_light,
        backoff,
        seed: settings.seed,
        // Parts of a fleet may start in one millisecond, but not with one lamp.
        run: clock.start_unix_ms() << 20 | u64::from(settings.start_index),
        broken: town::broken(settings.broken, settings.devices),
        storm_at: AtomicU64::new(0),
    }
}

async fn fleet(settings: &RunSettings, hub: &Hub, city: &City) -> Result<Fleet, HubError> {
    let (first, count) = (settings.start_index, settings.devices);
    let boots = verify::last_boots(hub).await?;
    let tokens = provision::provision(hub, city, first, count).await?;
    let host = hub.host()?.at(hub.target().address());
    let posts = tokens.into_iter().zip(first..).map(|(token, number)| {
        let id = city.id(number);
        let sources = &settings.source_addresses;
        let source = sources.get(number as usize % sources.len().max(1));
        let host = source.map_or_else(|| host.clone(), |source| host.clone().from_source(*source));
        Arc::new(Post {
            index: number - first,
            last_boot: boots.get(&id).copied().unwrap_or(0),
            id,
            token,
            host,
            link: LinkControl::new(),
            power: Power::default(),
            book: Book::default().into(),
            is_open: AtomicBool::new(false),
            in_storm: AtomicBool::new(false),
            fault: AtomicU32::new(0),
        })
    });
    Ok(Fleet::new(posts.collect(), &settings.id_prefix, first))
}

/// Counts how often we were asked to stop.
fn stops() -> watch::Receiver<u32> {
    let (sender, receiver) = watch::channel(0);
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let sender = sender.clone();
        // Fails only for signals that can't be caught; these two can.
        if let Ok(mut signals) = signal(kind) {
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    sender.send_modify(|count| *count += 1);
                }
            });
        }
    }
    receiver
}

impl Run<'_> {
    /// Observer, operator, and what people see.
    fn start_helpers(&self) -> JoinSet<()> {
        let mut helpers = JoinSet::new();
        let (hub, shared, fleet) = (&self.hub, &self.shared, &self.fleet);
        let observes = self.settings.observes();
        if observes {
            let watched = Arc::new(Watched::default());
            helpers.spawn(observe(hub.clone(), shared.clone(), fleet.clone(), watched));
        }
        let rate = self.settings.commands_per_s();
        if rate > 0.0 {
            let start = shared.clock.now().after(self.settings.ramp_span());
            let console =
                Console::new(hub.clone(), shared.clone(), fleet.clone(), start, rate, !observes);
            helpers.spawn(console.work());
        }
        if !self.settings.json {
            let total = self.settings.duration.map(|duration| duration + self.settings.ramp_span());
            helpers.spawn(progress::show(shared.clone(), self.settings.devices, total));
        }
        helpers
    }

    fn start_lamps(&self, city: &City) -> JoinSet<()> {
        let mut lamps = JoinSet::new();
        let start = self.shared.clock.now();
        for post in &self.fleet.posts {
            let (shared, post) = (self.shared.clone(), post.clone());
            let at =
                ramp_moment(start, self.settings.ramp_span(), post.index, self.settings.devices);
            let (city, number) = (city.clone(), self.settings.start_index + post.index);
            lamps.spawn(async move {
                shared.clock.sleep_until(at).await;
                live(shared, post, city.spec(number)).await;
            });
        }
        lamps
    }

    /// Ramp and scenario; ends early if we are asked to stop.
    async fn load(&mut self) {
        let mut stops = self.stops.clone();
        let mut outcome = Outcome::default();
        let start = self.shared.clock.now();
        let mut load_start = start;
        let devices = u64::from(self.settings.devices);
        let loading = async {
            let ramp_end = start.after(self.settings.ramp_span()).after(RAMP_GRACE);
            while self.shared.metrics.connected_now() < devices
                && self.shared.clock.now() < ramp_end
            {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            load_start = self.shared.clock.now();
            if self.shared.metrics.connected_now() >= devices {
                self.report.all_connected_s = Some(load_start.since(start) as f64 / 1e6);
            }
            play(self.settings, &self.shared, &self.fleet, &mut outcome).await;
        };
        tokio::select! {
            () = loading => {}
            _ = stops.wait_for(|stops| *stops > 0) => {}
        }
        self.report.load_s = self.shared.clock.now().since(load_start) as f64 / 1e6;
        self.report.connected_at_end = self.shared.metrics.connected_now();
        self.report.storms_s = outcome.storms_s;
        self.note_disconnects();
    }

    /// With `--strict`, every lamp must have come and none may have gone but by the scenario's doing.
    fn note_disconnects(&self) {
        let metrics = &self.shared.metrics;
        if !self.settings.strict || self.settings.scenario == ScenarioName::Faults {
            return;
        }
        let lost = metrics.disconnects_total().saturating_sub(metrics.links_broken.count());
        if lost > 0 {
            let codes = metrics.disconnects.lock().clone();
            self.shared
                .findings
                .add(Breach::Disconnected, || format!("{lost}; by code: {codes:?}"));
        }
        let away = u64::from(self.settings.devices).saturating_sub(self.report.connected_at_end);
        if away > 0 {
            self.shared.findings.add(Breach::Disconnected, || format!("{away} away at the end"));
        }
    }

    /// Lets what is under way come in, then compares with the hub.
    async fn settle(&mut self) {
        self.shared.phase.send_replace(Phase::Settle);
        self.fleet.posts.iter().for_each(|post| post.link.wake());
        let deadline = self.shared.clock.now().after(self.settings.settle);
        let mut stops = self.stops.clone();
        let settled = async {
            while !self.is_quiet() && self.shared.clock.now() < deadline {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = settled => {}
            _ = stops.wait_for(|stops| *stops > 1) => {}
        }
        let questions = self.shared.commands.questions(self.shared.clock.now(), ENDED_ASKED_MAX);
        if let Some(path) = &self.settings.ledger
            && let Err(error) = verify::write_ledgers(path, self.books(), &questions)
        {
            self.report.unverified = Some(format!("{}: {error}", path.display()));
        }
        if self.settings.skip_verify {
            return;
        }
        // A hub that is just coming back may be asked again until the time is over.
        loop {
            let result = self.compare(&questions).await;
            match result {
                Ok(compared) => self.report.values_compared = compared,
                Err(_) if self.shared.clock.now() < deadline => {
                    tokio::time::sleep(LOOK_EVERY * 10).await;
                    continue;
                }
                Err(error) => self.report.unverified = Some(error.to_string()),
            }
            return;
        }
    }

    async fn compare(&self, questions: &[Question]) -> Result<u64, HubError> {
        // Findings of a comparison that broke off halfway would be counted twice.
        let found = Findings::default();
        let compared = verify::compare_values(&self.hub, &found, self.books()).await?;
        let (commands, findings) = (&self.shared.commands, &self.shared.findings);
        verify::ask_commands(&self.hub, questions, |question, state| {
            commands.answered(findings, question, state);
        })
        .await?;
        findings.add_all(found);
        Ok(compared)
    }

    fn books(&self) -> impl Iterator<Item = (&str, &parking_lot::Mutex<Book>)> + Clone {
        self.fleet.posts.iter().map(|post| (post.id.as_str(), &post.book))
    }

    fn is_quiet(&self) -> bool {
        self.shared.commands.open() == 0
            && self.fleet.posts.iter().all(|post| post.book.lock().waiting() == 0)
    }

    fn judge(mut self) -> Report {
        self.report.devices = u64::from(self.settings.devices);
        self.report.scenario = format!("{:?}", self.settings.scenario).to_lowercase();
        for us in self.shared.commands.start_latencies() {
            self.shared.metrics.command_started.record(us);
        }
        self.report.commands = self.shared.commands.close(&self.shared.findings);
        self.report.fill(&self.shared.metrics);
        let waiting = self.fleet.posts.iter().map(|post| post.book.lock().waiting() as u64).sum();
        self.report.counts.insert("reports_unacked_at_end".to_owned(), waiting);
        let breaking = self.shared.storm_at.load(Ordering::Acquire) != 0;
        if !breaking {
            self.report.latencies.remove("telemetry_in_storm");
        }
        self.report.broken = self.shared.findings.all();
        self.report
    }
}
