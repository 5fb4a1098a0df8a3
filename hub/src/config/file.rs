//! The keys of the configuration, with their defaults. `hub config show --effective` prints them all.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::StoreKind;
use super::span::Span;
use crate::access::Verb;
use crate::mailbox::Overflow;
use crate::twin::rule::{Keep, Undecodable};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// Where the hub listens.
    pub listen: Listen,
    /// Certificates and keys.
    pub tls: Tls,
    /// The data folder and its store.
    pub data: Data,
    /// Connections and sessions.
    pub limits: Limits,
    /// What waits for slow readers.
    pub mailbox: Mailbox,
    /// Devices and their presence.
    pub devices: Devices,
    /// Commands to many devices.
    pub commands: Commands,
    /// How the hub stops.
    pub drain: Drain,
    /// Web pages of other origins.
    pub http: Http,
    /// What the hub's own page shows beside the fleet.
    pub dashboard: super::dashboard::Dashboard,
    /// How much of the audit log is kept.
    pub audit: Audit,
    /// What is kept of each device's past.
    pub series: super::series::Series,
    /// Logs.
    pub log: Log,
    /// Channel rules, strongest first, before the built-in ones.
    pub channel: Vec<ChannelRule>,
    /// Roles beside `operator` and `viewer`.
    pub role: Vec<Role>,
    /// Whose tokens are taken beside the hub's own.
    pub issuer: Vec<Issuer>,
}

/// Someone whose tokens (JWT) the hub takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`, exactly, or one of its entries.
    pub audience: String,
    /// JWKS or PEM.
    pub keys: PathBuf,
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
    /// Roles by the claim's value; empty: the value is the role.
    #[serde(default)]
    pub roles: BTreeMap<String, String>,
    /// `typ`.
    #[serde(default = "default_types")]
    pub types: Vec<String>,
    /// Subjects that are let in no more.
    #[serde(default)]
    pub disabled: Vec<String>,
}

fn default_role_claim() -> String {
    "role".to_owned()
}

fn default_types() -> Vec<String> {
    vec!["JWT".to_owned()]
}

/// A named list of grants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    pub name: String,
    /// Roles whose grants it has as well.
    #[serde(default)]
    pub include: Vec<String>,
    #[serde(default)]
    pub grant: Vec<Grant>,
}

/// What a role allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// `publish`, `subscribe`, `command`, `manage`.
    pub verbs: Vec<Verb>,
    /// Channels; `devices.<id>` stands for a device as a whole.
    pub pattern: String,
    /// Only devices with these labels, as in `district=North`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
}

/// Where the hub listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// With TLS.
    pub address: String,
    /// Without TLS: loopback only, off if empty.
    pub plain: String,
}

/// Certificates and keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM, leaf first.
    pub certificate: PathBuf,
    /// PEM, mode 0600.
    pub key: PathBuf,
    /// CAs of device certificates; none if empty.
    pub client_ca: PathBuf,
    /// Lists of revoked device certificates: a file, or several.
    #[serde(deserialize_with = "one_or_many")]
    pub crl: Vec<PathBuf>,
    /// Also TLS 1.2.
    pub tls12: bool,
}

/// A path, or a list of paths.
fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a path, or a list of paths")]
    enum OneOrMany {
        One(PathBuf),
        Many(Vec<PathBuf>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(path) => vec![path],
        OneOrMany::Many(paths) => paths,
    })
}

/// The data folder and its store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The one data folder.
    pub folder: PathBuf,
    /// What keeps the state.
    pub store: StoreKind,
    /// The least time between two commits, 0 to 200 ms.
    pub commit_window: Span,
    /// An export into the data folder, so often; 0: never.
    pub export_every: Span,
    /// Acknowledges before the sync: only in the build that the crash tests have to catch.
    #[cfg(feature = "broken-ack")]
    pub broken_ack: bool,
}

/// Connections and sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// 0: descriptors less 2,000.
    pub connections: usize,
    pub accept_per_s: u32,
    pub handshakes: usize,
    pub handshake_timeout: Span,
    pub head_timeout: Span,
    pub greeting_timeout: Span,
    pub ping_interval: Span,
    pub pong_timeout: Span,
    pub write_stall: Span,
    pub address_connections: usize,
    pub address_per_s: u32,
    /// Refused credentials a minute.
    pub address_failures: u32,
    /// Addresses that the three above don't hold for: gateways, load generators.
    pub address_exempt: Vec<String>,
    pub device_messages_per_s: f32,
    pub device_messages_burst: f32,
    pub device_bytes_per_s: f32,
    pub device_bytes_burst: f32,
    pub device_subscriptions: usize,
    /// Begun and ended.
    pub device_subscription_changes_per_s: f32,
    pub person_subscriptions: usize,
    pub person_subscription_changes_per_s: f32,
    /// Event streams and waiting requests in all.
    pub http_readers: usize,
    /// The same of one identity.
    pub identity_http_readers: usize,
    pub channels: usize,
}

/// What waits for slow readers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mailbox {
    pub device_bytes: usize,
    pub person_bytes: usize,
    pub total_bytes: usize,
    /// `conflate`, `drop-oldest` or `disconnect`.
    pub person_overflow: Overflow,
}

