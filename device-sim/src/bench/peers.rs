//! Many bare devices: registered, connected a few at a time.

use std::net::IpAddr;
use std::sync::Arc;

use proto::envelope::{Batch, Kind, Subscribe};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Bench;
use crate::clock::Micros;
use crate::hub::HubError;
use crate::link::{Admitted, Link, LinkError, Target, encode};
use crate::provision::{register, tokens_of};

/// Handshakes under way; the hub takes as many at once.
const CONNECTING_MAX: usize = 64;
const DEVICES_PER_REQUEST: usize = 1000;
/// Ports of one local address that are safely there.
const CONNECTIONS_PER_ADDRESS: usize = 14_000;

/// A device that only benches know.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) id: String,
    pub(super) token: Arc<str>,
}

impl Device {
    /// One of its own channels.
    pub(super) fn channel(&self, suffix: &str) -> String {
        format!("devices.{}.{suffix}", self.id)
    }
}

/// Registers so many.
pub(super) async fn devices(bench: &Bench, count: usize) -> Result<Vec<Device>, HubError> {
    let ids: Vec<String> = (1..=count).map(|number| format!("bench-{number:05}")).collect();
    let mut devices = Vec::with_capacity(count);
    for chunk in ids.chunks(DEVICES_PER_REQUEST) {
        let body = chunk.iter().map(|id| json!({"id": id, "labels": {"street": "Bench St"}}));
        let answer = register(&bench.hub, &Value::Array(body.collect())).await?;
        let tokens = tokens_of(&answer, chunk)?;
        devices.extend(chunk.iter().cloned().zip(tokens).map(|(id, token)| Device { id, token }));
    }
    Ok(devices)
}

/// A boot above those of earlier benches.
pub(super) fn boot(bench: &Bench) -> u32 {
    u32::try_from(bench.clock.start_unix_ms() / 1000).unwrap_or(u32::MAX)
}

/// What it takes to come in.
#[derive(Debug, Clone)]
pub(super) struct Knock {
    pub(super) target: Target,
    pub(super) token: Arc<str>,
    /// A pattern to subscribe to at once.
    pub(super) subscription: Option<String>,
}

/// A connection, and how long it took (µs).
pub(super) struct Opened {
    pub(super) number: usize,
    pub(super) link: Link,
    pub(super) admitted: Admitted,
    pub(super) took_us: u64,
}

/// Connects all of them with these tokens; hands each to `take` as it comes.
pub(super) async fn open_all(
    bench: &Bench,
    target: &Target,
    tokens: impl Iterator<Item = Arc<str>>,
    boot: u32,
    take: impl FnMut(Opened),
) -> Result<(), HubError> {
    let knock = |token| Knock { target: target.clone(), token, subscription: None };
    knock_all(bench, tokens.map(knock), boot, take).await
}

/// The same, each in its own way.
pub(super) async fn knock_all(
    bench: &Bench,
    knocks: impl IntoIterator<Item = Knock>,
    boot: u32,
    mut take: impl FnMut(Opened),
) -> Result<(), HubError> {
    let slots = Arc::new(Semaphore::new(CONNECTING_MAX));
    let mut opening = JoinSet::new();
    for (number, knock) in knocks.into_iter().enumerate() {
        let (slots, clock) = (slots.clone(), bench.clock);
        let target = knock.target.clone().from_source(source(&knock.target, number));
        opening.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let start: Micros = clock.now();
            let (mut link, admitted) = Link::open(&target, &knock.token, boot).await?;
            if let Some(pattern) = &knock.subscription {
                subscribe(&mut link, pattern).await?;
            }
            let took_us = clock.now().since(start);
            Ok::<_, HubError>(Opened { number, link, admitted, took_us })
        });
    }
    while let Some(opened) = opening.join_next().await {
        match opened {
            Ok(opened) => take(opened?),
            Err(error) => return Err(HubError::Answer(error.to_string())),
        }
    }
    Ok(())
}

/// Subscribes on a connection that has no other yet, and waits for the answer.
pub(super) async fn subscribe(link: &mut Link, pattern: &str) -> Result<(), LinkError> {
    let subscribe = Subscribe { pattern, ..Subscribe::default() };
    link.send(&encode(1, Kind::Subscribe(subscribe))).await?;
    loop {
        let bytes = link.next().await?;
        for envelope in Batch::parse(&bytes).map_err(|_| LinkError::Lost)? {
            match envelope.kind {
                Kind::Ack(_) if envelope.request == 1 => return Ok(()),
                Kind::Error(_) => return Err(LinkError::Greeting("an error")),
                _ => {}
            }
        }
    }
}

/// On loopback, another local address for each so many connections.
pub(super) fn source(target: &Target, number: usize) -> Option<IpAddr> {
    let block = number / CONNECTIONS_PER_ADDRESS;
    let is_loopback = target.address().is_ipv4() && target.address().ip().is_loopback();
    (block > 0 && is_loopback).then(|| [127, 0, 0, 1 + block as u8].into())
}
