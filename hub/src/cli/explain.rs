//! `hub explain`: why a lamp did not switch, and the timeline that shows it.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::args::ExplainArgs;
use super::connect::Connection;
use super::exit::Failure;
use super::fields::{flag, items, number, word};
use super::http::Http;
use super::light;
use super::out::Out;
use super::state;
use super::summary;
use super::table::table;
use super::units;
use crate::clock::Now;

/// Runs `hub explain`.
pub(crate) async fn run(
    args: &ExplainArgs,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let zone = TimeZone::system();
    let now = Now::read().unix_ms;
    let around = u64::try_from(args.around.as_millis()).unwrap_or(u64::MAX);
    let (from, to) = match args.at {
        None => (now.saturating_sub(2 * around), now),
        Some(at) => {
            let at = at.last_unix_ms(now, &zone).map_err(Failure::Usage)?;
            (at.saturating_sub(around), at.saturating_add(around).min(now))
        }
    };
    let http = Http::new(&connection.target()?)?;
    let path = format!("/v1/devices/{}/timeline?from={from}&to={to}", args.device);
    let timeline = http.get(&path).await?;
    if args.json {
        return out.json(&timeline);
    }
    let presence = state::presence(&timeline, number(&timeline, "now_unix_ms"));
    let (from, to) = (units::wall_date(from, &zone), units::wall_date(to, &zone));
    out.line(&format!("{}  {presence}  from {from} to {to}", args.device))?;
    // An identity that may not see the light sees the rest.
    if let Ok(light) = http.get(&format!("/v1/devices/{}/light", args.device)).await {
        out.line(&format!("- now it {}", light::sentence(&light)))?;
    }
    for sentence in items(&timeline, "why").iter().filter_map(Value::as_str) {
        out.line(&format!("- {sentence}"))?;
    }
    if flag(&timeline, "truncated") {
        out.line("the oldest entries are left out")?;
    }
    let rows: Vec<_> = items(&timeline, "entries").iter().map(|it| row(it, &zone)).collect();
    if rows.is_empty() {
        return out.line("nothing is kept of this time");
    }
    out.block(&table(&["time", "what", "detail"], &rows, out.width()))
}

fn row(entry: &Value, zone: &TimeZone) -> Vec<String> {
    let time = units::wall_date(number(entry, "time_unix_ms"), zone);
    let kind = word(entry, "kind");
    if kind != "command" {
        let value = json!({ "type": word(entry, "type"), "data": entry["data"] });
        return vec![time, kind.to_owned(), summary::value(&value)];
    }
    let said =
        [word(entry, "state"), word(entry, "what"), word(entry, "detail"), word(entry, "command")];
    let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).collect();
    vec![time, kind.to_owned(), said.join(" · ")]
}
