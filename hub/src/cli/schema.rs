//! `hub schema …`: the types that the hub knows beside its own.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::connect::Connection;
use super::exit::Failure;
use super::fields::{items, moment, number, word};
use super::http::{Http, escape};
use super::out::Out;
use super::table::table;
use super::units;

/// Letters of a hash that are shown.
const HASH_SHOWN: usize = 12;

/// `hub schema …`
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Add a descriptor set, or a newer version of it
    Add {
        /// As `protoc --include_imports --descriptor_set_out=FILE` writes it
        file: PathBuf,
        /// What it is called in the hub; its file name without the ending if not given
        #[arg(long)]
        name: Option<String>,
        /// Take it though it breaks with the version that holds
        #[arg(long)]
        force: bool,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// List descriptor sets
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a descriptor set; payloads of its types are bytes from then on
    Remove {
        /// The name that `list` shows
        name: String,
        /// Though a channel rule names its messages
        #[arg(long)]
        force: bool,
    },
}

/// Runs `hub schema …`.
pub(crate) async fn run(
    command: &SchemaCommand,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    match command {
        SchemaCommand::Add { file, name, force, json } => {
            let name = name_of(file, name.as_deref())?;
            let set = read(file)?;
            let path = format!("/v1/schemas?name={}&force={force}", escape(&name));
            let added = http.post_protobuf(&path, set).await?;
            if *json { out.json(&added) } else { out.line(&said(&added)) }
        }
        SchemaCommand::List { json } => list(*json, &http, out).await,
        SchemaCommand::Remove { name, force } => {
            http.delete(&format!("/v1/schemas/{}?force={force}", escape(name))).await?;
            out.line(&format!("removed {name}: payloads of its types are bytes from now on"))
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))
}

/// The name that was given, or that of the file without its ending.
fn name_of(file: &Path, given: Option<&str>) -> Result<String, Failure> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let unnamed = || Failure::Usage(format!("{}: name it with --name", file.display()));
    given.or(stem).map(str::to_owned).ok_or_else(unnamed)
}

fn said(added: &Value) -> String {
    format!(
        "{} version {} holds: {}",
        word(added, "name"),
        number(added, "version"),
        items(added, "messages").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    )
}

async fn list(as_json: bool, http: &Http, out: &mut Out) -> Result<(), Failure> {
    let answer = http.get("/v1/schemas").await?;
    let schemas = items(&answer, "schemas");
    if as_json {
        return schemas.iter().try_for_each(|schema| out.json(schema));
    }
    if schemas.is_empty() {
        return out.line("no schemas beside the built-in ones");
    }
    let rows: Vec<_> = schemas.iter().map(|schema| row(schema, &TimeZone::system())).collect();
    let head = ["name", "version", "hash", "messages", "added", "by"];
    out.block(&table(&head, &rows, out.width()))
}

fn row(schema: &Value, zone: &TimeZone) -> Vec<String> {
    let added = moment(schema, "added_unix_ms").map(|ms| units::wall_date(ms, zone));
    vec![
        word(schema, "name").to_owned(),
        number(schema, "version").to_string(),
        word(schema, "hash").chars().take(HASH_SHOWN).collect(),
        items(schema, "messages").len().to_string(),
        added.unwrap_or_else(|| "not known".to_owned()),
        word(schema, "by").to_owned(),
    ]
}
