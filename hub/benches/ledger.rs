//! What the life of a command costs the ledger: from its acceptance to its end, forgotten at last.
//!
//! The disk answers at once, so this is the ledger's own share; the commits come on top.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use hub::clock::Now;
use hub::ledger::{Effect, Input, Ledger, Limits, NewCommand, ReplyToken, Report};
use proto::{CommandId, CommandState, DeviceId};

const TTL: Duration = Duration::from_secs(60);
/// Ended commands are forgotten after this, so that the ledger stays as large as at the start.
const RETENTION: Duration = Duration::from_millis(100);
/// Time between two commands.
const PACE: Duration = Duration::from_millis(1);
const WINDOW: usize = 8;
/// Commands that wait for other devices while the measured one lives.
const OTHERS: u64 = 10_000;

/// A ledger under virtual time, whose disk has everything at once.
struct Office {
    ledger: Ledger,
    now: Now,
    numbers: u64,
}

impl Office {
    /// `lamp-1` is ready; so many commands wait for lamps that are away.
    fn new(waiting: u64) -> Self {
        let limits = Limits { retention: RETENTION, ..Limits::default() };
        let mut office = Self { ledger: Ledger::new(limits), now: Now::read(), numbers: 0 };
        let device = lamp(1);
        office.feed(Input::DeviceReady { device, session: 1, boot: 1, window: WINDOW });
        for number in 0..waiting {
            // No virtual hour passes here, so these outlive the measurement.
            let ttl = Duration::from_secs(7 * 24 * 3600);
            office.accept(lamp(2 + number / 16), ttl);
        }
        office
    }

    fn feed(&mut self, input: Input) {
        self.ledger.handle(self.now, input);
        while let Some(effect) = self.ledger.poll_effect() {
            if let Effect::Persist { command, step, .. } = effect {
                self.ledger.handle(self.now, Input::Durable { command, step });
            } else {
                black_box(effect);
            }
        }
    }

    fn accept(&mut self, device: DeviceId, ttl: Duration) -> CommandId {
        self.numbers += 1;
        let mut bytes = *b"\x01\x90\xf3\x5a\x00\x00\x70\x00\x80\0\0\0\0\0\0\0";
        bytes[9..].copy_from_slice(&self.numbers.to_be_bytes()[1..]);
        let command = CommandId::from_bytes(bytes);
        self.feed(Input::Accept(NewCommand {
            command,
            device,
            sender: "operator alice".into(),
            request_id: Some(format!("request-{}", self.numbers).into()),
            supersede_key: None,
            type_name: "lighting.v1.Command".into(),
            payload: Bytes::from_static(&[7; 16]),
            ttl,
            reply: ReplyToken(self.numbers),
        }));
        command
    }

    fn report(&mut self, command: CommandId, state: CommandState) {
        self.feed(Input::Report(Report {
            device: lamp(1),
            session: 1,
            command,
            state,
            percent: 0,
            detail: "".into(),
            result: Bytes::new(),
            reply: Some(ReplyToken(self.numbers)),
        }));
    }

    /// ACCEPTED, SENT, DELIVERED, RUNNING, SUCCEEDED; then time passes, and an old one is forgotten.
    fn whole_life(&mut self) {
        let command = self.accept(lamp(1), TTL);
        for state in [CommandState::Delivered, CommandState::Running, CommandState::Succeeded] {
            self.report(command, state);
        }
        self.now = self.now.after(PACE);
        while self.ledger.deadline().is_some_and(|deadline| deadline <= self.now.mono) {
            self.feed(Input::Timeout);
        }
    }
}

fn lamp(number: u64) -> DeviceId {
    DeviceId::parse(&format!("lamp-{number}")).expect("a device id")
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger: a command's whole life");
    group.throughput(Throughput::Elements(1));
    for waiting in [0, OTHERS] {
        let mut office = Office::new(waiting);
        group.bench_function(format!("beside {waiting} that wait"), |bench| {
            bench.iter(|| office.whole_life());
        });
        let succeeded = office.ledger.stats().in_state(CommandState::Succeeded);
        assert!(succeeded > 0, "commands reach their end");
    }
    group.finish();
}

/// A round for the instruction counter, beside many that wait.
pub(crate) fn life() -> Box<dyn FnMut()> {
    let mut office = Office::new(OTHERS);
    Box::new(move || office.whole_life())
}
