//! Builds the hub from the bottom up, runs it, and takes it down again.
//!
//! ```text
//!   configuration ─▶ store ─▶ broker ─▶ writer ─▶ loader ─▶ listeners, timers ─▶ "ready"
//! ```
//!
//! It listens only when it is ready; last values may still come into memory then. On SIGTERM or SIGINT it stops listening, sends its peers away
//! over the drain time, writes down what is pending, and ends with 0. A store that fails ends the
//! process at once: nothing is acknowledged after that.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::broker::{Broker, Ticket};
use crate::clock::{self, Now};
use crate::config::{self, Config, File, Flags, StoreKind};
use crate::http;
use crate::metrics::Metrics;
use crate::store::{self, MemoryStore, Records, Store, Writer};
use crate::transport::listener::{Gate, Listener};
use crate::transport::{Shared, tls, upgrade};
use crate::twin::Rules;

pub mod backup;
pub mod dev;
pub mod drain;
pub mod limits;
pub mod logs;
pub mod offline;
pub mod reload;
pub mod transfer;

use reload::Reloader;

pub use offline::{issue_token_offline, verify_offline};

/// How often the broker's time passes.
const TICK: Duration = Duration::from_millis(200);
/// The exit code of a configuration that can't be run.
const CONFIGURATION_REFUSED: u8 = 2;
/// The exit code after a failed store.
const STORE_FAILED: i32 = 74;

