//! One order for all devices that a selector picks: drives a [`Batch`] over the socket.
//!
//! The devices are those that match now; the list is read once. A lost connection is dialled again,
//! and the batch goes on where it was.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::args::Format;
use super::batch::{Batch, Row, Stand};
use super::client::{Client, Incoming, Lost};
use super::exit::Failure;
use super::fields::{items, word};
use super::http::Http;
use super::interrupt::Story;
use super::one;
use super::out::{Out, note};
use super::retry::Backoff;
use super::selector::Selector;
use super::send::Job;
use super::table::table;
use super::units;
use crate::clock;

/// Dials after the first, before the rest is given up.
const DIALS_MAX: u32 = 6;
/// How long the hub may answer nothing while answers are due.
const STALL_MAX: Duration = Duration::from_secs(30);
/// The longest pause that a busy hub can ask for.
const PAUSE_MS_MAX: u64 = 5_000;
/// Rows up to which successes are listed, too.
const ROWS_ALL: usize = 20;

/// Sends the order to every device that `selector` picks.
pub(crate) async fn run(
    job: &Job,
    selector: &Selector,
    story: &Story,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&job.target)?;
    let devices: Vec<String> = http
        .devices(Some(selector))
        .await?
        .iter()
        .map(|device| word(device, "id").to_owned())
        .collect();
    if devices.is_empty() {
        return Err(Failure::NotFound(format!("no device matches {}", selector.as_str())));
    }
    story.tell(format!(
        "commands that were accepted go on; to go on with the rest: {} (Ctrl-C again leaves)",
        job.rerun.line()
    ));
    let stays = job.patience.is_some();
    let batch = Batch::new(devices, &job.request_id, job.order.repeatable, stays, 1);
    let bar = progress(batch.rows().len());
    let mut drive = Drive { job, http, batch, bar };
    let cause = drive.until_decided().await?;
    drive.bar.finish_and_clear();
    drive.batch.give_up(&cause);
    report(job, drive.batch.rows(), out)
}

/// A bar on standard error; it hides by itself where no terminal is.
fn progress(rows: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(rows).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

struct Drive<'a> {
    job: &'a Job,
    http: Http,
    batch: Batch,
    bar: ProgressBar,
}

