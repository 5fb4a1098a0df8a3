//! From keys to settings: every value in its range, every listener safe.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use proto::ChannelPattern;
use proto::json::Types;

use super::file::{ChannelRule, Commands, File, Limits};
use super::span::Span;
use super::{Config, ConfigError, Drain, StoreKind};
use crate::broker::{self, devices::SessionRate};
use crate::http;
use crate::session::{self, rate::Rates};
use crate::store;
use crate::transport;
use crate::twin::Rule;

/// Origins, rules and addresses in one list.
const LIST_MAX: usize = 256;

/// The checked configuration of these keys.
///
/// # Errors
/// Names the first key that is out of its range, and the range.
pub fn config(file: &File, dev: bool) -> Result<Config, ConfigError> {
    let listen = address("listen.address", &file.listen.address)?;
    let listen_plain = address("listen.plain", &file.listen.plain)?;
    if listen.is_none() && listen_plain.is_none() {
        return wrong("listen.address", "is empty, and so is listen.plain: nobody could connect");
    }
    if listen_plain.is_some_and(|address| !address.ip().is_loopback()) {
        return wrong(
            "listen.plain",
            "is not loopback; beyond this machine the hub speaks TLS only",
        );
    }
    if dev && listen.is_some_and(|address| !address.ip().is_loopback()) {
        return wrong("listen.address", "is not loopback; --dev is for this machine only");
    }
    Ok(Config {
        listen,
        listen_plain,
        tls: tls(file, dev, listen.is_some())?,
        crl: file.tls.crl.clone(),
        dev,
        data_folder: file.data.folder.clone(),
        store: file.data.store,
        export_every: export_every(file)?,
        writer: writer(file)?,
        transport: transport(file)?,
        broker: broker(file)?,
        readers: readers(file)?,
        tiles: super::dashboard::tiles(&file.dashboard)?,
        rules: rules(&file.channel)?,
        policy: super::access::policy(file)?,
        drain: drain(file)?,
        log_filter: file.log.filter.clone(),
        log_json: file.log.json,
    })
}

fn tls(
    file: &File,
    dev: bool,
    listens: bool,
) -> Result<Option<transport::tls::Files>, ConfigError> {
    let tls = &file.tls;
    if tls.crl.len() > transport::crl::FILES_MAX {
        let problem = format!("has {} files; at most {}", tls.crl.len(), transport::crl::FILES_MAX);
        return wrong("tls.crl", problem);
    }
    if tls.crl.iter().any(|path| path.as_os_str().is_empty()) {
        return wrong("tls.crl", "has an empty path; leave it out to have no list");
    }
    if tls.certificate.as_os_str().is_empty() || tls.key.as_os_str().is_empty() {
        if dev || !listens {
            return Ok(None);
        }
        let problem = "and tls.key are needed to listen at listen.address; or use --dev to try";
        return wrong("tls.certificate", problem);
    }
    let client_ca = (!tls.client_ca.as_os_str().is_empty()).then(|| tls.client_ca.clone());
    if client_ca.is_none() && !tls.crl.is_empty() {
        return wrong("tls.crl", "is for the CAs of tls.client_ca, and there are none");
    }
    Ok(Some(transport::tls::Files {
        crl: tls.crl.clone(),
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca,
        tls12: tls.tls12,
    }))
}

fn export_every(file: &File) -> Result<Option<Duration>, ConfigError> {
    if file.data.export_every.0.is_zero() {
        return Ok(None);
    }
    span("data.export_every", file.data.export_every, s(1)..=s(30 * 86_400)).map(Some)
}

fn writer(file: &File) -> Result<store::WriterSettings, ConfigError> {
    let range = Duration::ZERO..=Duration::from_millis(200);
    let window = span("data.commit_window", file.data.commit_window, range)?;
    Ok(store::WriterSettings {
        window,
        #[cfg(feature = "broken-ack")]
        ack_before_sync: file.data.broken_ack,
        ..store::WriterSettings::default()
    })
}

