//! Bytes on the wire, TLS and TCP apart: a lamp's telemetry report, and an idle hour. Beside them what
//! MQTT and polling by HTTP take for the same.
//!
//! Ours are counted by a relay between lamp and hub, frame headers of both ways and the ack included.
//! The payload is that of a simulated lamp in the evening. The hub of the caller pings often; what a
//! ping takes is scaled to an hour.
//!
//! MQTT 3.1.1 over TCP, from its specification, with QoS 1 and the same topic and payload:
//!
//! ```text
//!   PUBLISH   1 + length of the rest (1 or 2) + 2 + topic + 2 (packet id) + payload
//!   PUBACK    4
//!   PINGREQ   2        PINGRESP   2
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use proto::envelope::{Batch, Kind, Publish};
use tokio::time::timeout;

use super::relay::Relay;
use super::{Bench, Row, peers};
use crate::city::City;
use crate::encode::{Stamp, telemetry};
use crate::hub::HubError;
use crate::link::{Link, LinkError, Target, encode};
use crate::physics::{FaultPlan, Lamp, UnixMillis};

/// Headers and bodies of one poll without news, as measured at another city.
const HTTP_POLL_BYTES: f64 = 871.0;
const MQTT_PUBACK_BYTES: usize = 4;
const MQTT_PING_BYTES: f64 = 4.0;
/// s between two signs of life, for all alike.
const KEEPALIVE_S: f64 = 30.0;
const HOUR_S: f64 = 3600.0;
/// Of a lamp that was without power a few times; its length counts.
const BOOT: u32 = 12;
const REPORTS: usize = 60;
/// ms of a lamp's time between two reports.
const REPORT_EVERY_MS: u64 = 60_000;
/// Reports that a device sends at once after a time without connection.
const GATHERED: usize = 8;
const WEBSOCKET_REPLY: Duration = Duration::from_millis(200);

/// Settings of `wire`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// How long the idle connection is watched
    #[arg(long, value_parser = crate::args::span, default_value = "10s")]
    idle: Duration,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, 1).await?;
    let io = |error: std::io::Error| HubError::Link(LinkError::Io(error));
    let relay = Relay::start(bench.hub.target().address()).await.map_err(io)?;
    let target = Target::new(&format!("ws://{}", relay.address), None).await?;
    let (mut link, _) = Link::open(&target, &devices[0].token, BOOT).await?;
    let payloads = payloads(bench);
    let payload = payloads.iter().map(Vec::len).sum::<usize>() as f64 / REPORTS as f64;
    let up = relay.passed.up.bytes.count();
    let alone = send_all(&mut link, &relay, &payloads, 1).await?;
    let up = (relay.passed.up.bytes.count() - up) as f64 / REPORTS as f64;
    let gathered = send_all(&mut link, &relay, &payloads, GATHERED).await?;
    let ping = idle(&mut link, &relay, settings.idle).await?;
    let topic = devices[0].channel("telemetry").len();
    let mqtt = payloads.iter().map(|payload| mqtt_report(topic, payload.len())).sum::<usize>();
    let pings = HOUR_S / KEEPALIVE_S;
    let report = Row::new("wire, a report")
        .with("payload", payload, "bytes")
        .with("overhead", alone - payload, "bytes")
        .with("overhead upwards", up - payload, "bytes")
        .with("overhead, 8 at once", gathered - payload, "bytes")
        .with("overhead of mqtt", mqtt as f64 / REPORTS as f64 - payload, "bytes")
        .with("overhead of http", HTTP_POLL_BYTES, "bytes");
    let hour = Row::new("wire, an idle hour")
        .with("ours", ping * pings, "bytes")
        .with("ours, longest interval", ping * HOUR_S / KEEPALIVE_S_LONGEST, "bytes")
        .with("mqtt", MQTT_PING_BYTES * pings, "bytes")
        .with("http", HTTP_POLL_BYTES * pings, "bytes");
    Ok(vec![report, hour])
}

/// s: what a device on a mobile network may ask for.
const KEEPALIVE_S_LONGEST: f64 = proto::limits::KEEPALIVE_S_MAX as f64;

