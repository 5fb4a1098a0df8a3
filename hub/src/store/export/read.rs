//! Reads an export: first all of it, to know that it is whole and right; then again, into a store.

use std::io::{self, BufRead, Read as _};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::line::{self, LineError};
use super::{End, Header, LINE_BYTES_MAX, LastLine, VERSION};
use crate::store::{Operation, Store, StoreError};

/// Records that one commit takes.
const BATCH: usize = 1000;

/// Why an export is not taken. Nothing was written, but for a store that failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("can't be read: {0}")]
    Read(#[from] io::Error),
    #[error("is no export: its first line has no `lamplighter_export`")]
    NoHeader,
    #[error("is of version {found}; this hub knows {VERSION}: use a newer hub")]
    Version { found: u32 },
    #[error("has records of format {found}, and this hub knows up to {known}: use a newer hub")]
    Format { found: u32, known: u32 },
    #[error("line {line} {source}")]
    Line { line: u64, source: LineError },
    #[error("line {line} {problem}")]
    Record { line: u64, problem: String },
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes, or is no text")]
    NoText { line: u64 },
    #[error("ends in line {line} without a last line: the export was cut off")]
    CutOff { line: u64 },
    #[error("was changed, or is not whole: its last line says otherwise")]
    Changed,
    #[error("goes on after its last line")]
    Trailing,
    #[error("the store took nothing more: {0}")]
    Store(#[from] StoreError),
}

/// Reads all of an export. `visit` sees every record and says what is wrong with it.
///
/// # Errors
/// Names the first line that is wrong.
pub fn check(
    file: impl BufRead,
    format_known: u32,
    visit: &mut dyn FnMut(Operation) -> Result<(), String>,
) -> Result<(Header, End), ImportError> {
    let mut lines = Lines { file, hash: Sha256::new(), number: 0, line: Vec::new() };
    let header: Header =
        serde_json::from_str(lines.next()?.0).map_err(|_| ImportError::NoHeader)?;
    if header.lamplighter_export != VERSION {
        return Err(ImportError::Version { found: header.lamplighter_export });
    }
    if header.format > format_known {
        return Err(ImportError::Format { found: header.format, known: format_known });
    }
    loop {
        let before = lines.hash.clone();
        let (text, line) = lines.next()?;
        if text.starts_with("{\"end\":") {
            let last: LastLine = serde_json::from_str(text).map_err(|_| ImportError::Changed)?;
            let is_whole = last.end.sha256 == HEXLOWER.encode(&before.finalize())
                && last.end.lines == line - 1;
            return match (is_whole, lines.at_end()?) {
                (false, _) => Err(ImportError::Changed),
                (true, false) => Err(ImportError::Trailing),
                (true, true) => Ok((header, last.end)),
            };
        }
        let record = line::read(text).map_err(|source| ImportError::Line { line, source })?;
        visit(record).map_err(|problem| ImportError::Record { line, problem })?;
    }
}

/// Writes the records of an export that was checked, those that `wanted` lets through.
///
/// # Errors
/// The file has changed since, or the store failed.
pub fn load(
    file: impl BufRead,
    format_known: u32,
    store: &mut dyn Store,
    wanted: &mut dyn FnMut(&Operation) -> bool,
) -> Result<u64, ImportError> {
    let mut batch = Vec::new();
    let mut failed = None;
    let mut written = 0;
    let checked = check(file, format_known, &mut |record| {
        if wanted(&record) {
            batch.push(record);
            written += 1;
        }
        if batch.len() >= BATCH {
            failed = store.commit(&std::mem::take(&mut batch)).err();
        }
        if failed.is_some() { Err("was not written".to_owned()) } else { Ok(()) }
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    checked?;
    store.commit(&batch)?;
    Ok(written)
}

struct Lines<R> {
    file: R,
    hash: Sha256,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its end, and its number.
    fn next(&mut self) -> Result<(&str, u64), ImportError> {
        self.line.clear();
        self.number += 1;
        let mut bounded = self.file.by_ref().take(LINE_BYTES_MAX as u64 + 1);
        bounded.read_until(b'\n', &mut self.line)?;
        if self.line.len() > LINE_BYTES_MAX {
            return Err(ImportError::NoText { line: self.number });
        }
        if self.line.last() != Some(&b'\n') {
            return Err(ImportError::CutOff { line: self.number });
        }
        self.hash.update(&self.line);
        let text = std::str::from_utf8(&self.line[..self.line.len() - 1]);
        text.map(|text| (text, self.number)).map_err(|_| ImportError::NoText { line: self.number })
    }

    fn at_end(&mut self) -> Result<bool, ImportError> {
        Ok(self.file.fill_buf()?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::ControlFlow;

    use bytes::Bytes;

    use super::*;
    use crate::store::export::Export;
    use crate::store::{MemoryStore, Table};

    #[test]
    fn what_was_exported_comes_back() {
        let store = filled();
        let mut copy = MemoryStore::default();
        let text = exported(&store);
        let written = load(&text[..], 1, &mut copy, &mut |_| true).expect("whole");
        assert_eq!(written, 3000);
        assert_eq!(all(&copy), all(&store));
    }

    #[test]
    fn an_export_that_was_cut_anywhere_or_changed_is_refused_before_anything_is_written() {
        let text = exported(&filled());
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        for (at, _) in ends.step_by(200) {
            assert!(checked(&text[..at]).is_err() && checked(&text[..=at]).is_err(), "cut at {at}");
        }
        for at in (0..text.len()).step_by(997) {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert!(checked(&changed).is_err(), "changed at {at}");
        }
        assert!(checked(&[&text[..], b"x"].concat()).is_err());
        assert!(checked(&text).is_ok());
    }

    #[test]
    fn a_newer_export_is_refused_by_name() {
        let text = String::from_utf8(exported(&filled())).expect("text");
        let newer = text.replace("{\"lamplighter_export\":1", "{\"lamplighter_export\":2");
        assert!(matches!(checked(newer.as_bytes()), Err(ImportError::Version { found: 2 })));
        let newer = text.replace("\"format\":1", "\"format\":9");
        assert!(matches!(checked(newer.as_bytes()), Err(ImportError::Format { found: 9, .. })));
    }

    #[test]
    fn a_later_line_counts() {
        let mut export = Export::begin(&header());
        export.record(Table::Device, b"a", Some(b"1"));
        export.record(Table::Device, b"b", Some(b"1"));
        export.record(Table::Device, b"a", Some(b"2"));
        export.record(Table::Device, b"b", None);
        let mut copy = MemoryStore::default();
        load(&export.end(None)[..], 1, &mut copy, &mut |_| true).expect("whole");
        let kept = BTreeMap::from([((Table::Device, b"a".to_vec()), b"2".to_vec())]);
        assert_eq!(all(&copy), kept);
    }

    fn checked(text: &[u8]) -> Result<(Header, End), ImportError> {
        check(text, 1, &mut |_| Ok(()))
    }

    fn exported(store: &MemoryStore) -> Vec<u8> {
        let mut export = Export::begin(&header());
        let mut text = Vec::new();
        let read = export.stored(&*store.records(), |piece| {
            text.extend(piece);
            true
        });
        read.expect("readable");
        text.extend(export.end(None));
        text
    }

    fn header() -> Header {
        let hub = "test".to_owned();
        Header { lamplighter_export: VERSION, hub, format: 1, unix_ms: 1, about: BTreeMap::new() }
    }

    fn filled() -> MemoryStore {
        let mut store = MemoryStore::default();
        let record = |number: u32| {
            let value = format!("{{\"number\":{number}}}");
            let table = [Table::Device, Table::LastValue, Table::Token][number as usize % 3];
            Operation::put(table, &number.to_be_bytes(), Bytes::from(value)).expect("short")
        };
        store.commit(&(0..3000).map(record).collect::<Vec<_>>()).expect("it takes all");
        store
    }

    fn all(store: &MemoryStore) -> BTreeMap<(Table, Vec<u8>), Vec<u8>> {
        let mut all = BTreeMap::new();
        for table in Table::ALL {
            let visited = store.records().visit(table, &[], &mut |key, value| {
                all.insert((table, key.to_vec()), value.to_vec());
                ControlFlow::Continue(())
            });
            visited.expect("readable");
        }
        all
    }
}
