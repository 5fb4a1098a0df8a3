//! Takes up changed files while the hub runs: configuration, certificate and key, the devices' CAs.
//!
//! ```text
//!   SIGHUP ─────────────┐
//!   every few seconds,  ├─▶ prepare (reads and checks everything) ─┬─▶ apply, record, say so
//!   a file has changed ─┘                                          └─▶ keep the old, say why
//! ```
//!
//! A reload takes all of what it found, or nothing. It never reaches into a connection: those that are
//! open go on with what they began with, those that come get the new.
//!
//! # What can't be taken up
//!
//! Where the hub listens, its data folder and what is sized once at the start. A change of these keys
//! is named in the log, and waits for a restart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{ServeError, dev, logs};
use crate::audit::{Actor, Record, Verb};
use crate::broker::Broker;
use crate::clock::Now;
use crate::config::{self, Config, Drain, File, Flags};
use crate::metrics::Reload;
use crate::transport::{Shared, tls};
use crate::twin::Rules;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(3);
/// Bytes of a file whose content is looked at; of a longer one, only length and time are.
const LOOKED_AT_MAX: u64 = 4 * 1024 * 1024;

/// Keys, and sections with all their keys, that are taken up at once, or by the connections, sessions
/// and channels that begin after.
const LIVE: &[&str] = &[
    "audit",
    "channel",
    "devices",
    "drain",
    "http.hosts",
    "http.origins",
    "issuer",
    "limits.accept_per_s",
    "limits.channels",
    "limits.device_bytes_burst",
    "limits.device_bytes_per_s",
    "limits.device_messages_burst",
    "limits.device_messages_per_s",
    "limits.device_subscription_changes_per_s",
    "limits.device_subscriptions",
    "limits.greeting_timeout",
    "limits.handshake_timeout",
    "limits.head_timeout",
    "limits.person_subscription_changes_per_s",
    "limits.person_subscriptions",
    "limits.ping_interval",
    "limits.pong_timeout",
    "limits.write_stall",
    "log.filter",
    "mailbox.device_bytes",
    "mailbox.person_bytes",
    "mailbox.person_overflow",
    "role",
    "tls",
];

/// What connections take when they begin, exchanged as one.
#[derive(Debug)]
pub struct Live {
    /// Bounds of connections.
    pub shared: Arc<ArcSwap<Shared>>,
    /// Certificate, key and CAs; none if the hub doesn't listen with TLS.
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
    /// How the hub stops.
    pub drain: Arc<ArcSwap<Drain>>,
    /// The filter of the log.
    pub log: logs::Handle,
}

/// Looks after the files.
#[derive(Debug)]
pub struct Reloader {
    flags: Flags,
    /// The keys as they are in force, or wait for a restart.
    file: File,
    broker: Arc<Broker>,
    live: Live,
    tls_files: Option<tls::Files>,
    /// The files when they were last looked at.
    seen: Vec<Print>,
    /// Those of TLS that are in force.
    in_force: Vec<Print>,
    hangup: Signal,
}

/// A file, and the hash of what was in it; none if it couldn't be read.
type Print = (PathBuf, Option<[u8; 32]>);

/// Why the old stays.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Config(#[from] config::ConfigError),
    #[error("{0}")]
    Tls(#[from] tls::TlsError),
    #[error("log.filter {0}")]
    Filter(String),
    #[error("the audit log takes no record of it: {0}")]
    Audit(String),
}

/// All of a reload, checked and not yet in force.
struct Prepared {
    file: File,
    config: Config,
    tls: Option<PreparedTls>,
    changed: Vec<String>,
}

struct PreparedTls {
    files: tls::Files,
    /// From before they were read: what changes in between is found at the next look.
    prints: Vec<Print>,
    loaded: tls::Loaded,
}

/// The files of TLS, if the hub listens with it.
///
/// # Errors
/// They can't be made, in dev.
pub fn tls_files(config: &Config) -> Result<Option<tls::Files>, ServeError> {
    Ok(match (&config.tls, config.dev) {
        (Some(files), _) => Some(files.clone()),
        (None, true) => Some(dev::certificates(&config.data_folder, &config.crl)?),
        (None, false) => None,
    })
}

/// The signal that asks for a reload. Without a listener it would end the process.
///
/// # Errors
/// The system has no signals to give.
pub fn hangup() -> Result<Signal, ServeError> {
    let system = |source| ServeError::System { what: "can't wait for signals", source };
    signal(SignalKind::hangup()).map_err(system)
}

