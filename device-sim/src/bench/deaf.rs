//! Half of the devices stop reading while commands come: no command that was acknowledged may be lost, the
//! hub lets go of the deaf, and has its memory back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proto::envelope::{Batch, CommandUpdate, Kind, Send, Subscribe};
use proto::{CommandState, channels};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::peers::{self, Device};
use super::{Bench, Row, commands};
use crate::clock::{Micros, micros};
use crate::hub::HubError;
use crate::link::{Link, LinkError, Target, encode};
use crate::schedule::Periodic;

const REST: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Longer than any test of this takes.
const TTL_S: u32 = 3600;

/// Settings of `deaf`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Settings {
    /// All devices
    #[arg(long, default_value_t = 1_000)]
    devices: usize,
    /// Those that stop reading
    #[arg(long, default_value_t = 500)]
    deaf: usize,
    /// Commands to each device while some are deaf
    #[arg(long, default_value_t = 6)]
    commands: usize,
    /// Commands a second, over all devices
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// How long the hub may take to let go of the deaf, and later commands to end
    #[arg(long, value_parser = crate::args::span, default_value = "120s")]
    patience: Duration,
}

/// Whether those that can be deaf are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Good,
    Deaf,
    Back,
}

/// The sender's book, by request id.
#[derive(Debug, Default)]
struct Book {
    round: u32,
    accepted: u64,
    refused: u64,
    ended: HashMap<String, CommandState>,
}

pub(super) async fn run(bench: &Bench, settings: &Settings) -> Result<Vec<Row>, HubError> {
    let devices = peers::devices(bench, settings.devices).await?;
    let (hearing, hears) = watch::channel(Hearing::Good);
    let (target, boot) = (bench.hub.target(), peers::boot(bench));
    let tokens = devices.iter().map(|device| device.token.clone());
    let mut living = JoinSet::new();
    peers::open_all(bench, &target, tokens, boot, |opened| {
        let device = devices[opened.number].clone();
        let hears = (opened.number < settings.deaf).then(|| hears.clone());
        living.spawn(live(opened.link, device, target.clone(), boot, hears));
    })
    .await?;
    let (mut link, _) = Link::open(&target.clone().for_reader(), bench.hub.token(), 0).await?;
    let subscribe = Subscribe { pattern: "devices.*.commands", ..Subscribe::default() };
    link.send(&encode(0, Kind::Subscribe(subscribe))).await?;
    // What the hub keeps of commands that ended, it keeps with or without the deaf: the first round warms
    // up, the second tells how much that is.
    let warm = calm(bench, &mut link, &devices, settings, 0).await?;
    let before = calm(bench, &mut link, &devices, settings, 1).await?;
    let all = bench.counted("connections").await?;

    hearing.send_replace(Hearing::Deaf);
    let since = bench.clock.now();
    let mut book = Book { round: 2, ..Book::default() };
    Box::pin(book.send_all(bench, &mut link, &devices, settings)).await?;
    let gone_s =
        gone(bench, &mut book, &mut link, all - settings.deaf as f64, since, settings).await?;
    let peak = bench.process.peak_kib();

    hearing.send_replace(Hearing::Back);
    book.wait_for_all(bench, &mut link, settings.patience).await?;
    tokio::time::sleep(REST).await;
    let grown =
        |from: Option<f64>, to: Option<f64>| from.zip(to).map(|(from, to)| (to - from) / 1024.0);
    let of_commands = grown(warm, before);
    let kept = grown(before, bench.process.resident_kib());
    let row = Row::new(format!("deaf, {} of {} devices", settings.deaf, settings.devices))
        .with_known("sessions gone after", gone_s, "s")
        .with("accepted", book.accepted as f64, "")
        .with("refused", book.refused as f64, "")
        .with("lost", book.accepted as f64 - book.ended.len() as f64, "")
        .with("without success", book.without_success(), "")
        .with_known("memory grew meanwhile", grown(before, peak), "MiB")
        .with_known("memory of as many calm commands", of_commands, "MiB")
        .with_known("memory kept", kept.zip(of_commands).map(|(all, calm)| all - calm), "MiB");
    living.shutdown().await;
    Ok(vec![row])
}

/// A round in which all hear; the memory after it, KiB.
async fn calm(
    bench: &Bench,
    link: &mut Link,
    devices: &[Device],
    settings: &Settings,
    round: u32,
) -> Result<Option<f64>, HubError> {
    let mut book = Book { round, ..Book::default() };
    Box::pin(book.send_all(bench, link, devices, settings)).await?;
    book.wait_for_all(bench, link, settings.patience).await?;
    tokio::time::sleep(REST).await;
    Ok(bench.process.resident_kib())
}

