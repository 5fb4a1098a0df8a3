//! Descriptor sets that operators add: which there are, in which version, and since when.
//!
//! A set is known under a name. To add it again under that name makes a new version, which must read
//! what the one before wrote; nothing else of the hub changes, and the next message is read by it.
//!
//! ```text
//!   bytes ─▶ decode ─▶ compose with all others ─▶ compare with the version before ─▶ store ─▶ types
//! ```
//!
//! # Guarantees
//!
//! - What is answered is durable; a set is stored whole or not at all.
//! - The types that hold are always those of all sets together: a change that would leave an import
//!   open is refused.

use std::collections::BTreeMap;

use proto::envelope::ErrorCode;
use proto::json::{DescriptorSet, Types, TypesError, incompatibilities};
use sha2::{Digest as _, Sha256};

use super::registry::{durable, json, operation};
use super::restore::{Restored, skip};
use super::{Broker, Ticket};
use crate::clock::Now;
use crate::codec::{LiveTypes, Refusal};
use crate::metrics::Limit;
use crate::store::{Operation, Store, StoreError, Table};

/// Bytes of one descriptor set.
pub const SET_BYTES_MAX: usize = 512 * 1024;
/// Sets at once.
const SETS_MAX: usize = 64;
/// Bytes of a set's name.
const NAME_BYTES_MAX: usize = 64;
/// Versions before the present one that are remembered, without their contents.
const PAST_MAX: usize = 32;
/// Incompatibilities that a refusal names; it counts the others.
const NAMED_MAX: usize = 50;
/// Bytes of a set in one record of the store.
const PART_BYTES: usize = 32 * 1024;

const _: () = assert!(PART_BYTES <= crate::store::VALUE_SIZE_MAX);

/// One version of a set.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
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

/// What became of a set that was to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is a new version.
    Changed(SchemaView),
    /// The version that holds is the same.
    Unchanged(SchemaView),
}

/// What is stored of a set beside its bytes.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Record {
    #[serde(flatten)]
    current: Version,
    parts: u16,
    past: Vec<Version>,
}

#[derive(Debug)]
struct Held {
    record: Record,
    bytes: bytes::Bytes,
    set: DescriptorSet,
}

/// All sets, by name.
#[derive(Debug, Default)]
pub struct Schemas {
    held: BTreeMap<String, Held>,
}

