//! One hub, its disk and three devices, driven by chance; and what must be true of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::CommandState;
use proto::id::CommandId;

use super::super::{Write, lamp};
use super::checks::Seen;
use super::device::Device;
use super::random::Random;
use crate::clock::Now;
use crate::ledger::{Effect, Input, Ledger, Limits, NewCommand, ReplyToken, Update};

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    None,
    AckBeforeSync,
    NoJournal,
}

/// What everybody outside the hub knows of a command.
pub(super) struct Known {
    pub(super) new: NewCommand,
    deadline: Instant,
    pub(super) acked: bool,
    pub(super) refused: bool,
    shown: Option<CommandState>,
}

pub(super) struct World {
    random: Random,
    sabotage: Sabotage,
    pub(super) limits: Limits,
    pub(super) ledger: Ledger,
    now: Now,
    pub(super) disk: BTreeMap<CommandId, Bytes>,
    pending: VecDeque<Write>,
    pub(super) devices: Vec<Device>,
    pub(super) known: Vec<Known>,
    generation: u64,
    pub(super) faults: Vec<String>,
    pub(super) seen: Seen,
}

impl World {
    pub(super) fn new(seed: u64, sabotage: Sabotage) -> Self {
        let limits = Limits { queue_max: 12, ..Limits::default() };
        let device = |number| Device::new(lamp(number), sabotage == Sabotage::NoJournal);
        Self {
            random: Random::new(seed),
            sabotage,
            limits,
            ledger: Ledger::new(limits),
            now: Now::read(),
            disk: BTreeMap::new(),
            pending: VecDeque::new(),
            devices: (1..=3).map(device).collect(),
            known: Vec::new(),
            generation: 0,
            faults: Vec::new(),
            seen: Seen::default(),
        }
    }

    pub(super) fn run(&mut self) {
        for _ in 0..2_000 {
            self.act();
        }
        for _ in 0..120 {
            self.commit(usize::MAX);
            (0..self.devices.len()).for_each(|index| self.calm(index));
            self.pass(Duration::from_secs(1));
        }
        self.check_end();
    }

    fn act(&mut self) {
        let index = self.random.below(self.devices.len());
        match self.random.below(100) {
            0..8 => self.accept(index),
            8..10 => self.accept_again(),
            10 => self.cancel(),
            11..26 => {
                let count = 1 + self.random.below(8);
                self.commit(count);
            }
            26 if self.random.one_in(4) => self.refuse_writes(),
            26..30 => self.connect(index),
            30 => self.disconnect(index),
            31 if self.random.one_in(2) => self.cut_power(index),
            32 if self.random.one_in(4) => self.crash(),
            31..50 => self.devices[index].receive(self.now.mono),
            50..70 => self.devices[index].work(self.now.mono, &mut self.random),
            70..72 => self.devices[index].repeat(),
            72..94 => self.pass_report(index),
            _ => {
                let wait = self.random.below(3_000) as u64;
                self.pass(Duration::from_millis(wait));
            }
        }
    }

    fn accept(&mut self, index: usize) {
        let number = self.known.len() as u32;
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let key = ["override", "calendar"][self.random.below(2)];
        let new = NewCommand {
            command: CommandId::from_bytes(bytes),
            device: self.devices[index].id.clone(),
            request_id: Some(number.to_string().into()),
            supersede_key: self.random.one_in(4).then(|| key.into()),
            payload: Bytes::copy_from_slice(&bytes),
            ttl: Duration::from_secs(5 + self.random.below(30) as u64),
            reply: ReplyToken(number.into()),
            ..super::super::new(1)
        };
        let deadline = self.now.mono + new.ttl;
        let (acked, refused, shown) = (false, false, None);
        self.known.push(Known { new: new.clone(), deadline, acked, refused, shown });
        self.feed(Input::Accept(new));
    }

    /// A sender that didn't get its answer asks again under the same request id.
    fn accept_again(&mut self) {
        let Some(index) = self.any_command() else { return };
        let known = &self.known[index];
        if known.acked && !known.refused {
            let command = CommandId::from_bytes([0xff; 16]);
            let again = NewCommand { command, ..known.new.clone() };
            self.seen.repeated += 1;
            self.feed(Input::Accept(again));
        }
    }

    fn cancel(&mut self) {
        let Some(index) = self.any_command() else { return };
        let command = self.known[index].new.command;
        self.feed(Input::Cancel { command, by: "bob".into(), reply: ReplyToken(u64::MAX) });
    }

    fn any_command(&mut self) -> Option<usize> {
        (!self.known.is_empty()).then(|| self.random.below(self.known.len()))
    }

    fn connect(&mut self, index: usize) {
        self.generation += 1;
        let device = &mut self.devices[index];
        device.disconnect();
        device.session = Some(self.generation);
        device.repeat();
        let input = Input::DeviceReady {
            device: device.id.clone(),
            session: self.generation,
            boot: device.boot,
            window: 1 + self.random.below(8),
        };
        self.feed(input);
    }

    fn disconnect(&mut self, index: usize) {
        let device = &mut self.devices[index];
        let Some(session) = device.session else { return };
        device.disconnect();
        let device = device.id.clone();
        // Otherwise the hub learns of it by the next session.
        if self.random.one_in(2) {
            self.feed(Input::DeviceGone { device, session });
        }
    }

    pub(super) fn cut_power(&mut self, index: usize) {
        self.disconnect(index);
        self.devices[index].lose_power();
    }

    fn pass_report(&mut self, index: usize) {
        if let Some(report) = self.devices[index].next_report(&mut self.random) {
            self.feed(Input::Report(report));
        }
    }

