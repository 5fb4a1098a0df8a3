//! Writes an export, a piece at a time, so that it takes as long and as little memory as its reader.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::line;
use super::{End, Header, LastLine, Position};
use crate::store::{FORMAT_KEY, Records, StoreError, Table};

/// Bytes of a piece; one record more may pass it.
const PIECE_BYTES: usize = 64 * 1024;

/// An export under way: give it what there is, take the bytes.
#[derive(Debug)]
pub struct Export {
    buffer: Vec<u8>,
    hash: Sha256,
    lines: u64,
    records: BTreeMap<String, u64>,
}

impl Export {
    /// With its first line.
    pub fn begin(header: &Header) -> Self {
        let mut buffer = serde_json::to_vec(header).expect("text and numbers have JSON");
        buffer.push(b'\n');
        let mut export = Self { buffer, hash: Sha256::new(), lines: 1, records: BTreeMap::new() };
        export.hash.update(&export.buffer);
        export
    }

    /// Adds a record, or that it is gone. What the store keeps of itself is left out.
    pub fn record(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        if table == Table::Meta && key == FORMAT_KEY {
            return;
        }
        let start = self.buffer.len();
        line::write(table, key, value, &mut self.buffer);
        self.hash.update(&self.buffer[start..]);
        self.lines += 1;
        if value.is_some() {
            *self.records.entry(table.name().to_owned()).or_default() += 1;
        }
    }

    /// Adds all that is stored, a piece at a time: `full` gets the bytes of each and says whether to go
    /// on. The store is not held while it does.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn stored(
        &mut self,
        records: &dyn Records,
        mut full: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<(), StoreError> {
        for table in Table::ALL.into_iter().filter(|table| table.is_exported()) {
            let mut next = Some(Vec::new());
            while let Some(from) = next.take() {
                records.visit(table, &from, &mut |key, value| {
                    if self.buffer.len() >= PIECE_BYTES {
                        next = Some(key.to_vec());
                        return ControlFlow::Break(());
                    }
                    self.record(table, key, Some(value));
                    ControlFlow::Continue(())
                })?;
                if next.is_some() && !full(self.take()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The bytes since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// The last bytes, with the last line.
    pub fn end(mut self, position: Option<Position>) -> Vec<u8> {
        let sha256 = HEXLOWER.encode(&self.hash.finalize());
        let end = End { lines: self.lines, records: self.records, sha256, position };
        let last = serde_json::to_vec(&LastLine { end }).expect("text and numbers have JSON");
        self.buffer.extend_from_slice(&last);
        self.buffer.push(b'\n');
        self.buffer
    }
}
