//! `hub command`: one command's life as a timeline, and withdrawing it.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::args::CommandArgs;
use super::client::{Client, Incoming, Lost, failure_of};
use super::connect::{Connection, Target};
use super::exit::Failure;
use super::fields::{flag, items, number, state, word};
use super::http::Http;
use super::life;
use super::out::{Out, note};
use super::summary;
use super::table::table;
use super::units;

const CANCEL: u64 = 1;
/// How long the hub may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Runs `hub command`.
pub(crate) async fn run(
    args: &CommandArgs,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let target = connection.target()?;
    if args.cancel {
        cancel(&target, &args.id).await?;
    }
    let record = Http::new(&target)?.get(&format!("/v1/commands/{}", args.id)).await?;
    if args.json {
        return out.json(&record);
    }
    let kind = action(&record);
    let sender = word(&record, "sender");
    let by = if sender.is_empty() { String::new() } else { format!(", by {sender}") };
    out.line(&format!("{}  {}: {kind}{by}", word(&record, "command"), word(&record, "device")))?;
    let zone = TimeZone::system();
    let rows = rows(&record, &zone);
    out.block(&table(&["state", "after", "time", "detail"], &rows, out.width()))?;
    let now = state(&record);
    if now.is_terminal() {
        return Ok(());
    }
    let deadline = units::wall_date(number(&record, "deadline_unix_ms"), &zone);
    out.line(&format!("{}; it may start until {deadline}", life::advice(now)))
}

/// The action of a `lighting.v1.Command`, or the type of anything else.
pub(crate) fn action(record: &Value) -> String {
    let data = record.get("data").and_then(Value::as_object);
    let fields = data.into_iter().flatten();
    let mut actions = fields.filter(|(_, value)| value.is_object());
    match actions.next() {
        Some((name, body)) => match body.get("level_pct") {
            Some(level) => format!("{name} {level} %"),
            None => name.clone(),
        },
        None => word(record, "type").to_owned(),
    }
}

fn rows(record: &Value, zone: &TimeZone) -> Vec<Vec<String>> {
    let steps = items(record, "steps");
    let begun = steps.first().map_or(0, |step| number(step, "time_unix_ms"));
    steps.iter().map(|step| row(record, step, begun, zone)).collect()
}

fn row(record: &Value, step: &Value, begun_unix_ms: u64, zone: &TimeZone) -> Vec<String> {
    let time = number(step, "time_unix_ms");
    let after = Duration::from_millis(time.saturating_sub(begun_unix_ms));
    let attempt = match number(step, "attempt") {
        0 | 1 => String::new(),
        attempt => format!("attempt {attempt}"),
    };
    let late = if flag(step, "late") { "late, changes nothing" } else { "" };
    let proof = if state(step).is_terminal() && !flag(step, "late") {
        summary::proof(record).unwrap_or_default()
    } else {
        String::new()
    };
    let said = [attempt.as_str(), word(step, "detail"), &proof, late];
    let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).collect();
    vec![
        summary::step(step),
        format!("+{:.3} s", after.as_secs_f64()),
        units::wall_date(time, zone),
        said.join(" · "),
    ]
}

/// Asks the hub to withdraw a command.
async fn cancel(target: &Target, command: &str) -> Result<(), Failure> {
    let mut client = Client::connect(target).await?;
    let answered = tokio::time::timeout(ANSWER_MAX, async {
        client.send(CANCEL, "cancel", json!({"command": command})).await?;
        loop {
            match client.next().await? {
                Incoming::Ack(CANCEL, _) => return Ok(Ok(())),
                Incoming::Error(CANCEL | 0, error) => return Ok(Err(failure_of(&error))),
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
    let unknown = |cause: &str| {
        Failure::Unknown(format!("outcome unknown ({cause}): see hub command {command}"))
    };
    let answer = answered.await.map_err(|_| unknown("no answer"))?;
    answer.map_err(|lost: Lost| unknown(&lost.to_string()))??;
    client.close().await;
    note(&format!("withdrawn: {command}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_counts_from_the_first_step() {
        let record = json!({"result": {"after": [{"actual_level_pct": 40}]}, "steps": [
            json!({"state": "COMMAND_STATE_ACCEPTED", "time_unix_ms": "1795296600000"}),
            json!({"state": "COMMAND_STATE_SENT", "time_unix_ms": "1795296601250", "attempt": 2}),
            json!({
                "state": "COMMAND_STATE_RUNNING", "percent": 40,
                "time_unix_ms": "1795296602000", "late": true,
            }),
        ]});
        let rows = rows(&record, &TimeZone::UTC);
        assert_eq!(rows[0], ["ACCEPTED", "+0.000 s", "2026-11-21 21:30:00", ""]);
        assert_eq!(rows[1], ["SENT", "+1.250 s", "2026-11-21 21:30:01", "attempt 2"]);
        assert_eq!(rows[2][3], "late, changes nothing");
    }

    #[test]
    fn the_head_says_what_was_asked() {
        assert_eq!(action(&json!({"data": {"override": {"level_pct": 40}}})), "override 40 %");
        assert_eq!(action(&json!({"data": {"reboot": {"confirm": true}}})), "reboot");
        assert_eq!(action(&json!({"type": "x.Y"})), "x.Y");
    }
}
