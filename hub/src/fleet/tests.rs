//! Stories of fleet commands under virtual time, and a ledger of a few lines; `walk` crashes it at random.

use std::collections::HashMap;

use super::*;

mod walk;

const SENDER: &str = "operator ann";

fn device(number: usize) -> DeviceId {
    DeviceId::parse(&format!("lamp-{number:04}")).expect("valid")
}

fn command(number: u64) -> CommandId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    CommandId::from_bytes(bytes)
}

fn plan() -> Plan {
    Plan {
        sender: SENDER.to_owned(),
        request_id: None,
        fingerprint: "same".to_owned(),
        selector: "exists(id)".to_owned(),
        again_of: None,
        type_name: "lighting.v1.Command".to_owned(),
        payload: bytes::Bytes::from_static(b"x"),
        ttl_s: 600,
        supersede_key: None,
        waves: Waves { size: u32::MAX, per_s: 1_000.0, pause_s: 0 },
        abort_above_pct: None,
        window: Window::default(),
        created_unix_ms: 1,
    }
}

/// Fleet commands, with a ledger and a disk that do what the test says.
struct Bench {
    fleets: Fleets,
    now: Now,
    /// What the ledger has: by request id, the command and its state.
    ledger: HashMap<String, (CommandId, Outcome)>,
    disk: BTreeMap<Box<[u8]>, bytes::Bytes>,
    /// How often each request id was handed over for the first time.
    commands: u64,
    said: usize,
    /// Targets that were handed over since the last look.
    handed: Vec<(FleetId, u32, DeviceId)>,
    withdrawn: Vec<CommandId>,
}

impl Bench {
    fn new() -> Self {
        Self {
            fleets: Fleets::new(Limits::default()),
            now: Now { mono: crate::clock::mono(), unix_ms: 1_000_000 },
            ledger: HashMap::new(),
            disk: BTreeMap::new(),
            commands: 0,
            said: 0,
            handed: Vec::new(),
            withdrawn: Vec::new(),
        }
    }

    fn start(&mut self, number: u64, plan: Plan, targets: usize) -> FleetId {
        let id = FleetId(command(number));
        let devices = (0..targets).map(device).collect();
        assert_eq!(self.fleets.admit(id, plan, devices), Ok(None));
        self.write(&self.fleets.records(id).clone());
        self.fleets.durable(self.now, id);
        self.drain();
        id
    }

    fn write(&mut self, records: &[Record]) {
        for record in records {
            self.disk.insert(record.key.clone(), record.value.clone());
        }
    }

    fn tick(&mut self, wait_ms: u64) {
        self.now = self.now.after(Duration::from_millis(wait_ms));
        self.fleets.tick(self.now);
        self.drain();
    }

    /// Carries out effects; handing over is answered by [`Bench::accept`].
    fn drain(&mut self) {
        while let Some(effect) = self.fleets.poll_effect() {
            match effect {
                Effect::HandOver { fleet, index, device, .. } => {
                    self.handed.push((fleet, index, device));
                }
                Effect::Store { records, .. } => self.write(&records),
                Effect::Forget { keys, .. } => {
                    self.disk.retain(|key, _| !keys.contains(key));
                }
                Effect::Publish { fleet } => {
                    self.said += 1;
                    self.check(fleet);
                }
                Effect::Withdraw { command, .. } => self.withdrawn.push(command),
            }
        }
    }

    /// The counts add up, and are those of the targets.
    fn check(&self, id: FleetId) {
        let fleet = self.fleets.get(id).expect("it is there");
        assert_eq!(fleet.counts().total() as usize, fleet.targets().len());
        assert_eq!(fleet.counts(), Counts::of_targets(fleet.targets()));
    }

    /// The ledger accepts all that were handed over; each device gets one command for each request id.
    fn accept(&mut self) {
        for (fleet, index, device) in std::mem::take(&mut self.handed) {
            let (command, outcome) = self.take(fleet, &device);
            let answer = Answer::Accepted { command, outcome };
            self.fleets.answer(self.now, fleet, index, answer);
            self.drain();
        }
    }

