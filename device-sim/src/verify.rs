//! The last judgement: asks the hub for everything that it should hold, and compares with the ledgers.
//!
//! Run at the end of `run`, when nothing is under way; and by `verify`, in a process of its own, from the
//! ledgers that a run wrote, after the hub was killed and started again.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use proto::CommandState;
use proto::envelope::{Batch, Kind, Message, Presence, Subscribe};
use proto::{CommandId, channels};
use serde::{Deserialize, Serialize};

use crate::args::VerifySettings;
use crate::clock::Clock;
use crate::hub::{Hub, HubError};
use crate::ledger::commands::Question;
use crate::ledger::device::{Book, Judgement, Seen, Stream};
use crate::ledger::{Breach, Finding, Findings};
use crate::link::{Link, LinkError, encode};
use crate::observer::{example, seen};
use crate::report;

/// Last values of one stream, by device.
pub type LastValues = HashMap<String, Seen>;

/// Takes the last values of a stream, of all devices of the hub.
///
/// # Errors
/// The connection was lost on the way.
pub async fn last_values(hub: &Hub, stream: Stream) -> Result<LastValues, HubError> {
    let mut values = LastValues::new();
    snapshot(hub, stream.suffix(), |message| {
        let is_ours = stream != Stream::Info
            || message.type_name.ends_with("BootEvent")
            || message.type_name.is_empty();
        if let (Some(device), true) = (channels::device_of(message.channel), is_ours) {
            values.insert(device.to_owned(), seen(message));
        }
    })
    .await?;
    Ok(values)
}

/// The highest boot that the hub knows of each device.
///
/// # Errors
/// The connection was lost on the way.
pub async fn last_boots(hub: &Hub) -> Result<HashMap<String, u32>, HubError> {
    let mut boots = HashMap::new();
    for suffix in ["telemetry", "info", "presence"] {
        snapshot(hub, suffix, |message| {
            let presence = Presence::decode(message.payload.unwrap_or_default());
            let announced =
                if suffix == "presence" { presence.map_or(0, |presence| presence.boot) } else { 0 };
            if let Some(device) = channels::device_of(message.channel) {
                let boot = boots.entry(device.to_owned()).or_default();
                *boot = message.boot.max(announced).max(*boot);
            }
        })
        .await?;
    }
    Ok(boots)
}

/// Reads all pages of a snapshot.
async fn snapshot(
    hub: &Hub,
    suffix: &str,
    mut take: impl FnMut(&Message<'_>),
) -> Result<(), HubError> {
    let (mut link, _) = Link::open(&hub.target().for_reader(), hub.token(), 0).await?;
    let pattern = format!("devices.*.{suffix}");
    let subscribe = Subscribe { pattern: &pattern, snapshot: true, ..Subscribe::default() };
    link.send(&encode(1, Kind::Subscribe(subscribe))).await?;
    loop {
        let bytes = link.next().await?;
        let batch = Batch::parse(&bytes).map_err(|_| LinkError::Lost)?;
        for envelope in batch {
            match envelope.kind {
                Kind::Snapshot(page) => {
                    page.values().for_each(|value| take(&value));
                    if page.last {
                        return Ok(());
                    }
                }
                Kind::Error(error) => {
                    let (what, detail) = (format!("Subscribe {pattern}"), error.message.to_owned());
                    return Err(HubError::Refused { what, status: 0, detail });
                }
                _ => {}
            }
        }
    }
}

/// Compares the hub's last values with the books. Returns how many values were compared.
///
/// # Errors
/// The hub could not be asked.
pub async fn compare_values<'b>(
    hub: &Hub,
    findings: &Findings,
    books: impl Iterator<Item = (&'b str, &'b parking_lot::Mutex<Book>)> + Clone,
) -> Result<u64, HubError> {
    let mut compared = 0;
    for stream in Stream::ALL {
        let values = last_values(hub, stream).await?;
        compared += judge_values(findings, stream, &values, books.clone());
    }
    Ok(compared)
}

fn judge_values<'b>(
    findings: &Findings,
    stream: Stream,
    values: &LastValues,
    books: impl Iterator<Item = (&'b str, &'b parking_lot::Mutex<Book>)>,
) -> u64 {
    let mut compared = 0;
    for (id, book) in books {
        let mut book = book.lock();
        let last = values.get(id).copied();
        let acked = book.newest_acked(stream);
        compared += u64::from(acked.is_some());
        if let Judgement::Broken(breach) = book.judge_last(stream, last) {
            findings.add(breach, || {
                let held = last.map_or("nothing".to_owned(), |last| example(id, stream, last));
                let acked = acked.map_or("nothing".to_owned(), |acked| example(id, stream, acked));
                format!("the hub holds {held}; acknowledged {acked}")
            });
        }
    }
    compared
}

/// Asks the hub for the state of commands.
///
/// # Errors
/// The hub could not be asked.
pub async fn ask_commands(
    hub: &Hub,
    questions: &[Question],
    mut answer: impl FnMut(Question, Option<CommandState>),
) -> Result<(), HubError> {
    for question in questions {
        let path = format!("/v1/commands/{}", question.id);
        let found = hub.get(&path).await?;
        let state = match found {
            None => None,
            Some(command) => Some(state_of(&command).ok_or(HubError::Answer(path))?),
        };
        answer(*question, state);
    }
    Ok(())
}

