//! Lives of a hub on one store in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use proto::envelope::Hello;
use proto::{ChannelName, ChannelPattern, DeviceId, channels};

use crate::access::certificate::{CertificateNumber, KeyHash, Presented};
use crate::access::{Admission, Identity, Role};
use crate::audit::Actor;
use crate::broker::devices::Peer;
use crate::broker::publish::{Receipt, Value};
use crate::broker::reader::{Piece, Reader};
use crate::broker::registry::{Existing, NewDevice};
use crate::broker::restore::Restored;
use crate::broker::{Broker, Settings, Ticket};
use crate::clock::{self, Now};
use crate::codec::Frame;
use crate::codec::request::Subscription;
use crate::mailbox::Mailbox;
use crate::mailbox::Wakes;
use crate::metrics::Metrics;
use crate::store::{
    MemoryStore, Operation, Records, Store, StoreError, Table, Visitor, Writer, WriterSettings,
};
use crate::twin::{Keep, ReportId, Rule, Rules, Undecodable};

/// A store that several lives use, with a hook into its reading.
#[derive(Debug, Default, Clone)]
pub(crate) struct Shelf {
    store: MemoryStore,
    hook: Arc<Hook>,
}

type AfterVisit = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Hook {
    after: Mutex<Option<AfterVisit>>,
    fails: AtomicBool,
}

#[derive(Debug)]
struct ShelfRecords {
    records: Arc<dyn Records>,
    hook: Arc<Hook>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

impl Shelf {
    /// Runs when the next records were read, before they are used.
    pub(crate) fn after_next_visit(&self, hook: impl FnOnce() + Send + 'static) {
        *self.hook.after.lock() = Some(Box::new(hook));
    }

    pub(crate) fn fail(&self) {
        self.hook.fails.store(true, Ordering::Relaxed);
    }
}

impl Store for Shelf {
    fn records(&self) -> Arc<dyn Records> {
        Arc::new(ShelfRecords { records: self.store.records(), hook: self.hook.clone() })
    }

    fn commit(&mut self, batch: &[Operation]) -> Result<(), StoreError> {
        self.store.commit(batch)
    }
}

impl Records for ShelfRecords {
    fn visit(&self, table: Table, from: &[u8], visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        assert!(!self.hook.fails.load(Ordering::Relaxed), "on purpose, as the engine may");
        self.records.visit(table, from, visit)?;
        let hook = self.hook.after.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        Ok(())
    }

    fn distrust(&self) {}
}

/// A hub from its start to its end.
pub(crate) struct Life {
    pub(crate) broker: Arc<Broker>,
    runtime: tokio::runtime::Runtime,
}

impl Life {
    pub(crate) fn begin(shelf: &Shelf) -> Self {
        Self::begin_with(shelf, Settings::default())
    }

    pub(crate) fn begin_with(shelf: &Shelf, settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let merging = Rule {
            pattern: ChannelPattern::parse("merged.*").expect("valid"),
            types: Vec::new(),
            keep: Keep::Merge,
            history_count: 4,
            history_age: Duration::from_secs(60),
            durable: true,
            undecodable: Undecodable::Refuse,
        };
        let rules = Rules::with_built_in(vec![merging]);
        let metrics = Arc::new(Metrics::new());
        let restored = Broker::restore(settings, rules, metrics, shelf, Now::read());
        let (broker, _) = restored.expect("it can be read");
        let weak = Arc::downgrade(&broker);
        let on_commit = move |tickets: Vec<Ticket>| {
            if let Some(broker) = weak.upgrade() {
                broker.committed(tickets);
            }
        };
        let store = Box::new(shelf.clone());
        let writer =
            Writer::start(store, WriterSettings::default(), clock::mono, on_commit, |_| {});
        let begun = broker.begin(writer.expect("a thread"), Now::read());
        runtime.block_on(begun).expect("the store is healthy");
        Self { broker, runtime }
    }

    /// All that was published is stored.
    pub(crate) fn end(self) {
        self.broker.close().expect("the store is healthy");
    }

    pub(crate) fn load(&self) -> Restored {
        self.broker.load_values().expect("it can be read")
    }

    pub(crate) fn wait<R>(&self, future: impl Future<Output = R>) -> R {
        self.runtime.block_on(future)
    }

    pub(crate) fn register(&self, id: &str) {
        let device: NewDevice =
            serde_json::from_value(serde_json::json!({ "id": id })).expect("a device");
        let by = Actor::hub();
        let added = self.broker.add_devices(Now::read(), vec![device], Existing::Refuse, &by);
        self.wait(added).expect("it is new");
    }