impl Schemas {
    /// Reads what is stored, and gives the types that they make to `types`. A set that can't be used is
    /// logged and left as it is.
    pub(super) fn read(
        store: &dyn Store,
        types: &LiveTypes,
        restored: &mut Restored,
    ) -> Result<Self, StoreError> {
        let mut records = BTreeMap::new();
        let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        store.scan(Table::Schema, &mut |key, value| {
            let end = key.iter().position(|byte| *byte == 0);
            let name = String::from_utf8_lossy(&key[..end.unwrap_or(key.len())]).into_owned();
            match (end, serde_json::from_slice::<Record>(value)) {
                (Some(_), _) => parts.entry(name).or_default().extend_from_slice(value),
                (None, Ok(record)) => drop(records.insert(name, record)),
                (None, Err(error)) => skip("schema", &error, &mut restored.unreadable),
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
    fn types_with(&self, new: Option<(&str, &DescriptorSet)>) -> Result<Types, TypesError> {
        let others = self.held.iter().filter(|(name, _)| new.is_none_or(|(new, _)| *name != new));
        let mut sets: Vec<_> = others.map(|(name, held)| (name.as_str(), &held.set)).collect();
        sets.extend(new);
        Types::with(&sets)
    }

    fn view(&self, name: &str) -> Option<SchemaView> {
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

impl Broker {
    /// Adds a set, or a new version of it. From the next message on its types hold; the answer waits
    /// for the disk. `force` takes it even if it breaks with the version before.
    ///
    /// Cost: building all types anew, milliseconds; messages go on meanwhile.
    ///
    /// # Errors
    /// The name or the set is not usable, it breaks with the version before, or there are as many sets
    /// as may be.
    pub async fn add_schema(
        &self,
        now: Now,
        by: &str,
        name: &str,
        bytes: bytes::Bytes,
        force: bool,
    ) -> Result<Added, Refusal> {
        check_name(name)?;
        let set = self.decode_set(&bytes)?;
        let hash = hash(&bytes);
        let (view, wait) = {
            let mut schemas = self.schemas.lock();
            let before = schemas.held.get(name);
            if before.is_some_and(|before| before.record.current.hash == hash) {
                return schemas.view(name).map(Added::Unchanged).ok_or_else(|| no_such(name));
            }
            if before.is_none() && schemas.held.len() >= SETS_MAX {
                self.metrics.limit_hit(Limit::Schemas);
                let text = format!("{SETS_MAX} descriptor sets are there; remove one first");
                return Err(Refusal::new(ErrorCode::Limit, "name", text));
            }
            let types = schemas.types_with(Some((name, &set))).map_err(|error| unusable(&error))?;
            if let Some(before) = before.filter(|_| !force) {
                check_compatible(&before.set, &self.types.load(), &types)?;
            }
            let version = Version {
                version: before.map_or(1, |before| before.record.current.version + 1),
                hash,
                added_unix_ms: now.unix_ms,
                by: by.to_owned(),
            };
            let record = next_record(before.map(|before| &before.record), version, bytes.len());
            let (done, wait) = tokio::sync::oneshot::channel();
            let parts_before = before.map_or(0, |before| before.record.parts);
            let operations = stored(name, &record, &bytes, parts_before);
            self.submit(operations, Some(Ticket::Waiter(done)))?;
            schemas.held.insert(name.to_owned(), Held { record, bytes, set });
            self.types.replace(types);
            (schemas.view(name), wait)
        };
        self.renew(view.as_ref().map_or(&[], |view| &view.messages));
        durable(wait).await?;
        view.map(Added::Changed).ok_or_else(|| no_such(name))
    }

    /// Removes a set: payloads of its types are bytes from then on. The answer waits for the disk.
    ///
    /// # Errors
    /// There is none of this name, another set imports from it, or, unless `force`, a channel rule
    /// names one of its messages.
    pub async fn remove_schema(&self, name: &str, force: bool) -> Result<(), Refusal> {
        let (messages, wait) = {
            let mut schemas = self.schemas.lock();
            let Some(held) = schemas.held.remove(name) else { return Err(no_such(name)) };
            let types = match self.types_without(&schemas, &held, force) {
                Ok(types) => types,
                Err(refusal) => {
                    schemas.held.insert(name.to_owned(), held);
                    return Err(refusal);
                }
            };
            let (done, wait) = tokio::sync::oneshot::channel();
            let mut operations = vec![operation(Table::Schema, name.as_bytes(), None)];
            let parts = 0..held.record.parts;
            operations
                .extend(parts.map(|part| operation(Table::Schema, &part_key(name, part), None)));
            if let Err(refusal) = self.submit(operations, Some(Ticket::Waiter(done))) {
                schemas.held.insert(name.to_owned(), held);
                return Err(refusal);
            }
            self.types.replace(types);
            (held.set.messages(), wait)
        };
        self.renew(&messages);
        durable(wait).await
    }

    /// All sets, by name.
    pub fn schemas(&self) -> Vec<SchemaView> {
        let schemas = self.schemas.lock();
        schemas.held.keys().filter_map(|name| schemas.view(name)).collect()
    }

    /// One set as it was added, with the hash of its version.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn schema(&self, name: &str) -> Result<(bytes::Bytes, String), Refusal> {
        let schemas = self.schemas.lock();
        let held = schemas.held.get(name).ok_or_else(|| no_such(name))?;
        Ok((held.bytes.clone(), held.record.current.hash.clone()))
    }

    /// Kept messages of these types forget the JSON that was made of them by other types.
    fn renew(&self, messages: &[String]) {
        for channel in self.channels.read().all() {
            if channel.rule.types.iter().any(|name| messages.contains(name)) {
                channel.inner.lock().state.renew();
            }
        }
    }

    fn decode_set(&self, bytes: &[u8]) -> Result<DescriptorSet, Refusal> {
        if bytes.len() > SET_BYTES_MAX {
            self.metrics.limit_hit(Limit::Schemas);
            let text = format!("has {} bytes; at most {SET_BYTES_MAX}", bytes.len());
            return Err(Refusal::new(ErrorCode::StateLimit, "body", text));
        }
        DescriptorSet::decode(bytes).map_err(|error| unusable(&error))
    }

    fn types_without(
        &self,
        others: &Schemas,
        removed: &Held,
        force: bool,
    ) -> Result<Types, Refusal> {
        let types = others.types_with(None).map_err(|error| {
            let text = format!("another set needs it: {error}");
            Refusal::new(ErrorCode::Conflict, "name", text)
        })?;
        let messages = removed.set.messages();
        let used = self.rules.iter().find(|rule| {
            rule.types.iter().any(|name| messages.contains(name) && !types.contains(name))
        });
        match used {
            Some(rule) if !force => {
                let text = format!(
                    "the channel rule `{}` names its messages; change the rule first, or force it",
                    rule.pattern
                );
                Err(Refusal::new(ErrorCode::Conflict, "name", text))
            }
            _ => Ok(types),
        }
    }
}

fn check_compatible(set: &DescriptorSet, older: &Types, newer: &Types) -> Result<(), Refusal> {
    let found = incompatibilities(set, older, newer);
    if found.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = found.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let mut text = format!("breaks with the version that holds: {}", named.join("; "));
    if found.len() > NAMED_MAX {
        text.push_str(&format!("; and {} more", found.len() - NAMED_MAX));
    }
    text.push_str(". Mend it, or force it if nobody has written or reads what changed");
    Err(Refusal::new(ErrorCode::Conflict, "body", text))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let text = format!("is 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -");
    Err(Refusal::new(ErrorCode::BadValue, "name", text))
}

fn next_record(before: Option<&Record>, current: Version, bytes: usize) -> Record {
    let mut past = Vec::new();
    if let Some(before) = before {
        past.push(before.current.clone());
        past.extend(before.past.iter().take(PAST_MAX - 1).cloned());
    }
    let parts = u16::try_from(bytes.div_ceil(PART_BYTES)).expect("a set is bounded");
    Record { current, parts, past }
}

/// What the store is told: the record, the parts, and the parts of the version before that are over.
fn stored(name: &str, record: &Record, bytes: &bytes::Bytes, parts_before: u16) -> Vec<Operation> {
    let mut operations = vec![operation(Table::Schema, name.as_bytes(), Some(json(record)))];
    for part in 0..record.parts {
        let start = usize::from(part) * PART_BYTES;
        let content = bytes.slice(start..bytes.len().min(start + PART_BYTES));
        operations.push(operation(Table::Schema, &part_key(name, part), Some(content)));
    }
    let over = record.parts..parts_before;
    operations.extend(over.map(|part| operation(Table::Schema, &part_key(name, part), None)));
    operations
}

/// The key of a part: after the record's, in the order of the parts.
fn part_key(name: &str, part: u16) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.push(0);
    key.extend(part.to_be_bytes());
    key
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unusable(error: &TypesError) -> Refusal {
    Refusal::new(ErrorCode::BadValue, "body", error.to_string())
}

fn no_such(name: &str) -> Refusal {
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Refusal::new(ErrorCode::NotFound, "name", format!("there is no descriptor set `{shown}`"))
}
