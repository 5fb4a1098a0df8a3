//! What is measured of each server: fan-out, fan-in, pairs, connects, idle connections.
//!
//! Each scenario gets a server of its own that was just started, connects who takes part, and measures one
//! or more steps. All servers get the same offers, so that they are compared at the same load.

use std::sync::Arc;
use std::time::Duration;

use super::connection::Target;
use super::dialect::{Channel, Dialect, Member};
use super::engine::{Engine, EngineError};
use super::load::{Answers, Offer, Sender, measure, request_id};
use super::process::Process;
use super::results::Figures;
use super::servers::ServerKind;
use super::stamp::{PAYLOAD_BYTES, Stamp};
use crate::clock::Clock;

/// A latency over this is past the limit (ms).
const P99_MS_MAX: f64 = 100.0;
/// Deliveries a second below this share of the offer are past the limit.
const DELIVERED_SHARE_MIN: f64 = 0.95;
/// Offers tried between the last that went well and the first that didn't: the most is known to 9 %.
const HALVINGS: u32 = 3;
const RECEIVERS: u32 = 1_000;
const REPORTERS: u32 = 2_000;
/// Connections that warm a server up before connects are counted.
const WARM: usize = 500;
const IDLE_FROM: usize = 1_000;

/// What is measured in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scenario {
    FanOut,
    FanIn,
    Pairs,
    /// Only of servers that have commands.
    Commands,
    Connects,
    ConnectsTls,
    Idle,
    IdleTls,
}

impl Scenario {
    pub(super) const ALL: [Self; 8] = [
        Self::FanOut,
        Self::FanIn,
        Self::Pairs,
        Self::Commands,
        Self::Connects,
        Self::ConnectsTls,
        Self::Idle,
        Self::IdleTls,
    ];

    pub(super) const fn has_tls(self) -> bool {
        matches!(self, Self::ConnectsTls | Self::IdleTls)
    }

    /// Memory hardly varies, and thousands of connections take their time.
    pub(super) const fn is_once(self) -> bool {
        matches!(self, Self::Idle | Self::IdleTls)
    }

    /// Messages that come one by one and take 0.1 ms each: the machine's own hiccups are longer than that.
    pub(super) const fn is_of_moments(self) -> bool {
        matches!(self, Self::Pairs | Self::Commands)
    }

    /// How often everybody has a turn in a round: hiccups come in swarms, so many short turns say more.
    pub(super) const fn turns(self) -> u32 {
        if self.is_of_moments() { 5 } else { 1 }
    }

    /// Whether a server can take part.
    pub(super) const fn is_for(self, server: ServerKind) -> bool {
        match self {
            Self::Commands => matches!(server, ServerKind::Lamplighter),
            Self::ConnectsTls | Self::IdleTls => server.has_tls(),
            Self::FanOut | Self::FanIn | Self::Pairs | Self::Connects | Self::Idle => true,
        }
    }

    /// Devices that the hub must know beforehand; elsewhere everybody is as good as any other.
    pub(super) const fn devices(self, plan: &Plan) -> usize {
        match self {
            Self::FanOut | Self::FanIn | Self::Pairs => 0,
            Self::Commands => RECEIVERS as usize,
            Self::Connects | Self::ConnectsTls => WARM + plan.connects,
            Self::Idle => plan.idle_to,
            Self::IdleTls => plan.idle_tls_to,
        }
    }
}

/// How long and how much; the same for all servers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Long, since it is 20 moments a second: one of 3 s moves by a tenth from run to run.
    pub(super) one_at_a_time_span: Duration,
    pub(super) bursts_span: Duration,
    pub(super) span: Duration,
    /// Of messages one at a time to one of many; short, since it is taken often ([`Scenario::turns`]).
    pub(super) pairs_span: Duration,
    pub(super) search_span: Duration,
    /// Before idle connections are measured: buffers are given back, garbage is collected.
    pub(super) rest: Duration,
    /// Fan-out messages a second, one at a time. In bursts it is twice as many, or what they cost
    /// would be too little to be told by the kernel's ticks.
    pub(super) fan_out_rate: f64,
    pub(super) fan_in_rate: f64,
    pub(super) pairs_rate: f64,
    pub(super) answers_rate: f64,
    pub(super) connects: usize,
    pub(super) idle_to: usize,
    pub(super) idle_tls_to: usize,
}

