//! A store that forgets everything when the process ends, for tests and for trying the hub out.
//!
//! It behaves as `sled` does in everything but durability; `conformance` holds both to that.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Operation, Store, StoreError, Table};

/// Records in memory. Nothing bounds their number but the limits of those who write them.
#[derive(Debug, Default)]
pub struct MemoryStore {
    /// By stored key: the table's prefix, then the key.
    records: BTreeMap<Box<[u8]>, Bytes>,
}

impl Store for MemoryStore {
    fn scan(&self, table: Table, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let first: Box<[u8]> = Box::new([table.prefix()]);
        self.records
            .range(first..)
            .take_while(|(key, _)| key.first() == Some(&table.prefix()))
            .for_each(|(key, value)| visit(&key[1..], value));
        Ok(())
    }

    fn commit(&mut self, batch: &[Operation]) -> Result<(), StoreError> {
        for operation in batch {
            let key = operation.stored_key.clone();
            match &operation.value {
                // A slice of a receive buffer would keep all of that buffer alive.
                Some(value) => self.records.insert(key, Bytes::copy_from_slice(value)),
                None => self.records.remove(&key),
            };
        }
        Ok(())
    }
}
