//! `hub token …`: who may talk to the hub. A secret is shown once and never again.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::args::{IssueArgs, TokenCommand};
use super::connect::Connection;
use super::exit::Failure;
use super::fields::{items, moment, word};
use super::http::{Http, escape};
use super::out::{Out, note};
use super::table::table;
use super::units;

/// Runs `hub token …`, except for issuing offline.
pub(crate) async fn run(
    command: &TokenCommand,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    match command {
        TokenCommand::Issue(args) => issue(args, &http, out).await,
        TokenCommand::List { json } => list(*json, &http, out).await,
        TokenCommand::Revoke { id } => {
            http.delete(&format!("/v1/tokens/{}", escape(id))).await?;
            out.line(&format!("revoked {id}: sessions that use it end"))
        }
    }
}

async fn issue(args: &IssueArgs, http: &Http, out: &mut Out) -> Result<(), Failure> {
    let name = args.name.clone().unwrap_or_default();
    let body = json!({"role": args.role, "name": name});
    let made = http.post("/v1/tokens", &body).await?;
    show_issued(&made, args.json, out)
}

/// Shows a token that was just made: the secret alone on standard output, so that a shell can put
/// it into a file.
pub(crate) fn show_issued(made: &Value, as_json: bool, out: &mut Out) -> Result<(), Failure> {
    if as_json {
        return out.json(made);
    }
    note(&format!(
        "token {} of {}: shown this once; keep it in a file with mode 0600",
        word(made, "id"),
        word(made, "role")
    ));
    out.line(word(made, "token"))
}

async fn list(as_json: bool, http: &Http, out: &mut Out) -> Result<(), Failure> {
    let answer = http.get("/v1/tokens").await?;
    let tokens = items(&answer, "tokens");
    if as_json {
        return tokens.iter().try_for_each(|token| out.json(token));
    }
    if tokens.is_empty() {
        return out.line("no tokens");
    }
    let rows: Vec<_> = tokens.iter().map(|token| row(token, &TimeZone::system())).collect();
    out.block(&table(&["id", "role", "name", "created"], &rows, out.width()))
}

fn row(token: &Value, zone: &TimeZone) -> Vec<String> {
    let created = moment(token, "created_unix_ms").map(|ms| units::wall_date(ms, zone));
    let name = Some(word(token, "name")).filter(|name| !name.is_empty());
    vec![
        word(token, "id").to_owned(),
        word(token, "role").to_owned(),
        name.unwrap_or("-").to_owned(),
        created.unwrap_or_else(|| "not known".to_owned()),
    ]
}
