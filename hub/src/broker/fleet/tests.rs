//! Fleet commands in a whole broker: ten thousand lamps in one process, and who may command whom.

use std::collections::BTreeMap;
use std::task::{Context, Waker};
use std::time::Duration;

use prost::Message as _;
use proto::ChannelPattern;
use proto::envelope::{Batch, CommandReport, CommandState, Kind};

use super::*;
use crate::access::{Identity, Role};
use crate::audit::Actor;
use crate::broker::devices::Peer;
use crate::broker::fleet_request::{Declined, Whom, fingerprint};
use crate::broker::loading::tests::life::{Life, Shelf, dashboard};
use crate::broker::registry::{Existing, NewDevice};
use crate::codec::request::{Report, Subscription};
use crate::fleet::{Again, Fleet, Waves, Window};
use crate::mailbox::{Item, Mailbox, Taken};
use crate::selector::Selector;

const CITY: usize = 10_000;

fn plan() -> Plan {
    let mut plan = Plan {
        sender: "operator ann".to_owned(),
        request_id: None,
        fingerprint: String::new(),
        selector: "exists(id)".to_owned(),
        again_of: None,
        type_name: channels::COMMAND_TYPE.to_owned(),
        payload: bytes::Bytes::from_static(&[0x0a, 1, b'x']),
        ttl_s: 600,
        supersede_key: None,
        waves: Waves { size: u32::MAX, per_s: 5_000.0, pause_s: 0 },
        abort_above_pct: None,
        window: Window::default(),
        created_unix_ms: 1,
    };
    plan.fingerprint = fingerprint(&plan, &everyone());
    plan
}

fn everyone() -> Whom {
    Whom::Where(Selector::parse("exists(id)").expect("valid"))
}

fn name(number: usize) -> String {
    format!("lamp-{number:05}")
}

/// Registers so many lamps, of which every tenth hangs on feeder F0, and so on.
fn city(life: &Life, count: usize) {
    let device = |number: usize| {
        let labels = serde_json::json!({ "feeder": format!("F{}", number % 10) });
        let json = serde_json::json!({ "id": name(number), "labels": labels });
        serde_json::from_value::<NewDevice>(json).expect("a device")
    };
    let devices = (0..count).map(device).collect();
    let by = Actor::hub();
    let added = life.broker.add_devices(Now::read(), devices, Existing::Refuse, &by);
    assert_eq!(life.wait(added).expect("all are new").len(), count);
}

fn resolve(life: &Life, whom: &Whom) -> super::super::fleet_request::Resolved {
    life.broker.resolve(whom, |_, _| true).expect("readable")
}

/// A lamp that is here, and what it makes of every command.
struct Lamp {
    peer: Peer,
    end: CommandState,
    delivered: u32,
}

impl Lamp {
    fn enter(life: &Life, number: usize) -> Self {
        let peer = life.enter(&name(number), 1);
        life.broker.ready(Now::read(), peer.device.as_ref().expect("a device"));
        let end = match number % 100 {
            13 => CommandState::Failed,
            14 => CommandState::Rejected,
            15 => CommandState::Unknown,
            _ => CommandState::Succeeded,
        };
        Self { peer, end, delivered: 0 }
    }

    /// Obeys all commands that are there.
    fn obey(&mut self, life: &Life) {
        for bytes in answers(&self.peer.mailbox) {
            for envelope in Batch::parse(&bytes).expect("whole") {
                let Kind::Deliver(deliver) = envelope.kind else { continue };
                self.delivered += 1;
                let command = CommandId::parse(deliver.command).expect("an id");
                for state in [CommandState::Delivered, CommandState::Running, self.end] {
                    let report = CommandReport { state, detail: "why", ..CommandReport::default() };
                    let report = Report { command, report };
                    let session = self.peer.device.as_ref().expect("a device");
                    life.broker.report(Now::read(), &self.peer, session, 0, &report);
                }
            }
        }
    }
}

fn take(mailbox: &Mailbox) -> Taken {
    let mut taken = Taken::default();
    let waiting = mailbox.poll_take(&mut Context::from_waker(Waker::noop()), 1 << 20, &mut taken);
    assert!(waiting.is_ready() || taken.items.is_empty());
    taken
}

