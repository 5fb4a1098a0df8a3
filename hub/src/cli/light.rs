//! `hub override` and `hub profile`: what lamps should show, and why.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::connect::Connection;
use super::exit::Failure;
use super::fields::{items, level, number, variant, word};
use super::http::Http;
use super::light_args::{OverrideArgs, ProfileCommand, ProfilePutArgs};
use super::out::Out;
use super::table::table;
use super::units;
use crate::clock::Now;

/// What the words of reasons begin with.
const REASON: &str = "CONTROL_REASON_";

/// Runs `hub override`.
pub(crate) async fn overrides(
    args: &OverrideArgs,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    let path = format!("/v1/devices/{}/override", args.device);
    if args.end {
        let tag = http.tag(&path).await?;
        let tag = tag.ok_or_else(|| {
            let text =
                format!("{} has no override; `hub override {0}` shows what rules", args.device);
            Failure::NotFound(text)
        })?;
        http.delete_if(&path, &tag).await?;
        return out.line(&format!("{}: the override is over", args.device));
    }
    let Some(level_pct) = args.level else { return show(args, &http, out).await };
    let zone = TimeZone::system();
    let mut wish = Map::new();
    wish.insert("level_pct".to_owned(), json!(level_pct));
    if let Some(until) = args.until {
        let until = until.unix_ms(Now::read().unix_ms, &zone).map_err(Failure::Usage)?;
        wish.insert("until".to_owned(), json!(until.to_string()));
    }
    if let Some(duration) = args.duration {
        wish.insert("for_s".to_owned(), json!(duration.as_secs().max(1)));
    }
    if let Some(reason) = &args.reason {
        wish.insert("reason".to_owned(), json!(reason));
    }
    let condition = match http.tag(&path).await? {
        Some(tag) => ("if-match", tag),
        None => ("if-none-match", "*".to_owned()),
    };
    let set = http.put(&path, Some((condition.0, &condition.1)), &Value::Object(wish)).await?;
    if args.json {
        return out.json(&set);
    }
    let until = units::wall_date(number(&set, "until_unix_ms"), &zone);
    out.line(&format!("{}: {level_pct} % until {until}, then its program", args.device))
}

async fn show(args: &OverrideArgs, http: &Http, out: &mut Out) -> Result<(), Failure> {
    let light = http.get(&format!("/v1/devices/{}/light", args.device)).await?;
    if args.json {
        return out.json(&light);
    }
    out.line(&format!("{}  {}", args.device, sentence(&light)))?;
    let rows: Vec<_> = items(&light, "layers").iter().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    out.block(&table(&["layer", "level", "until", "source"], &rows, out.width()))
}

/// What counts and what comes next, of `/v1/devices/{id}/light`.
pub(crate) fn sentence(light: &Value) -> String {
    let Some(now) = level(light, "level_pct") else {
        return format!("follows its own program: {}", word(light, "source"));
    };
    let reason = variant(light, "reason", REASON);
    let mut text = format!("should show {now} % ({reason}): {}", word(light, "source"));
    let until = number(light, "until_unix_ms");
    if until > 0 {
        let zone = TimeZone::system();
        let then = match level(light, "then_level_pct") {
            Some(then) => format!("{then} % ({})", variant(light, "then_reason", REASON)),
            None => "as the lamp decides".to_owned(),
        };
        text.push_str(&format!("; from {} {then}", units::wall_date(until, &zone)));
    }
    text
}

fn row(layer: &Value) -> Vec<String> {
    let percent = level(layer, "level_pct").map_or_else(|| "-".to_owned(), |it| format!("{it} %"));
    let until = match number(layer, "until_unix_ms") {
        0 => "-".to_owned(),
        until => units::wall_date(until, &TimeZone::system()),
    };
    vec![word(layer, "layer").to_owned(), percent, until, word(layer, "source").to_owned()]
}

/// Runs `hub profile …`.
pub(crate) async fn profiles(
    command: &ProfileCommand,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    match command {
        ProfileCommand::Put(args) => put(args, connection, out).await,
        ProfileCommand::List { json } => list(*json, connection, out).await,
        ProfileCommand::Delete { name } => {
            let http = Http::new(&connection.target()?)?;
            http.delete(&format!("/v1/profiles/{name}")).await?;
            out.line(&format!("deleted profile {name}"))
        }
    }
}

async fn put(args: &ProfilePutArgs, connection: &Connection, out: &mut Out) -> Result<(), Failure> {
    let mut profile = Map::new();
    profile.insert("selector".to_owned(), json!(args.selector.as_str()));
    profile.insert("priority".to_owned(), json!(args.priority));
    if let Some(level_pct) = args.level {
        profile.insert("level_pct".to_owned(), json!(level_pct));
    }
    if let Some(file) = &args.calendar {
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::Usage(format!("--calendar {}: {error}", file.display()))
        };
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(&error))?;
        let calendar = serde_json::from_str::<Value>(&text).map_err(|error| unreadable(&error))?;
        profile.insert("calendar".to_owned(), calendar);
    }
    if let Some(place) = args.place {
        let zone = args.zone.as_deref().unwrap_or_default();
        let (latitude_e7, longitude_e7) = (place.latitude_e7, place.longitude_e7);
        let place =
            json!({ "latitude_e7": latitude_e7, "longitude_e7": longitude_e7, "time_zone": zone });
        profile.insert("place".to_owned(), place);
    }
    let http = Http::new(&connection.target()?)?;
    http.put(&format!("/v1/profiles/{}", args.name), None, &Value::Object(profile)).await?;
    out.line(&format!("profile {} is kept; its devices follow at once", args.name))
}

async fn list(as_json: bool, connection: &Connection, out: &mut Out) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    let answer = http.get("/v1/profiles").await?;
    let profiles = items(&answer, "profiles");
    if as_json {
        return profiles.iter().try_for_each(|profile| out.json(profile));
    }
    if profiles.is_empty() {
        return out.line("no profiles");
    }
    let row = |profile: &Value| {
        let calendar = match word(&profile["calendar"], "calendar_id") {
            "" => "-",
            id => id,
        };
        let priority = profile.get("priority").and_then(Value::as_i64).unwrap_or(0);
        let percent = number(profile, "level_pct");
        vec![
            word(profile, "name").to_owned(),
            priority.to_string(),
            format!("{percent} %"),
            calendar.to_owned(),
            word(profile, "selector").to_owned(),
        ]
    };
    let rows: Vec<_> = profiles.iter().map(row).collect();
    let heads = ["profile", "priority", "level", "calendar", "where"];
    out.block(&table(&heads, &rows, out.width()))
}