fn transport(file: &File) -> Result<transport::Settings, ConfigError> {
    let limits = &file.limits;
    let session = session(limits)?;
    Ok(transport::Settings {
        handshake_timeout: span(
            "limits.handshake_timeout",
            limits.handshake_timeout,
            s(1)..=s(60),
        )?,
        handshakes_max: within("limits.handshakes", limits.handshakes, 1..=4096)?,
        head_timeout: span("limits.head_timeout", limits.head_timeout, s(1)..=s(60))?,
        accept_rate: within("limits.accept_per_s", limits.accept_per_s, 1..=1_000_000)?,
        connections_max: within("limits.connections", limits.connections, 0..=10_000_000)?,
        address_connections_max: within(
            "limits.address_connections",
            limits.address_connections,
            1..=10_000_000,
        )?,
        address_rate: within("limits.address_per_s", limits.address_per_s, 1..=1_000_000)?,
        address_failures_max: within(
            "limits.address_failures",
            limits.address_failures,
            1..=1_000_000,
        )?,
        address_exempt: exempt(&limits.address_exempt)?,
        write_stall: span("limits.write_stall", limits.write_stall, s(1)..=s(300))?,
        session,
    })
}

/// The bounds of one connection.
fn session(limits: &Limits) -> Result<session::Limits, ConfigError> {
    let defaults = session::Limits::default();
    let device = within("limits.device_subscriptions", limits.device_subscriptions, 1..=1024)?;
    let person = within("limits.person_subscriptions", limits.person_subscriptions, 1..=65_536)?;
    let device_rate = Rates {
        messages_per_s: rate("limits.device_messages_per_s", limits.device_messages_per_s)?,
        messages_burst: rate("limits.device_messages_burst", limits.device_messages_burst)?,
        bytes_per_s: rate("limits.device_bytes_per_s", limits.device_bytes_per_s)?,
        bytes_burst: rate("limits.device_bytes_burst", limits.device_bytes_burst)?,
        changes_per_s: rate(
            "limits.device_subscription_changes_per_s",
            limits.device_subscription_changes_per_s,
        )?,
        changes_burst: Rates::changes_at_once(device),
        ..defaults.device_rate
    };
    let person_rate = Rates {
        changes_per_s: rate(
            "limits.person_subscription_changes_per_s",
            limits.person_subscription_changes_per_s,
        )?,
        changes_burst: Rates::changes_at_once(person),
        ..defaults.person_rate
    };
    Ok(session::Limits {
        greeting_timeout: span("limits.greeting_timeout", limits.greeting_timeout, s(1)..=s(60))?,
        ping_interval: span("limits.ping_interval", limits.ping_interval, s(1)..=s(1200))?,
        pong_timeout: span("limits.pong_timeout", limits.pong_timeout, s(1)..=s(60))?,
        device_rate,
        person_rate,
        device_subscriptions_max: device,
        person_subscriptions_max: person,
        ..defaults
    })
}

fn broker(file: &File) -> Result<broker::Settings, ConfigError> {
    let (mailbox, devices) = (&file.mailbox, &file.devices);
    let bytes = 64 * 1024..=1 << 40;
    Ok(broker::Settings {
        channels_max: within("limits.channels", file.limits.channels, 1..=100_000_000)?,
        devices_max: within("devices.max", devices.max, 1..=10_000_000)?,
        device_mailbox_bytes: within("mailbox.device_bytes", mailbox.device_bytes, bytes.clone())?,
        person_mailbox_bytes: within("mailbox.person_bytes", mailbox.person_bytes, bytes.clone())?,
        person_overflow: mailbox.person_overflow,
        mailbox_total_bytes: within("mailbox.total_bytes", mailbox.total_bytes, bytes)?,
        offline_after: span(
            "devices.offline_after",
            devices.offline_after,
            Duration::ZERO..=s(3600),
        )?,
        accept_rate: within("limits.accept_per_s", file.limits.accept_per_s, 1..=1_000_000)?,
        device_sessions: SessionRate {
            every: span("devices.session_every", devices.session_every, ms(1)..=s(3600))?,
            burst: within("devices.session_burst", devices.session_burst, 1..=1_000_000)?,
            per_minute: within(
                "devices.sessions_per_minute",
                devices.sessions_per_minute,
                1..=1_000_000,
            )?,
            hold: span("devices.session_hold", devices.session_hold, s(1)..=s(86_400))?,
        },
        auto_register: devices.auto_register,
        pin_first_use: devices.pin_first_use,
        ledger: crate::ledger::Limits::default(),
        audit: audit(file)?,
        fleet: fleet(&file.commands)?,
        series: super::series::settings(&file.series)?,
        confirm_above: within(
            "commands.confirm_above",
            file.commands.confirm_above,
            0..=10_000_000,
        )?,
        data_folder: (file.data.store == StoreKind::Sled).then(|| file.data.folder.clone()),
    })
}