fn answers(mailbox: &Mailbox) -> Vec<bytes::Bytes> {
    let answer = |item| match item {
        Item::Answer(bytes) => Some(bytes),
        Item::Message(_) => None,
    };
    take(mailbox).items.into_iter().filter_map(answer).collect()
}

/// A dashboard that checks every number that it is told.
struct Dashboard {
    mailbox: Arc<Mailbox>,
    last: FleetProgress,
    heard: usize,
}

impl Dashboard {
    fn watch(life: &Life) -> Self {
        let mailbox = life.broker.new_mailbox(&dashboard());
        let pattern = ChannelPattern::parse("fleet.*").expect("valid");
        let wanted = Subscription::of(pattern);
        life.broker.subscribe(&wanted, &mailbox).expect("there is room");
        Self { mailbox, last: FleetProgress::default(), heard: 0 }
    }

    fn look(&mut self) {
        for item in take(&self.mailbox).items {
            let Item::Message(frame) = item else { continue };
            let payload = frame.message().payload.unwrap_or_default().to_vec();
            let said = FleetProgress::decode(payload.as_slice()).expect("the hub wrote it");
            let sum: u32 = counts(&said).values().sum();
            assert_eq!(sum, said.targets, "{said:?}");
            self.last = said;
            self.heard += 1;
        }
    }
}

fn counts(said: &FleetProgress) -> BTreeMap<&'static str, u32> {
    BTreeMap::from([
        ("waiting", said.waiting),
        ("accepted", said.accepted),
        ("sent", said.sent),
        ("delivered", said.delivered),
        ("running", said.running),
        ("succeeded", said.succeeded),
        ("failed", said.failed),
        ("rejected", said.rejected),
        ("expired", said.expired),
        ("canceled", said.canceled),
        ("superseded", said.superseded),
        ("unknown", said.unknown),
    ])
}

/// Turns until the dashboard has seen what it waits for; panics after far too many.
fn turn(
    life: &Life,
    lamps: &mut [Lamp],
    dashboard: &mut Dashboard,
    done: impl Fn(&FleetProgress) -> bool,
) {
    let began = crate::clock::mono();
    while !done(&dashboard.last) {
        life.broker.commands_tick(Now::read());
        lamps.iter_mut().for_each(|lamp| lamp.obey(life));
        dashboard.look();
        let waited = crate::clock::mono().saturating_duration_since(began);
        assert!(waited < Duration::from_secs(120), "{:?}", dashboard.last);
    }
}

/// X18, with the lamps in the same process.
#[test]
fn ten_thousand_lamps_of_which_a_third_is_away_all_have_an_outcome_and_the_counts_add_up() {
    let life = Life::begin(&Shelf::default());
    life.load();
    city(&life, CITY);
    let is_away = |number: &usize| number % 10 < 3;
    let mut lamps: Vec<Lamp> =
        (0..CITY).filter(|n| !is_away(n)).map(|n| Lamp::enter(&life, n)).collect();
    let mut dashboard = Dashboard::watch(&life);

    let resolved = resolve(&life, &everyone());
    assert_eq!((resolved.targets.len(), resolved.connected), (CITY, CITY * 7 / 10));
    let unconfirmed =
        life.wait(life.broker.send_fleet(plan(), resolved.clone(), None, Actor::hub()));
    assert_eq!(unconfirmed, Err(Declined::Confirm(CITY)));
    let wrong =
        life.wait(life.broker.send_fleet(plan(), resolved.clone(), Some(CITY - 1), Actor::hub()));
    assert_eq!(wrong, Err(Declined::Confirm(CITY)));
    let sent = life.wait(life.broker.send_fleet(plan(), resolved, Some(CITY), Actor::hub()));
    let (id, _) = sent.expect("there is room");

    turn(&life, &mut lamps, &mut dashboard, |said| {
        said.accepted as usize == CITY * 3 / 10
            && said.waiting + said.sent + said.delivered + said.running == 0
            && said.targets > 0
    });
    let here = u32::try_from(CITY * 7 / 10).expect("small");
    let hundreds = u32::try_from(CITY / 100).expect("small");
    assert_eq!((dashboard.last.failed, dashboard.last.rejected), (hundreds, hundreds));
    assert_eq!(dashboard.last.unknown, hundreds);
    assert_eq!(dashboard.last.succeeded, here - 3 * hundreds);

    // A third of those that were away returns; the others' time runs out.
    lamps.extend((0..CITY).filter(|n| n % 10 == 0).map(|n| Lamp::enter(&life, n)));
    let back = u32::try_from(CITY / 10).expect("small");
    turn(&life, &mut lamps, &mut dashboard, |said| said.succeeded == here - 3 * hundreds + back);
    assert!(lamps.iter().all(|lamp| lamp.delivered == 1), "once, and only once");
    let later = Now::read().after(Duration::from_secs(700));
    life.broker.commands_tick(later);
    turn(&life, &mut lamps, &mut dashboard, |said| said.phase == "ended");
    assert_eq!(dashboard.last.expired, 2 * back);
    assert!(dashboard.heard > 3, "it was said how it goes on");

    let named = life.broker.with_fleet(id, |fleet| fleet.targets().to_vec()).expect("remembered");
    assert_eq!(named.len(), CITY);
    assert!(named.iter().all(|target| target.outcome.is_ended() && target.command.is_some()));
    life.end();
}

