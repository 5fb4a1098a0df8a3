//! `hub audit …`: who changed what, and the proof that nobody changed the log.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::args::{AuditCommand, AuditListArgs, AuditVerifyArgs};
use super::connect::Connection;
use super::exit::Failure;
use super::fields::{items, moment, word};
use super::http::{Http, escape};
use super::out::{Out, note};
use super::table::table;
use super::units;
use crate::audit::{Broken, Entry, Head, Intact, Mark, Verifier, chain};
use crate::broker::audit::Place;
use crate::server;

/// Records a page.
const PAGE: u64 = 1000;
/// Pages of one verb: a hub that repeats itself would never end.
const PAGES_MAX: usize = 100_000;

/// Runs `hub audit …`, except for verifying offline.
pub(crate) async fn run(
    command: &AuditCommand,
    connection: &Connection,
    out: &mut Out,
) -> Result<(), Failure> {
    let http = Http::new(&connection.target()?)?;
    match command {
        AuditCommand::List(args) => list(args, &http, out).await,
        AuditCommand::Verify(args) => {
            let walked = verify(args.noted, &http).await?;
            show(walked, out)
        }
    }
}

/// Runs `hub audit verify --offline`.
pub(crate) fn verify_offline(args: &AuditVerifyArgs, out: &mut Out) -> Result<(), Failure> {
    let folder = args.data_dir.clone().unwrap_or_default();
    let walked = server::verify_offline(&folder, args.noted);
    show(walked.map_err(|error| Failure::Refused(error.to_string()))?, out)
}

fn show(walked: Result<Intact, Broken>, out: &mut Out) -> Result<(), Failure> {
    match walked {
        Ok(intact) if intact.head.n < intact.first => out.line("the audit log is empty"),
        Ok(Intact { first, head }) => {
            out.line(&format!("intact from record {first} up to record {}", head.n))?;
            note(&format!("note this and compare later with --noted: {head}"));
            Ok(())
        }
        Err(broken) => Err(Failure::Conflict(format!(
            "the audit log is broken: {broken}; keep the data folder as it is, and compare with a backup"
        ))),
    }
}

async fn list(args: &AuditListArgs, http: &Http, out: &mut Out) -> Result<(), Failure> {
    let is_filtered = args.from.is_some() || args.who.is_some() || args.what.is_some();
    let last = args.last.or((!is_filtered).then_some(AuditListArgs::LAST));
    let mut path = format!("/v1/audit?limit={PAGE}");
    for (key, value) in [("from", &args.from), ("who", &args.who), ("what", &args.what)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", escape(value)));
        }
    }
    let mut after = String::new();
    if let Some(last) = last {
        let head = head_of(&http.get("/v1/audit?limit=1").await?)?;
        after = head.n.saturating_sub(last).to_string();
    }
    let mut shown = 0;
    for _ in 0..PAGES_MAX {
        let cursor = if after.is_empty() { String::new() } else { format!("&cursor={after}") };
        let page = http.get(&format!("{path}{cursor}")).await?;
        let records = items(&page, "records");
        shown += records.len();
        show_records(records, args.json, out)?;
        match word(&page, "next") {
            "" => break,
            next => next.clone_into(&mut after),
        }
    }
    if shown == 0 && !args.json { out.line("no records") } else { Ok(()) }
}

fn show_records(records: &[Value], as_json: bool, out: &mut Out) -> Result<(), Failure> {
    if as_json {
        return records.iter().try_for_each(|record| out.json(record));
    }
    if records.is_empty() {
        return Ok(());
    }
    let zone = TimeZone::system();
    let rows: Vec<_> = records.iter().map(|record| row(record, &zone)).collect();
    out.block(&table(&["n", "when", "who", "from", "what", "object", "result"], &rows, out.width()))
}

fn row(record: &Value, zone: &TimeZone) -> Vec<String> {
    let when = moment(record, "unix_ms").map(|ms| units::wall_date(ms, zone));
    let address = Some(word(record, "address")).filter(|address| !address.is_empty());
    let object = format!("{} {}", word(record, "object"), word(record, "detail"));
    vec![
        record["n"].to_string(),
        when.unwrap_or_else(|| "not known".to_owned()),
        word(record, "who").to_owned(),
        address.unwrap_or(word(record, "door")).to_owned(),
        word(record, "what").to_owned(),
        object.trim().to_owned(),
        word(record, "result").to_owned(),
    ]
}

/// Fetches the whole log and walks it here: what the hub says of its log proves nothing.
async fn verify(noted: Option<Head>, http: &Http) -> Result<Result<Intact, Broken>, Failure> {
    let mut page = http.get(&format!("/v1/audit?limit={PAGE}")).await?;
    let start: Place = place(&page, "start")?;
    let previous = hash(&start)?;
    let mut verifier = Verifier::new(Mark { first: start.n, previous, unix_ms: 0 });
    if let Some(Err(broken)) = noted.map(|noted| verifier.expect(noted)) {
        return Ok(Err(broken));
    }
    for _ in 0..PAGES_MAX {
        let walked = walk(&mut verifier, &page)?;
        if walked.is_err() {
            return Ok(walked.and_then(|()| verifier.finish()));
        }
        let next = word(&page, "next");
        if next.is_empty() {
            return Ok(verifier.finish());
        }
        page = http.get(&format!("/v1/audit?limit={PAGE}&cursor={next}")).await?;
    }
    Err(Failure::Refused("the audit log doesn't end".to_owned()))
}

/// Walks a page. Its head was read before its records, so it is among them or was before.
fn walk(verifier: &mut Verifier, page: &Value) -> Result<Result<(), Broken>, Failure> {
    if word(page, "next").is_empty()
        && let Err(broken) = verifier.expect(head_of(page)?)
    {
        return Ok(Err(broken));
    }
    for record in items(page, "records") {
        let n = record["n"].as_u64().unwrap_or(0);
        let entry: Entry = serde_json::from_value(record.clone())
            .map_err(|error| Failure::Unreachable(format!("record {n} can't be read: {error}")))?;
        if let Err(broken) = verifier.walk(entry.n, &entry.line()) {
            return Ok(Err(broken));
        }
    }
    Ok(Ok(()))
}

fn head_of(page: &Value) -> Result<Head, Failure> {
    let head = place(page, "head")?;
    Ok(Head { n: head.n, hash: hash(&head)? })
}

fn place(page: &Value, key: &str) -> Result<Place, Failure> {
    serde_json::from_value(page[key].clone())
        .map_err(|error| Failure::Unreachable(format!("the answer has no {key}: {error}")))
}

fn hash(place: &Place) -> Result<chain::Hash, Failure> {
    let none = || Failure::Unreachable("the answer has a hash that is none".to_owned());
    chain::from_hex(&place.hash).ok_or_else(none)
}
