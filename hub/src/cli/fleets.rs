//! `hub fleet list|show|cancel|again`: fleet commands that were sent.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use super::args::Format;
use super::command;
use super::connect::Connection;
use super::exit::Failure;
use super::fields::{items, number, word};
use super::fleet::{cells_of, counts_in_words, follow, report, targets, tell_accepted};
use super::fleet_args::{AgainArgs, FleetCommand, ShowFleetArgs};
use super::http::Http;
use super::interrupt::{Story, unless_interrupted};
use super::out::Out;
use super::table::table;
use super::units;

/// Without --timeout: longer than any command lives.
const PATIENCE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Fleet commands that a list shows.
const LIST_MAX: u32 = 50;

/// Runs `hub fleet …`.
pub(crate) async fn run(
    command: &FleetCommand,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    match command {
        FleetCommand::List { json } => list(&http, *json, out).await,
        FleetCommand::Show(args) => show(&http, args, out).await,
        FleetCommand::Cancel { id } => {
            http.delete(&format!("/v1/fleet-commands/{id}")).await?;
            out.line(&format!("withdrew what was not sent; see: hub fleet show {id}"))
        }
        FleetCommand::Again(args) => again(&http, args, out).await,
    }
}

async fn list(http: &Http, as_json: bool, out: &mut Out) -> Result<(), Failure> {
    let page = http.get(&format!("/v1/fleet-commands?limit={LIST_MAX}")).await?;
    let fleets = items(&page, "fleet_commands");
    if as_json {
        return fleets.iter().try_for_each(|fleet| out.json(fleet));
    }
    if fleets.is_empty() {
        return out.line("no fleet commands");
    }
    let zone = TimeZone::system();
    let row = |fleet: &Value| {
        vec![
            word(fleet, "id").to_owned(),
            units::wall_date(number(fleet, "created_unix_ms"), &zone),
            phase(fleet),
            word(fleet, "where").to_owned(),
            counts_in_words(&fleet["counts"]),
        ]
    };
    let rows: Vec<_> = fleets.iter().map(row).collect();
    out.block(&table(
        &["fleet command", "sent", "phase", "devices", "outcomes"],
        &rows,
        out.width(),
    ))
}

fn phase(fleet: &Value) -> String {
    let stopped = word(fleet, "stopped");
    let phase = word(fleet, "phase");
    if stopped.is_empty() { phase.to_owned() } else { format!("{phase}, {stopped}") }
}

async fn show(http: &Http, args: &ShowFleetArgs, out: &mut Out) -> Result<(), Failure> {
    let id = &args.id;
    let fleet = http.get(&format!("/v1/fleet-commands/{id}")).await?;
    let format = if args.json { Format::Json } else { Format::Text };
    let words = command::action(&fleet);
    if let Some(state) = &args.state {
        let rows = targets(http, id, Some(state)).await?;
        if args.json {
            return rows.iter().try_for_each(|row| out.json(row));
        }
        let cells: Vec<_> = rows.iter().map(cells_of).collect();
        return out.block(&table(&["device", "result", "command"], &cells, out.width()));
    }
    if args.wait {
        let story = Story::default();
        let patience = args.timeout.unwrap_or(PATIENCE);
        let ended = unless_interrupted(&story, follow(http, id, patience)).await?;
        return report(http, &ended, &words, format, out).await;
    }
    if args.json {
        return out.json(&fleet);
    }
    if word(&fleet, "phase") == "ended" {
        return report(http, &fleet, &words, format, out).await;
    }
    let (selector, sender) = (word(&fleet, "where"), word(&fleet, "sender"));
    out.line(&format!("{id}  {}: {words}, by {sender}, for {selector}", phase(&fleet)))?;
    out.line(&format!(
        "{} devices: {}",
        number(&fleet, "targets"),
        counts_in_words(&fleet["counts"])
    ))
}

async fn again(http: &Http, args: &AgainArgs, out: &mut Out) -> Result<(), Failure> {
    let request_id = args.request_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let mut body = json!({ "again_of": args.id, "request_id": request_id });
    if args.unknown {
        body["again_states"] = json!(["failed", "rejected", "expired", "unknown"]);
    }
    let mut trial = body.clone();
    trial["dry_run"] = json!(true);
    let counts = http.post("/v1/fleet-commands", &trial).await?;
    body["confirm"] = counts["targets"].clone();
    let fleet = http.post("/v1/fleet-commands", &body).await?;
    let words = format!("again, what failed of {}", args.id);
    if !args.wait {
        return tell_accepted(&fleet, &words, Format::Text, out);
    }
    let id = word(&fleet, "id");
    let story = Story::default();
    let ended = unless_interrupted(&story, follow(http, id, PATIENCE)).await?;
    report(http, &ended, &words, Format::Text, out).await
}
