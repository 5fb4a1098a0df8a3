//! `hub access explain`: who may do what, and why.

use super::args::AccessCommand;
use super::connect::Connection;
use super::exit::Failure;
use super::fields::word;
use super::http::{Http, escape};
use super::out::Out;

/// Runs `hub access …`.
pub(crate) async fn run(
    command: &AccessCommand,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let AccessCommand::Explain { identity, verb, channel, json } = command;
    let http = Http::new(&connection.target()?)?;
    let path = format!(
        "/v1/access/explain?identity={}&verb={}&channel={}",
        escape(identity),
        escape(verb),
        escape(channel)
    );
    let answer = http.get(&path).await?;
    if *json {
        return out.json(&answer);
    }
    let allowed = answer["allowed"].as_bool().unwrap_or(false);
    let verdict = if allowed { "allowed" } else { "denied" };
    out.line(&format!("{verdict}: {}", word(&answer, "reason")))
}
