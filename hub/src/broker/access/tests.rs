//! What a change of the policy does to sessions and to what waits for them.

use std::task::{Context, Poll, Waker};

use proto::envelope::Hello;
use proto::{ChannelName, ChannelPattern};

use super::*;
use crate::access::Roles;
use crate::access::role::{Draft, DraftGrant};
use crate::access::{Role, Verb};
use crate::audit::Actor;
use crate::broker::publish::{Receipt, Value};
use crate::broker::registry::{Existing, NewDevice};
use crate::broker::{Peer, Settings, Ticket};
use crate::clock::{self, Now};
use crate::codec::request::Subscription;
use crate::mailbox::{Taken, Wakes};
use crate::metrics::Metrics;
use crate::store::{MemoryStore, Writer, WriterSettings};
use crate::twin::{ReportId, Rules};

#[test]
fn p24_a_reload_ends_the_sessions_whose_role_is_gone_or_changed_and_no_others() {
    let bench = Bench::new();
    bench.broker.set_policy(policy(&[("a", "city.>", None), ("b", "city.>", None)]));
    let [viewer, a, b] = ["viewer", "a", "b"].map(|role| bench.enter(role));
    assert_eq!(bench.broker.recheck_access(), 0, "nothing changed");

    assert_eq!(bench.broker.set_policy(policy(&[("a", "city.news", None)])), 2);
    assert_eq!(viewer.mailbox.closing(), None);
    assert_eq!(a.mailbox.closing(), Some(CloseCode::DRAIN), "it may come back with less");
    assert_eq!(b.mailbox.closing(), Some(CloseCode::REVOKED));

    assert_eq!(
        bench.broker.set_policy(policy(&[("a", "city.news", None)])),
        2,
        "they have not left"
    );
}

#[test]
fn a_reader_with_labels_gets_only_what_is_of_its_devices_also_when_labels_change() {
    let bench = Bench::new();
    bench.label("lamp-n", "North");
    bench.label("lamp-s", "South");
    bench.broker.set_policy(policy(&[("north", "devices.>", Some("district=North"))]));
    let north = bench.enter("north");
    bench.put("devices.lamp-n.x");
    bench.put("devices.lamp-s.x");
    let wanted = Subscription {
        pattern: ChannelPattern::parse("devices.*.x").expect("valid"),
        since: None,
        snapshot: true,
        encoding: None,
        labels: None,
        pace: None,
    };
    let mut reader = crate::broker::Reader::default();
    let beginning = bench.broker.subscribe(&wanted, &north.mailbox).expect("there is room");
    reader.begin(&wanted.pattern, beginning);
    assert_eq!(bench.snapshot(&mut reader, &north), ["devices.lamp-n.x"]);

    bench.put("devices.lamp-n.x");
    bench.put("devices.lamp-s.x");
    assert_eq!(waiting(&north), ["devices.lamp-n.x"]);
    bench.label("lamp-n", "South");
    bench.label("lamp-s", "North");
    bench.put("devices.lamp-n.x");
    bench.put("devices.lamp-s.x");
    assert_eq!(waiting(&north), ["devices.lamp-s.x"]);

    bench
        .runtime
        .block_on(bench.broker.remove_device(Now::read(), &lamp("lamp-s"), &Actor::hub(), |_| true))
        .expect("it is there");
    assert_eq!(waiting(&north), [""; 0], "another channel");
    let gone = ChannelPattern::parse("devices.*.registration").expect("valid");
    let wanted = Subscription { pattern: gone, ..wanted };
    bench.broker.subscribe(&wanted, &north.mailbox).expect("there is room");
    bench.label("lamp-x", "North");
    bench
        .runtime
        .block_on(bench.broker.remove_device(Now::read(), &lamp("lamp-x"), &Actor::hub(), |_| true))
        .expect("it is there");
    assert_eq!(waiting(&north), ["devices.lamp-x.registration", "devices.lamp-x.registration"]);
    bench.put("devices.lamp-x.x");
    assert_eq!(waiting(&north), [""; 0], "it is nobody's any more");

    // The same role after a reload is told of labels as before.
    let same = policy(&[("north", "devices.>", Some("district=North")), ("more", "x", None)]);
    assert_eq!(bench.broker.set_policy(same), 0);
    bench.label("lamp-n", "North");
    bench.put("devices.lamp-n.x");
    assert_eq!(waiting(&north), ["devices.lamp-n.registration", "devices.lamp-n.x"]);
}

