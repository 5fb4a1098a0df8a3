//! What the hub counts, under names that stay: one typed field a metric, no look-up on a hot path.
//!
//! [`Metrics::render`] writes all of it in the OpenMetrics text format for `/metrics`. A limit that is
//! hit counts in `limit_hits_total{limit=…}`; a message that is dropped counts in
//! `dropped_total{reason=…}`, so that what was sent equals what was stored plus what was dropped.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// A limit that can be hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "each is named like the setting that it belongs to")]
pub enum Limit {
    Address,
    Certificates,
    Channels,
    CommandQueue,
    Commands,
    Connections,
    Devices,
    FleetCommands,
    FleetTargets,
    Greeting,
    HandshakeTime,
    HttpReaders,
    Inbound,
    Mailbox,
    MessageSize,
    Payload,
    PongTime,
    Profiles,
    Schemas,
    Series,
    SessionRate,
    Store,
    SubscriptionChanges,
    Subscriptions,
    WriteTime,
}

/// Why a message did not reach someone or something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Drop {
    BadValue,
    Conflated,
    Duplicate,
    Late,
    NotPermitted,
    SlowReader,
    StaleEpoch,
    StoreBusy,
    TooLarge,
}

/// Why a payload is not of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Undecodable {
    Malformed,
    TooDeep,
    UnknownType,
}

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Reload {
    /// All of it is in force.
    Done,
    /// Nothing of it.
    Refused,
}

/// The label of [`Metrics::reloaded`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabel {
    result: Reload,
}

/// The label of [`Metrics::limit_hits`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabel {
    limit: Limit,
}

/// The label of [`Metrics::dropped`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabel {
    reason: Drop,
}

/// The label of [`Metrics::undecodable`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UndecodableLabel {
    reason: Undecodable,
}

/// The label of [`Metrics::closed`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabel {
    code: u16,
}

/// All metrics of one hub. Cloning shares them.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is described where it is registered")]
pub struct Metrics {
    registry: Registry,
    limit_hits: Family<LimitLabel, Counter>,
    dropped: Family<DropLabel, Counter>,
    undecodable: Family<UndecodableLabel, Counter>,
    closed: Family<CloseLabel, Counter>,
    reloads: Family<ReloadLabel, Counter>,
    pub connections: Gauge,
    pub connections_total: Counter,
    pub handshake_failures: Counter,
    pub received: Counter,
    pub published: Counter,
    pub delivered: Counter,
    pub bytes_sent: Counter,
    pub acks_durable: Counter,
    pub commands_accepted: Counter,
    pub commands_ended: Counter,
    pub fleets_accepted: Counter,
    pub fleet_targets: Counter,
    pub report_gaps: Counter,
    pub not_converted: Counter,
    pub unknown_kinds: Counter,
    pub reports_ignored: Counter,
    pub snapshots: Counter,
    pub gaps: Counter,
    pub takeovers: Counter,
    pub audit_records: Counter,
    pub audit_left_out: Counter,
    pub lights_evaluated: Counter,
    pub lights_changed: Counter,
    pub overrides_ended: Counter,
    pub series_beyond: Counter,
    pub series_records: Counter,
    pub channels: Gauge,
    pub devices_online: Gauge,
    pub http_readers: Gauge,
    pub lights_waiting: Gauge,
    pub series_channels: Gauge,
    pub values_loading: Gauge,
    pub values_restored: Gauge,
    pub commits: Gauge,
    pub commit_operations: Gauge,
    pub commit_age_ms: Gauge,
}

