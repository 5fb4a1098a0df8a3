//! A store that forgets everything when the process ends, for tests and for trying the hub out.
//!
//! It behaves as `sled` does in everything but durability; `conformance` holds both to that.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Operation, Records, Store, StoreError, Table, Visitor};

/// Records in memory. Nothing bounds their number but the limits of those who write them. A clone is
/// the same store.
#[derive(Debug, Default, Clone)]
pub struct MemoryStore {
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By stored key: the table's prefix, then the key.
    records: RwLock<BTreeMap<Box<[u8]>, Bytes>>,
}

impl Store for MemoryStore {
    fn records(&self) -> Arc<dyn Records> {
        self.kept.clone()
    }

    fn is_volatile(&self) -> bool {
        true
    }

    fn commit(&mut self, batch: &[Operation]) -> Result<(), StoreError> {
        let mut records = self.kept.records.write();
        for operation in batch {
            let key = operation.stored_key.clone();
            match &operation.value {
                // A slice of a receive buffer would keep all of that buffer alive.
                Some(value) => records.insert(key, Bytes::copy_from_slice(value)),
                None => records.remove(&key),
            };
        }
        Ok(())
    }
}

impl Records for Kept {
    fn visit(&self, table: Table, from: &[u8], visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        let first = [&[table.prefix()], from].concat().into_boxed_slice();
        let records = self.records.read();
        for (key, value) in records.range(first..) {
            if key.first() != Some(&table.prefix()) || visit(&key[1..], value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn distrust(&self) {
        // Nothing outlives the process.
    }
}
