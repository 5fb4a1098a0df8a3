//! Round trips of commands: sent, durable, delivered, answered, and the end seen by the sender.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use proto::envelope::{Batch, CommandReport, CommandUpdate, Envelope, Kind, Send, Subscribe};
use proto::messages::lighting::v1::command::Action;
use proto::messages::lighting::v1::{Command, ReadNow};
use proto::{CommandState, channels};
use tokio::task::JoinSet;

use super::{Bench, Row, peers};
use crate::clock::Micros;
use crate::hub::HubError;
use crate::link::{Link, LinkError, encode};
use crate::metrics::Latency;
use crate::schedule::Periodic;

const SETTLE: Duration = Duration::from_secs(3);

/// Settings of `commands`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// Devices that answer
    #[arg(long, default_value_t = 500)]
    devices: usize,
    /// Commands a second, over all devices
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// How long
    #[arg(long, value_parser = crate::args::span, default_value = "10s")]
    duration: Duration,
}

/// The sender's book.
struct Sender<'b> {
    bench: &'b Bench,
    /// Intended moments by request id.
    open: HashMap<String, Micros>,
    accepted: Latency,
    ended: Latency,
    refused: u64,
    failed: u64,
    intended: Vec<Micros>,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.devices).await?;
    let tokens = devices.iter().map(|device| device.token.clone());
    let mut answering = JoinSet::new();
    peers::open_all(bench, &bench.hub.target(), tokens, peers::boot(bench), |opened| {
        answering.spawn(async move {
            let mut link = opened.link;
            answer(&mut link).await
        });
    })
    .await?;
    let ids: Vec<&str> = devices.iter().map(|device| device.id.as_str()).collect();
    let mut sender = Sender {
        bench,
        open: HashMap::new(),
        accepted: Latency::default(),
        ended: Latency::default(),
        refused: 0,
        failed: 0,
        intended: Vec::new(),
    };
    let (mut link, _) = Link::open(&bench.hub.target().for_reader(), bench.hub.token(), 0).await?;
    let subscribe = Subscribe { pattern: "devices.*.commands", ..Subscribe::default() };
    link.send(&encode(0, Kind::Subscribe(subscribe))).await?;
    let start = bench.clock.now().after(SETTLE);
    bench.clock.sleep_until(start).await;
    let cpu = bench.process.cpu_us();
    Box::pin(sender.send_all(&mut link, settings, &ids, start)).await?;
    let cpu = bench.process.cpu_us().zip(cpu).map(|(after, before)| after - before);
    let ended = sender.ended.snapshot();
    let accepted = sender.accepted.snapshot();
    let ms = |us: u64| us as f64 / 1000.0;
    let row = Row::new(format!("commands to {} devices", settings.devices))
        .with("offered", settings.rate, "/s")
        .with("ended", ended.len() as f64 / settings.duration.as_secs_f64(), "/s")
        .with("accepted p50", ms(accepted.value_at_quantile(0.5)), "ms")
        .with("accepted p99", ms(accepted.value_at_quantile(0.99)), "ms")
        .with("round trip p50", ms(ended.value_at_quantile(0.5)), "ms")
        .with("round trip p99", ms(ended.value_at_quantile(0.99)), "ms")
        .with_known("cpu a command", cpu.map(|us| us / ended.len().max(1) as f64), "us")
        .with("refused", sender.refused as f64, "")
        .with("without success", (sender.failed + sender.open.len() as u64) as f64, "");
    answering.shutdown().await;
    Ok(vec![row])
}

impl Sender<'_> {
    async fn send_all(
        &mut self,
        link: &mut Link,
        settings: &Settings,
        ids: &[&str],
        start: Micros,
    ) -> Result<(), LinkError> {
        let payload = Arc::new(read_now());
        let clock = self.bench.clock;
        let mut schedule = Periodic::new(start, Duration::from_secs_f64(1.0 / settings.rate));
        let end = start.after(settings.duration);
        let last = end.after(SETTLE);
        while schedule.next() < end || (!self.open.is_empty() && clock.now() < last) {
            let due = if schedule.next() < end { schedule.next() } else { last };
            tokio::select! {
                bytes = link.next() => self.take(&bytes?),
                () = clock.sleep_until(due) => {
                    while let Some(intended) = schedule.take(clock.now()).filter(|intended| *intended < end) {
                        let device = ids[self.intended.len() % ids.len()];
                        link.feed(&self.order(device, &payload, intended)).await?;
                    }
                    link.flush().await?;
                }
            }
        }
        Ok(())
    }

    fn order(&mut self, device: &str, payload: &[u8], intended: Micros) -> Vec<u8> {
        self.intended.push(intended);
        let number = self.intended.len() as u64;
        let request_id = format!("bench-{:x}-{number}", self.bench.clock.start_unix_ms());
        let send = Send {
            device,
            type_name: channels::COMMAND_TYPE,
            payload: Some(payload),
            ttl_s: 60,
            request_id: &request_id,
            ..Send::default()
        };
        let bytes = encode(number, Kind::Send(send));
        self.open.insert(request_id, intended);
        bytes
    }

    fn take(&mut self, bytes: &[u8]) {
        let now = self.bench.clock.now();
        for envelope in Batch::parse(bytes).into_iter().flatten() {
            let request = usize::try_from(envelope.request).unwrap_or(0);
            let intended = request.checked_sub(1).and_then(|at| self.intended.get(at));
            match (envelope.kind, intended) {
                (Kind::Ack(_), Some(intended)) => self.accepted.record(now.since(*intended)),
                (Kind::Error(_), Some(_)) => self.refused += 1,
                (Kind::Message(message), _) => {
                    self.take_update(now, message.payload.unwrap_or_default())
                }
                _ => {}
            }
        }
    }

    fn take_update(&mut self, now: Micros, payload: &[u8]) {
        let Ok(update) = CommandUpdate::decode(payload) else { return };
        if !update.state.is_terminal() {
            return;
        }
        if let Some(intended) = self.open.remove(update.request_id) {
            self.ended.record(now.since(intended));
            self.failed += u64::from(update.state != CommandState::Succeeded);
        }
    }
}

/// The content of a command that changes nothing.
pub(super) fn read_now() -> Vec<u8> {
    Command { action: Some(Action::ReadNow(ReadNow::default())), ..Command::default() }
        .encode_to_vec()
}

/// A device that has done everything at once: one report of success a delivery.
///
/// # Errors
/// The connection ended.
pub(super) async fn answer(link: &mut Link) -> Result<(), LinkError> {
    let mut request = 0;
    loop {
        let bytes = link.next().await?;
        let mut reports = Vec::new();
        for envelope in Batch::parse(&bytes).into_iter().flatten() {
            if let Kind::Deliver(deliver) = envelope.kind {
                request += 1;
                let state = CommandState::Succeeded;
                let report =
                    CommandReport { command: deliver.command, state, ..CommandReport::default() };
                Envelope { request, kind: Kind::CommandReport(report) }
                    .encode_delimited(&mut reports);
            }
        }
        if !reports.is_empty() {
            link.send(&reports).await?;
        }
    }
}