/// An evening's reports of a lamp.
fn payloads(bench: &Bench) -> Vec<Vec<u8>> {
    let mut now = UnixMillis(bench.clock.start_unix_ms());
    let city = City::new(1, "lamp-", None, now, FaultPlan::NONE);
    let mut lamp = Lamp::new(city.spec(1), now);
    let mut payloads = Vec::with_capacity(REPORTS);
    for number in 1..=REPORTS as u64 {
        now = now.plus_ms(REPORT_EVERY_MS);
        lamp.advance(now);
        let stamp = Stamp {
            time_unix_ms: now.0,
            uptime_ms: number * REPORT_EVERY_MS,
            quality: firmware_client::TimeQuality::Synced,
        };
        payloads.push(telemetry(stamp, &lamp.sample()));
    }
    payloads
}

/// Sends all, so many in a WebSocket message, each message once the one before is acknowledged.
/// Returns the bytes of one report.
async fn send_all(
    link: &mut Link,
    relay: &Relay,
    payloads: &[Vec<u8>],
    at_once: usize,
) -> Result<f64, HubError> {
    let before = relay.passed.bytes();
    let mut seq = SEQ_STEP * at_once as u64;
    let mut left: VecDeque<&Vec<u8>> = payloads.iter().collect();
    while !left.is_empty() {
        let mut message = Vec::new();
        for payload in left.drain(..at_once.min(left.len())) {
            seq += 1;
            // As the firmware sends it: its own channel goes without saying.
            let publish = Publish {
                seq,
                time_unix_ms: UNIX_MS + seq * REPORT_EVERY_MS,
                payload: Some(payload),
                ..Publish::default()
            };
            message.extend(encode(0, Kind::Publish(publish)));
        }
        link.send(&message).await?;
        wait_for(link, seq).await?;
    }
    Ok((relay.passed.bytes() - before) as f64 / payloads.len() as f64)
}

/// Numbers of a round lie above those of the round before; three bytes, as in a boot that is days old.
const SEQ_STEP: u64 = 20_000;
/// Some day of this time; only its length counts.
const UNIX_MS: u64 = 1_800_000_000_000;

async fn wait_for(link: &mut Link, seq: u64) -> Result<(), LinkError> {
    loop {
        let bytes = link.next().await?;
        for envelope in Batch::parse(&bytes).map_err(|_| LinkError::Lost)? {
            match envelope.kind {
                Kind::Ack(ack) if ack.seq >= seq => return Ok(()),
                Kind::Error(_) => return Err(LinkError::Greeting("an error")),
                _ => {}
            }
        }
    }
}

/// Watches the idle connection; returns the bytes of a ping and its answer.
async fn idle(link: &mut Link, relay: &Relay, span: Duration) -> Result<f64, HubError> {
    // What is still under way belongs to the reports.
    drop(timeout(WEBSOCKET_REPLY, link.next()).await);
    let (bytes, pings) = (relay.passed.bytes(), relay.passed.down.pieces.count());
    // Reading answers the pings; nothing else comes.
    drop(timeout(span, link.next()).await);
    let pings = relay.passed.down.pieces.count() - pings;
    if pings == 0 {
        return Err(HubError::Answer("no ping came; let the hub ping each second".to_owned()));
    }
    Ok((relay.passed.bytes() - bytes) as f64 / pings as f64)
}

/// Bytes of PUBLISH and PUBACK, as in the head comment.
fn mqtt_report(topic: usize, payload: usize) -> usize {
    const ONE_BYTE_LENGTH_MAX: usize = 127;
    let rest = 2 + topic + 2 + payload;
    let length = if rest > ONE_BYTE_LENGTH_MAX { 2 } else { 1 };
    1 + length + rest + MQTT_PUBACK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_by_mqtt_has_the_length_that_its_specification_gives() {
        // Fixed header 2, topic 2 + 3, packet id 2, payload 10, PUBACK 4.
        assert_eq!(mqtt_report(3, 10), 23);
        // From 128 bytes on the length takes two.
        assert_eq!(mqtt_report(23, 100), 2 + 2 + 23 + 2 + 100 + 4);
        assert_eq!(mqtt_report(24, 100), 3 + 2 + 24 + 2 + 100 + 4);
    }
}