    fn take(&mut self, fleet: FleetId, device: &DeviceId) -> (CommandId, Outcome) {
        let request = request_id(fleet, device);
        if let Some(known) = self.ledger.get(&request) {
            return *known;
        }
        self.commands += 1;
        let new = (command(1_000_000 + self.commands), Outcome::Accepted);
        self.ledger.insert(request, new);
        new
    }

    fn step(&mut self, fleet: FleetId, number: usize, outcome: Outcome) {
        let request = request_id(fleet, &device(number));
        let known = self.ledger.get_mut(&request).expect("it was accepted");
        known.1 = outcome;
        let command = known.0;
        self.fleets.update(fleet, &device(number), command, (outcome, "why"));
        self.drain();
    }

    /// The process dies, and another one reads what is on disk.
    fn crash(&mut self) {
        self.handed.clear();
        self.fleets = Fleets::new(Limits::default());
        for (key, value) in &self.disk {
            self.fleets.restore(key, value).expect("its own record");
        }
        let ledger = &self.ledger;
        self.fleets.restored(self.now, |sender, request| {
            assert_eq!(sender, SENDER);
            ledger.get(request).map(|(command, outcome)| (*command, *outcome, "".into()))
        });
        self.drain();
    }

    fn count(&self, id: FleetId, outcome: Outcome) -> u32 {
        self.fleets.get(id).expect("it is there").counts().of(outcome)
    }

    fn phase(&self, id: FleetId) -> Phase {
        self.fleets.get(id).expect("it is there").phase(self.now)
    }
}

#[test]
fn waves_keep_their_size_their_pace_and_their_pause() {
    let mut bench = Bench::new();
    let waves = Waves { size: 10, per_s: 20.0, pause_s: 5 };
    let id = bench.start(1, Plan { waves, ..plan() }, 25);
    assert_eq!(bench.handed.len(), 1, "the first goes at once");
    bench.tick(200);
    assert_eq!(bench.handed.len(), 5);
    bench.tick(200);
    bench.tick(200);
    assert_eq!(bench.handed.len(), 10, "the wave is full");
    bench.accept();
    bench.tick(4_000);
    assert_eq!(bench.handed.len(), 0, "the pause");
    bench.tick(1_000);
    assert_eq!(bench.handed.len(), 10, "credit was saved up to a second's worth");
    bench.accept();
    bench.tick(5_000);
    bench.accept();
    assert_eq!(bench.count(id, Outcome::Accepted), 25);
    assert_eq!(bench.phase(id), Phase::Waiting);
}

#[test]
fn each_outcome_is_counted_and_the_first_end_stands() {
    let mut bench = Bench::new();
    let id = bench.start(1, plan(), 4);
    bench.tick(1_000);
    bench.accept();
    for (number, outcome) in
        [(0, Outcome::Succeeded), (1, Outcome::Failed), (2, Outcome::Failed), (3, Outcome::Unknown)]
    {
        bench.step(id, number, Outcome::Running);
        bench.step(id, number, outcome);
        bench.step(id, number, Outcome::Running);
    }
    bench.step(id, 1, Outcome::Succeeded);
    assert_eq!(bench.count(id, Outcome::Failed), 2);
    bench.tick(200);
    assert_eq!(bench.phase(id), Phase::Ended);
    let fleet = bench.fleets.get(id).expect("remembered");
    let failed: Vec<_> = fleet
        .targets()
        .iter()
        .filter(|target| target.outcome == Outcome::Failed)
        .map(|target| (target.device.as_str(), &*target.detail))
        .collect();
    assert_eq!(failed, [("lamp-0001", "why"), ("lamp-0002", "why")]);
}

