//! The world around one machine: time, a link, a hub with a ledger, and a supply of power.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use firmware_client::{
    Buffers, Client, Config, Durability, Event, Journal, Light, Millis, Outcome, Verdict,
};
use proto::envelope::{Ack, Batch, CommandReport, Deliver, Envelope, Kind, Pong, Publish, Welcome};
use proto::{CloseCode, CommandId, CommandState, limits};

/// The hub's clock at the start of the story.
pub(crate) const NOON: u64 = 1_800_000_000_000;

/// The same numbers for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % (max + 1)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        count > 0 && self.up_to(count - 1) == 0
    }
}

/// Storage that outlives the machine, and a plan of when power fails in it.
#[derive(Debug, Default)]
pub(crate) struct Flash {
    pub(crate) boot: u32,
    pub(crate) slots: HashMap<usize, Vec<u8>>,
    pub(crate) writes: usize,
    /// Power fails in this write, counted from 0; true: after the bytes are safe.
    pub(crate) cut_at: Option<(usize, bool)>,
    pub(crate) dark: bool,
    pub(crate) broken: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct SharedFlash(pub(crate) Rc<RefCell<Flash>>);

impl Journal for SharedFlash {
    type Error = &'static str;

    fn raise_boot(&mut self) -> Result<u32, Self::Error> {
        let mut flash = self.0.borrow_mut();
        flash.boot += 1;
        Ok(flash.boot)
    }

    fn load(&mut self, slot: usize, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let flash = self.0.borrow();
        let Some(bytes) = flash.slots.get(&slot) else { return Ok(0) };
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn record(&mut self, slot: usize, entry: &[u8], _: Durability) -> Result<(), Self::Error> {
        let mut flash = self.0.borrow_mut();
        if flash.broken {
            return Err("worn out");
        }
        let write = flash.writes;
        flash.writes += 1;
        let cut = flash.cut_at.filter(|(at, _)| *at == write);
        flash.dark |= cut.is_some();
        if matches!(cut, Some((_, false))) {
            return Err("no power");
        }
        flash.slots.insert(slot, entry.to_vec());
        if cut.is_some() { Err("no power") } else { Ok(()) }
    }
}

/// What the hub knows of one command.
pub(crate) struct HubCommand {
    pub(crate) id: CommandId,
    pub(crate) payload: Vec<u8>,
    pub(crate) deadline: Millis,
    pub(crate) states: Vec<CommandState>,
    pub(crate) result: Vec<u8>,
}

impl HubCommand {
    pub(crate) fn ended(&self) -> Option<CommandState> {
        self.states.iter().copied().find(|state| state.is_terminal())
    }
}

/// A report as the hub's ledger has it: time and payload.
type Stored = (u64, Vec<u8>);

/// The scripted hub.
#[derive(Default)]
pub(crate) struct Hub {
    pub(crate) stored: BTreeMap<(u32, u64), Stored>,
    pub(crate) received: u64,
    pub(crate) commands: Vec<HubCommand>,
    pub(crate) hellos: Vec<(u32, String)>,
    pub(crate) pings: u32,
    pub(crate) wishes: Vec<String>,
    pub(crate) acks: bool,
    pub(crate) settles: bool,
    pub(crate) window_s: u32,
    boot: u32,
}

impl Hub {
    fn accepted(&self, boot: u32) -> u64 {
        self.stored.range((boot, 0)..=(boot, u64::MAX)).next_back().map_or(0, |entry| entry.0.1)
    }

    pub(crate) fn deliver(&self, now: Millis, out: &mut Vec<u8>) {
        let open = self.commands.iter().filter(|command| command.ended().is_none());
        for command in open.take(limits::COMMANDS_IN_FLIGHT_MAX) {
            let remaining_ms = u32::try_from(command.deadline.since(now)).expect("minutes");
            let (id, payload) = (command.id.text(), &command.payload[..]);
            let deliver =
                Deliver { command: id.as_str(), payload, remaining_ms, ..Deliver::default() };
            Envelope::new(Kind::Deliver(deliver)).encode_delimited(out);
        }
    }

    /// Takes one message of the device and answers.
    fn take(&mut self, now: Millis, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for envelope in Batch::parse(message).expect("the device speaks the protocol") {
            match envelope.kind {
                Kind::Hello(hello) => {
                    self.boot = hello.boot;
                    self.hellos.push((hello.boot, hello.token.to_owned()));
                    let welcome = Welcome {
                        time_unix_ms: NOON + now.0,
                        ping_interval_s: 30,
                        reconnect_window_s: self.window_s,
                        accepted_seq: self.accepted(hello.boot),
                        ..Welcome::default()
                    };
                    Envelope::new(Kind::Welcome(welcome)).encode_delimited(&mut out);
                    self.deliver(now, &mut out);
                }
                Kind::Publish(publish) => self.store(&publish),
                Kind::CommandReport(report) => {
                    self.report(now, envelope.request, &report, &mut out)
                }
                Kind::Ping(_) => {
                    self.pings += 1;
                    let pong = Pong { time_unix_ms: NOON + now.0, ..Pong::default() };
                    Envelope::new(Kind::Pong(pong)).encode_delimited(&mut out);
                }
                Kind::Subscribe(wish) => {
                    self.wishes.push(wish.pattern.to_owned());
                    let (request, kind) = (envelope.request, Kind::Ack(Ack::default()));
                    Envelope { request, kind }.encode_delimited(&mut out);
                }
                other => assert_eq!(other.name(), "Ready"),
            }
        }
        let seq = self.accepted(self.boot);
        if self.acks && seq > 0 {
            let ack = Ack { boot: self.boot, seq, durable: true, ..Ack::default() };
            Envelope::new(Kind::Ack(ack)).encode_delimited(&mut out);
        }
        out
    }