fn readers(file: &File) -> Result<http::readers::Limits, ConfigError> {
    let (all, own) = (file.limits.http_readers, file.limits.identity_http_readers);
    Ok(http::readers::Limits {
        readers_max: within("limits.http_readers", all, 1..=1_000_000)?,
        identity_readers_max: within("limits.identity_http_readers", own, 1..=1_000_000)?,
    })
}

fn audit(file: &File) -> Result<crate::audit::Limits, ConfigError> {
    Ok(crate::audit::Limits {
        records_max: within("audit.records", file.audit.records, 1024..=100_000_000)?,
        age_max: span("audit.age", file.audit.age, s(24 * 3600)..=s(3660 * 86_400))?,
    })
}

fn fleet(commands: &Commands) -> Result<crate::fleet::Limits, ConfigError> {
    Ok(crate::fleet::Limits {
        live_max: within("commands.fleet_live", commands.fleet_live, 1..=1024)?,
        targets_max: within("commands.fleet_targets", commands.fleet_targets, 1..=400_000)?,
        per_s_max: within("commands.fleet_per_s", commands.fleet_per_s, 0.1..=100_000.0)?,
        ..crate::fleet::Limits::default()
    })
}

fn drain(file: &File) -> Result<Drain, ConfigError> {
    let drain = Drain {
        grace: span("drain.grace", file.drain.grace, Duration::ZERO..=s(300))?,
        spread: span("drain.spread", file.drain.spread, Duration::ZERO..=s(600))?,
        hard_stop: span("drain.hard_stop", file.drain.hard_stop, s(1)..=s(1200))?,
    };
    if drain.grace + drain.spread > drain.hard_stop {
        return wrong("drain.hard_stop", "is shorter than drain.grace and drain.spread together");
    }
    Ok(drain)
}

fn rules(rules: &[ChannelRule]) -> Result<Vec<Rule>, ConfigError> {
    check_count("channel", rules.len())?;
    let types = Types::built_in();
    rules.iter().map(|rule| check_rule(rule, &types)).collect()
}

fn check_rule(rule: &ChannelRule, types: &Types) -> Result<Rule, ConfigError> {
    let pattern = match ChannelPattern::parse(&rule.pattern) {
        Ok(pattern) => pattern,
        Err(error) => return wrong("channel.pattern", format!("`{}` {error}", rule.pattern)),
    };
    for name in &rule.types {
        check_type(name, types)?;
    }
    Ok(Rule {
        pattern,
        types: rule.types.clone(),
        keep: rule.last,
        history_count: within("channel.history", rule.history, 0..=100_000)?,
        history_age: span("channel.history_age", rule.history_age, s(1)..=s(30 * 86_400))?,
        durable: rule.durable,
        undecodable: rule.undecodable,
    })
}