/// Fault 19.
#[test]
fn a_group_command_over_a_selector_reaches_only_devices_that_the_sender_may_command() {
    let life = Life::begin(&Shelf::default());
    life.load();
    city(&life, 100);
    let only_f3 = |_: &DeviceId, labels: &BTreeMap<String, String>| {
        labels.get("feeder").is_some_and(|feeder| feeder == "F3")
    };
    let resolved = life.broker.resolve(&everyone(), only_f3).expect("readable");
    assert_eq!((resolved.targets.len(), resolved.forbidden), (10, 90));
    assert!(resolved.targets.iter().all(|id| id.as_str().ends_with('3')));

    let viewer = Identity::Person { role: Role::built_in("viewer"), name: "wall".to_owned() };
    let may = |id: &DeviceId, _: &BTreeMap<String, String>| viewer.may_command(id);
    let nobody = life.broker.resolve(&everyone(), may).expect("readable");
    assert_eq!((nobody.targets.len(), nobody.forbidden), (0, 100));
    let sent = life.wait(life.broker.send_fleet(plan(), nobody, None, Actor::hub()));
    let Err(Declined::Refused(refusal)) = sent else { panic!("{sent:?}") };
    assert_eq!(refusal.code, proto::ErrorCode::NotPermitted);
    life.end();
}

#[test]
fn what_the_senders_role_does_not_grant_any_more_is_refused_when_its_turn_comes() {
    let life = Life::begin(&Shelf::default());
    life.load();
    city(&life, 4);
    let resolved = resolve(&life, &everyone());
    for sender in ["viewer wall", "dismissed ann"] {
        let plan = Plan { sender: sender.to_owned(), ..plan() };
        let sent = life.wait(life.broker.send_fleet(plan, resolved.clone(), None, Actor::hub()));
        let (id, _) = sent.expect("there is room");
        let mut dashboard = Dashboard::watch(&life);
        turn(&life, &mut [], &mut dashboard, |said| {
            said.fleet == id.to_string() && said.phase == "ended"
        });
        assert_eq!((dashboard.last.targets, dashboard.last.rejected), (4, 4), "{sender}");
    }
    life.end();
}

