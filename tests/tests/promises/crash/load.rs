//! Devices that report and obey, an operator that commands, a dashboard that watches, and what each of
//! them wrote down. All of them come back at once whenever the hub does.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::publish::Content;
use proto::messages::lamplighter::v1::{CommandState, Envelope, Publish, Send, Subscribe};
use tests::device::report_of;
use tests::{Client, Event, Hub, Via, device, lamp, person};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const REPORT_EVERY: Duration = Duration::from_millis(40);
const COMMAND_EVERY: Duration = Duration::from_millis(25);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Where the hub is.
#[derive(Clone)]
pub(crate) enum Phase {
    Up(Via),
    Down,
    Over,
}

/// A command that the operator has the hub's word on.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) device: usize,
    pub(crate) reference: String,
    pub(crate) command: String,
}

/// What everybody wrote down.
#[derive(Default)]
struct Ledgers {
    attempted: Vec<AtomicU64>,
    acknowledged: Vec<AtomicU64>,
    sent: Mutex<Vec<Sent>>,
    asked: Mutex<HashSet<String>>,
    executed: Mutex<HashMap<String, u32>>,
    faults: Mutex<Vec<String>>,
    /// The operator sends no more.
    enough: AtomicBool,
}

/// The running load.
pub(crate) struct Load {
    phase: watch::Sender<Phase>,
    operator: Option<JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    ledgers: Arc<Ledgers>,
}

/// What a device reports under a sequence number.
pub(crate) fn number(device: usize, seq: u64) -> u32 {
    let seq = u32::try_from(seq).expect("a short test");
    seq.wrapping_mul(0x9e37_79b1) ^ u32::try_from(device).expect("few devices")
}

pub(crate) fn id(device: usize) -> String {
    format!("lamp-{device:04}")
}

/// The device whose channel this is.
pub(crate) fn device_of(channel: &str) -> usize {
    let id = channel.split('.').nth(1).and_then(|id| id.strip_prefix("lamp-"));
    id.and_then(|digits| digits.parse().ok()).expect("a channel of one of our lamps")
}

impl Load {
    pub(crate) async fn begin(hub: &Hub, devices: usize) -> Self {
        let (phase, told) = watch::channel(Phase::Up(Via::of(hub)));
        let ids: Vec<String> = (0..devices).map(id).collect();
        let tokens = hub.register_many(&ids).await;
        let count = || (0..devices).map(|_| AtomicU64::new(0)).collect();
        let ledgers =
            Arc::new(Ledgers { attempted: count(), acknowledged: count(), ..Ledgers::default() });
        let mut tasks = Vec::new();
        for (at, token) in tokens.into_iter().enumerate() {
            tasks.push(tokio::spawn(lamp_life(at, token, told.clone(), ledgers.clone())));
        }
        let (operator, viewer) = (hub.dev_token("operator"), hub.dev_token("viewer"));
        let operator = tokio::spawn(operator_life(operator, told.clone(), ledgers.clone()));
        tasks.push(tokio::spawn(viewer_life(viewer, told, ledgers.clone())));
        Self { phase, operator: Some(operator), tasks, ledgers }
    }

    pub(crate) fn tell(&mut self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// The highest sequence of each device that the hub called durable.
    pub(crate) fn acknowledged(&self) -> Vec<u64> {
        self.ledgers.acknowledged.iter().map(|seq| seq.load(Ordering::SeqCst)).collect()
    }

    pub(crate) fn commands(&self) -> Vec<Sent> {
        self.ledgers.sent.lock().expect("no panic").clone()
    }

    /// Reports and commands that were acknowledged.
    pub(crate) fn counts(&self) -> (u64, usize) {
        (self.acknowledged().iter().sum(), self.commands().len())
    }

    /// What somebody saw that may not be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.ledgers.faults.lock().expect("no panic").clone();
        for (reference, times) in self.ledgers.executed.lock().expect("no panic").iter() {
            if *times > 1 {
                faults.push(format!("{reference} was started {times} times"));
            }
        }
        faults
    }

    /// The operator gets its last answer and leaves.
    pub(crate) async fn end_commands(&mut self) {
        self.ledgers.enough.store(true, Ordering::SeqCst);
        if let Some(operator) = self.operator.take() {
            operator.await.expect("the operator doesn't panic");
        }
    }

    pub(crate) async fn end(&mut self) {
        self.phase.send_replace(Phase::Over);
        self.end_commands().await;
        for task in self.tasks.drain(..) {
            task.await.expect("the load doesn't panic");
        }
    }
}