impl Metrics {
    /// A fresh set, all at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("lamplighter"),
            limit_hits: Family::default(),
            dropped: Family::default(),
            undecodable: Family::default(),
            closed: Family::default(),
            reloads: Family::default(),
            connections: Gauge::default(),
            connections_total: Counter::default(),
            handshake_failures: Counter::default(),
            received: Counter::default(),
            published: Counter::default(),
            delivered: Counter::default(),
            bytes_sent: Counter::default(),
            acks_durable: Counter::default(),
            commands_accepted: Counter::default(),
            commands_ended: Counter::default(),
            fleets_accepted: Counter::default(),
            fleet_targets: Counter::default(),
            report_gaps: Counter::default(),
            not_converted: Counter::default(),
            unknown_kinds: Counter::default(),
            reports_ignored: Counter::default(),
            snapshots: Counter::default(),
            gaps: Counter::default(),
            takeovers: Counter::default(),
            audit_records: Counter::default(),
            audit_left_out: Counter::default(),
            lights_evaluated: Counter::default(),
            lights_changed: Counter::default(),
            overrides_ended: Counter::default(),
            series_beyond: Counter::default(),
            series_records: Counter::default(),
            channels: Gauge::default(),
            devices_online: Gauge::default(),
            http_readers: Gauge::default(),
            lights_waiting: Gauge::default(),
            series_channels: Gauge::default(),
            values_loading: Gauge::default(),
            values_restored: Gauge::default(),
            commits: Gauge::default(),
            commit_operations: Gauge::default(),
            commit_age_ms: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("limit_hits", "A limit was hit", self.limit_hits.clone());
        registry.register("dropped", "Messages that were dropped, by reason", self.dropped.clone());
        let help = "Payloads that were not of their type, refused or not, by reason";
        registry.register("undecodable", help, self.undecodable.clone());
        registry.register("closed", "Sessions that ended, by close code", self.closed.clone());
        registry.register("reloads", "Reloads of changed files", self.reloads.clone());
        for (name, help, gauge) in [
            ("connections", "Open connections", &self.connections),
            ("devices_online", "Devices with a session", &self.devices_online),
            ("http_readers", "Event streams and waiting requests", &self.http_readers),
            ("channels", "Channels in memory", &self.channels),
            ("series_channels", "Channels with a past", &self.series_channels),
            (
                "lights_waiting",
                "Devices whose light is to be looked at now or later",
                &self.lights_waiting,
            ),
            (
                "values_loading",
                "1 while stored last values are not all in memory",
                &self.values_loading,
            ),
            ("values_restored", "Stored last values that were loaded", &self.values_restored),
            ("store_commits", "Commits of the store", &self.commits),
            ("store_operations", "Operations in those commits", &self.commit_operations),
            (
                "store_commit_age_milliseconds",
                "Age of the commit that runs now",
                &self.commit_age_ms,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register_with_unit(
            "sent",
            "Bytes of WebSocket messages to peers",
            Unit::Bytes,
            self.bytes_sent.clone(),
        );
        self.register_counters();
    }

    fn register_counters(&mut self) {
        let registry = &mut self.registry;
        for (name, help, counter) in [
            ("connections_accepted", "Connections taken", &self.connections_total),
            ("handshake_failures", "TLS or HTTP handshakes that failed", &self.handshake_failures),
            ("received", "Envelopes from peers", &self.received),
            ("published", "Messages put into channels", &self.published),
            ("delivered", "Messages written to subscribers", &self.delivered),
            ("acks_durable", "Reports acknowledged as durable", &self.acks_durable),
            ("commands_accepted", "Commands accepted", &self.commands_accepted),
            ("commands_ended", "Commands with a terminal state", &self.commands_ended),
            ("fleet_commands_accepted", "Fleet commands accepted", &self.fleets_accepted),
            ("fleet_targets", "Devices that fleet commands meant", &self.fleet_targets),
            ("report_gaps", "Jumps in a device's sequence", &self.report_gaps),
            ("not_converted", "Messages of which no JSON could be made", &self.not_converted),
            ("unknown_kinds", "Envelopes of a kind unknown here", &self.unknown_kinds),
            ("reports_ignored", "Reports on unknown or ended commands", &self.reports_ignored),
            ("snapshots", "Snapshots sent", &self.snapshots),
            ("gaps", "Gap markers sent", &self.gaps),
            ("takeovers", "Sessions replaced by a newer one", &self.takeovers),
            ("audit_records", "Records of the audit log", &self.audit_records),
            ("audit_left_out", "Refusals not in the audit log", &self.audit_left_out),
            ("lights_evaluated", "Looks at the layers of a device", &self.lights_evaluated),
            ("lights_changed", "Lights that were published", &self.lights_changed),
            ("overrides_ended", "Overrides that ended by themselves", &self.overrides_ended),
            ("series_beyond", "Values that no slot has room for", &self.series_beyond),
            ("series_records", "Records of the past written", &self.series_records),
        ] {
            registry.register(name, help, counter.clone());
        }
    }

    /// Counts a limit that was hit.
    pub fn limit_hit(&self, limit: Limit) {
        self.limit_hits.get_or_create(&LimitLabel { limit }).inc();
    }

    /// Counts messages that were dropped.
    pub fn dropped(&self, reason: Drop, count: u64) {
        self.dropped.get_or_create(&DropLabel { reason }).inc_by(count);
    }

    /// Counts a payload that is not of its type.
    pub fn undecodable(&self, reason: Undecodable) {
        self.undecodable.get_or_create(&UndecodableLabel { reason }).inc();
    }

    /// Counts a session that ended.
    pub fn closed(&self, code: u16) {
        self.closed.get_or_create(&CloseLabel { code }).inc();
    }

    /// Counts a reload.
    pub fn reloaded(&self, result: Reload) {
        self.reloads.get_or_create(&ReloadLabel { result }).inc();
    }

    /// All of it as text.
    pub fn render(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a string does not fail");
        page
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_on_the_page() {
        let metrics = Metrics::new();
        metrics.limit_hit(Limit::Mailbox);
        metrics.dropped(Drop::SlowReader, 3);
        let page = metrics.render();
        assert!(page.contains("lamplighter_limit_hits_total{limit=\"Mailbox\"} 1"), "{page}");
        assert!(page.contains("lamplighter_dropped_total{reason=\"SlowReader\"} 3"), "{page}");
    }
}