    /// Nothing bad happens to this device for a while.
    fn calm(&mut self, index: usize) {
        if self.devices[index].session.is_none() || self.random.one_in(30) {
            self.connect(index);
        }
        for _ in 0..10 {
            self.devices[index].receive(self.now.mono);
            self.devices[index].work(self.now.mono, &mut self.random);
            self.pass_report(index);
            self.pass_report(index);
        }
    }

    pub(super) fn pass(&mut self, wait: Duration) {
        if !self.random.one_in(4) {
            self.commit(usize::MAX);
        }
        self.now = self.now.after(wait);
        while self.ledger.deadline().is_some_and(|due| due <= self.now.mono) {
            self.feed(Input::Timeout);
        }
        for known in self.known.iter().filter(|known| known.acked) {
            let late = self.now.mono > known.deadline + Duration::from_secs(60);
            // What was shown doesn't tell: the crash may come between an end's record and its news.
            let view = self.ledger.command(&known.new.command);
            if late && view.is_some_and(|view| !view.state().is_terminal()) {
                self.faults.push(format!("{} has no end", known.new.command));
            }
        }
    }

    pub(super) fn commit(&mut self, count: usize) {
        for _ in 0..count {
            let Some(write) = self.pending.pop_front() else { break };
            if let Some(durable) = self.write(write).filter(|_| !self.is_lying()) {
                self.feed(durable);
            }
        }
    }

    fn write(&mut self, write: Write) -> Option<Input> {
        match write {
            Write::Put(command, record, step) => {
                self.disk.insert(command, record);
                Some(Input::Durable { command, step })
            }
            Write::Delete(command) => {
                self.disk.remove(&command);
                None
            }
        }
    }

    fn refuse_writes(&mut self) {
        for write in std::mem::take(&mut self.pending) {
            if let Write::Put(command, _, step) = write {
                self.feed(Input::NotStored { command, step });
            }
        }
    }

    /// kill -9, at any place in what was to be written.
    fn crash(&mut self) {
        self.seen.hub_crashes += 1;
        self.seen.redelivered += self.ledger.stats().redeliveries;
        for _ in 0..self.random.below(self.pending.len() + 1) {
            let write = self.pending.pop_front();
            write.and_then(|write| self.write(write));
        }
        self.pending.clear();
        self.ledger = Ledger::new(self.limits);
        for record in self.disk.values() {
            self.ledger.restore(self.now, record).expect("the ledger reads what it wrote");
        }
        self.drain();
        self.devices.iter_mut().for_each(Device::disconnect);
        self.check_restored();
    }

    fn check_restored(&mut self) {
        for known in &mut self.known {
            let id = known.new.command;
            let view = self.ledger.command(&id);
            match (view, known.shown) {
                (None, _) if known.acked => self.faults.push(format!("{id} was lost")),
                (Some(_), _) if known.refused => self.faults.push(format!("{id} was refused")),
                (Some(view), _) if *view.payload() != known.new.payload => {
                    self.faults.push(format!("{id} has another body"));
                }
                (Some(view), Some(shown)) if shown.is_terminal() && view.state() != shown => {
                    self.faults.push(format!("{id} was {shown:?}"));
                }
                _ => {}
            }
            // Progress is not kept over a crash; ends are.
            known.shown = known.shown.filter(|shown| shown.is_terminal());
        }
    }

    pub(super) fn feed(&mut self, input: Input) {
        self.ledger.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.ledger.poll_effect() {
            match effect {
                Effect::AckReport { device, session, command, .. } => {
                    let device = self.devices.iter_mut().find(|it| it.id == device);
                    let device = device.filter(|it| it.session == Some(session));
                    device.into_iter().for_each(|device| device.acked(command));
                }
                Effect::Deliver(out) => self.deliver(out),
                Effect::Forget { command } => self.pending.push_back(Write::Delete(command)),
                Effect::Persist { command, record, step } => {
                    self.pending.push_back(Write::Put(command, record, step));
                    if self.is_lying() {
                        self.ledger.handle(self.now, Input::Durable { command, step });
                    }
                }
                Effect::Reply { token, answer } => self.answered(token, answer.is_ok()),
                Effect::Update(update) => self.updated(&update),
            }
        }
    }

    fn is_lying(&self) -> bool {
        self.sabotage == Sabotage::AckBeforeSync
    }

    fn deliver(&mut self, out: crate::ledger::Delivery) {
        let known = self.known.iter().find(|known| known.new.command == out.command);
        let Some(known) = known else { return self.faults.push("phantom".to_owned()) };
        if self.now.mono + out.remaining > known.deadline {
            self.faults.push(format!("{} has too much time", out.command));
        }
        let device = self.devices.iter_mut().find(|device| device.id == out.device);
        match device.filter(|device| device.session == Some(out.session)) {
            Some(device) => device.link_down.push_back(out),
            None => {
                let (device, session) = (out.device, out.session);
                self.ledger.handle(self.now, Input::DeviceGone { device, session });
            }
        }
    }

    fn answered(&mut self, token: ReplyToken, accepted: bool) {
        let Some(known) = self.known.get_mut(token.0 as usize) else { return };
        if accepted {
            known.acked = true;
        } else {
            known.refused = true;
            self.seen.refused += 1;
        }
    }

    fn updated(&mut self, update: &Update) {
        let known = self.known.iter_mut().find(|known| known.new.command == update.command);
        let Some(known) = known else { return self.faults.push("phantom".to_owned()) };
        if update.late {
            self.seen.late += 1;
            return;
        }
        let (before, state) = (known.shown.replace(update.state), update.state);
        if before.is_some_and(|before| before.is_terminal() || before > state) {
            self.faults.push(format!("{} went from {before:?} to {state:?}", update.command));
        }
        if state.is_terminal() {
            self.seen.ends[state as usize] += 1;
        }
    }
}
