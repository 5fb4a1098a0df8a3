//! `hub certificate …`: with which keys devices may come.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::connect::Connection;
use super::exit::Failure;
use super::fields::{items, moment, word};
use super::http::{Http, escape};
use super::out::Out;
use super::table::table;
use super::units;

/// Letters of a hash that are shown where it needn't be whole.
const HASH_SHOWN: usize = 12;

/// `hub certificate …`
#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// List the keys of devices' certificates, pinned and revoked
    List {
        /// Only of this device
        #[arg(long, value_name = "DEVICE")]
        device: Option<String>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Pin keys of a device: from then on it comes with one of them, or not at all
    Pin(PinArgs),
    /// Revoke a key, for good; sessions that use it end
    Revoke {
        /// The whole hash, as `list --json` shows it
        key: String,
    },
}

/// `hub certificate pin`
#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// Whose keys
    device: String,
    /// A certificate in PEM that has the key, again for each
    #[arg(long = "file", value_name = "PEM", required_unless_present = "keys")]
    files: Vec<PathBuf>,
    /// The SHA-256 of a SubjectPublicKeyInfo in hexadecimal, again for each
    #[arg(long = "key", value_name = "HASH")]
    keys: Vec<String>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `hub certificate …`.
pub(crate) async fn run(
    command: &CertificateCommand,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    match command {
        CertificateCommand::List { device, json } => {
            list(device.as_deref(), *json, &http, out).await
        }
        CertificateCommand::Pin(args) => pin(args, &http, out).await,
        CertificateCommand::Revoke { key } => {
            http.delete(&format!("/v1/certificates/{}", escape(key))).await?;
            out.line(&format!("revoked {key}: sessions that use it end"))
        }
    }
}

async fn pin(args: &PinArgs, http: &Http, out: &mut Out) -> Result<(), Failure> {
    let read = |file: &PathBuf| read(file);
    let certificates: Vec<String> = args.files.iter().map(read).collect::<Result<_, _>>()?;
    let body = json!({"keys": args.keys, "certificates": certificates});
    let path = format!("/v1/devices/{}/certificates", escape(&args.device));
    let made = http.post(&path, &body).await?;
    if args.json {
        return out.json(&made);
    }
    let count = items(&made, "certificates").iter().filter(|pin| !is_revoked(pin)).count();
    out.line(&format!("pinned: {} comes with one of {count} keys, or not at all", args.device))
}

fn read(file: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::Usage(format!("{}: {error}", file.display()));
    std::fs::read_to_string(file).map_err(failed)
}

async fn list(
    device: Option<&str>,
    as_json: bool,
    http: &Http,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut found: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let path = match (device, &cursor) {
            (Some(device), _) => format!("/v1/devices/{}/certificates", escape(device)),
            (None, None) => "/v1/certificates?limit=1000".to_owned(),
            (None, Some(cursor)) => format!("/v1/certificates?limit=1000&cursor={cursor}"),
        };
        let page = http.get(&path).await?;
        found.extend(items(&page, "certificates").iter().cloned());
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    if as_json {
        return found.iter().try_for_each(|pin| out.json(pin));
    }
    if found.is_empty() {
        return out
            .line("no keys: a device may come with each certificate that a CA signed for it");
    }
    let zone = TimeZone::system();
    let rows: Vec<_> = found.iter().map(|pin| row(pin, &zone)).collect();
    let head = ["device", "key", "subject", "until", "pinned", "first seen", "state"];
    out.block(&table(&head, &rows, out.width()))
}

fn is_revoked(pin: &Value) -> bool {
    moment(pin, "revoked_unix_ms").is_some_and(|at| at != 0)
}

fn row(pin: &Value, zone: &TimeZone) -> Vec<String> {
    let date = |field: &str| {
        let at = moment(pin, field).filter(|at| *at != 0);
        at.map_or_else(|| "-".to_owned(), |ms| units::wall_date(ms, zone))
    };
    vec![
        word(pin, "device").to_owned(),
        word(pin, "key").chars().take(HASH_SHOWN).collect(),
        word(pin, "subject").to_owned(),
        date("not_after_unix_ms"),
        date("pinned_unix_ms"),
        date("first_seen_unix_ms"),
        if is_revoked(pin) { "revoked" } else { "pinned" }.to_owned(),
    ]
}
