//! The descriptor sets that a hub has, and how they are stored: a record with what is known of a set, and
//! beside it the set itself in parts.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use proto::json::{DescriptorSet, Types, TypesError};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{NAME_BYTES_MAX, SET_BYTES_MAX, check_name};
use crate::broker::registry::{json, operation};
use crate::broker::restore::{Restored, skip};
use crate::codec::LiveTypes;
use crate::store::{Operation, Store, StoreError, Table};

/// Versions before the present one that are remembered, without their contents.
const PAST_MAX: usize = 32;
/// Bytes of a set in one record of the store.
const PART_BYTES: usize = 32 * 1024;
/// Records of one set beside the first.
const PARTS_MAX: usize = SET_BYTES_MAX.div_ceil(PART_BYTES);

const _: () = assert!(PART_BYTES <= crate::store::VALUE_SIZE_MAX);
const _: () = assert!(NAME_BYTES_MAX + 3 <= crate::store::KEY_SIZE_MAX);

/// One version of a set.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, ToSchema)]
#[schema(as = SchemaVersion)]
pub struct Version {
    /// From 1; counts the versions under this name since it was last added anew.
    pub version: u32,
    /// SHA-256 of the set as it came, in hexadecimal.
    pub hash: String,
    /// ms since 1970, UTC: when it was added.
    pub added_unix_ms: u64,
    /// Who added it.
    pub by: String,
}

/// A set as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, ToSchema)]
#[schema(as = Schema)]
pub struct SchemaView {
    /// The name that it has in this hub.
    pub name: String,
    /// The version that holds.
    #[serde(flatten)]
    pub current: Version,
    /// How long it is, in bytes.
    pub bytes: usize,
    /// The files that it brings.
    pub files: Vec<String>,
    /// Full names of the messages that it brings.
    pub messages: Vec<String>,
    /// Versions that held before, newest first.
    pub past: Vec<Version>,
}

/// What is stored of a set beside its bytes.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) current: Version,
    parts: u16,
    past: Vec<Version>,
}

/// A set with what is known of it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) record: Record,
    pub(super) bytes: bytes::Bytes,
    pub(super) set: DescriptorSet,
}

/// All sets, by name.
#[derive(Debug, Default)]
pub struct Schemas {
    pub(super) held: BTreeMap<String, Held>,
}

impl Schemas {
    /// Reads what is stored, and gives the types that they make to `types`. A set that can't be used is
    /// logged and left as it is.
    pub(in crate::broker) fn read(
        store: &dyn Store,
        types: &LiveTypes,
        restored: &mut Restored,
    ) -> Result<Self, StoreError> {
        let mut records = BTreeMap::new();
        let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        store.scan(Table::Schema, &mut |key, value| {
            let name = String::from_utf8_lossy(name_in(key)).into_owned();
            if name.len() < key.len() {
                parts.entry(name).or_default().extend_from_slice(value);
                return;
            }
            match serde_json::from_slice::<Record>(value) {
                Ok(record) => drop(records.insert(name, record)),
                Err(error) => skip("schema", &error, &mut restored.unreadable),
            }
        })?;
        let mut schemas = Self::default();
        for (name, record) in records {
            let bytes = bytes::Bytes::from(parts.remove(&name).unwrap_or_default());
            if hash(&bytes) != record.current.hash {
                skip("schema", &"its parts are not what was stored", &mut restored.unreadable);
                continue;
            }
            match DescriptorSet::decode(&bytes) {
                Ok(set) => drop(schemas.held.insert(name, Held { record, bytes, set })),
                Err(error) => skip("schema", &error, &mut restored.unreadable),
            }
        }
        schemas.give(types, restored);
        restored.schemas = schemas.held.len();
        Ok(schemas)
    }

    /// Makes the types of all sets hold; of as many as go together, if another version of the hub
    /// finds that not all do.
    fn give(&mut self, types: &LiveTypes, restored: &mut Restored) {
        match self.types_with(None) {
            Ok(all) => return types.replace(all),
            Err(error) => tracing::error!(%error, "the stored schemas don't go together"),
        }
        let mut waiting = std::mem::take(&mut self.held);
        while let Some(name) = waiting.iter().find_map(|(name, held)| {
            self.types_with(Some((name, &held.set))).is_ok().then(|| name.clone())
        }) {
            self.held.extend(waiting.remove_entry(&name));
        }
        if let Ok(some) = self.types_with(None) {
            types.replace(some);
        }
        for name in waiting.keys() {
            let problem = format!("`{name}` can't be used together with the others");
            skip("schema", &problem, &mut restored.unreadable);
        }
    }

