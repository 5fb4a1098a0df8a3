//! Puts the audit log's records into the batches of what they tell of, and reads them back.
//!
//! The chain has one lock. It is held from the making of a record to the moment when the writer has
//! taken it, so that records are stored in the order of the chain; a batch that the writer refuses
//! leaves the chain as it was.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use proto::envelope::ErrorCode;

use super::registry::{durable, operation};
use super::{Broker, Peer, Ticket};
use crate::access::directory::credential_id;
use crate::access::{Identity, TokenHash};
use crate::audit::{
    Actor, Allowance, Chain, Door, Entry, Head, Limits, Mark, Record, Verb, Write, chain,
};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::store::{Operation, Records, StoreError, Table};

/// In front of a block's number in [`Table::Meta`].
const MARK_KEY: &[u8] = b"audit-mark-";
/// The key of the newest record's number and hash there.
const HEAD_KEY: &[u8] = b"audit-head";
/// Records that one page looks at, whether they are asked for or not.
const LOOKED_AT_MAX: usize = 20_000;
/// How long a page waits for the records that are on their way to the disk.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// The end of the chain, and the way to what was recorded.
#[derive(Debug)]
pub(crate) struct Log {
    state: Mutex<State>,
    /// Gone when the hub stops.
    records: RwLock<Option<Arc<dyn Records>>>,
}

#[derive(Debug)]
struct State {
    chain: Chain,
    allowance: Allowance,
}

/// Which records a page has.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those from this moment on, in ms since 1970.
    pub from_unix_ms: u64,
    /// Those of this person, program or token; a part of a name is enough.
    pub who: String,
    /// Those about this verb or thing; a part of a word is enough.
    pub what: String,
    /// Those after this number.
    pub after: u64,
    /// So many at most.
    pub limit: usize,
}

/// Records, oldest first.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Page {
    /// As they are stored.
    pub records: Vec<Entry>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Where the chain begins: older records are gone.
    pub start: Place,
    /// The newest record that was stored when the page was read.
    pub head: Place,
}

/// A record's number and a hash, in hex: for the start of a chain that of the record before it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// Counts from 1.
    pub n: u64,
    /// SHA-256, 64 hex digits.
    pub hash: String,
}

/// What the store knows of the chain beside its records.
#[derive(Debug, Default)]
pub struct Stored {
    /// The newest record.
    pub head: Option<Head>,
    /// Where its blocks begin, oldest first.
    pub marks: Vec<Mark>,
}