/// Fault 20.
#[test]
fn of_a_batch_each_failure_is_named_and_sending_again_touches_only_the_failed() {
    let life = Life::begin(&Shelf::default());
    life.load();
    city(&life, 100);
    let mut lamps: Vec<Lamp> = [10, 13, 14, 15].map(|n| Lamp::enter(&life, n)).into();
    let mut dashboard = Dashboard::watch(&life);
    let four = "id in (lamp-00010, lamp-00013, lamp-00014, lamp-00015)";
    let four = Whom::Where(Selector::parse(four).expect("valid"));
    let sent = life.wait(life.broker.send_fleet(plan(), resolve(&life, &four), None, Actor::hub()));
    let (id, _) = sent.expect("there is room");
    turn(&life, &mut lamps, &mut dashboard, |said| said.phase == "ended");
    let named = life.broker.with_fleet(id, |fleet| {
        let told = fleet.targets().iter();
        told.map(|it| (it.device.to_string(), it.outcome.word())).collect::<Vec<_>>()
    });
    let wanted = [(10, "succeeded"), (13, "failed"), (14, "rejected"), (15, "unknown")];
    assert_eq!(named, Some(wanted.map(|(number, word)| (name(number), word)).to_vec()));

    let outcomes = vec![Outcome::Failed, Outcome::Rejected];
    let again = resolve(&life, &Whom::Again(Again { of: id, outcomes }));
    let ids: Vec<_> = again.targets.iter().map(|id| id.as_str().to_owned()).collect();
    assert_eq!(ids, [name(13), name(14)]);
    lamps.iter_mut().for_each(|lamp| lamp.end = CommandState::Succeeded);
    let sent = life.wait(life.broker.send_fleet(plan(), again, None, Actor::hub()));
    let (second, _) = sent.expect("there is room");
    turn(&life, &mut lamps, &mut dashboard, |said| {
        said.fleet == second.to_string() && said.phase == "ended"
    });
    assert_eq!((dashboard.last.targets, dashboard.last.succeeded), (2, 2));
    let delivered: Vec<_> = lamps.iter().map(|lamp| lamp.delivered).collect();
    assert_eq!(delivered, [1, 2, 2, 1]);
    life.end();
}

#[test]
fn a_list_of_devices_is_taken_once_each_and_only_those_that_are_registered() {
    let life = Life::begin(&Shelf::default());
    life.load();
    city(&life, 20);
    let ids = [name(7), name(3), name(7), "lamp-unheard-of".to_owned()];
    let listed = ids.iter().map(|id| DeviceId::parse(id).expect("valid")).collect();
    let found = resolve(&life, &Whom::Listed(listed));
    let ids: Vec<_> = found.targets.iter().map(|id| id.as_str().to_owned()).collect();
    assert_eq!((ids, found.unknown), (vec![name(3), name(7)], 1));
    life.end();
}

#[test]
fn a_restarted_hub_goes_on_and_remembers_outcomes_and_request_ids() {
    let shelf = Shelf::default();
    let life = Life::begin(&shelf);
    city(&life, 50);
    let slow = Waves { size: u32::MAX, per_s: 1.0, pause_s: 0 };
    let mut named = Plan { waves: slow, request_id: Some("r1".to_owned()), ..plan() };
    named.fingerprint = fingerprint(&named, &everyone());
    let resolved = resolve(&life, &everyone());
    let sent =
        life.wait(life.broker.send_fleet(named.clone(), resolved.clone(), None, Actor::hub()));
    let (id, _) = sent.expect("there is room");
    life.end();

    let life = Life::begin(&shelf);
    assert_eq!(life.broker.repeated_fleet(&named), Ok(Some(id)));
    let again = life.wait(life.broker.send_fleet(named, resolved, None, Actor::hub()));
    assert_eq!(again, Ok((id, true)));
    let counts = life.broker.with_fleet(id, Fleet::counts).expect("it is there");
    assert_eq!(counts.total(), 50);
    assert!(counts.of(Outcome::Waiting) >= 40, "it was slow: {counts:?}");
    let by = Identity::Person { role: Role::built_in("operator"), name: "bob".to_owned() };
    life.wait(life.broker.cancel_fleet(Now::read(), id, &by)).expect("it goes on");
    life.end();

    let life = Life::begin(&shelf);
    let stopped = life.broker.with_fleet(id, |fleet| fleet.stopped().cloned()).expect("there");
    assert_eq!(stopped.expect("stopped").detail, "withdrawn by operator bob");
    let counts = life.broker.with_fleet(id, Fleet::counts).expect("it is there");
    assert_eq!(counts.of(Outcome::Waiting), 0);
    life.end();
}