/// A greeted connection, as soon as there is a hub; none when all is over.
async fn come(
    told: &mut watch::Receiver<Phase>,
    hello: impl Fn() -> proto::messages::lamplighter::v1::Hello,
) -> Option<Client> {
    loop {
        let phase = told.borrow_and_update().clone();
        match phase {
            Phase::Over => return None,
            // Told when there is one; the sender outlives the load.
            Phase::Down => told.changed().await.ok()?,
            Phase::Up(via) => {
                if let Ok(mut client) = Client::try_dial(&via).await {
                    client.say(0, Kind::Hello(hello())).await;
                    if let Event::Envelope(Envelope { kind: Some(Kind::Welcome(_)), .. }) =
                        client.listen().await
                    {
                        return Some(client);
                    }
                }
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
        }
    }
}

async fn lamp_life(
    at: usize,
    token: String,
    mut told: watch::Receiver<Phase>,
    ledgers: Arc<Ledgers>,
) {
    let mut seq = 0;
    // The journal of a lamp that doesn't lose power.
    let mut journal = HashSet::new();
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    while let Some(mut client) = come(&mut told, || device::hello(&token, 1, true)).await {
        loop {
            let event = tokio::select! {
                _ = told.changed() => break,
                _ = ticks.tick() => {
                    seq += 1;
                    ledgers.attempted[at].store(seq, Ordering::SeqCst);
                    let content = Some(Content::Payload(lamp::telemetry(number(at, seq))));
                    client.say(0, Kind::Publish(Publish { seq, content, ..Publish::default() })).await;
                    continue;
                }
                event = client.listen() => event,
            };
            let Event::Envelope(envelope) = event else { break };
            match envelope.kind {
                Some(Kind::Ack(ack)) if ack.seq > 0 => {
                    ledgers.acknowledged[at].fetch_max(ack.seq, Ordering::SeqCst);
                }
                Some(Kind::Deliver(deliver)) => {
                    if journal.insert(deliver.command.clone()) {
                        execute(at, &lamp::reference(&deliver.payload), &ledgers);
                    }
                    for state in
                        [CommandState::Delivered, CommandState::Running, CommandState::Succeeded]
                    {
                        client.say(0, report_of(&deliver.command, state)).await;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Two commands of one request would be one effect too many.
fn execute(at: usize, reference: &str, ledgers: &Ledgers) {
    let asked = format!("{at} {reference}");
    if !ledgers.asked.lock().expect("no panic").contains(&asked) {
        ledgers.faults.lock().expect("no panic").push(format!("nobody asked for {asked}"));
    }
    *ledgers.executed.lock().expect("no panic").entry(reference.to_owned()).or_default() += 1;
}

async fn operator_life(token: String, mut told: watch::Receiver<Phase>, ledgers: Arc<Ledgers>) {
    let mut next = 0;
    let mut ticks = tokio::time::interval(COMMAND_EVERY);
    while let Some(mut client) = come(&mut told, || person::hello(&token)).await {
        // What got no answer is asked again, under the same id.
        loop {
            if ledgers.enough.load(Ordering::SeqCst) {
                return;
            }
            let at = (next * 7) % ledgers.attempted.len();
            let reference = format!("request-{next}");
            ledgers.asked.lock().expect("no panic").insert(format!("{at} {reference}"));
            let wish =
                Send { request_id: reference.clone(), ..person::command(&id(at), &reference) };
            client.say(next as u64 + 1, Kind::Send(wish)).await;
            let answer = tokio::select! {
                _ = told.changed() => break,
                event = client.listen() => event,
            };
            match answer {
                Event::Envelope(Envelope { kind: Some(Kind::Ack(ack)), .. }) => {
                    let sent = Sent { device: at, reference, command: ack.command };
                    ledgers.sent.lock().expect("no panic").push(sent);
                    next += 1;
                }
                Event::Envelope(Envelope { kind: Some(Kind::Error(error)), .. }) => {
                    let fault = format!("{reference} was refused: {}", error.message);
                    ledgers.faults.lock().expect("no panic").push(fault);
                    next += 1;
                }
                _ => break,
            }
            tokio::select! {
                _ = told.changed() => break,
                _ = ticks.tick() => {}
            }
        }
    }
}

async fn viewer_life(token: String, mut told: watch::Receiver<Phase>, ledgers: Arc<Ledgers>) {
    while let Some(mut client) = come(&mut told, || person::hello(&token)).await {
        let pattern = "devices.*.telemetry".to_owned();
        let wish = Subscribe { pattern, snapshot: true, ..Subscribe::default() };
        client.say(1, Kind::Subscribe(wish)).await;
        loop {
            let event = tokio::select! {
                _ = told.changed() => break,
                event = client.listen() => event,
            };
            let Event::Envelope(envelope) = event else { break };
            let seen = match envelope.kind {
                Some(Kind::Message(message)) => vec![message],
                Some(Kind::Snapshot(page)) => page.values,
                _ => continue,
            };
            for message in seen {
                let at = device_of(&message.channel);
                let attempted = ledgers.attempted[at].load(Ordering::SeqCst);
                let body = lamp::telemetry(number(at, message.seq));
                if message.seq > attempted || person::payload(&message) != body {
                    let fault = format!("{} {} was never reported", message.channel, message.seq);
                    ledgers.faults.lock().expect("no panic").push(fault);
                }
            }
        }
    }
}