impl Stored {
    /// Reads it.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn read(records: &dyn Records) -> Result<Self, StoreError> {
        let mut stored = Self::default();
        records.visit(Table::Meta, HEAD_KEY, &mut |key, value| {
            if key == HEAD_KEY {
                stored.head = split(value).map(|(hash, n)| Head { n, hash });
            } else if let Some(first) = key.strip_prefix(MARK_KEY).and_then(number) {
                let mark = split(value);
                let mark = mark.map(|(previous, unix_ms)| Mark { first, previous, unix_ms });
                stored.marks.extend(mark);
            } else {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(stored)
    }

    /// The chain that goes on from here.
    pub fn chain(self, limits: Limits) -> Chain {
        Chain::resume(limits, self.head, self.marks)
    }
}

/// A hash and a number, as a mark and the head are stored.
fn split(value: &[u8]) -> Option<(chain::Hash, u64)> {
    let (hash, count) = value.split_at_checked(32)?;
    Some((hash.try_into().ok()?, number(count)?))
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// What the store is to do for the chain.
pub fn operations(writes: Vec<Write>) -> Vec<Operation> {
    let pair =
        |hash: &[u8; 32], count: u64| Some(Bytes::from([&hash[..], &count.to_be_bytes()].concat()));
    let mark_key = |first: u64| [MARK_KEY, &first.to_be_bytes()].concat();
    let mut operations = Vec::with_capacity(writes.len());
    for write in writes {
        match write {
            Write::Entry(n, line) => {
                operations.push(operation(Table::Audit, &n.to_be_bytes(), Some(line.into())));
            }
            Write::Head(head) => {
                operations.push(operation(Table::Meta, HEAD_KEY, pair(&head.hash, head.n)));
            }
            Write::Mark(mark) => {
                let value = pair(&mark.previous, mark.unix_ms);
                operations.push(operation(Table::Meta, &mark_key(mark.first), value));
            }
            Write::Forget(first, next) => {
                let gone = (first..next).map(|n| operation(Table::Audit, &n.to_be_bytes(), None));
                operations.extend(gone);
                operations.push(operation(Table::Meta, &mark_key(first), None));
            }
        }
    }
    operations
}

/// Whether a key of [`Table::Meta`] belongs to the audit log.
pub fn is_of_the_log(key: &[u8]) -> bool {
    key == HEAD_KEY || key.starts_with(MARK_KEY)
}

impl Log {
    pub(crate) fn new(chain: Chain, records: Arc<dyn Records>, now: Now) -> Self {
        let state = State { chain, allowance: Allowance::new(now.mono) };
        Self { state: Mutex::new(state), records: RwLock::new(Some(records)) }
    }

    /// The way to read the store, until the hub stops.
    pub(crate) fn records(&self) -> Option<Arc<dyn Records>> {
        self.records.read().clone()
    }

    /// Lets go of the store.
    pub(crate) fn stop(&self) {
        self.records.write().take();
    }
}

impl Broker {
    /// Records something that has no batch of its own. It is on disk before anything that is
    /// submitted later; whoever needs it there first takes [`Broker::audit_durably`].
    ///
    /// # Errors
    /// The store has no room: what the record tells of must not happen.
    pub fn audit(&self, now: Now, record: Record) -> Result<(), Refusal> {
        self.submit_audited(now, Vec::new(), None, &[record])
    }

    /// Records something, and waits until the record is on disk: for effects that no batch carries.
    ///
    /// # Errors
    /// It was not recorded: what it tells of must not happen.
    pub async fn audit_durably(&self, now: Now, record: Record) -> Result<(), Refusal> {
        let (done, wait) = tokio::sync::oneshot::channel();
        self.submit_audited(now, Vec::new(), Some(Ticket::Waiter(done)), &[record])?;
        durable(wait).await
    }

    /// Records that someone was refused, within the allowance; what is over it is counted, and told
    /// by the next record. `why` is a code of the protocol.
    pub fn audit_refusal(
        &self,
        now: Now,
        actor: Actor,
        verb: Verb,
        object: impl Into<String>,
        why: &str,
    ) {
        let record = Record::refused(actor, verb, object, why);
        let address = record.address().map(|address| address.ip());
        let mut state = self.audit.state.lock();
        let Some(left_out) = state.allowance.take(now.mono, address) else {
            self.metrics.audit_left_out.inc();
            return;
        };
        let records = [record.left_out(left_out)];
        if self.submit_in(&mut state, now, Vec::new(), None, &records).is_err() {
            state.allowance.give_back(left_out);
            self.metrics.audit_left_out.inc();
        }
    }

    /// Submits changes and the records that tell of them as one batch: all of it, or nothing.
    pub(crate) fn submit_audited(
        &self,
        now: Now,
        operations: Vec<Operation>,
        ticket: Option<Ticket>,
        records: &[Record],
    ) -> Result<(), Refusal> {
        if records.is_empty() {
            return self.submit(operations, ticket);
        }
        self.submit_in(&mut self.audit.state.lock(), now, operations, ticket, records)
    }

    fn submit_in(
        &self,
        state: &mut State,
        now: Now,
        mut operations: Vec<Operation>,
        ticket: Option<Ticket>,
        records: &[Record],
    ) -> Result<(), Refusal> {
        let saved = state.chain.save();
        let writes = records.iter().flat_map(|record| state.chain.append(now.unix_ms, record));
        operations.extend(self::operations(writes.collect()));
        let taken = self.submit(operations, ticket);
        match &taken {
            Ok(()) => drop(self.metrics.audit_records.inc_by(records.len() as u64)),
            Err(_) => state.chain.restore(saved),
        }
        taken
    }

    /// Lets the oldest records go when there are too many, or when they are too old. Called several
    /// times a second; a block at a time.
    pub(crate) fn audit_tick(&self, now: Now) {
        let mut state = self.audit.state.lock();
        let Some((first, next)) = state.chain.surplus(now.unix_ms) else { return };
        let gone = operations(vec![Write::Forget(first, next)]);
        let object = format!("records {first} to {}", next - 1);
        let record = Record::done(Actor::hub(), Verb::Forget, object);
        // Refused, it stays for the next time.
        if self.submit_in(&mut state, now, gone, None, &[record]).is_ok() {
            state.chain.forget_oldest();
        }
    }

    /// Other bounds of what is kept, from now on.
    pub fn set_audit_limits(&self, limits: Limits) {
        self.audit.state.lock().chain.set_limits(limits);
    }

    /// Who a peer is, for a record.
    pub fn actor_of(&self, peer: &Peer) -> Actor {
        let entry = self.sessions.lock().get(&peer.mailbox.id()).cloned();
        let token = entry.and_then(|entry| entry.admission.token);
        actor(&peer.identity, token.as_ref(), peer.address, Door::Socket)
    }

    /// Waits until what was recorded so far can be read, a second at most: a slow disk must not keep
    /// anyone from reading what it has.
    pub async fn audit_settled(&self) {
        let (done, wait) = tokio::sync::oneshot::channel();
        if self.submit(Vec::new(), Some(Ticket::Waiter(done))).is_ok() {
            tokio::time::timeout(SETTLE_MAX, wait).await.ok();
        }
    }

    /// A page of what was recorded. Waits for the disk: call it where waiting is allowed.
    ///
    /// # Errors
    /// The store can't be read, or the hub stops.
    pub fn audit_page(&self, wanted: &Wanted) -> Result<Page, Refusal> {
        let unreadable = |error: &dyn std::fmt::Display| {
            let text = format!("the audit log can't be read: {error}");
            Refusal::retry(ErrorCode::Unavailable, "", text, 5_000)
        };
        let records = self.audit.records();
        let records = records.ok_or_else(|| unreadable(&"the hub is stopping"))?;
        let stored = Stored::read(&*records).map_err(|error| unreadable(&error))?;
        let first = if wanted.after == 0 && wanted.from_unix_ms > 0 {
            self.audit.state.lock().chain.block_at(wanted.from_unix_ms)
        } else {
            wanted.after + 1
        };
        let mut page = stored.page();
        let mut looked_at = 0;
        let read = records.visit(Table::Audit, &first.to_be_bytes(), &mut |key, line| {
            let Some(n) = number(key) else { return ControlFlow::Continue(()) };
            if page.records.len() >= wanted.limit || looked_at >= LOOKED_AT_MAX {
                page.next = Some((n - 1).to_string());
                return ControlFlow::Break(());
            }
            looked_at += 1;
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) if wanted.has(&entry) => page.records.push(entry),
                Ok(_) => {}
                Err(error) => tracing::error!(n, %error, "a record of the audit log can't be read"),
            }
            ControlFlow::Continue(())
        });
        read.map_err(|error| unreadable(&error))?;
        Ok(page)
    }
}

impl Stored {
    /// The page without records.
    fn page(self) -> Page {
        let chain = self.chain(Limits::default());
        let (start, head) = (chain.start(), chain.head());
        let place = |n, hash| Place { n, hash: chain::hex(hash) };
        Page {
            records: Vec::new(),
            next: None,
            start: place(start.first, &start.previous),
            head: place(head.n, &head.hash),
        }
    }
}

impl Wanted {
    fn has(&self, entry: &Entry) -> bool {
        entry.unix_ms >= self.from_unix_ms && entry.is_by(&self.who) && entry.is_about(&self.what)
    }
}

/// Who acts, for a record.
pub fn actor(
    identity: &Identity,
    token: Option<&TokenHash>,
    address: Option<std::net::SocketAddr>,
    door: Door,
) -> Actor {
    let token = token.map(credential_id).unwrap_or_default();
    Actor { who: identity.to_string(), token, address, door }
}
