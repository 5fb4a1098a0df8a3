//! One order for all devices that a selector means: the hub resolves it, keeps it and drives it; here it
//! is handed over, followed and told.
//!
//! The hub makes it durable with all its targets before it answers, so nothing here needs to be
//! remembered: what was started is followed by its id, from anywhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use proto::CommandState;
use serde_json::{Map, Value, json};

use super::args::{Format, SendArgs};
use super::exit::Failure;
use super::fields::{items, number, word};
use super::http::{Http, escape};
use super::interrupt::Story;
use super::life;
use super::out::{Out, note};
use super::retry::Backoff;
use super::selector::Selector;
use super::send::Job;
use super::table::table;
use super::units;

/// Between two looks at how it stands; the hub says it no more often.
const LOOK: Duration = Duration::from_millis(250);
/// Rows up to which successes are listed, too.
const ROWS_ALL: usize = 20;
/// Targets a page.
const PAGE: u32 = 1_000;
/// Looks that may fail in a row, with growing pauses between.
const LOST_MAX: u32 = 6;
/// Where a target has not ended.
const OPEN: [&str; 5] = ["waiting", "accepted", "sent", "delivered", "running"];

/// Sends the order to every device that `selector` means.
pub(crate) async fn send(
    job: &Job,
    args: &SendArgs,
    selector: &Selector,
    story: &Story,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&job.target)?;
    // A hub that isn't there is told apart from one that didn't answer an order.
    http.probe("/readyz").await?;
    let mut body = body(job, args, selector);
    if args.dry_run {
        body["dry_run"] = json!(true);
        let counts = http.post("/v1/fleet-commands", &body).await?;
        return tell_counts(&counts, job.format, out);
    }
    if args.yes && number(&body, "confirm") == 0 {
        let mut trial = body.clone();
        trial["dry_run"] = json!(true);
        let counts = http.post("/v1/fleet-commands", &trial).await?;
        body["confirm"] = counts["targets"].clone();
    }
    let sent = http.post("/v1/fleet-commands", &body).await;
    let fleet = sent.map_err(|failure| match failure {
        Failure::Unreachable(text) => job.rerun.unknown(&text),
        Failure::Conflict(text) if text.starts_with("confirm:") => {
            Failure::Conflict(format!("{text}; here: --confirm N, or --yes"))
        }
        other => other,
    })?;
    let id = word(&fleet, "id").to_owned();
    story.tell(format!(
        "fleet command {id} goes on; follow it with: hub fleet show {id} --wait; \
         end it with: hub fleet cancel {id} (Ctrl-C again leaves)"
    ));
    let words = &job.order.words;
    match job.patience {
        Some(patience) => {
            let ended = follow(&http, &id, patience).await?;
            report(&http, &ended, words, job.format, out).await
        }
        None => tell_accepted(&fleet, words, job.format, out),
    }
}