    pub(crate) fn enter(&self, id: &str, boot: u32) -> Peer {
        let number = CertificateNumber::of(b"ca", &[7]);
        let presented = Box::new(Presented { key: KeyHash([7; 32]), number });
        let admission = Admission::by_certificate(&DeviceId::parse(id).expect("valid"), presented);
        let hello = Hello { boot, ..Hello::default() };
        let entered = self.broker.enter_session(Now::read(), &admission, &hello);
        entered.expect("it is registered")
    }

    /// A telemetry report of a device whose boot is 1.
    pub(crate) fn report(&self, peer: &Peer, seq: u64) {
        let id = &peer.device.as_ref().expect("a device").id;
        let channel = self.broker.channel(&channels::TELEMETRY.of(id)).expect("there is room");
        let type_name = channels::TELEMETRY.default_type();
        let boot = peer.device.as_ref().expect("a device").boot;
        let report = ReportId { boot, seq };
        let value =
            Value { type_name, payload: &[], report, measured_unix_ms: 0, instead_of: None };
        let published = self.broker.publish(
            Now::read(),
            &channel,
            value,
            &Receipt::None,
            &mut Wakes::default(),
        );
        published.expect("there is room");
    }

    pub(crate) fn publish(&self, channel: &str, payload: &[u8]) {
        put(&self.broker, channel, payload);
    }

    pub(crate) fn frames(&self, channel: &str) -> Vec<Arc<Frame>> {
        let name = ChannelName::parse(channel).expect("valid");
        let channel = self.broker.channel(&name).expect("there is room");
        let inner = channel.inner.lock();
        inner.state.last().iter().map(|last| last.frame.clone()).collect()
    }

    pub(crate) fn values(&self, channel: &str) -> Vec<Vec<u8>> {
        let payload = |frame: &Arc<Frame>| frame.message().payload.unwrap_or_default().to_vec();
        self.frames(channel).iter().map(payload).collect()
    }

    /// Sequence numbers of a device's telemetry, as its twin has them.
    pub(crate) fn telemetry(&self, id: &str) -> Vec<u64> {
        let id = DeviceId::parse(id).expect("valid");
        let frames = self.broker.device_values(&id).expect("readable");
        let telemetry = channels::TELEMETRY.of(&id);
        let of_channel = |frame: &&Arc<Frame>| frame.message().channel == telemetry.as_str();
        frames.iter().filter(of_channel).map(|frame| frame.message().seq).collect()
    }

    pub(crate) fn presence(&self, id: &str) -> Said {
        let id = DeviceId::parse(id).expect("valid");
        let frames = self.frames(channels::PRESENCE.of(&id).as_str());
        let message = frames[0].message();
        let presence = proto::envelope::Presence::decode(message.payload.unwrap_or_default());
        let presence = presence.expect("the hub wrote it");
        Said {
            online: presence.online,
            unknown: presence.unknown,
            reason: presence.reason.to_owned(),
        }
    }

    pub(crate) fn snapshot(&self, pattern: &str) -> Vec<String> {
        self.snapshot_with(pattern, &self.broker.new_mailbox(&dashboard()))
    }

    /// Names of the channels in a snapshot, in its order.
    pub(crate) fn snapshot_with(&self, pattern: &str, mailbox: &Arc<Mailbox>) -> Vec<String> {
        let pattern = ChannelPattern::parse(pattern).expect("valid");
        let wanted = Subscription { snapshot: true, ..Subscription::of(pattern.clone()) };
        let beginning = self.broker.subscribe(&wanted, mailbox).expect("there is room");
        let mut reader = Reader::default();
        reader.begin(&pattern, beginning);
        let mut found = Vec::new();
        while reader.is_behind() {
            if let Some(Piece::Snapshot { values, last, .. }) =
                reader.next(&self.broker, mailbox, 4096)
            {
                found.extend(values.iter().map(|frame| frame.message().channel.to_owned()));
                assert_eq!(last, !reader.is_behind());
            }
        }
        found
    }
}

#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) online: bool,
    pub(crate) unknown: bool,
    pub(crate) reason: String,
}

pub(crate) fn dashboard() -> Identity {
    Identity::Person { role: Role::built_in("viewer"), name: "wall".to_owned() }
}

pub(crate) fn put(broker: &Broker, channel: &str, payload: &[u8]) {
    let name = ChannelName::parse(channel).expect("valid");
    let channel = broker.channel(&name).expect("there is room");
    let report = ReportId::default();
    let value = Value { type_name: "", payload, report, measured_unix_ms: 0, instead_of: None };
    broker
        .publish(Now::read(), &channel, value, &Receipt::None, &mut Wakes::default())
        .expect("there is room");
}
