//! Stories of commands under virtual time, with a disk and devices that do as the test says.

mod acceptance;
mod crashes;
mod deliveries;
mod model;
mod outcomes;
mod records;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use proto::CommandState;
use proto::id::{CommandId, DeviceId};

use super::{Effect, Input, Ledger, Limits, NewCommand, ReplyToken, Report};
use crate::clock::Now;

const TTL: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);

/// A ledger under virtual time, and the disk below it. Takes all effects after every input, as the
/// contract demands.
struct Bench {
    ledger: Ledger,
    limits: Limits,
    now: Now,
    /// Asked for, not yet written.
    pending: VecDeque<Write>,
    disk: BTreeMap<CommandId, Bytes>,
    commits: usize,
}

enum Write {
    Put(CommandId, Bytes, u32),
    Delete(CommandId),
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            ledger: Ledger::new(limits),
            limits,
            now: Now::read(),
            pending: VecDeque::new(),
            disk: BTreeMap::new(),
            commits: 0,
        }
    }

    /// A bench whose `lamp-1` is ready in session 1 after its first start.
    fn ready() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.run(ready(1, 1)), [""; 0]);
        bench
    }

    /// One input, nothing written yet.
    fn feed(&mut self, input: Input) -> Vec<String> {
        self.ledger.handle(self.now, input);
        self.drain()
    }

    /// One input, and everything that it asks for written.
    fn run(&mut self, input: Input) -> Vec<String> {
        let mut seen = self.feed(input);
        seen.extend(self.commit());
        seen
    }

    /// Writes until nothing is left to write.
    fn commit(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        while !self.pending.is_empty() {
            self.commits += 1;
            for write in std::mem::take(&mut self.pending) {
                match write {
                    Write::Put(command, record, step) => {
                        self.disk.insert(command, record);
                        seen.extend(self.feed(Input::Durable { command, step }));
                    }
                    Write::Delete(command) => {
                        self.disk.remove(&command);
                    }
                }
            }
        }
        seen
    }

    /// The disk has no room for anything that is asked for.
    fn refuse_writes(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        for write in std::mem::take(&mut self.pending) {
            if let Write::Put(command, _, step) = write {
                seen.extend(self.feed(Input::NotStored { command, step }));
            }
        }
        seen
    }

    /// Lets time pass without a timer.
    fn skip(&mut self, wait: Duration) {
        self.now = self.now.after(wait);
    }

    /// Lets time pass, then the timer fires if it is due.
    fn wait(&mut self, wait: Duration) -> Vec<String> {
        self.skip(wait);
        let mut seen = Vec::new();
        while self.ledger.deadline().is_some_and(|deadline| deadline <= self.now.mono) {
            seen.extend(self.run(Input::Timeout));
        }
        seen
    }

    /// kill -9: what was not written is lost, and a new process reads the disk.
    fn crash(&mut self) {
        self.pending.clear();
        self.ledger = Ledger::new(self.limits);
        for record in self.disk.values() {
            self.ledger.restore(self.now, record).expect("the ledger reads what it wrote");
        }
        assert_eq!(self.drain(), [""; 0], "a restart by itself tells nobody anything");
    }

    fn drain(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(effect) = self.ledger.poll_effect() {
            match effect {
                Effect::Persist { command, record, step } => {
                    self.pending.push_back(Write::Put(command, record, step));
                }
                Effect::Forget { command } => self.pending.push_back(Write::Delete(command)),
                Effect::AckReport { .. }
                | Effect::Deliver(_)
                | Effect::Reply { .. }
                | Effect::Update(_) => seen.push(line(&effect)),
            }
        }
        seen
    }

    fn state(&self, number: u8) -> CommandState {
        self.ledger.command(&id(number)).expect("the command is known").state()
    }

    fn detail(&self, number: u8) -> &str {
        self.ledger.command(&id(number)).expect("the command is known").detail()
    }
}

/// An effect as one line, with the numbers of commands and tokens.
fn line(effect: &Effect) -> String {
    match effect {
        Effect::AckReport { token, .. } => format!("ack {}", token.0),
        Effect::Deliver(out) => {
            let (number, attempt) = (number(out.command), out.attempt);
            format!("deliver {number} to {}@{} #{attempt}", out.device, out.session)
        }
        Effect::Forget { command } => format!("forget {}", number(*command)),
        Effect::Persist { command, step, .. } => format!("persist {} {step}", number(*command)),
        Effect::Reply { token, answer: Ok(accepted) } => {
            let again = if accepted.duplicate { " again" } else { "" };
            let (number, state) = (number(accepted.command), accepted.state.word());
            format!("reply {}: {number} {state}{again}", token.0)
        }
        Effect::Reply { token, answer: Err(refusal) } => format!("reply {}: {refusal}", token.0),
        Effect::Update(update) => {
            let late = if update.late { " (late)" } else { "" };
            let percent = match update.percent {
                0 => String::new(),
                percent => format!(" {percent}%"),
            };
            format!("{} {}{percent}{late}", number(update.command), update.state.word())
        }
    }
}

fn id(number: u8) -> CommandId {
    let mut bytes = *b"\x01\x90\xf3\x5a\x00\x00\x70\x00\x80\0\0\0\0\0\0\0";
    bytes[15] = number;
    CommandId::from_bytes(bytes)
}

fn number(id: CommandId) -> u8 {
    id.to_bytes()[15]
}

fn lamp(number: u8) -> DeviceId {
    DeviceId::parse(&format!("lamp-{number}")).expect("a device id")
}

fn new(number: u8) -> NewCommand {
    NewCommand {
        command: id(number),
        device: lamp(1),
        sender: "operator alice".into(),
        request_id: None,
        supersede_key: None,
        type_name: "lighting.v1.Command".into(),
        payload: Bytes::from(vec![number; 8]),
        ttl: TTL,
        reply: ReplyToken(number.into()),
    }
}

/// Command `number` for `lamp-1`, whose reply token is its number.
fn accept(number: u8) -> Input {
    Input::Accept(new(number))
}

fn accept_keyed(number: u8, key: &str) -> Input {
    Input::Accept(NewCommand { supersede_key: Some(key.into()), ..new(number) })
}

fn cancel(number: u8, token: u64) -> Input {
    Input::Cancel { command: id(number), by: "bob".into(), reply: ReplyToken(token) }
}

/// `lamp-1` takes commands.
fn ready(session: u64, boot: u32) -> Input {
    Input::DeviceReady { device: lamp(1), session, boot, window: 8 }
}

fn gone(session: u64) -> Input {
    Input::DeviceGone { device: lamp(1), session }
}

fn said(session: u64, number: u8, state: CommandState) -> Report {
    Report {
        device: lamp(1),
        session,
        command: id(number),
        state,
        percent: 0,
        detail: Box::default(),
        result: Bytes::new(),
        reply: None,
    }
}

/// `lamp-1` reports without asking for an answer.
fn report(session: u64, number: u8, state: CommandState) -> Input {
    Input::Report(said(session, number, state))
}

/// `lamp-1` reports and wants to hear when it may forget.
fn asking(session: u64, number: u8, state: CommandState, token: u64) -> Input {
    Input::Report(Report { reply: Some(ReplyToken(token)), ..said(session, number, state) })
}

fn running(session: u64, number: u8, percent: u8) -> Input {
    Input::Report(Report { percent, ..said(session, number, CommandState::Running) })
}