fn state_of(command: &serde_json::Value) -> Option<CommandState> {
    let word = command["state"].as_str()?;
    let word = word.strip_prefix("COMMAND_STATE_").unwrap_or(word);
    CommandState::ALL.iter().copied().find(|state| state.word() == word)
}

/// A line of the file of ledgers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Device { id: String, book: Box<Book> },
    Command { id: String, acked: bool, seen: Option<u8>, overdue: bool },
}

/// Writes the ledgers, for a later `verify`.
///
/// # Errors
/// The file can't be written.
pub fn write_ledgers<'b>(
    path: &Path,
    books: impl Iterator<Item = (&'b str, &'b parking_lot::Mutex<Book>)>,
    questions: &[Question],
) -> std::io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let devices = books
        .map(|(id, book)| Line::Device { id: id.to_owned(), book: Box::new(book.lock().clone()) });
    let commands = questions.iter().map(|question| Line::Command {
        id: question.id.to_string(),
        acked: question.acked,
        seen: question.seen.map(|state| state as u8),
        overdue: question.overdue,
    });
    for line in devices.chain(commands) {
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

/// Ledgers that a run wrote.
#[derive(Debug, Default)]
pub struct Ledgers {
    books: Vec<(String, parking_lot::Mutex<Book>)>,
    questions: Vec<Question>,
}

/// Reads what [`write_ledgers`] wrote.
///
/// # Errors
/// The file can't be read.
pub fn read_ledgers(path: &Path) -> std::io::Result<Ledgers> {
    let mut ledgers = Ledgers::default();
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        match serde_json::from_str(&line?)? {
            Line::Device { id, book } => ledgers.books.push((id, (*book).into())),
            Line::Command { id, acked, seen, overdue } => {
                let id = CommandId::parse(&id).map_err(std::io::Error::other)?;
                let seen = seen.map(|number| CommandState::from_number(u64::from(number)));
                ledgers.questions.push(Question { id, seen, acked, overdue });
            }
        }
    }
    Ok(ledgers)
}

/// What `verify` found.
#[derive(Debug, Serialize)]
struct Verdict {
    devices: usize,
    values_compared: u64,
    commands_asked: usize,
    broken: BTreeMap<Breach, Finding>,
}

/// Compares a hub with the ledgers of an earlier run; prints the verdict. True if nothing is broken.
///
/// # Errors
/// The hub could not be asked, or the file not be read.
pub async fn verify_and_print(settings: &VerifySettings) -> Result<bool, HubError> {
    let clock = Clock::start();
    let hub = Hub::new(&settings.hub).await?;
    let ledgers = read_ledgers(&settings.ledger)
        .map_err(|error| HubError::File { path: settings.ledger.display().to_string(), error })?;
    let findings = Findings::default();
    let books = ledgers.books.iter().map(|(id, book)| (id.as_str(), book));
    let values_compared = compare_values(&hub, &findings, books).await?;
    let commands = crate::ledger::commands::Commands::default();
    ask_commands(&hub, &ledgers.questions, |question, state| {
        commands.answered(&findings, question, state)
    })
    .await?;
    let broken = findings.all();
    let verdict = Verdict {
        devices: ledgers.books.len(),
        values_compared,
        commands_asked: ledgers.questions.len(),
        broken,
    };
    if settings.json {
        report::print_json(&verdict);
    } else {
        let seconds = clock.now().0 as f64 / 1e6;
        let (devices, commands) = (verdict.devices, verdict.commands_asked);
        report::print(&format!(
            "{devices} lamps, {values_compared} acknowledged values, {commands} commands compared in {seconds:.1} s"
        ));
        report::print(&report::findings_text(&verdict.broken));
    }
    Ok(verdict.broken.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::device::ReportName;

    fn book() -> parking_lot::Mutex<Book> {
        let mut book = Book::default();
        let name = ReportName { boot: 1, seq: 1 };
        book.attempt(Stream::Telemetry, name, 7);
        book.acked(name);
        book.into()
    }

    #[test]
    fn a_hub_without_the_last_value_is_found_and_one_with_it_is_not() {
        let book = book();
        let books = [("lamp-0001", &book)];
        let judge = |values: &LastValues| {
            let findings = Findings::default();
            assert_eq!(judge_values(&findings, Stream::Telemetry, values, books.into_iter()), 1);
            findings.all().into_keys().collect::<Vec<_>>()
        };
        assert_eq!(judge(&LastValues::new()), [Breach::ReportLost]);
        let held = Seen { name: ReportName { boot: 1, seq: 1 }, hash: 7 };
        assert_eq!(judge(&LastValues::from([("lamp-0001".to_owned(), held)])), []);
    }

    #[test]
    fn ledgers_survive_the_process() {
        let path = std::env::temp_dir().join(format!("device-sim-ledger-{}", std::process::id()));
        let id = CommandId::from_bytes([3; 16]);
        let question =
            Question { id, seen: Some(CommandState::Succeeded), acked: true, overdue: false };
        let book = book();
        write_ledgers(&path, [("lamp-0001", &book)].into_iter(), &[question]).expect("written");
        let ledgers = read_ledgers(&path).expect("read");
        std::fs::remove_file(&path).expect("it is there");
        assert_eq!(ledgers.questions, [question]);
        let acked = ledgers.books[0].1.lock().newest_acked(Stream::Telemetry);
        assert_eq!(acked.expect("acknowledged").hash, 7);
    }
}