/// Answers commands; while it is deaf, it keeps the connection and reads nothing. Then it comes back.
async fn live(
    mut link: Link,
    device: Device,
    target: Target,
    boot: u32,
    hears: Option<watch::Receiver<Hearing>>,
) -> Result<(), LinkError> {
    let Some(mut hears) = hears else { return commands::answer(&mut link).await };
    tokio::select! {
        ended = commands::answer(&mut link) => return ended,
        _ = hears.wait_for(|hearing| *hearing == Hearing::Deaf) => {}
    }
    // The sender outlives the devices, so this only fails when the bench is over.
    drop(hears.wait_for(|hearing| *hearing == Hearing::Back).await);
    drop(link);
    let (mut link, _) = Link::open(&target, &device.token, boot).await?;
    commands::answer(&mut link).await
}

/// Waits until the hub has let go of the deaf; s since they turned so, or nothing if patience ended first.
async fn gone(
    bench: &Bench,
    book: &mut Book,
    link: &mut Link,
    remain: f64,
    since: Micros,
    settings: &Settings,
) -> Result<Option<f64>, HubError> {
    loop {
        let passed = bench.clock.now().since(since);
        if bench.counted("connections").await? <= remain {
            return Ok(Some(passed as f64 / 1e6));
        }
        if passed > micros(settings.patience) {
            return Ok(None);
        }
        book.take_until(bench, link, bench.clock.now().after(LOOK_EVERY)).await?;
    }
}

impl Book {
    /// Commands to all devices in turn, on schedule.
    async fn send_all(
        &mut self,
        bench: &Bench,
        link: &mut Link,
        devices: &[Device],
        settings: &Settings,
    ) -> Result<(), LinkError> {
        let payload: Arc<[u8]> = commands::read_now().into();
        let every = Duration::from_secs_f64(1.0 / settings.rate);
        let mut schedule = Periodic::new(bench.clock.now(), every);
        for number in 0..devices.len() * settings.commands {
            self.take_until(bench, link, schedule.next()).await?;
            schedule.take(bench.clock.now());
            let run = bench.clock.start_unix_ms();
            let request_id = format!("deaf-{run:x}-{}-{number}", self.round);
            let send = Send {
                device: &devices[number % devices.len()].id,
                type_name: channels::COMMAND_TYPE,
                payload: Some(&payload),
                ttl_s: TTL_S,
                request_id: &request_id,
                ..Send::default()
            };
            link.send(&encode(number as u64 + 1, Kind::Send(send))).await?;
        }
        Ok(())
    }

    /// Until every command that was accepted has ended, or patience has.
    async fn wait_for_all(
        &mut self,
        bench: &Bench,
        link: &mut Link,
        patience: Duration,
    ) -> Result<(), LinkError> {
        let last = bench.clock.now().after(patience);
        while (self.ended.len() as u64) < self.accepted && bench.clock.now() < last {
            self.take_until(bench, link, bench.clock.now().after(LOOK_EVERY)).await?;
        }
        Ok(())
    }

    /// Notes what comes until then.
    async fn take_until(
        &mut self,
        bench: &Bench,
        link: &mut Link,
        until: Micros,
    ) -> Result<(), LinkError> {
        loop {
            tokio::select! {
                bytes = link.next() => self.take(&bytes?),
                () = bench.clock.sleep_until(until) => return Ok(()),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for envelope in Batch::parse(bytes).into_iter().flatten() {
            match envelope.kind {
                Kind::Ack(ack) if envelope.request != 0 && !ack.command.is_empty() => {
                    self.accepted += 1;
                }
                Kind::Error(_) if envelope.request != 0 => self.refused += 1,
                Kind::Message(message) => self.take_update(message.payload.unwrap_or_default()),
                _ => {}
            }
        }
    }

    fn take_update(&mut self, payload: &[u8]) {
        let Ok(update) = CommandUpdate::decode(payload) else { return };
        if update.state.is_terminal() {
            self.ended.insert(update.request_id.to_owned(), update.state);
        }
    }

    fn without_success(&self) -> f64 {
        let failed = self.ended.values().filter(|state| **state != CommandState::Succeeded);
        failed.count() as f64
    }
}