/// Devices and their presence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Devices {
    pub max: usize,
    pub offline_after: Span,
    pub session_every: Span,
    pub session_burst: u32,
    pub sessions_per_minute: u32,
    pub session_hold: Span,
    /// A valid certificate is enough to be registered.
    pub auto_register: bool,
    /// The key of its first certificate is pinned.
    pub pin_first_use: bool,
}

/// Commands to many devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Commands {
    /// Targets above which a fleet command must say how many it means.
    pub confirm_above: usize,
    /// Fleet commands that have not ended.
    pub fleet_live: usize,
    /// Targets of one fleet command.
    pub fleet_targets: usize,
    /// Targets a second that one fleet command may hand over.
    pub fleet_per_s: f64,
}

/// How the hub stops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    pub grace: Span,
    pub spread: Span,
    pub hard_stop: Span,
}

/// Web pages of other origins, and the hub's own names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Exact origins, as in `https://city.example`.
    pub origins: Vec<String>,
    /// Names of the hub without a port, as in `hub.city.example`; requests for others are refused. None: any.
    pub hosts: Vec<String>,
}

/// How much of the audit log is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    pub records: u64,
    pub age: Span,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// As in `info` or `hub=debug,info`.
    pub filter: String,
    pub json: bool,
}

/// What one kind of channel keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRule {
    pub pattern: String,
    /// Full names of protobuf messages; empty: bytes.
    #[serde(default)]
    pub types: Vec<String>,
    #[serde(default = "default_keep")]
    pub last: Keep,
    #[serde(default)]
    pub history: usize,
    #[serde(default = "default_history_age")]
    pub history_age: Span,
    #[serde(default = "default_durable")]
    pub durable: bool,
    /// What becomes of a payload that is not of its type.
    #[serde(default)]
    pub undecodable: Undecodable,
}

fn default_keep() -> Keep {
    Keep::Replace
}

fn default_history_age() -> Span {
    Span::s(3600)
}

fn default_durable() -> bool {
    true
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: "0.0.0.0:8443".to_owned(), plain: String::new() }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            folder: "lamplighter-data".into(),
            store: StoreKind::Sled,
            commit_window: Span::ms(5),
            export_every: Span::s(0),
            #[cfg(feature = "broken-ack")]
            broken_ack: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let transport = crate::transport::Settings::default();
        let session = transport.session;
        let readers = crate::http::readers::Limits::default();
        Self {
            connections: 0,
            accept_per_s: transport.accept_rate,
            handshakes: transport.handshakes_max,
            handshake_timeout: Span(transport.handshake_timeout),
            head_timeout: Span(transport.head_timeout),
            greeting_timeout: Span(session.greeting_timeout),
            ping_interval: Span(session.ping_interval),
            pong_timeout: Span(session.pong_timeout),
            write_stall: Span(transport.write_stall),
            address_connections: transport.address_connections_max,
            address_per_s: transport.address_rate,
            address_failures: transport.address_failures_max,
            address_exempt: Vec::new(),
            device_messages_per_s: session.device_rate.messages_per_s,
            device_messages_burst: session.device_rate.messages_burst,
            device_bytes_per_s: session.device_rate.bytes_per_s,
            device_bytes_burst: session.device_rate.bytes_burst,
            device_subscriptions: session.device_subscriptions_max,
            device_subscription_changes_per_s: session.device_rate.changes_per_s,
            person_subscription_changes_per_s: session.person_rate.changes_per_s,
            person_subscriptions: session.person_subscriptions_max,
            http_readers: readers.readers_max,
            identity_http_readers: readers.identity_readers_max,
            channels: crate::broker::Settings::default().channels_max,
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        let broker = crate::broker::Settings::default();
        Self {
            device_bytes: broker.device_mailbox_bytes,
            person_bytes: broker.person_mailbox_bytes,
            total_bytes: broker.mailbox_total_bytes,
            person_overflow: broker.person_overflow,
        }
    }
}

impl Default for Commands {
    fn default() -> Self {
        let broker = crate::broker::Settings::default();
        Self {
            confirm_above: broker.confirm_above,
            fleet_live: broker.fleet.live_max,
            fleet_targets: broker.fleet.targets_max,
            fleet_per_s: broker.fleet.per_s_max,
        }
    }
}

impl Default for Devices {
    fn default() -> Self {
        let broker = crate::broker::Settings::default();
        let sessions = broker.device_sessions;
        Self {
            max: broker.devices_max,
            offline_after: Span(broker.offline_after),
            session_every: Span(sessions.every),
            session_burst: sessions.burst,
            sessions_per_minute: sessions.per_minute,
            session_hold: Span(sessions.hold),
            auto_register: broker.auto_register,
            pin_first_use: broker.pin_first_use,
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { grace: Span::s(5), spread: Span::s(60), hard_stop: Span::s(90) }
    }
}

impl Default for Audit {
    fn default() -> Self {
        let limits = crate::audit::Limits::default();
        Self { records: limits.records_max, age: Span(limits.age_max) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), json: false }
    }
}