/// A type that isn't built in may be added while the hub runs; what looks built in has to be.
fn check_type(name: &str, types: &Types) -> Result<(), ConfigError> {
    let is_word = |word: &str| {
        let mut letters = word.chars();
        letters.next().is_some_and(|first| first == '_' || first.is_ascii_alphabetic())
            && letters.all(|letter| letter == '_' || letter.is_ascii_alphanumeric())
    };
    if name.len() > proto::limits::TYPE_BYTES_MAX || !name.split('.').all(is_word) {
        let problem = format!("has `{name}`; write the full name of a message, as in fleet.v1.Bin");
        return wrong("channel.types", problem);
    }
    let ours = ["lighting.v1.", "lamplighter.v1."].iter().any(|package| name.starts_with(package));
    if ours && !types.contains(name) {
        return wrong("channel.types", format!("has `{name}`, which is not among the built-in"));
    }
    Ok(())
}

fn exempt(addresses: &[String]) -> Result<Vec<IpNet>, ConfigError> {
    check_count("limits.address_exempt", addresses.len())?;
    let parse = |text: &String| match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
        (Ok(address), _) => Ok(IpNet::from(address.to_canonical())),
        (_, Ok(network)) => Ok(network),
        _ => wrong(
            "limits.address_exempt",
            format!("has `{text}`, which is neither an IP address nor a network like 10.1.0.0/16"),
        ),
    };
    addresses.iter().map(parse).collect()
}

fn address(key: &'static str, text: &str) -> Result<Option<SocketAddr>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => wrong(key, format!("is `{text}`; write address and port, as in 0.0.0.0:8443")),
    }
}

pub(super) fn within<N>(
    key: &'static str,
    value: N,
    range: RangeInclusive<N>,
) -> Result<N, ConfigError>
where
    N: PartialOrd + std::fmt::Display,
{
    if range.contains(&value) {
        return Ok(value);
    }
    wrong(key, format!("is {value}; use {} to {}", range.start(), range.end()))
}

fn rate(key: &'static str, value: f32) -> Result<f32, ConfigError> {
    within(key, value, 0.1..=1e9)
}

pub(super) fn span(
    key: &'static str,
    value: Span,
    range: RangeInclusive<Duration>,
) -> Result<Duration, ConfigError> {
    if range.contains(&value.0) {
        return Ok(value.0);
    }
    wrong(key, format!("is {value}; use {} to {}", Span(*range.start()), Span(*range.end())))
}

pub(super) fn check_count(key: &'static str, count: usize) -> Result<(), ConfigError> {
    within(key, count, 0..=LIST_MAX).map(drop)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(super) fn wrong<T>(key: &'static str, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Value { key, problem: problem.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_ranges() {
        assert!(config(&File::default(), true).is_err(), "0.0.0.0 is not for --dev");
        let mut file = File::default();
        file.listen.address = "127.0.0.1:0".to_owned();
        config(&file, true).expect("valid");
    }

    #[test]
    fn without_configuration_there_is_no_plaintext_beyond_loopback_and_no_tls_without_a_key() {
        check("tls.certificate", |_| {});
        check("listen.plain", |file| file.listen.plain = "0.0.0.0:8080".to_owned());
        check("listen.address", |file| file.listen.address = String::new());
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        check("limits.accept_per_s", |file| with_tls(file).limits.accept_per_s = 0);
        check("data.commit_window", |file| with_tls(file).data.commit_window = Span::s(1));
        check("drain.hard_stop", |file| with_tls(file).drain.hard_stop = Span::s(10));
        check("http.origins", |file| with_tls(file).http.origins = vec!["*".to_owned()]);
        check("http.hosts", |file| with_tls(file).http.hosts = vec!["hub:8443".to_owned()]);
        check("limits.address_exempt", |file| {
            with_tls(file).limits.address_exempt = vec!["here".to_owned()];
        });
        check("limits.address_exempt", |file| {
            with_tls(file).limits.address_exempt = vec!["10.1.0.0/33".to_owned()];
        });
    }

    #[track_caller]
    fn check(key: &str, change: impl FnOnce(&mut File)) {
        let mut file = File::default();
        change(&mut file);
        let error = config(&file, false).expect_err("refused").to_string();
        assert!(error.starts_with(key), "{error}");
    }

    fn with_tls(file: &mut File) -> &mut File {
        file.tls.certificate = "c.pem".into();
        file.tls.key = "k.pem".into();
        file
    }
}
