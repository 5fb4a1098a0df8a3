//! One command to one device: hand it over, and stay for its end if asked to.
//!
//! # Guarantees
//!
//! - It returns without failure only after the hub said that the command is durable.
//! - Between handing over and that answer, whatever happens is told as an unknown outcome, with the
//!   line that asks again.
//! - While waiting, a lost connection is not an end: the record is read again where it was left.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use proto::{CloseCode, CommandState};
use serde_json::{Value, json};

use super::args::Format;
use super::client::{Client, Incoming, Lost, failure_of};
use super::exit::Failure;
use super::fields::{items, number, state, word};
use super::http::Http;
use super::interrupt::Story;
use super::life::{self, Life};
use super::out::{Out, note};
use super::retry::Backoff;
use super::send::Job;
use super::units;
use crate::clock::Now;

/// How long the hub may take to make a command durable.
const ACK_MAX: Duration = Duration::from_secs(30);
/// Updates that may come before the answer that says which are ours.
const EARLY_MAX: usize = 256;

const SUBSCRIBE: u64 = 1;
const SEND: u64 = 2;

/// Sends the order to one device.
pub(crate) async fn run(
    job: &Job,
    device: &str,
    story: &Story,
    out: &mut Out,
) -> Result<(), Failure> {
    let begun = Now::read();
    let mut client = Client::connect(&job.target).await?;
    let channel = format!("devices.{device}.commands");
    if job.patience.is_some() {
        subscribe(&mut client, &channel).await?;
    }
    story.tell(format!(
        "handed over, not yet accepted; to ask again: {} (Ctrl-C again leaves)",
        job.rerun.line()
    ));
    let (ack, early) = hand_over(job, device, &mut client).await?;
    let command = word(&ack, "command").to_owned();
    story.tell(format!(
        "command {command} goes on; follow it with: hub command {command} (Ctrl-C again leaves)"
    ));
    let Some(patience) = job.patience else {
        client.close().await;
        return tell_accepted(job, device, &ack, out);
    };
    let mut pursuit =
        Pursuit { job, channel, command: command.clone(), life: Life::default(), begun, out };
    if job.format == Format::Text {
        let what = format!("{command}  {device}: {}", job.order.words);
        pursuit.out.line(&what)?;
    }
    let followed = tokio::time::timeout(patience, pursuit.follow(client, &ack, early)).await;
    followed.unwrap_or_else(|_| {
        let waited = units::short(patience);
        Err(Failure::Timeout(format!(
            "no end after {waited}; the command goes on, follow it with: hub command {command}"
        )))
    })
}

/// Subscribes, and waits for the hub's yes.
pub(crate) async fn subscribe(client: &mut Client, pattern: &str) -> Result<(), Failure> {
    let sent = client.send(SUBSCRIBE, "subscribe", json!({"pattern": pattern})).await;
    sent.map_err(Lost::into_failure)?;
    loop {
        match client.next().await.map_err(Lost::into_failure)? {
            Incoming::Ack(SUBSCRIBE, _) => return Ok(()),
            Incoming::Error(_, error) => return Err(failure_of(&error)),
            Incoming::Ack(..)
            | Incoming::Gap(_)
            | Incoming::GoAway(_)
            | Incoming::Message(_)
            | Incoming::Other
            | Incoming::Snapshot(_)
            | Incoming::Welcome(_) => {}
        }
    }
}

/// Sends the command and waits until it is durable. Also gives the updates that came before.
async fn hand_over(
    job: &Job,
    device: &str,
    client: &mut Client,
) -> Result<(Value, Vec<Value>), Failure> {
    let envelope = job.envelope(device, &job.request_id);
    let answered = tokio::time::timeout(ACK_MAX, async {
        client.send(SEND, "send", envelope).await?;
        let mut early = Vec::new();
        loop {
            match client.next().await? {
                Incoming::Ack(SEND, ack) => return Ok(Ok((ack, early))),
                Incoming::Error(SEND | 0, error) => return Ok(Err(failure_of(&error))),
                Incoming::Message(message) if early.len() < EARLY_MAX => early.push(message),
                Incoming::Ack(..)
                | Incoming::Error(..)
                | Incoming::Gap(_)
                | Incoming::GoAway(_)
                | Incoming::Message(_)
                | Incoming::Other
                | Incoming::Snapshot(_)
                | Incoming::Welcome(_) => {}
            }
        }
    });
    match answered.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(lost)) => Err(in_doubt(job, lost)),
        Err(_) => Err(job.rerun.unknown(&format!("no answer within {} s", ACK_MAX.as_secs()))),
    }
}

/// A connection that ended before the answer. Only a close that judges what we sent is an answer.
fn in_doubt(job: &Job, lost: Lost) -> Failure {
    const VERDICTS: [CloseCode; 3] =
        [CloseCode::MALFORMED, CloseCode::NOT_PERMITTED, CloseCode::TOO_BIG];
    match &lost {
        Lost::Closed { code, .. } if VERDICTS.contains(&CloseCode(*code)) => lost.into_failure(),
        Lost::Closed { .. } | Lost::Broken(_) | Lost::Silent(_) | Lost::Unreadable(_) => {
            job.rerun.unknown(&lost.to_string())
        }
    }
}