impl Reloader {
    /// Begins with what is in force.
    pub fn new(
        flags: Flags,
        file: File,
        tls_files: Option<tls::Files>,
        broker: Arc<Broker>,
        live: Live,
        hangup: Signal,
    ) -> Self {
        let in_force = tls_files.as_ref().map(prints_of).unwrap_or_default();
        let seen = Vec::new();
        let mut new = Self { flags, file, broker, live, tls_files, seen, in_force, hangup };
        new.seen = new.look();
        new
    }

    /// Runs until the hub stops.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_asked = tokio::select! {
                _ = looks.tick() => false,
                _ = self.hangup.recv() => true,
                _ = stopped.wait_for(|stopped| *stopped) => return,
            };
            let prints = tokio::task::block_in_place(|| self.look());
            let before = std::mem::replace(&mut self.seen, prints);
            if is_asked {
                self.reload("SIGHUP").await;
            } else if before != self.seen {
                self.reload("a file has changed").await;
            }
        }
    }

    /// The files as they are now.
    fn look(&self) -> Vec<Print> {
        let keys = self.file.issuer.iter().map(|issuer| &issuer.keys);
        let named = self.flags.config.iter().chain(keys).map(|path| (path.clone(), print(path)));
        named.chain(self.tls_files.iter().flat_map(prints_of)).collect()
    }

    async fn reload(&mut self, cause: &'static str) {
        let taken = match tokio::task::block_in_place(|| self.prepare()) {
            Ok(prepared) => self.take(prepared).await,
            Err(refused) => Err(refused),
        };
        let result = match taken {
            Ok(changed) => {
                tracing::info!(cause, changed = %changed.join(", "), "reloaded");
                Reload::Done
            }
            Err(refused) => {
                // A line, since the reason of a bad file has several.
                let reason = refused.to_string().trim().replace('\n', " ");
                tracing::error!(cause, %reason, "reload refused: what was in force stays in force");
                let (actor, verb) = (Actor::hub(), Verb::ChangeConfiguration);
                self.broker.audit_refusal(Now::read(), actor, verb, cause, "BAD_CONFIGURATION");
                Reload::Refused
            }
        };
        self.broker.metrics.reloaded(result);
    }

    /// Reads and checks everything; changes nothing.
    fn prepare(&self) -> Result<Prepared, Refused> {
        let (file, config) = config::load(&self.flags, std::env::vars())?;
        logs::check(&config.log_filter).map_err(Refused::Filter)?;
        let mut changed = changed_keys(&self.file, &file);
        let files = match (&self.live.tls, &config.tls) {
            (None, _) => None,
            (Some(_), Some(files)) => Some(files.clone()),
            // Those of dev are where they were.
            (Some(_), None) => Some(dev::files(&config.data_folder, &config.crl)),
        };
        let tls = match files {
            None => None,
            Some(files) => {
                let prints = prints_of(&files);
                let loaded = tls::load(&files, Now::read())?;
                let fresh = prints.iter().filter(|print| !self.in_force.contains(print));
                changed.extend(fresh.map(|(path, _)| path.display().to_string()));
                Some(PreparedTls { files, prints, loaded })
            }
        };
        Ok(Prepared { file, config, tls, changed })
    }

    /// Records the reload, then puts all of it in force. Returns what has changed.
    async fn take(&mut self, prepared: Prepared) -> Result<Vec<String>, Refused> {
        let Prepared { file, config, tls, changed } = prepared;
        let waiting: Vec<&String> = changed.iter().filter(|key| !is_live(key)).collect();
        for key in &waiting {
            tracing::warn!(key = %key, "changed in the configuration, but needs a restart");
        }
        let record = Record::done(Actor::hub(), Verb::ChangeConfiguration, "reload");
        let record = record.detail(changed.join(" "));
        let recorded = self.broker.audit_durably(Now::read(), record).await;
        recorded.map_err(|refusal| Refused::Audit(refusal.message))?;
        self.apply(config, tls);
        self.file = file;
        Ok(changed)
    }

    fn apply(&mut self, mut config: Config, tls: Option<PreparedTls>) {
        let live = &self.live;
        live.log.set(&config.log_filter);
        self.broker.set_rules(Rules::with_built_in(config.rules));
        self.broker.set_policy(std::mem::take(&mut config.policy));
        self.broker.set_audit_limits(config.broker.audit);
        self.broker.set_settings(config.broker);
        let shared = Shared { broker: self.broker.clone(), settings: config.transport };
        live.shared.store(Arc::new(shared));
        live.drain.store(Arc::new(config.drain));
        if let (Some(current), Some(mut fresh)) = (&live.tls, tls) {
            let of_authorities = |prints: &[Print], files: &tls::Files| {
                let path = files.client_ca.as_ref()?;
                prints.iter().find(|(known, _)| known == path).and_then(|(_, hash)| *hash)
            };
            let before = self.tls_files.as_ref();
            let before = before.and_then(|files| of_authorities(&self.in_force, files));
            if of_authorities(&fresh.prints, &fresh.files) == before {
                // So that devices go on to resume their sessions. Other CAs end that: who resumes
                // shows no certificate.
                fresh.loaded.config.ticketer = current.load().ticketer.clone();
            }
            current.store(Arc::new(fresh.loaded.config));
            self.broker.set_revoked(fresh.loaded.revoked);
            self.seen.retain(|(path, _)| self.flags.config.as_ref() == Some(path));
            self.seen.extend(fresh.prints.iter().cloned());
            self.in_force = fresh.prints;
            self.tls_files = Some(fresh.files);
        }
    }
}