/// Why the hub can't run. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("configuration: {0}")]
    Config(#[from] config::ConfigError),
    #[error("data folder: {0}")]
    Open(#[from] store::OpenError),
    #[error("can't read the stored state: {0}")]
    Restore(#[from] store::StoreError),
    #[error("TLS: {0}")]
    Tls(#[from] tls::TlsError),
    #[error("dev credentials: {0}")]
    Dev(#[from] dev::DevError),
    #[error("can't listen on {address}: {source}")]
    Bind { address: std::net::SocketAddr, source: std::io::Error },
    #[error("{what}: {source}")]
    System { what: &'static str, source: std::io::Error },
    #[error(
        "an import into {folder} has not finished; run it again with the same file, or begin with an \
         empty folder"
    )]
    UnfinishedImport { folder: std::path::PathBuf },
    #[error(
        "the state can't be opened and was set aside as {aside}; start the hub, or import an export \
         into an empty folder"
    )]
    SetAside { aside: std::path::PathBuf },
    #[error("the state can't be restored from the hub's own export: {0}")]
    Backup(String),
    #[error("the store took nothing: {0}")]
    Store(String),
}

/// Runs a hub until it is told to stop.
pub fn serve(flags: &Flags) -> ExitCode {
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("hub: {error}\n");
            // Where even stderr is closed there is nobody to tell.
            drop(std::io::stderr().write_all(text.as_bytes()));
            match error {
                // Starting again changes nothing before someone changes the configuration.
                ServeError::Config(_) | ServeError::Tls(_) => ExitCode::from(CONFIGURATION_REFUSED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn start(flags: &Flags) -> Result<(), ServeError> {
    let (file, config) = config::load(flags, std::env::vars())?;
    let log = logs::begin(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| ServeError::System { what: "can't start the runtime", source })?;
    let done = runtime.block_on(run(flags.clone(), file, config, log));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

/// The opened store, and the lock that keeps other hubs out.
type OpenStore = (Box<dyn Store>, Option<store::DataLock>);

fn open_store(config: &Config) -> Result<OpenStore, ServeError> {
    match config.store {
        StoreKind::Memory => Ok((Box::new(MemoryStore::default()), None)),
        StoreKind::Sled => {
            let settings = store::OpenSettings::new(config.data_folder.clone());
            let now = Now::read();
            let mut opened = store::open(&settings, now.unix_ms / 1000)?;
            if transfer::is_blank(&opened.store)? {
                backup::restore(&mut opened.store, &config.data_folder, now)
                    .map_err(|error| ServeError::Backup(error.to_string()))?;
            }
            transfer::refuse_unfinished(&opened.store, &config.data_folder)?;
            Ok((Box::new(opened.store), Some(opened.lock)))
        }
    }
}

async fn run(
    flags: Flags,
    file: File,
    mut config: Config,
    log: logs::Handle,
) -> Result<(), ServeError> {
    let mut stop = Stop::new()?;
    let hangup = reload::hangup()?;
    let (store, _lock) = open_store(&config)?;
    let files = reload::tls_files(&config)?;
    let loaded = files.as_ref().map(|files| tls::load(files, Now::read())).transpose()?;
    let (tls, revoked) = loaded.map(|loaded| (loaded.config, loaded.revoked)).unzip();
    let tls = tls.map(|config| Arc::new(ArcSwap::from_pointee(config)));
    let metrics = Arc::new(Metrics::new());
    let rules = Rules::with_built_in(config.rules.clone());
    let (broker, restored) =
        Broker::restore(config.broker.clone(), rules, metrics, store.as_ref(), Now::read())?;
    let crate::broker::restore::Restored { devices, commands, .. } = restored;
    tracing::info!(devices, commands, "registry restored; last values follow");
    broker.set_policy(std::mem::take(&mut config.policy));
    broker.set_revoked(revoked.unwrap_or_default());
    let records = store.records();
    let writer = start_writer(&broker, store, &config)?;
    let begun = broker.begin(writer, Now::read()).await;
    begun.map_err(|refusal| ServeError::Store(refusal.message))?;
    let loader = start_loader(&broker)?;
    if config.dev {
        dev::credentials(&config.data_folder, &broker).await?;
    }

    let ready = Arc::new(AtomicBool::new(true));
    let shared = Shared { broker: broker.clone(), settings: config.transport.clone() };
    let connections_max = limits::connections(config.transport.connections_max)?;
    let gate = Gate::new(&shared, connections_max);
    let readers = http::readers::Readers::new(config.readers);
    let shown = serde_json::to_value(&file).expect("a configuration has JSON");
    let settings = Arc::new(http::settings::Settings { shown, tiles: config.tiles.take() });
    let live = reload::Live {
        shared: Arc::new(ArcSwap::from_pointee(shared)),
        tls: tls.clone(),
        drain: Arc::new(ArcSwap::from_pointee(config.drain)),
        log,
    };
    let (shared, drain) = (live.shared.clone(), live.drain.clone());
    let api = http::Api { broker: broker.clone(), ready: ready.clone(), settings, readers };
    let router =
        http::router(api).route(proto::WEBSOCKET_PATH, axum::routing::any(upgrade::handle));
    let (stopping, stopped) = watch::channel(false);
    let listeners = listeners(&config, tls)?;
    for listener in listeners {
        let listening = listener.run(shared.clone(), gate.clone(), router.clone(), stopped.clone());
        tokio::spawn(listening);
    }
    tokio::spawn(ticks(broker.clone(), records, stopped.clone()));
    tokio::spawn(light_ticks(broker.clone(), stopped.clone()));
    if let Some(every) = config.export_every {
        let folder = config.data_folder.clone();
        tokio::spawn(backup::run(broker.clone(), folder, every, stopped.clone()));
    }
    let reloader = Reloader::new(flags, file, files, broker.clone(), live, hangup);
    tokio::spawn(reloader.run(stopped.clone()));

    stop.wait().await;
    tracing::info!("told to stop");
    ready.store(false, Ordering::Relaxed);
    // Receivers are the listeners and the ticks; they may be gone already.
    stopping.send_replace(true);
    let drain = **drain.load();
    drain::connections(&broker, &drain, &mut stop).await;
    close(broker, loader).await
}

/// Writes down what is pending, and ends the store's threads.
async fn close(broker: Arc<Broker>, loader: JoinHandle<()>) -> Result<(), ServeError> {
    let close = move || {
        let closed = broker.close();
        // It ends after the run that it is at; a panic of it was told as the store's failure.
        drop(loader.join());
        closed
    };
    match tokio::task::spawn_blocking(close).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ServeError::Store(error.to_string())),
        Err(error) => Err(ServeError::Store(error.to_string())),
    }
}

fn start_writer(
    broker: &Arc<Broker>,
    store: Box<dyn Store>,
    config: &Config,
) -> Result<Writer<Ticket>, ServeError> {
    // Weak, since the broker owns the writer.
    let weak = Arc::downgrade(broker);
    let on_commit = move |tickets| {
        if let Some(broker) = weak.upgrade() {
            broker.committed(tickets);
        }
    };
    let records = store.records();
    let on_failure = move |error: &store::StoreError| store_failed(&*records, error);
    Writer::start(store, config.writer, clock::mono, on_commit, on_failure)
        .map_err(|source| ServeError::System { what: "can't start the store's thread", source })
}

/// Brings the last values into memory while the hub works. Its failures are found by the ticks.
fn start_loader(broker: &Arc<Broker>) -> Result<JoinHandle<()>, ServeError> {
    let broker = broker.clone();
    let began = clock::mono();
    let load = move || {
        let Some(restored) = broker.load_values() else { return };
        let ms = clock::mono().saturating_duration_since(began).as_millis();
        tracing::info!(?restored, ms, "state restored: all last values are in memory");
        if let Some(records) = broker.load_pasts(Now::read()) {
            let ms = clock::mono().saturating_duration_since(began).as_millis();
            tracing::info!(records, ms, "all pasts are in memory");
        }
    };
    let started = std::thread::Builder::new().name("loader".to_owned()).spawn(load);
    started.map_err(|source| ServeError::System { what: "can't start the loader's thread", source })
}

/// Ends the process: what it has not acknowledged is lost, and nothing more can be.
fn store_failed(records: &dyn Records, error: &store::StoreError) -> ! {
    if error.may_be_damage() {
        records.distrust();
    }
    let text = format!("hub: the store failed, nothing more is acknowledged: {error}\n");
    // The line is lost only where nobody reads stderr.
    drop(std::io::stderr().write_all(text.as_bytes()));
    std::process::exit(STORE_FAILED);
}

/// Binds everything, and says where on stdout, one line each.
fn listeners(
    config: &Config,
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
) -> Result<Vec<Listener>, ServeError> {
    let mut listeners = Vec::new();
    let mut lines = String::new();
    let wanted = [(config.listen, "wss", tls), (config.listen_plain, "ws", None)];
    for (address, scheme, tls) in wanted {
        let Some(address) = address else { continue };
        if scheme == "wss" && tls.is_none() {
            continue;
        }
        let bind = |source| ServeError::Bind { address, source };
        let listener = Listener::bind(address, tls).map_err(bind)?;
        let bound = listener.address().map_err(bind)?;
        lines.push_str(&format!("ready {scheme}://{bound}\n"));
        listeners.push(listener);
    }
    let mut out = std::io::stdout();
    if out.write_all(lines.as_bytes()).and_then(|()| out.flush()).is_err() {
        tracing::warn!("stdout is closed; where the hub listens is only in this log");
    }
    tracing::info!(listening = %lines.trim().replace('\n', ", "), "ready");
    Ok(listeners)
}

/// Lets the time of ledger and presence pass, and looks after the loader.
async fn ticks(broker: Arc<Broker>, records: Arc<dyn Records>, mut stopped: watch::Receiver<bool>) {
    let started: Instant = clock::mono();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {
                broker.tick(Now::read(), started);
                if let Some(error) = broker.loading_fault() {
                    store_failed(&*records, &error);
                }
            }
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// Keeps the devices' light up to date, beside the runtime: when a city switches, others don't wait.
async fn light_ticks(broker: Arc<Broker>, mut stopped: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        if !broker.has_light_due(Now::read()) {
            continue;
        }
        let looking = broker.clone();
        let looked = tokio::task::spawn_blocking(move || looking.light_tick(Now::read())).await;
        if let Err(error) = looked {
            tracing::error!(%error, "the light of some devices was not looked at");
        }
    }
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self, ServeError> {
        let system = |source| ServeError::System { what: "can't wait for signals", source };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(system)?,
            interrupt: signal(SignalKind::interrupt()).map_err(system)?,
        })
    }

    /// Waits for the next one.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