/// A server to measure, and those who take part.
pub(super) struct Bout {
    pub(super) plan: Plan,
    pub(super) clock: Clock,
    pub(super) target: Target,
    pub(super) process: Process,
    pub(super) dialect: Box<dyn Dialect>,
    /// An operator's token, where servers ask for one.
    pub(super) token: Option<Arc<str>>,
    /// Devices with their tokens, where a server knows devices.
    pub(super) devices: Vec<Member>,
}

/// Steps by name, as measured.
pub(super) type Steps = Vec<(&'static str, Figures)>;

/// All messages by one connection: to one channel, or to each receiver in turn.
struct One {
    connection: usize,
    to: fn(u64) -> Channel,
    is_request: bool,
}

/// Each message by the next connection.
struct InTurn {
    count: u64,
}

/// Commands to each device in turn.
struct Commands {
    connection: usize,
    ids: Vec<Arc<str>>,
}

type Payload = [u8; PAYLOAD_BYTES];

impl Sender for One {
    fn connection(&self, _number: u64) -> usize {
        self.connection
    }

    fn write(&self, dialect: &dyn Dialect, stamp: Stamp, payload: &Payload, out: &mut Vec<u8>) {
        let to = (self.to)(stamp.number);
        if self.is_request {
            dialect.request(to, payload, out);
        } else {
            dialect.publish(to, payload, out);
        }
    }
}

impl Sender for InTurn {
    fn connection(&self, number: u64) -> usize {
        (number % self.count) as usize
    }

    fn write(&self, dialect: &dyn Dialect, stamp: Stamp, payload: &Payload, out: &mut Vec<u8>) {
        dialect.publish(Channel::Report((stamp.number % self.count) as u32), payload, out);
    }
}

impl Sender for Commands {
    fn connection(&self, _number: u64) -> usize {
        self.connection
    }

    fn write(&self, dialect: &dyn Dialect, stamp: Stamp, _payload: &Payload, out: &mut Vec<u8>) {
        let device = &self.ids[(stamp.number % self.ids.len() as u64) as usize];
        dialect.command(device, &request_id(stamp), out);
    }
}

fn to_all(_number: u64) -> Channel {
    Channel::Fan
}

fn to_each(number: u64) -> Channel {
    Channel::Receiver((number % u64::from(RECEIVERS)) as u32)
}

impl Bout {
    /// Measures. Blocks its thread.
    ///
    /// # Errors
    /// The server is gone, or refuses somebody.
    pub(super) fn run(&self, scenario: Scenario) -> Result<Steps, EngineError> {
        let mut engine = Engine::new(self.target.clone(), &*self.dialect, self.clock)?;
        match scenario {
            Scenario::FanOut => self.fan_out(&mut engine),
            Scenario::FanIn => self.fan_in(&mut engine),
            Scenario::Pairs => self.pairs(&mut engine),
            Scenario::Commands => self.commands(&mut engine),
            Scenario::Connects => self.connects(&mut engine, "s5_ws"),
            Scenario::ConnectsTls => self.connects(&mut engine, "s5_wss"),
            Scenario::Idle => self.idle(&mut engine, self.plan.idle_to, "s4_ws"),
            Scenario::IdleTls => self.idle(&mut engine, self.plan.idle_tls_to, "s4_wss"),
        }
    }

    fn fan_out(&self, engine: &mut Engine<'_>) -> Result<Steps, EngineError> {
        engine.open((0..RECEIVERS).map(|_| self.person(Some(Channel::Fan))))?;
        let connection = engine.open([self.person(None)])?.start;
        let sender = One { connection, to: to_all, is_request: false };
        let copies = u64::from(RECEIVERS);
        let rate = self.plan.fan_out_rate;
        let (single, bursts) = (self.plan.one_at_a_time_span, self.plan.bursts_span);
        let mut steps = Steps::new();
        for (name, burst, rate, span) in [
            ("s1_single", 1, rate, single),
            ("s1_burst8", 8, 2.0 * rate, bursts),
            ("s1_burst32", 32, 2.0 * rate, bursts),
        ] {
            let offer = Offer { rate, burst, span, copies };
            let step = steps.len() as u32;
            let figures = measure(engine, self.process, step, offer, Answers::None, &sender)?;
            steps.push((name, figures));
        }
        let first = Offer { rate, burst: 1, span: self.plan.search_span, copies };
        self.search(engine, first, &sender, ("s1_most", "s1_past"), &mut steps)?;
        Ok(steps)
    }

    fn fan_in(&self, engine: &mut Engine<'_>) -> Result<Steps, EngineError> {
        engine.open((0..REPORTERS).map(|_| self.person(None)))?;
        engine.open([self.person(Some(Channel::AllReports))])?;
        let sender = InTurn { count: u64::from(REPORTERS) };
        let (rate, span) = (self.plan.fan_in_rate, self.plan.span);
        let offer = Offer { rate, burst: 1, span, copies: 1 };
        let mut steps = Steps::new();
        steps.push(("s2", measure(engine, self.process, 0, offer, Answers::None, &sender)?));
        let first = Offer { rate: 0.5 * rate, span: self.plan.search_span, ..offer };
        self.search(engine, first, &sender, ("s2_most", "s2_past"), &mut steps)?;
        Ok(steps)
    }

    fn pairs(&self, engine: &mut Engine<'_>) -> Result<Steps, EngineError> {
        engine.open((0..RECEIVERS).map(|number| self.person(Some(Channel::Receiver(number)))))?;
        let connection = engine.open([self.person(Some(Channel::Answers))])?.start;
        let mut sender = One { connection, to: to_each, is_request: false };
        let (rate, span) = (self.plan.pairs_rate, self.plan.pairs_span);
        let offer = Offer { rate, burst: 1, span, copies: 1 };
        let mut steps = Steps::new();
        steps.push(("s3", measure(engine, self.process, 0, offer, Answers::None, &sender)?));
        sender.is_request = true;
        let offer = Offer { rate: self.plan.answers_rate, ..offer };
        let answers = Answers::To(connection);
        steps.push(("s3_answer", measure(engine, self.process, 1, offer, answers, &sender)?));
        Ok(steps)
    }

    fn commands(&self, engine: &mut Engine<'_>) -> Result<Steps, EngineError> {
        engine.open(self.devices.iter().cloned())?;
        let connection = engine.open([self.person(Some(Channel::CommandStates))])?.start;
        let ids = self.devices.iter().filter_map(|member| member.device.clone()).collect();
        let sender = Commands { connection, ids };
        let (rate, span) = (self.plan.answers_rate, self.plan.pairs_span);
        let offer = Offer { rate, burst: 1, span, copies: 1 };
        let figures = measure(engine, self.process, 0, offer, Answers::None, &sender)?;
        Ok(vec![("s3_command", figures)])
    }

    fn connects(&self, engine: &mut Engine<'_>, name: &'static str) -> Result<Steps, EngineError> {
        engine.open(self.listeners(0..WARM))?;
        let (start, cpu) = (self.clock.now(), self.process.cpu_us()?);
        engine.open(self.listeners(WARM..WARM + self.plan.connects))?;
        let cpu = self.process.cpu_us()? - cpu;
        let seconds = self.clock.now().since(start) as f64 / 1e6;
        let count = self.plan.connects as f64;
        let figures = Figures::new()
            .with("cpu_us", cpu / count)
            .with("connects_per_s", count / seconds)
            .with("connections_lost", engine.lost() as f64);
        Ok(vec![(name, figures)])
    }

    /// The slope between two numbers of connections, so that the process itself isn't counted.
    fn idle(
        &self,
        engine: &mut Engine<'_>,
        to: usize,
        name: &'static str,
    ) -> Result<Steps, EngineError> {
        engine.open(self.listeners(0..IDLE_FROM))?;
        engine.rest(self.plan.rest)?;
        let before = self.process.resident_kib()?;
        engine.open(self.listeners(IDLE_FROM..to))?;
        engine.rest(self.plan.rest)?;
        let after = self.process.resident_kib()?;
        let cpu = self.process.cpu_us()?;
        engine.rest(self.plan.rest)?;
        let cpu = self.process.cpu_us()? - cpu;
        let figures = Figures::new()
            .with("kib", (after - before) / (to - IDLE_FROM) as f64)
            .with("resident_mib", after / 1024.0)
            .with("connections", to as f64)
            .with("idle_cpu_percent", cpu / self.plan.rest.as_micros() as f64 * 100.0)
            .with("connections_lost", engine.lost() as f64);
        Ok(vec![(name, figures)])
    }

    /// Doubles the offer until it is too much twice, then halves the way between what went well and what
    /// didn't. Adds the most that went well, and what happened at the offer that was too much.
    fn search(
        &self,
        engine: &mut Engine<'_>,
        first: Offer,
        sender: &dyn Sender,
        (most_name, past_name): (&'static str, &'static str),
        steps: &mut Steps,
    ) -> Result<(), EngineError> {
        let mut step = 100;
        let mut try_rate = |rate: f64| {
            step += 1;
            let offer = Offer { rate, ..first };
            measure(engine, self.process, step, offer, Answers::None, sender)
        };
        let mut rate = first.rate;
        let (mut best, mut was_hiccup) = (None, false);
        let past = loop {
            let figures = try_rate(rate)?;
            if is_well(&figures) {
                (best, was_hiccup) = (Some(figures), false);
                rate *= 2.0;
            } else if was_hiccup || figures.value("connections_lost") > 0.0 {
                break figures;
            } else {
                was_hiccup = true;
            }
        };
        // Who is gone can't be measured again.
        let halvings = if past.value("connections_lost") > 0.0 { 0 } else { HALVINGS };
        let (mut low, mut ratio) = (rate / 2.0, 2.0_f64);
        for _ in 0..halvings {
            ratio = ratio.sqrt();
            let between = try_rate(low * ratio)?;
            if is_well(&between) {
                low *= ratio;
                best = Some(between);
            }
        }
        steps.extend(best.map(|best| (most_name, best)));
        steps.push((past_name, past));
        Ok(())
    }

    fn person(&self, listens: Option<Channel>) -> Member {
        Member { listens, token: self.token.clone(), device: None }
    }

    /// Those who connect and listen to what is for them: devices, where a server knows any.
    fn listeners(&self, numbers: std::ops::Range<usize>) -> impl Iterator<Item = Member> {
        numbers.map(|number| {
            let known = self.devices.get(number).cloned().unwrap_or_default();
            Member { listens: Some(Channel::Receiver(number as u32)), ..known }
        })
    }
}

fn is_well(figures: &Figures) -> bool {
    figures.value("lost") == 0.0
        && figures.value("connections_lost") == 0.0
        && figures.value("p99_ms") <= P99_MS_MAX
        && figures.value("delivered_per_s") >= DELIVERED_SHARE_MIN * figures.value("offered_per_s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_past_the_limit_once_it_is_late_or_loses_anything() {
        let fine = Figures::new()
            .with("p99_ms", 99.0)
            .with("offered_per_s", 100.0)
            .with("delivered_per_s", 99.0);
        assert!(is_well(&fine));
        assert!(!is_well(&fine.clone().with("lost", 1.0)));
        assert!(!is_well(&fine.clone().with("p99_ms", 101.0)));
        assert!(!is_well(&fine.with("delivered_per_s", 90.0)));
    }
}