    fn store(&mut self, publish: &Publish<'_>) {
        self.received += 1;
        let payload = publish.payload.expect("a payload").to_vec();
        let value = (publish.time_unix_ms, payload);
        let stored = self.stored.entry((self.boot, publish.seq)).or_insert_with(|| value.clone());
        assert_eq!(*stored, value, "a repeated report is the same report");
    }

    fn report(&mut self, now: Millis, request: u64, report: &CommandReport<'_>, out: &mut Vec<u8>) {
        let id = CommandId::parse(report.command).expect("an id");
        let mut commands = self.commands.iter_mut();
        let Some(command) = commands.find(|command| command.id == id) else { return };
        if command.ended().is_none() {
            command.states.push(report.state);
            command.result = report.result.to_vec();
            if report.state.is_terminal() {
                // Room for the next one; what is under way comes twice.
                self.deliver(now, out);
            }
        } else if report.state.is_terminal() {
            assert_eq!(command.ended(), Some(report.state), "one terminal state");
        }
        if request > 0 && self.settles {
            let ack = Ack { durable: true, ..Ack::default() };
            Envelope { request, kind: Kind::Ack(ack) }.encode_delimited(out);
        }
    }
}

/// How bad the link is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) delay_ms_max: u64,
    /// One message in so many is doubled; 0 for none.
    pub(crate) doubled: u64,
    /// At one message in so many the connection breaks, and what is under way is lost; 0 for never.
    pub(crate) broken: u64,
}

enum Arrival {
    Connected,
    Refused,
    ToHub(Vec<u8>),
    ToDevice(Vec<u8>),
    Lost(Option<CloseCode>),
}

pub(crate) type Machine = Client<'static, SharedFlash>;

/// Everything together.
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    pub(crate) machine: Machine,
    pub(crate) flash: SharedFlash,
    pub(crate) hub: Hub,
    pub(crate) hub_up: bool,
    pub(crate) silent: bool,
    pub(crate) weather: Weather,
    pub(crate) connects: Vec<Millis>,
    pub(crate) closes: Vec<CloseCode>,
    pub(crate) events: Vec<String>,
    pub(crate) lights: Vec<Light>,
    /// Every effect that was begun, and when.
    pub(crate) effects: Vec<(CommandId, Millis)>,
    pub(crate) work_ms: u64,
    working: Option<(Millis, CommandId)>,
    connected: bool,
    under_way: VecDeque<(Millis, Arrival)>,
    config: fn(u64) -> Config<'static>,
    ring_bytes: usize,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, 4096, |seed| Config::new("lamp-0042", seed))
    }

    pub(crate) fn with(seed: u64, ring_bytes: usize, config: fn(u64) -> Config<'static>) -> Self {
        let flash = SharedFlash::default();
        let machine = boot(config(seed), ring_bytes, &flash, Millis(0));
        let hub = Hub { acks: true, settles: true, window_s: 5, ..Hub::default() };
        Self {
            now: Millis(0),
            seed,
            dice: Dice(seed),
            machine,
            flash,
            hub,
            hub_up: true,
            silent: false,
            weather: Weather { delay_ms_max: 50, ..Weather::default() },
            connects: Vec::new(),
            closes: Vec::new(),
            events: Vec::new(),
            lights: Vec::new(),
            effects: Vec::new(),
            work_ms: 100,
            working: None,
            connected: false,
            under_way: VecDeque::new(),
            config,
            ring_bytes,
        }
    }

    /// Lets so much time pass.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now.after(ms);
        loop {
            self.settle();
            let arrival = self.under_way.front().map(|(at, _)| *at);
            let work = self.working.map(|(at, _)| at);
            let next = [self.machine.deadline(), arrival, work].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            assert!(next >= self.now || self.machine.deadline() != Some(next), "time stands still");
            self.now = self.now.max(next);
            if self.under_way.front().is_some_and(|(at, _)| *at <= self.now) {
                let (_, arrival) = self.under_way.pop_front().expect("looked at");
                self.arrive(arrival);
            } else if work.is_some_and(|at| at <= self.now) {
                self.finish();
            } else {
                self.machine.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    /// The connection breaks.
    pub(crate) fn cut(&mut self, code: Option<CloseCode>) {
        self.under_way.clear();
        self.connected = false;
        self.machine.handle_closed(self.now, code);
    }

    /// Something the hub says by itself.
    pub(crate) fn hub_says(&mut self, kind: Kind<'_>) {
        let mut bytes = Vec::new();
        Envelope::new(kind).encode_delimited(&mut bytes);
        self.send(Arrival::ToDevice(bytes));
    }

    pub(crate) fn command(&mut self, number: u8, payload: &[u8], ttl_ms: u64) -> CommandId {
        let id = CommandId::from_bytes([number; 16]);
        let (payload, deadline) = (payload.to_vec(), self.now.after(ttl_ms));
        let command = HubCommand { id, payload, deadline, states: Vec::new(), result: Vec::new() };
        self.hub.commands.push(command);
        if self.connected {
            let mut bytes = Vec::new();
            self.hub.deliver(self.now, &mut bytes);
            self.send(Arrival::ToDevice(bytes));
        }
        id
    }

    pub(crate) fn begun(&self, id: CommandId) -> usize {
        self.effects.iter().filter(|(begun, _)| *begun == id).count()
    }

    pub(crate) fn ended(&self, id: CommandId) -> Option<CommandState> {
        self.hub.commands.iter().find(|command| command.id == id).and_then(HubCommand::ended)
    }

    /// Power fails and returns 5 s later: only the flash remains.
    pub(crate) fn power_cycle(&mut self) {
        self.under_way.clear();
        (self.connected, self.working) = (false, None);
        self.now = self.now.after(5_000);
        self.flash.0.borrow_mut().dark = false;
        self.machine = boot((self.config)(self.seed), self.ring_bytes, &self.flash, self.now);
    }

    /// Events, then messages, until the machine is quiet.
    pub(crate) fn settle(&mut self) {
        while let Some(event) = self.machine.poll_event(self.now) {
            let text = format!("{event:?}");
            match event {
                _ if self.flash.0.borrow().dark => {}
                Event::ConnectNow => {
                    self.connects.push(self.now);
                    let arrival = if self.hub_up { Arrival::Connected } else { Arrival::Refused };
                    self.send(arrival);
                }
                Event::CloseConnection(code) => {
                    self.closes.push(code);
                    self.cut(None);
                }
                Event::Light(light) => self.lights.push(light),
                Event::CommandStart { id, .. } => {
                    self.effects.push((id, self.now));
                    self.working = Some((self.now.after(self.work_ms), id));
                }
                _ => {}
            }
            if self.flash.0.borrow().dark {
                self.power_cycle();
            }
            self.events.push(text);
        }
        let mut buffer = [0; 1024];
        while let Some(length) = self.machine.poll_transmit(self.now, &mut buffer) {
            if self.connected {
                self.send(Arrival::ToHub(buffer[..length].to_vec()));
            }
        }
    }

    fn finish(&mut self) {
        let (_, id) = self.working.take().expect("something runs");
        let outcome = Outcome { verdict: Verdict::Succeeded, detail: "done", result: b"proof" };
        self.machine.command_done(id, &outcome).expect("it runs");
        if self.flash.0.borrow().dark {
            self.power_cycle();
        }
    }

    /// Puts something onto the link; it never overtakes what left before.
    fn send(&mut self, arrival: Arrival) {
        let last = self.under_way.back().map_or(self.now, |(at, _)| *at);
        let at = self.now.after(self.dice.up_to(self.weather.delay_ms_max)).max(last);
        let message = matches!(arrival, Arrival::ToHub(_) | Arrival::ToDevice(_));
        if message && self.dice.one_in(self.weather.broken) {
            self.under_way.clear();
            self.under_way.push_back((at, Arrival::Lost(None)));
            return;
        }
        let double = message && self.dice.one_in(self.weather.doubled);
        if let (true, Arrival::ToHub(bytes) | Arrival::ToDevice(bytes)) = (double, &arrival) {
            let copy = match &arrival {
                Arrival::ToHub(_) => Arrival::ToHub(bytes.clone()),
                _ => Arrival::ToDevice(bytes.clone()),
            };
            self.under_way.push_back((at, copy));
        }
        self.under_way.push_back((at, arrival));
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Connected => {
                self.connected = true;
                self.machine.handle_connected(self.now);
            }
            Arrival::Refused => self.machine.handle_closed(self.now, None),
            Arrival::Lost(code) => self.cut(code),
            Arrival::ToDevice(bytes) => self.machine.handle_message(self.now, &bytes),
            Arrival::ToHub(bytes) => {
                let answer = self.hub.take(self.now, &bytes);
                if !answer.is_empty() && !self.silent {
                    self.send(Arrival::ToDevice(answer));
                }
            }
        }
    }
}

fn boot(config: Config<'static>, ring: usize, flash: &SharedFlash, now: Millis) -> Machine {
    // Leaked: the machine borrows its memory as firmware does, for ever.
    let bytes = |length: usize| -> &'static mut [u8] { vec![0; length].leak() };
    let buffers = Buffers { samples: bytes(ring), events: bytes(ring), commands: bytes(256) };
    Client::new(config, buffers, flash.clone(), now).expect("the flash can be read")
}
