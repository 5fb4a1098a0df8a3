//! Backup and moving on the data folder itself, while no hub runs on it: `export --offline`, `import`.
//!
//! An import reads its whole file before it writes. Into an empty folder it writes batch by batch,
//! between a mark and its removal: a folder with the mark is half of something, and no hub starts on
//! it. With `merge` it adds what the folder lacks, as one batch.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::ServeError;
use super::offline::{self, commit_audited};
use crate::access::{Credential, Subject};
use crate::audit::{Actor, Record, Verb};
use crate::broker::audit::is_of_the_log;
use crate::broker::registry::operation;
use crate::broker::restore::{CEILING_KEY, check_record};
use crate::broker::schemas::name_in;
use crate::clock::Now;
use crate::store::export::{self, End, Export, Header, ImportError};
use crate::store::{self, FORMAT_VERSION, Operation, Records, Store, StoreError, Table};

/// In [`Table::Meta`] while an import writes.
const UNFINISHED_KEY: &[u8] = b"import-unfinished";

/// What an import does about a folder that has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It refuses.
    Refuse,
    /// It adds what is missing; what is there stays. Audit logs can't be merged: the folder's stays.
    Merge,
}

/// Why there is no export or import.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("{file}: {source}")]
    File { file: PathBuf, source: io::Error },
    #[error("{file} {source}")]
    Import { file: PathBuf, source: ImportError },
    #[error(
        "{folder} has devices, tokens, commands or values already; import into an empty folder, or \
         add what is missing with --merge"
    )]
    NotEmpty { folder: PathBuf },
    #[error(transparent)]
    Open(#[from] ServeError),
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

/// Writes all that a folder keeps.
///
/// # Errors
/// The folder can't be opened or read, or `out` takes no more.
pub fn export_offline(data_folder: &Path, out: &mut dyn Write) -> Result<(), TransferError> {
    let now = Now::read();
    let opened = offline::open(data_folder, now)?;
    let records = opened.store.records();
    let mut about = BTreeMap::new();
    for table in Table::ALL.into_iter().filter(|table| table.is_exported()) {
        about.insert(table.name().to_owned(), count(&*records, table)?);
    }
    let mut export = Export::begin(&Header {
        lamplighter_export: export::VERSION,
        hub: env!("CARGO_PKG_VERSION").to_owned(),
        format: FORMAT_VERSION,
        unix_ms: now.unix_ms,
        about,
    });
    let mut written = Ok(());
    export.stored(&*records, |piece| {
        written = out.write_all(&piece);
        written.is_ok()
    })?;
    let end = export.end(None);
    let written = written.and_then(|()| out.write_all(&end)).and_then(|()| out.flush());
    written.map_err(|source| TransferError::File { file: "the output".into(), source })
}

/// Brings an export into a folder. Returns what was in it.
///
/// # Errors
/// The file is not whole or not right, the folder has something, or can't be written. But for the last,
/// nothing has changed.
pub fn import(data_folder: &Path, file: &Path, existing: Existing) -> Result<End, TransferError> {
    let (_, end) = read(file, &mut |record| check_record(&record))?;
    let now = Now::read();
    let settings = store::OpenSettings::new(data_folder.to_owned());
    let opened = store::open(&settings, now.unix_ms / 1000).map_err(ServeError::from);
    let mut opened = opened?;
    import_into(&mut opened.store, data_folder, file, existing, now, &end)?;
    Ok(end)
}

fn import_into(
    store: &mut dyn Store,
    data_folder: &Path,
    file: &Path,
    existing: Existing,
    now: Now,
    end: &End,
) -> Result<(), TransferError> {
    let is_empty = is_blank(store)? || is_unfinished(store)?;
    match existing {
        Existing::Refuse if !is_empty => {
            Err(TransferError::NotEmpty { folder: data_folder.to_owned() })
        }
        Existing::Merge if !is_empty => {
            let changes = missing(&*store.records(), file)?;
            let record = Record::done(Actor::offline(), Verb::Import, end.sha256.as_str());
            commit_audited(store, now, changes, &[record.detail("merged")])?;
            Ok(())
        }
        Existing::Refuse | Existing::Merge => begin_with(store, file, now, end, Actor::offline()),
    }
}

/// Fills an empty store, or one in which that was interrupted, from a file that was checked.
///
/// # Errors
/// The file has changed since, or the store failed: then the folder keeps its mark.
pub fn begin_with(
    store: &mut dyn Store,
    file: &Path,
    now: Now,
    end: &End,
    by: Actor,
) -> Result<(), TransferError> {
    let mark = Bytes::copy_from_slice(end.sha256.as_bytes());
    store.commit(&[operation(Table::Meta, UNFINISHED_KEY, Some(mark))])?;
    let opened = File::open(file).map_err(|source| no_file(file, source))?;
    let loaded = export::load(BufReader::new(opened), FORMAT_VERSION, store, &mut |_| true);
    loaded.map_err(|source| wrong(file, source))?;
    let finished = vec![operation(Table::Meta, UNFINISHED_KEY, None)];
    let record = Record::done(by, Verb::Import, end.sha256.as_str());
    commit_audited(store, now, finished, &[record])?;
    Ok(())
}

/// Whether a store has nothing but what it keeps of itself.
///
/// # Errors
/// It can't be read.
pub fn is_blank(store: &dyn Store) -> Result<bool, StoreError> {
    is_empty(&*store.records())
}

fn is_unfinished(store: &dyn Store) -> Result<bool, StoreError> {
    has(&*store.records(), Table::Meta, UNFINISHED_KEY)
}

/// Says no to a folder in which an import has not finished.
///
/// # Errors
/// It has not, or the store can't be read.
pub(super) fn refuse_unfinished(store: &dyn Store, data_folder: &Path) -> Result<(), ServeError> {
    if is_unfinished(store)? {
        return Err(ServeError::UnfinishedImport { folder: data_folder.to_owned() });
    }
    Ok(())
}

/// Checks an export, record by record.
pub(super) fn read(
    file: &Path,
    visit: &mut dyn FnMut(Operation) -> Result<(), String>,
) -> Result<(Header, End), TransferError> {
    let opened = File::open(file).map_err(|source| no_file(file, source))?;
    export::check(BufReader::new(opened), FORMAT_VERSION, visit)
        .map_err(|source| wrong(file, source))
}

/// What an export has and the store lacks, as it is at the export's end.
fn missing(records: &dyn Records, file: &Path) -> Result<Vec<Operation>, TransferError> {
    let mut failed = None;
    let mut changes = BTreeMap::new();
    read(file, &mut |record| {
        match is_missing(records, &record) {
            Ok(true) => {
                changes.insert((record.table(), record.key().to_vec()), record);
            }
            Ok(false) => {}
            Err(error) => {
                failed = Some(error);
            }
        }
        Ok(())
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(changes.into_values().collect()),
    }
}

fn is_missing(records: &dyn Records, record: &Operation) -> Result<bool, StoreError> {
    let (table, key) = (record.table(), record.key());
    match table {
        Table::Audit | Table::Series => Ok(false),
        Table::Meta if is_of_the_log(key) => Ok(false),
        // The higher one counts: offsets must not go back.
        Table::Meta if key == CEILING_KEY => {
            let ours = value_of(records, table, key)?;
            Ok(record.value().map(|value| value.to_vec()) > ours)
        }
        // A device that is here keeps its token, and gets no second one.
        Table::Token => Ok(!has(records, table, key)? && !is_of_ours(records, record)?),
        // A set comes whole or not at all.
        Table::Schema => Ok(!has(records, table, name_in(key))?),
        Table::Meta
        | Table::Certificate
        | Table::Command
        | Table::Fleet
        | Table::Device
        | Table::LastValue
        | Table::Override
        | Table::Profile => Ok(!has(records, table, key)?),
    }
}

/// Whether a token is that of a device which the folder has.
fn is_of_ours(records: &dyn Records, token: &Operation) -> Result<bool, StoreError> {
    let credential = token.value().and_then(|value| serde_json::from_slice(value).ok());
    match credential.map(|credential: Credential| credential.subject) {
        Some(Subject::Device(id)) => has(records, Table::Device, id.as_bytes()),
        Some(Subject::Person { .. }) | None => Ok(false),
    }
}

fn is_empty(records: &dyn Records) -> Result<bool, StoreError> {
    let mut is_empty = true;
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Meta) {
        records.visit(table, &[], &mut |_, _| {
            is_empty = false;
            ControlFlow::Break(())
        })?;
    }
    Ok(is_empty)
}

fn count(records: &dyn Records, table: Table) -> Result<u64, StoreError> {
    let mut count = 0;
    records.visit(table, &[], &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

fn has(records: &dyn Records, table: Table, key: &[u8]) -> Result<bool, StoreError> {
    Ok(value_of(records, table, key)?.is_some())
}

fn value_of(
    records: &dyn Records,
    table: Table,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut found = None;
    records.visit(table, key, &mut |known, value| {
        found = (known == key).then(|| value.to_vec());
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn no_file(file: &Path, source: io::Error) -> TransferError {
    TransferError::File { file: file.to_owned(), source }
}

fn wrong(file: &Path, source: ImportError) -> TransferError {
    TransferError::Import { file: file.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn an_import_that_was_interrupted_keeps_hubs_off_until_it_is_run_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("export.jsonl");
        let header = Header {
            lamplighter_export: export::VERSION,
            hub: String::new(),
            format: FORMAT_VERSION,
            unix_ms: 1,
            about: BTreeMap::new(),
        };
        let mut whole = Export::begin(&header);
        whole.record(Table::Device, b"lamp-1", Some(b"{}"));
        whole.record(Table::Device, b"lamp-2", Some(b"{}"));
        std::fs::write(&file, whole.end(None)).expect("ours");
        let (_, end) = read(&file, &mut |record| check_record(&record)).expect("whole");

        // As it is after the first batch.
        let mut store = MemoryStore::default();
        let mark = operation(Table::Meta, UNFINISHED_KEY, Some(Bytes::from_static(b"sha")));
        let half = operation(Table::Device, b"lamp-1", Some(Bytes::from_static(b"{}")));
        store.commit(&[mark, half]).expect("it takes all");
        let refused = refuse_unfinished(&store, folder.path()).expect_err("half of something");
        assert!(refused.to_string().contains("run it again"), "{refused}");

        let (now, existing) = (Now::read(), Existing::Refuse);
        import_into(&mut store, folder.path(), &file, existing, now, &end).expect("again");
        refuse_unfinished(&store, folder.path()).expect("whole now");
        assert_eq!(count(&*store.records(), Table::Device).expect("readable"), 2);
        let again = import_into(&mut store, folder.path(), &file, existing, now, &end);
        assert!(matches!(again, Err(TransferError::NotEmpty { .. })), "{again:?}");
    }
}