/// The answer of a `send` that doesn't wait.
fn tell_accepted(job: &Job, device: &str, ack: &Value, out: &mut Out) -> Result<(), Failure> {
    let command = word(ack, "command");
    let state = state(ack);
    match job.format {
        Format::Json => out.json(&json!({
            "command": command,
            "device": device,
            "state": state.word(),
            "request_id": job.request_id,
        }))?,
        Format::Text => {
            out.line(&format!("{}  {command}  {device}: {}", state.word(), job.order.words))?;
            out.line(&format!("follow it with: hub command {command}"))?;
        }
    }
    // Only an order that was sent before can have ended already.
    let text = format!("{}: {}", state.word(), life::advice(state));
    Failure::from_state(state, text).map_or(Ok(()), Err)
}

/// Stays with one command to its end.
struct Pursuit<'a> {
    job: &'a Job,
    channel: String,
    command: String,
    life: Life,
    begun: Now,
    out: &'a mut Out,
}

impl Pursuit<'_> {
    async fn follow(
        &mut self,
        mut client: Client,
        ack: &Value,
        early: Vec<Value>,
    ) -> Result<(), Failure> {
        // The first step is pushed like the others, and mostly before the answer; where it wasn't,
        // the answer stands for it.
        let is_first = |message: &Value| {
            let update = message.get("data").unwrap_or(&Value::Null);
            word(update, "command") == self.command && state(update) == CommandState::Accepted
        };
        if state(ack) != CommandState::Accepted {
            self.catch_up().await?;
        } else if !early.iter().any(is_first) {
            self.take(&json!({"state": "COMMAND_STATE_ACCEPTED", "command": self.command}), None)?;
        }
        for message in early {
            self.hear(&message)?;
        }
        loop {
            if let Some(end) = self.life.end() {
                client.close().await;
                return end;
            }
            match client.next().await {
                Ok(Incoming::Message(message)) => self.hear(&message)?,
                Ok(Incoming::Gap(_)) => self.catch_up().await?,
                Ok(
                    Incoming::Ack(..)
                    | Incoming::Error(..)
                    | Incoming::GoAway(_)
                    | Incoming::Other
                    | Incoming::Snapshot(_)
                    | Incoming::Welcome(_),
                ) => {}
                Err(lost) => {
                    note(&format!("{lost}; the command goes on, connecting again"));
                    client = self.come_back().await?;
                }
            }
        }
    }

    /// A message of the device's command channel.
    fn hear(&mut self, message: &Value) -> Result<(), Failure> {
        match message.get("data") {
            Some(update) if word(update, "command") == self.command => self.take(update, None),
            Some(_) | None => Ok(()),
        }
    }

    /// Shows a step, if it is new. `since` is known for steps that were read from the record.
    fn take(&mut self, update: &Value, since: Option<Duration>) -> Result<(), Failure> {
        if !self.life.take(update) {
            return Ok(());
        }
        if self.job.format == Format::Json {
            return self.out.json(update);
        }
        let now = Now::read();
        let since = since.unwrap_or_else(|| elapsed(self.begun.mono, now.mono));
        let wall = match number(update, "time_unix_ms") {
            0 => now.unix_ms,
            told => told,
        };
        self.out.line(&life::line(update, since, &units::wall_time(wall, &TimeZone::system())))
    }

    /// Reads the record: what was missed, and only that, is shown.
    async fn catch_up(&mut self) -> Result<(), Failure> {
        let record =
            Http::new(&self.job.target)?.get(&format!("/v1/commands/{}", self.command)).await?;
        let steps = items(&record, "steps");
        // By the hub's clock alone: an order that was sent before began before we did.
        let begun = steps.first().map_or(0, |step| number(step, "time_unix_ms"));
        for mut step in steps.iter().cloned() {
            if state(&step).is_terminal() {
                step["result"] = record["result"].clone();
            }
            let since = number(&step, "time_unix_ms").saturating_sub(begun);
            self.take(&step, Some(Duration::from_millis(since)))?;
        }
        Ok(())
    }

    /// Connects again, as long as it takes; the caller bounds the whole.
    async fn come_back(&mut self) -> Result<Client, Failure> {
        let mut backoff = Backoff::default();
        loop {
            backoff.wait().await;
            match self.try_to_come_back().await {
                Err(Failure::Unreachable(_)) => {}
                Err(other) => return Err(other),
                Ok(client) => return Ok(client),
            }
        }
    }

    async fn try_to_come_back(&mut self) -> Result<Client, Failure> {
        let mut client = Client::connect(&self.job.target).await?;
        subscribe(&mut client, &self.channel).await?;
        self.catch_up().await?;
        Ok(client)
    }
}

fn elapsed(from: Instant, to: Instant) -> Duration {
    to.saturating_duration_since(from)
}