fn body(job: &Job, args: &SendArgs, selector: &Selector) -> Value {
    let mut waves = Map::new();
    let pause_s = args.pause.map(|pause| pause.as_secs());
    let told = [
        ("size", args.wave_size.map(Value::from)),
        ("per_s", args.per_second.map(Value::from)),
        ("pause_s", pause_s.map(Value::from)),
    ];
    waves.extend(told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let mut body = json!({
        "where": selector.as_str(),
        "type": job.order.type_name,
        "data": job.order.data,
        "ttl_s": job.order.ttl_s,
        "request_id": job.request_id,
        "waves": waves,
    });
    if !job.order.supersede_key.is_empty() {
        body["supersede_key"] = json!(job.order.supersede_key);
    }
    if let Some(share) = args.abort_above {
        body["abort_above_pct"] = json!(share);
    }
    if let Some(Some(count)) = args.confirm {
        body["confirm"] = json!(count);
    }
    body
}

fn tell_counts(counts: &Value, format: Format, out: &mut Out) -> Result<(), Failure> {
    let count = |name| number(counts, name);
    match format {
        Format::Json => out.json(counts)?,
        Format::Text => out.line(&format!(
            "{} devices would get it: {} reached now, {} offline; {} forbidden, {} unknown",
            count("targets"),
            count("reached_now"),
            count("offline"),
            count("forbidden"),
            count("unknown"),
        ))?,
    }
    match count("targets") {
        0 => Err(Failure::NotFound("no device is meant".to_owned())),
        _ => Ok(()),
    }
}

pub(crate) fn tell_accepted(
    fleet: &Value,
    words: &str,
    format: Format,
    out: &mut Out,
) -> Result<(), Failure> {
    if format == Format::Json {
        return out.json(fleet);
    }
    let id = word(fleet, "id");
    let count = number(fleet, "targets");
    out.line(&format!("ACCEPTED  fleet command {id}  {count} devices: {words}"))?;
    out.line(&format!("follow it with: hub fleet show {id} --wait"))
}

/// Looks until it has ended, and shows a bar on standard error, which hides where no terminal is.
pub(crate) async fn follow(http: &Http, id: &str, patience: Duration) -> Result<Value, Failure> {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let looked = tokio::time::timeout(patience, look_to_the_end(http, id, &bar)).await;
    bar.finish_and_clear();
    looked.unwrap_or_else(|_| {
        let waited = units::short(patience);
        let text = format!(
            "no end after {waited}; the fleet command goes on, follow it with: hub fleet show {id} --wait"
        );
        Err(Failure::Timeout(text))
    })
}

async fn look_to_the_end(http: &Http, id: &str, bar: &ProgressBar) -> Result<Value, Failure> {
    let path = format!("/v1/fleet-commands/{id}");
    let mut backoff = Backoff::default();
    let mut lost = 0;
    loop {
        match http.get(&path).await {
            Ok(fleet) => {
                lost = 0;
                show_progress(bar, &fleet);
                if word(&fleet, "phase") == "ended" {
                    return Ok(fleet);
                }
                tokio::time::sleep(LOOK).await;
            }
            Err(Failure::Unreachable(text)) if lost < LOST_MAX => {
                lost += 1;
                note(&format!("{text}; the fleet command goes on, looking again"));
                backoff.wait().await;
            }
            Err(other) => return Err(other),
        }
    }
}

fn show_progress(bar: &ProgressBar, fleet: &Value) {
    let counts = &fleet["counts"];
    let total = number(fleet, "targets");
    let open: u64 = OPEN.iter().map(|name| number(counts, name)).sum();
    bar.set_length(total);
    bar.set_position(total.saturating_sub(open));
    bar.set_message(counts_in_words(counts));
}

/// `3 succeeded, 1 failed`: all that isn't zero.
pub(crate) fn counts_in_words(counts: &Value) -> String {
    let names = OPEN.iter().chain(&ENDS);
    let told = names.filter(|name| number(counts, name) > 0);
    let told: Vec<_> = told.map(|name| format!("{} {name}", number(counts, name))).collect();
    told.join(", ")
}

const ENDS: [&str; 7] =
    ["succeeded", "failed", "rejected", "expired", "canceled", "superseded", "unknown"];

/// Names each failure, counts the rest, and says how to go on.
pub(crate) async fn report(
    http: &Http,
    fleet: &Value,
    words: &str,
    format: Format,
    out: &mut Out,
) -> Result<(), Failure> {
    let id = word(fleet, "id");
    let total = usize::try_from(number(fleet, "targets")).unwrap_or(usize::MAX);
    let all = format == Format::Json || total <= ROWS_ALL;
    let mut rows = Vec::new();
    if all {
        rows = targets(http, id, None).await?;
    } else {
        for state in ENDS.iter().skip(1).chain(&OPEN) {
            if number(&fleet["counts"], state) > 0 {
                rows.extend(targets(http, id, Some(state)).await?);
            }
        }
    }
    let failures: Vec<Failure> = rows.iter().filter_map(failure).collect();
    match format {
        Format::Json => rows.iter().try_for_each(|row| out.json(&json_of(row)))?,
        Format::Text => {
            let cells: Vec<_> = rows.iter().map(cells_of).collect();
            if !cells.is_empty() {
                out.block(&table(&["device", "result", "command"], &cells, out.width()))?;
            }
            let good = number(&fleet["counts"], "succeeded");
            out.line(&format!("{good} of {total} succeeded: {words}"))?;
            let stopped = word(fleet, "detail");
            if !stopped.is_empty() {
                out.line(&format!("stopped: {stopped}"))?;
            }
        }
    }
    let failures: Vec<&Failure> = failures.iter().collect();
    let Some(failure) = Failure::of_batch(&failures, total) else { return Ok(()) };
    if ["failed", "rejected", "expired"].iter().any(|state| number(&fleet["counts"], state) > 0) {
        note(&format!("to send again, touching only what failed: hub fleet again {id}"));
    }
    Err(failure)
}

/// All targets, or those in one state, page by page.
pub(crate) async fn targets(
    http: &Http,
    id: &str,
    state: Option<&str>,
) -> Result<Vec<Value>, Failure> {
    let state = state.map_or_else(String::new, |state| format!("&state={}", escape(state)));
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let at = escape(&cursor);
        let path = format!("/v1/fleet-commands/{id}/targets?limit={PAGE}&cursor={at}{state}");
        let page = http.get(&path).await?;
        found.extend(items(&page, "targets").iter().cloned());
        let next = word(&page, "next");
        // A cursor that stands still would never end.
        if next.is_empty() || next == cursor {
            return Ok(found);
        }
        cursor = next.to_owned();
    }
}

fn command_state(row: &Value) -> CommandState {
    let name = word(row, "state").to_ascii_uppercase();
    let known = CommandState::ALL.iter().copied().find(|state| state.word() == name);
    known.unwrap_or_default()
}

fn failure(row: &Value) -> Option<Failure> {
    let state = command_state(row);
    if state.is_terminal() {
        return Failure::from_state(state, result_of(row));
    }
    Some(Failure::Timeout(format!("still {}", word(row, "state"))))
}

fn result_of(row: &Value) -> String {
    let state = command_state(row);
    let told = word(row, "detail");
    match state {
        CommandState::Unspecified => "not sent yet".to_owned(),
        CommandState::Succeeded => "SUCCEEDED".to_owned(),
        state => {
            let detail = if told.is_empty() { life::advice(state) } else { told };
            format!("{}: {detail}", state.word())
        }
    }
}

pub(crate) fn cells_of(row: &Value) -> Vec<String> {
    let command = word(row, "command");
    let command = if command.is_empty() { "-" } else { command };
    vec![word(row, "device").to_owned(), result_of(row), command.to_owned()]
}

fn json_of(row: &Value) -> Value {
    json!({
        "device": word(row, "device"),
        "command": word(row, "command"),
        "result": result_of(row),
        "exit_code": failure(row).as_ref().map_or(0, Failure::code),
    })
}