    /// The types of all sets, this one in the place of the one with its name.
    pub(super) fn types_with(
        &self,
        new: Option<(&str, &DescriptorSet)>,
    ) -> Result<Types, TypesError> {
        let others = self.held.iter().filter(|(name, _)| new.is_none_or(|(new, _)| *name != new));
        let mut sets: Vec<_> = others.map(|(name, held)| (name.as_str(), &held.set)).collect();
        sets.extend(new);
        Types::with(&sets)
    }

    pub(super) fn view(&self, name: &str) -> Option<SchemaView> {
        let held = self.held.get(name)?;
        Some(SchemaView {
            name: name.to_owned(),
            current: held.record.current.clone(),
            bytes: held.bytes.len(),
            files: held.set.files().map(str::to_owned).collect(),
            messages: held.set.messages(),
            past: held.record.past.clone(),
        })
    }
}

impl Record {
    /// That of the version after `before`, of so many bytes.
    pub(super) fn after(before: Option<&Self>, current: Version, bytes: usize) -> Self {
        let mut past = Vec::new();
        if let Some(before) = before {
            past.push(before.current.clone());
            past.extend(before.past.iter().take(PAST_MAX - 1).cloned());
        }
        let parts = u16::try_from(bytes.div_ceil(PART_BYTES)).expect("a set is bounded");
        Self { current, parts, past }
    }
}

/// What the store is told of a new version: the record, its parts, and which of the version before
/// are over.
pub(super) fn stored(
    name: &str,
    record: &Record,
    bytes: &bytes::Bytes,
    before: Option<&Record>,
) -> Vec<Operation> {
    let mut operations = vec![operation(Table::Schema, name.as_bytes(), Some(json(record)))];
    for part in 0..record.parts {
        let start = usize::from(part) * PART_BYTES;
        let content = bytes.slice(start..bytes.len().min(start + PART_BYTES));
        operations.push(operation(Table::Schema, &part_key(name, part), Some(content)));
    }
    let over = record.parts..before.map_or(0, |before| before.parts);
    operations.extend(over.map(|part| operation(Table::Schema, &part_key(name, part), None)));
    operations
}

/// What the store is told of a set that goes.
pub(super) fn gone(name: &str, record: &Record) -> Vec<Operation> {
    let parts = (0..record.parts).map(|part| operation(Table::Schema, &part_key(name, part), None));
    [operation(Table::Schema, name.as_bytes(), None)].into_iter().chain(parts).collect()
}

/// The key of a part: after the record's, in the order of the parts.
fn part_key(name: &str, part: u16) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.push(0);
    key.extend(part.to_be_bytes());
    key
}

/// The part of a stored key that is the set's name.
pub fn name_in(key: &[u8]) -> &[u8] {
    let end = key.iter().position(|byte| *byte == 0);
    &key[..end.unwrap_or(key.len())]
}

/// Whether a record from elsewhere is one of a set.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_stored(key: &[u8], value: &[u8]) -> Result<(), String> {
    let name = name_in(key);
    let text = std::str::from_utf8(name).map_err(|error| error.to_string())?;
    check_name(text).map_err(|refusal| format!("its name {}", refusal.message))?;
    let Some(part) = key.get(name.len() + 1..) else {
        let record = serde_json::from_slice::<Record>(value).map_err(|error| error.to_string())?;
        let is_bounded = usize::from(record.parts) <= PARTS_MAX;
        return is_bounded.then_some(()).ok_or_else(|| "it has too many parts".to_owned());
    };
    let number = part.try_into().map(u16::from_be_bytes);
    let is_part = number.is_ok_and(|number| usize::from(number) < PARTS_MAX);
    (is_part && value.len() <= PART_BYTES)
        .then_some(())
        .ok_or_else(|| "its part is none".to_owned())
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}
