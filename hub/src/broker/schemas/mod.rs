//! Descriptor sets that operators add: which there are, in which version, and since when.
//!
//! A set is known under a name. To add it again under that name makes a new version, which must read
//! what the one before wrote; nothing else of the hub changes, and the next message is read by it.
//!
//! ```text
//!   bytes ─▶ decode ─▶ compose with all others ─▶ compare with the version before ─▶ store ─▶ types
//! ```
//!
//! Read this file first, then `held` for what is stored.
//!
//! # Guarantees
//!
//! - What is answered is durable; a set is stored whole or not at all, with its record of the audit log.
//! - The types that hold are always those of all sets together: a change that would leave an import
//!   open is refused.

use proto::envelope::ErrorCode;
use proto::json::{DescriptorSet, Types, TypesError, incompatibilities};

use super::registry::durable;
use super::{Broker, Ticket};
use crate::audit::{Actor, Record as Recorded, Verb};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::metrics::Limit;

mod held;

use held::{Held, Record, hash};
pub use held::{SchemaView, Schemas, Version, check_stored, name_in};

/// Bytes of one descriptor set.
pub const SET_BYTES_MAX: usize = 512 * 1024;
/// Sets at once.
const SETS_MAX: usize = 64;
/// Bytes of a set's name.
const NAME_BYTES_MAX: usize = 64;
/// Incompatibilities that a refusal names; it counts the others.
const NAMED_MAX: usize = 50;

/// What became of a set that was to be added or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It is a new version, or gone.
    Done(SchemaView),
    /// The version that holds is the same.
    Unchanged(SchemaView),
    /// Nothing happened, since this version holds and not the one meant.
    Stale(Option<SchemaView>),
}

impl Broker {
    /// Adds a set, or a new version of it, if `is_meant` says so of the version that holds. From the
    /// next message on its types hold; the answer waits for the disk. `force` takes it even if it breaks
    /// with the version before.
    ///
    /// Cost: building all types anew, milliseconds; messages go on meanwhile.
    ///
    /// # Errors
    /// The name or the set is not usable, it breaks with the version before, or there are as many sets
    /// as may be.
    pub async fn add_schema(
        &self,
        now: Now,
        by: &Actor,
        name: &str,
        bytes: bytes::Bytes,
        force: bool,
        is_meant: impl Fn(Option<&SchemaView>) -> bool + Send,
    ) -> Result<Changed, Refusal> {
        check_name(name)?;
        let set = self.decode_set(&bytes)?;
        let hash = hash(&bytes);
        let (view, wait) = {
            let mut schemas = self.schemas.lock();
            let shown = schemas.view(name);
            if !is_meant(shown.as_ref()) {
                return Ok(Changed::Stale(shown));
            }
            if let Some(same) = shown.filter(|shown| shown.current.hash == hash) {
                return Ok(Changed::Unchanged(same));
            }
            let before = schemas.held.get(name);
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
                by: by.who.clone(),
            };
            let before = before.map(|before| &before.record);
            let recorded = Recorded::done(by.clone(), Verb::ChangeSchema, name)
                .detail(format!("version {} {}", version.version, version.hash));
            let record = Record::after(before, version, bytes.len());
            let (done, wait) = tokio::sync::oneshot::channel();
            let operations = held::stored(name, &record, &bytes, before);
            self.submit_audited(now, operations, Some(Ticket::Waiter(done)), &[recorded])?;
            schemas.held.insert(name.to_owned(), Held { record, bytes, set });
            self.types.replace(types);
            (schemas.view(name), wait)
        };
        self.renew(view.as_ref().map_or(&[], |view| &view.messages));
        durable(wait).await?;
        view.map(Changed::Done).ok_or_else(|| no_such(name))
    }

    /// Removes a set if `is_meant` says so of it: payloads of its types are bytes from then on. The
    /// answer waits for the disk.
    ///
    /// # Errors
    /// There is none of this name, another set imports from it, or, unless `force`, a channel rule
    /// names one of its messages.
    pub async fn remove_schema(
        &self,
        now: Now,
        by: &Actor,
        name: &str,
        force: bool,
        is_meant: impl Fn(Option<&SchemaView>) -> bool + Send,
    ) -> Result<Changed, Refusal> {
        let (view, wait) = {
            let mut schemas = self.schemas.lock();
            let view = schemas.view(name).ok_or_else(|| no_such(name))?;
            if !is_meant(Some(&view)) {
                return Ok(Changed::Stale(Some(view)));
            }
            let Some(held) = schemas.held.remove(name) else { return Err(no_such(name)) };
            let types = match self.types_without(&schemas, &held, force) {
                Ok(types) => types,
                Err(refusal) => {
                    schemas.held.insert(name.to_owned(), held);
                    return Err(refusal);
                }
            };
            let (done, wait) = tokio::sync::oneshot::channel();
            let operations = held::gone(name, &held.record);
            let recorded = [Recorded::done(by.clone(), Verb::ChangeSchema, name).detail("removed")];
            let ticket = Some(Ticket::Waiter(done));
            if let Err(refusal) = self.submit_audited(now, operations, ticket, &recorded) {
                schemas.held.insert(name.to_owned(), held);
                return Err(refusal);
            }
            self.types.replace(types);
            (view, wait)
        };
        self.renew(&view.messages);
        durable(wait).await?;
        Ok(Changed::Done(view))
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
        let rules = self.rules();
        let used = rules.iter().find(|rule| {
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

fn unusable(error: &TypesError) -> Refusal {
    Refusal::new(ErrorCode::BadValue, "body", error.to_string())
}

fn no_such(name: &str) -> Refusal {
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Refusal::new(ErrorCode::NotFound, "name", format!("there is no descriptor set `{shown}`"))
}
