//! `hub devices` and `hub device add|remove|list`: the register.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::args::{AddArgs, DeviceCommand, DevicesArgs};
use super::connect::Connection;
use super::csv;
use super::exit::Failure;
use super::fields::{items, number, word};
use super::http::Http;
use super::out::{Out, note};
use super::state;
use super::summary;
use super::table::table;
use crate::clock::Now;

/// Devices that one request registers.
const ADD_MAX: usize = 1_000;

/// Runs `hub devices`, `hub device list`.
pub(crate) async fn list(
    args: &DevicesArgs,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    let devices = http.devices(args.selector.as_ref()).await?;
    if args.json {
        return devices.iter().try_for_each(|device| out.json(device));
    }
    if devices.is_empty() {
        let matching = if args.selector.is_some() { "no device matches" } else { "no devices" };
        return out.line(matching);
    }
    let now = Now::read().unix_ms;
    let rows: Vec<_> = devices.iter().map(|device| row(device, now)).collect();
    out.block(&table(&["device", "presence", "profile", "labels", "position"], &rows, out.width()))
}

/// Runs `hub device …`.
pub(crate) async fn change(
    command: &DeviceCommand,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    match command {
        DeviceCommand::Add(args) => add(args, connection, out).await,
        DeviceCommand::List(args) => list(args, connection, out).await,
        DeviceCommand::Remove { id } => {
            let http = Http::new(&connection.target()?)?;
            http.delete(&format!("/v1/devices/{id}")).await?;
            out.line(&format!("removed {id}: its session ends, and its waiting commands"))
        }
    }
}

fn row(device: &Value, now_unix_ms: u64) -> Vec<String> {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    vec![
        word(device, "id").to_owned(),
        state::presence(device, now_unix_ms),
        or_dash(word(device, "profile").to_owned()),
        or_dash(summary::labels(device)),
        or_dash(position(device).unwrap_or_default()),
    ]
}

fn position(device: &Value) -> Option<String> {
    let degrees = |name| device.get(name).and_then(Value::as_i64).map(degrees);
    Some(format!("{},{}", degrees("latitude_e7")?, degrees("longitude_e7")?))
}

/// `-1246000` as `-0.1246`.
fn degrees(e7: i64) -> String {
    let sign = if e7 < 0 { "-" } else { "" };
    let digits =
        format!("{sign}{}.{:07}", e7.unsigned_abs() / 10_000_000, e7.unsigned_abs() % 10_000_000);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

async fn add(args: &AddArgs, connection: &Connection, out: &mut Out) -> Result<(), Failure> {
    let devices = match &args.from {
        Some(file) => csv::devices(file)?,
        None => vec![device(args)],
    };
    let http = Http::new(&connection.target()?)?;
    let query = if args.new_token { "?existing=new-token" } else { "" };
    let total = devices.len();
    let mut registered = 0;
    for page in devices.chunks(ADD_MAX) {
        let body = if let [only] = page { only.clone() } else { json!(page) };
        let answer = http.post(&format!("/v1/devices{query}"), &body).await.inspect_err(|_| {
            if total > ADD_MAX {
                note(&format!("{registered} of {total} were registered before this"));
            }
        })?;
        let made = items(&answer, "devices");
        for device in made {
            show_made(device, args.json, out)?;
        }
        registered += made.len();
    }
    if !args.json {
        note("the tokens are shown this once; the hub keeps only their hashes");
    }
    Ok(())
}

fn show_made(device: &Value, as_json: bool, out: &mut Out) -> Result<(), Failure> {
    if as_json {
        return out.json(device);
    }
    out.line(&format!("{}  {}", word(device, "id"), word(device, "token")))
}

fn device(args: &AddArgs) -> Value {
    let mut device = Map::new();
    device.insert("id".to_owned(), json!(args.id));
    let labels = args.labels.iter().map(|(key, value)| (key.clone(), json!(value)));
    device.insert("labels".to_owned(), Value::Object(labels.collect()));
    if let Some(profile) = &args.profile {
        device.insert("profile".to_owned(), json!(profile));
    }
    if let Some(position) = args.position {
        device.insert("latitude_e7".to_owned(), json!(position.latitude_e7));
        device.insert("longitude_e7".to_owned(), json!(position.longitude_e7));
    }
    Value::Object(device)
}

/// `hub status`: whether the hub is ready, and what it is.
pub(crate) async fn status(
    as_json: bool,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let target = connection.anonymous_target()?;
    let http = Http::new(&target)?;
    let (status, body) = http.probe("/readyz").await?;
    let answer: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    let said = [word(&answer, "status"), word(&answer, "detail"), word(&answer, "title")];
    let said = said.into_iter().find(|text| !text.is_empty());
    let ready = if status == 200 { "ready" } else { said.unwrap_or("not ready") };
    let client = env!("CARGO_PKG_VERSION");
    let mut version = word(&answer, "version").to_owned();
    if version.is_empty() {
        version = "not told".to_owned();
    }
    let url = &connection.hub;
    if as_json {
        out.json(
            &json!({"hub": url, "status": ready, "version": version, "client_version": client}),
        )?;
    } else {
        let mut line = format!("{url}  {ready}  version {version}");
        if number(&answer, "devices") > 0 {
            write!(line, "  {} devices", number(&answer, "devices"))
                .expect("writing to a string can't fail");
        }
        out.line(&format!("{line}  (this program: {client})"))?;
    }
    if status == 200 { Ok(()) } else { Err(Failure::Unreachable(format!("{url}: {ready}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_are_shown_without_rounding() {
        for (e7, text) in [
            (515_007_000, "51.5007"),
            (-1_246_000, "-0.1246"),
            (0, "0"),
            (1_800_000_000, "180"),
            (1, "0.0000001"),
        ] {
            assert_eq!(degrees(e7), text);
        }
    }

    #[test]
    fn a_row_says_what_is_known_and_dashes_what_is_not() {
        let device = json!({"id": "lamp-1", "labels": {"street": "Queen St"}, "online": null});
        assert_eq!(row(&device, 0), ["lamp-1", "never seen", "-", "street=Queen St", "-"]);
    }
}
