//! The configuration: one TOML file, the environment, flags; the later wins.
//!
//! [`File`] is what can be written, each key with its default; [`Config`] is what the hub runs with,
//! checked: every bound has a range outside of which the hub refuses to start. An unknown key is
//! refused with its file and line, so that a slip of the pen is not a silent default.
//!
//! Read [`file`] for the keys, [`flags`] for how the three sources meet, [`check`] for the ranges,
//! [`access`] for who may do what, [`series`] for what is kept of the past, [`dashboard`] for the page.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::access::Policy;
use crate::broker;
use crate::http;
use crate::store;
use crate::transport;
use crate::twin::Rule;

pub mod access;
pub mod check;
pub mod dashboard;
pub mod file;
pub mod flags;
pub mod series;
pub mod span;

pub use file::File;
pub use flags::{ConfigError, Flags, load};

/// Which store keeps the state.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Nothing survives the process.
    Memory,
    /// On disk, by sled.
    Sled,
}

/// How a hub that is told to stop does so.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// Before the first connection is closed.
    pub grace: Duration,
    /// Over which connections are closed.
    pub spread: Duration,
    /// After which the hub stops whatever is left.
    pub hard_stop: Duration,
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// Where the hub listens with TLS, if it does.
    pub listen: Option<SocketAddr>,
    /// Where it listens without; loopback only.
    pub listen_plain: Option<SocketAddr>,
    /// Certificates and keys; absent in dev, where the hub makes its own.
    pub tls: Option<transport::tls::Files>,
    /// Lists of revoked certificates, also for the files of dev.
    pub crl: Vec<PathBuf>,
    /// Loopback only, with a CA and credentials of its own.
    pub dev: bool,
    /// The one data folder.
    pub data_folder: PathBuf,
    /// What keeps the state.
    pub store: StoreKind,
    /// How often the hub writes an export into its data folder; never if `None`.
    pub export_every: Option<Duration>,
    /// How the store's writer batches.
    pub writer: store::WriterSettings,
    /// Bounds of sockets.
    pub transport: transport::Settings,
    /// Bounds of the broker.
    pub broker: broker::Settings,
    /// Bounds of readers over HTTP.
    pub readers: http::readers::Limits,
    /// Pictures below the lamps of the dashboard's map.
    pub tiles: Option<http::settings::Tiles>,
    /// Channel rules of the operator, before the built-in ones.
    pub rules: Vec<Rule>,
    /// Who may do what.
    pub policy: Policy,
    /// How the hub stops.
    pub drain: Drain,
    /// What is logged: a filter in the syntax of `tracing`.
    pub log_filter: String,
    /// Log lines as JSON.
    pub log_json: bool,
}