fn prints_of(files: &tls::Files) -> Vec<Print> {
    let paths = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref()];
    let paths = paths.into_iter().flatten().chain(&files.crl);
    paths.map(|path| (path.clone(), print(path))).collect()
}

/// Whether a key, or its section, is taken up without a restart.
fn is_live(key: &str) -> bool {
    let section = key.split('.').next().unwrap_or_default();
    key.contains('/') || LIVE.contains(&key) || LIVE.contains(&section)
}

/// Keys that differ, as in `limits.accept_per_s`.
fn changed_keys(old: &File, new: &File) -> Vec<String> {
    let (old, new) = (keys(old), keys(new));
    let differing: BTreeSet<&str> =
        old.symmetric_difference(&new).map(|(key, _)| key.as_str()).collect();
    differing.into_iter().map(str::to_owned).collect()
}

/// All keys with their values.
fn keys(file: &File) -> BTreeSet<(String, String)> {
    let Ok(sections) = toml::Table::try_from(file) else { return BTreeSet::new() };
    let mut keys = BTreeSet::new();
    for (section, value) in sections {
        match value {
            toml::Value::Table(table) => {
                let named = table.into_iter();
                keys.extend(
                    named.map(|(key, value)| (format!("{section}.{key}"), value.to_string())),
                );
            }
            value => drop(keys.insert((section, value.to_string()))),
        }
    }
    keys
}

/// The SHA-256 of a file's content; of what is too long for a file of ours, of its length and time.
fn print(path: &Path) -> Option<[u8; 32]> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > LOOKED_AT_MAX {
        let what = format!("{} {} {}", metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        return Some(Sha256::digest(what).into());
    }
    // The mode counts: a key that others may read becomes good by `chmod`.
    let mut print = Sha256::new_with_prefix(metadata.mode().to_be_bytes());
    print.update(std::fs::read(path).ok()?);
    Some(print.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_live_key_exists() {
        let all = keys(&File::default());
        for live in LIVE {
            let prefix = format!("{live}.");
            let known = all.iter().any(|(key, _)| key == live || key.starts_with(&prefix));
            assert!(known, "{live}");
        }
    }

    #[test]
    fn keys_that_changed_are_named_and_those_that_need_a_restart_are_told_apart() {
        let mut new = File::default();
        new.limits.accept_per_s += 1;
        new.limits.connections += 1;
        new.listen.plain = "127.0.0.1:1".to_owned();
        let changed = changed_keys(&File::default(), &new);
        assert_eq!(changed, ["limits.accept_per_s", "limits.connections", "listen.plain"]);
        let live: Vec<_> = changed.iter().filter(|key| is_live(key)).collect();
        assert_eq!(live, ["limits.accept_per_s"]);
    }

    #[test]
    fn the_print_of_a_file_changes_with_its_content_and_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().expect("a file");
        let before = print(file.path());
        std::fs::write(file.path(), "x").expect("ours");
        let written = print(file.path());
        assert_ne!(before, written);
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o640))
            .expect("ours");
        assert_ne!(print(file.path()), written);
        assert_eq!(print(&file.path().join("missing")), None);
    }
}