impl Drive<'_> {
    /// Until all is decided, patience ends, or the hub stays away. Says why it stopped.
    async fn until_decided(&mut self) -> Result<String, Failure> {
        let Some(patience) = self.job.patience else { return self.dial_and_pump().await };
        match tokio::time::timeout(patience, self.dial_and_pump()).await {
            Ok(ended) => ended,
            Err(_) => Ok(format!("no end after {}", units::short(patience))),
        }
    }

    async fn dial_and_pump(&mut self) -> Result<String, Failure> {
        let mut backoff = Backoff::default();
        let mut cause = String::new();
        for dial in 0..=DIALS_MAX {
            if dial > 0 {
                note(&format!("{cause}; connecting again"));
                backoff.wait().await;
            }
            match self.dial().await {
                Ok(mut client) => match self.pump(&mut client).await {
                    Ok(()) => {
                        client.close().await;
                        return Ok(String::new());
                    }
                    Err(lost) => cause = lost.to_string(),
                },
                Err(Failure::Unreachable(text)) => cause = text,
                // Before anything was sent, this is the whole answer.
                Err(other) if dial == 0 => return Err(other),
                Err(other) => return Ok(other.to_string()),
            }
            self.batch.lost();
        }
        Ok(cause)
    }

    async fn dial(&mut self) -> Result<Client, Failure> {
        let mut client = Client::connect(&self.job.target).await?;
        if self.job.patience.is_some() {
            one::subscribe(&mut client, "devices.*.commands").await?;
            self.catch_up().await?;
        }
        Ok(client)
    }

    /// Reads the records of what was accepted: their updates may have been missed.
    async fn catch_up(&mut self) -> Result<(), Failure> {
        for command in self.batch.accepted() {
            let record = self.http.get(&format!("/v1/commands/{command}")).await?;
            for step in items(&record, "steps") {
                let mut update = step.clone();
                update["command"] = json!(command);
                update["request_id"] = json!(word(&record, "request_id"));
                self.batch.updated(&update);
            }
        }
        Ok(())
    }

    /// Sends and hears until nothing is left.
    async fn pump(&mut self, client: &mut Client) -> Result<(), Lost> {
        let mut answered = clock::mono();
        loop {
            while let Some(next) = self.batch.next_send() {
                let envelope = self.job.envelope(&next.device, &next.request_id);
                client.send(next.request, "send", envelope).await?;
            }
            self.show();
            if self.batch.is_over() {
                return Ok(());
            }
            let heard = if self.batch.is_answer_due() {
                let left =
                    STALL_MAX.saturating_sub(clock::mono().saturating_duration_since(answered));
                let next = tokio::time::timeout(left, client.next()).await;
                next.map_err(|_| Lost::Silent(STALL_MAX))??
            } else {
                client.next().await?
            };
            let is_answer = matches!(heard, Incoming::Ack(..) | Incoming::Error(..));
            self.take(heard).await?;
            if is_answer || !self.batch.is_answer_due() {
                answered = clock::mono();
            }
        }
    }

    async fn take(&mut self, heard: Incoming) -> Result<(), Lost> {
        match heard {
            Incoming::Ack(request, ack) => self.batch.acked(request, &ack),
            Incoming::Error(request, error) => {
                if let Some(pause_ms) = self.batch.refused(request, &error) {
                    tokio::time::sleep(Duration::from_millis(pause_ms.min(PAUSE_MS_MAX))).await;
                }
            }
            Incoming::Message(message) => {
                if let Some(update) = message.get("data") {
                    self.batch.updated(update);
                }
            }
            // Updates were left out; what they said is in the records.
            Incoming::Gap(_) => {
                let caught_up = self.catch_up().await;
                caught_up.map_err(|failure| Lost::Broken(failure.to_string()))?;
            }
            Incoming::GoAway(_)
            | Incoming::Other
            | Incoming::Snapshot(_)
            | Incoming::Welcome(_) => {}
        }
        Ok(())
    }

    fn show(&self) {
        let decided = self.batch.rows().len() - self.batch.open();
        self.bar.set_position(u64::try_from(decided).unwrap_or(u64::MAX));
    }
}

/// Names each failure, counts the rest, and says how to go on.
fn report(job: &Job, rows: &[Row], out: &mut Out) -> Result<(), Failure> {
    let failures: Vec<&Failure> = rows.iter().filter_map(failure).collect();
    match job.format {
        Format::Json => {
            for row in rows {
                out.json(&json_of(row))?;
            }
        }
        Format::Text => {
            let listed = |row: &&Row| rows.len() <= ROWS_ALL || failure(row).is_some();
            let cells: Vec<_> = rows.iter().filter(listed).map(cells_of).collect();
            if !cells.is_empty() {
                out.block(&table(&["device", "result", "command"], &cells, out.width()))?;
            }
            let word = if job.patience.is_some() { "succeeded" } else { "accepted" };
            let good = rows.len() - failures.len();
            out.line(&format!("{good} of {} {word}: {}", rows.len(), job.order.words))?;
        }
    }
    let Some(failure) = Failure::of_batch(&failures, rows.len()) else { return Ok(()) };
    note(&format!("to send again, touching only what failed: {}", job.rerun.line()));
    Err(failure)
}

fn failure(row: &Row) -> Option<&Failure> {
    match &row.stand {
        Stand::Failed(failure) => Some(failure),
        Stand::Waiting | Stand::OnItsWay | Stand::Accepted(_) | Stand::Done => None,
    }
}

fn result_of(row: &Row) -> String {
    match &row.stand {
        Stand::Waiting => "not sent".to_owned(),
        Stand::OnItsWay => "no answer".to_owned(),
        Stand::Accepted(state) => state.word().to_owned(),
        Stand::Done => "SUCCEEDED".to_owned(),
        Stand::Failed(failure) => failure.to_string(),
    }
}

fn cells_of(row: &Row) -> Vec<String> {
    let command = if row.command.is_empty() { "-" } else { &row.command };
    vec![row.device.clone(), result_of(row), command.to_owned()]
}

fn json_of(row: &Row) -> Value {
    json!({
        "device": row.device,
        "command": row.command,
        "result": result_of(row),
        "exit_code": failure(row).map_or(0, Failure::code),
    })
}