#[test]
fn too_many_failures_stop_it_and_what_was_not_sent_is_withdrawn() {
    let mut bench = Bench::new();
    let waves = Waves { size: 20, per_s: 1_000.0, pause_s: 60 };
    let id = bench.start(1, Plan { waves, abort_above_pct: Some(10.0), ..plan() }, 100);
    bench.tick(1_000);
    bench.accept();
    assert_eq!(bench.count(id, Outcome::Accepted), 20);
    bench.step(id, 0, Outcome::Failed);
    bench.step(id, 1, Outcome::Unknown);
    bench.tick(200);
    assert_eq!(bench.phase(id), Phase::Sending, "two of twenty are just as many as may be");
    bench.step(id, 2, Outcome::Rejected);
    bench.step(id, 3, Outcome::Sent);
    bench.tick(200);
    let stop = bench.fleets.get(id).and_then(|fleet| fleet.stopped().cloned()).expect("stopped");
    assert_eq!(
        (stop.kind, stop.detail.as_str()),
        (StopKind::Aborted, "aborted: 3 of 20 failed, more than 10 %")
    );
    assert_eq!(bench.count(id, Outcome::Canceled), 80);
    assert_eq!(bench.withdrawn.len(), 16, "accepted and not sent");
    for number in 4..20 {
        bench.step(id, number, Outcome::Canceled);
    }
    assert_eq!(bench.phase(id), Phase::Waiting, "one was sent");
    bench.step(id, 3, Outcome::Succeeded);
    bench.tick(200);
    assert_eq!(bench.phase(id), Phase::Ended);
}

#[test]
fn too_many_failures_withdraw_also_what_waits_for_devices_that_are_away() {
    let mut bench = Bench::new();
    let id = bench.start(1, Plan { abort_above_pct: Some(20.0), ..plan() }, 10);
    bench.tick(1_000);
    bench.accept();
    for number in 0..3 {
        bench.step(id, number, Outcome::Failed);
    }
    bench.tick(200);
    let stop = bench.fleets.get(id).and_then(|fleet| fleet.stopped().cloned()).expect("stopped");
    assert_eq!(stop.kind, StopKind::Aborted);
    assert_eq!(bench.withdrawn.len(), 7);
}

#[test]
fn cancelling_reaches_targets_that_are_just_being_accepted() {
    let mut bench = Bench::new();
    let id = bench.start(1, plan(), 3);
    bench.tick(1_000);
    assert_eq!(bench.fleets.cancel(bench.now, id, "operator bob"), Some(true));
    bench.accept();
    assert_eq!(bench.withdrawn.len(), 3);
    assert_eq!(bench.fleets.cancel(bench.now, FleetId(command(9)), "x"), None);
    for number in 0..3 {
        bench.step(id, number, Outcome::Canceled);
    }
    bench.tick(200);
    assert_eq!(bench.fleets.cancel(bench.now, id, "operator bob"), Some(false));
}

#[test]
fn a_window_holds_back_and_ends_what_had_no_turn() {
    let mut bench = Bench::new();
    let from_unix_ms = bench.now.unix_ms + 60_000;
    let window = Window { from_unix_ms, to_unix_ms: from_unix_ms + 30_000 };
    let waves = Waves { size: 2, per_s: 1_000.0, pause_s: 20 };
    let id = bench.start(1, Plan { window, waves, ..plan() }, 5);
    bench.tick(59_000);
    assert_eq!((bench.phase(id), bench.handed.len()), (Phase::Scheduled, 0));
    for _ in 0..40 {
        bench.tick(1_000);
        bench.accept();
    }
    assert_eq!(bench.count(id, Outcome::Accepted), 4, "two waves fit");
    assert_eq!(bench.count(id, Outcome::Expired), 1);
    assert_eq!(plan().ttl_s_at(0), Some(600));
    let tight = Plan { window, ..plan() };
    assert_eq!(tight.ttl_s_at(window.to_unix_ms - 10_500), Some(10));
    assert_eq!(tight.ttl_s_at(window.to_unix_ms - 4_000), None);
}

#[test]
fn a_newer_one_with_the_same_key_takes_the_turn_of_what_waits() {
    let mut bench = Bench::new();
    let key = |plan: Plan| Plan { supersede_key: Some("override".to_owned()), ..plan };
    let waves = Waves { size: 1, per_s: 1.0, pause_s: 60 };
    let older = bench.start(1, key(Plan { waves, ..plan() }), 5);
    bench.accept();
    bench.start(2, key(plan()), 3);
    assert_eq!(bench.count(older, Outcome::Superseded), 2, "the first was accepted before");
    assert_eq!(bench.count(older, Outcome::Waiting), 2, "the others are not meant by the newer");
    bench.crash();
    assert_eq!(bench.count(older, Outcome::Superseded), 2, "also if the disk had not heard of it");
}