#[test]
fn what_waits_for_a_session_that_ends_is_not_delivered() {
    let bench = Bench::new();
    let viewer = bench.enter("viewer");
    let wanted = Subscription {
        pattern: ChannelPattern::parse(">").expect("valid"),
        since: None,
        snapshot: false,
        encoding: None,
        labels: None,
        pace: None,
    };
    bench.broker.subscribe(&wanted, &viewer.mailbox).expect("there is room");
    bench.put("city.news");
    assert_eq!(bench.broker.close_sessions(CloseCode::REVOKED, |_| true), 1);
    bench.put("city.news");
    assert_eq!(waiting(&viewer), [""; 0]);
}

fn lamp(id: &str) -> DeviceId {
    DeviceId::parse(id).expect("valid")
}

fn policy(roles: &[(&str, &str, Option<&str>)]) -> Policy {
    let drafts: Vec<Draft> = roles
        .iter()
        .map(|(name, pattern, labels)| Draft {
            name: (*name).to_owned(),
            include: Vec::new(),
            grants: vec![DraftGrant {
                verbs: vec![Verb::Subscribe],
                pattern: (*pattern).to_owned(),
                labels: labels.map(str::to_owned),
            }],
        })
        .collect();
    Policy { roles: Roles::new(&drafts).expect("valid"), ..Policy::default() }
}

/// The channels of what waits in a peer's mailbox, which is then empty.
fn waiting(peer: &Peer) -> Vec<String> {
    let mut taken = Taken::default();
    let mut context = Context::from_waker(Waker::noop());
    let mut channels = Vec::new();
    if let Poll::Ready(()) = peer.mailbox.poll_take(&mut context, usize::MAX, &mut taken) {
        for item in &taken.items {
            if let crate::mailbox::Item::Message(frame) = item {
                channels.push(frame.message().channel.to_owned());
            }
        }
    }
    channels
}

/// A broker on a store in memory.
struct Bench {
    broker: Arc<Broker>,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let store = MemoryStore::default();
        let (rules, metrics) = (Rules::with_built_in(Vec::new()), Arc::new(Metrics::new()));
        let restored = Broker::restore(Settings::default(), rules, metrics, &store, Now::read());
        let (broker, _) = restored.expect("it is empty");
        let weak = Arc::downgrade(&broker);
        let on_commit = move |tickets: Vec<Ticket>| {
            if let Some(broker) = weak.upgrade() {
                broker.committed(tickets);
            }
        };
        let settings = WriterSettings::default();
        let writer = Writer::start(Box::new(store), settings, clock::mono, on_commit, |_| {});
        let begun = broker.begin(writer.expect("a thread"), Now::read());
        runtime.block_on(begun).expect("the store is healthy");
        broker.load_values().expect("it can be read");
        Self { broker, runtime }
    }

    fn enter(&self, role: &str) -> Peer {
        let role: Arc<Role> = self.broker.role(role).expect("a role");
        let identity = Identity::Person { role, name: "ann".to_owned() };
        let admission = Admission { identity, token: None, issued: None, certificate: None };
        let entered = self.broker.enter_session(Now::read(), &admission, &Hello::default());
        entered.expect("people may always")
    }

    fn label(&self, id: &str, district: &str) {
        let device = serde_json::json!({ "id": id, "labels": { "district": district } });
        let device: NewDevice = serde_json::from_value(device).expect("a device");
        let by = Actor::hub();
        let added = self.broker.add_devices(Now::read(), vec![device], Existing::NewToken, &by);
        self.runtime.block_on(added).expect("there is room");
    }

    fn put(&self, channel: &str) {
        let name = ChannelName::parse(channel).expect("valid");
        let channel = self.broker.channel(&name).expect("there is room");
        let report = ReportId::default();
        let value =
            Value { type_name: "", payload: b"x", report, measured_unix_ms: 0, instead_of: None };
        let receipt = Receipt::None;
        let published =
            self.broker.publish(Now::read(), &channel, value, &receipt, &mut Wakes::default());
        published.expect("there is room");
    }

    fn snapshot(&self, reader: &mut crate::broker::Reader, peer: &Peer) -> Vec<String> {
        use crate::broker::reader::Piece;
        let mut found = Vec::new();
        while reader.is_behind() {
            if let Some(Piece::Snapshot { values, .. }) =
                reader.next(&self.broker, &peer.mailbox, 4096)
            {
                found.extend(values.iter().map(|frame| frame.message().channel.to_owned()));
            }
        }
        found
    }
}