#[test]
fn what_finds_no_room_is_handed_over_again_and_what_is_refused_is_not() {
    let mut bench = Bench::new();
    let id = bench.start(1, plan(), 2);
    bench.tick(1_000);
    let (first, second) = (bench.handed[0].1, bench.handed[1].1);
    bench.handed.clear();
    bench.fleets.answer(bench.now, id, first, Answer::Later);
    let detail = "the device's queue is full".into();
    bench.fleets.answer(bench.now, id, second, Answer::Refused { detail });
    assert_eq!(bench.count(id, Outcome::Rejected), 1);
    bench.tick(500);
    assert_eq!(bench.handed.len(), 0);
    bench.tick(600);
    assert_eq!(bench.handed.len(), 1);
}

#[test]
fn the_same_request_is_the_same_fleet_command_and_another_body_is_a_conflict() {
    let mut bench = Bench::new();
    let named = Plan { request_id: Some("r1".to_owned()), ..plan() };
    let id = bench.start(1, named.clone(), 2);
    bench.crash();
    let again =
        |bench: &mut Bench, plan| bench.fleets.admit(FleetId(command(2)), plan, vec![device(7)]);
    assert_eq!(again(&mut bench, named.clone()), Ok(Some(id)));
    let other = Plan { fingerprint: "other".to_owned(), ..named.clone() };
    assert_eq!(again(&mut bench, other), Err(Refusal::Conflict));
    let stranger = Plan { sender: "operator bob".to_owned(), ..named };
    assert_eq!(again(&mut bench, stranger), Ok(None));
}

#[test]
fn limits_refuse_and_room_is_made_from_the_oldest_that_ended() {
    let limits = Limits { live_max: 2, targets_max: 4, targets_total_max: 6, ..Limits::default() };
    let mut bench = Bench::new();
    bench.fleets = Fleets::new(limits);
    let many = |bench: &mut Bench, number, count| {
        let devices = (0..count).map(device).collect();
        bench.fleets.admit(FleetId(command(number)), plan(), devices)
    };
    assert_eq!(many(&mut bench, 1, 5), Err(Refusal::TooMany(4)));
    let first = bench.start(1, plan(), 4);
    assert_eq!(many(&mut bench, 2, 3), Err(Refusal::NoRoom(2)));
    bench.tick(1_000);
    bench.accept();
    (0..4).for_each(|number| bench.step(first, number, Outcome::Succeeded));
    bench.tick(200);
    bench.start(2, plan(), 3);
    assert!(bench.fleets.get(first).is_none(), "forgotten to make room");
    assert!(bench.disk.keys().all(|key| !key.starts_with(&first.0.to_bytes())));
    bench.start(3, plan(), 1);
    assert_eq!(many(&mut bench, 4, 1), Err(Refusal::Busy(2)));
}

#[test]
fn an_ended_one_is_forgotten_after_its_time() {
    let mut bench = Bench::new();
    let id = bench.start(1, plan(), 1);
    bench.accept();
    bench.step(id, 0, Outcome::Succeeded);
    bench.tick(1_000);
    bench.crash();
    assert_eq!(bench.phase(id), Phase::Ended);
    bench.tick(24 * 3600 * 1000);
    assert!(bench.fleets.get(id).is_none());
    assert!(bench.disk.is_empty());
}

#[test]
fn a_request_id_names_its_fleet_command_and_fits() {
    let id = FleetId(command(77));
    let request = request_id(id, &device(1));
    assert_eq!(request.len(), proto::limits::KEY_BYTES_MAX);
    assert_eq!(fleet_of(&request), Some(id));
    assert_ne!(request, request_id(id, &device(2)));
    for other in ["", "ticket-77", "0190a0a0-0000-7000-8000-000000000000", &"é".repeat(32)] {
        assert_eq!(fleet_of(other), None, "{other}");
    }
}
