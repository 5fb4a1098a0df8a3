//! One connection, from the first byte after the upgrade to the close frame, as a machine that
//! touches neither socket nor clock.
//!
//! The driver (`transport::connection`) owns both. It feeds the machine [`Input`]s and carries out
//! the one [`Effect`] that comes back:
//!
//! ```text
//!    requests, signs of life, time ──▶ handle() ──▶ Effect ──▶ broker, socket
//!                                  deadline(), paused_until() ──▶ timer
//! ```
//!
//! # Contract with the driver
//!
//! Every request goes through [`Session::handle`]; its effect is carried out before the next input.
//! The driver calls with [`Input::Timeout`] no later than [`Session::deadline`], and reads nothing
//! from the socket before [`Session::paused_until`].
//!
//! # Invariants
//!
//! - Before the peer is admitted it can cause no effect but `Authenticate` and `Close`.
//! - `Close` is the last effect; a closed session ignores every input.
//! - Rights are checked here, at the time of use, and again nowhere; but whose command is to be
//!   withdrawn only the ledger knows, and what a reader with labels may see changes by the message.

use std::time::{Duration, Instant};

use proto::envelope::{ErrorCode, Hello};
use proto::{ChannelPattern, CloseCode, CommandId, DeviceId, limits};

use crate::access::Identity;
use crate::codec::request::{Publication, Refusal, Report, Request, Sending, Subscription};
use crate::metrics::Limit;

pub mod bounds;
pub mod rate;
mod rights;

pub use bounds::Limits;
use rate::Buckets;
use rights::{Denied, not_permitted, own_channel};

/// What the driver tells the session.
#[derive(Debug)]
pub enum Input<'a> {
    /// A request of the peer, and the bytes of wire that it took.
    Received {
        /// What it asks.
        request: Request<'a>,
        /// Its share of the WebSocket message.
        bytes: usize,
    },
    /// The answer to [`Effect::Authenticate`].
    Admitted(Result<Identity, CloseCode>),
    /// A ping or pong of WebSocket.
    Control,
    /// The deadline may have come.
    Timeout {
        /// The socket took bytes since the deadline was set: a peer that reads slowly.
        drains: bool,
    },
}

/// What the session asks the driver to do.
#[derive(Debug)]
pub enum Effect<'a> {
    /// Nothing.
    None,
    /// Find out who it is, and answer with [`Input::Admitted`].
    Authenticate(Hello<'a>),
    /// It may stay: register it and send WELCOME.
    Welcome,
    /// Put a value into a channel.
    Publish(Publication<'a>),
    /// Start a subscription.
    Subscribe(Subscription),
    /// End one.
    Unsubscribe(ChannelPattern),
    /// Accept a command.
    Send(Sending<'a>),
    /// Withdraw one.
    Cancel(CommandId),
    /// Take a device's word on one.
    Report(Report<'a>),
    /// The device takes commands.
    Ready,
    /// Answer a PING envelope.
    Pong,
    /// Send a ping of WebSocket.
    Ping,
    /// Answer with an error.
    Refuse(Refusal),
    /// End the connection.
    Close(CloseCode),
}

/// The life of one connection.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    deadline: Instant,
    paused_until: Option<Instant>,
    greeting_bytes: usize,
    hit: Option<Limit>,
}

#[derive(Debug)]
enum Phase {
    /// Connected; the peer has not said who it is.
    Greeting,
    /// The credential is being looked at.
    Admitting {
        keepalive: Duration,
    },
    /// The peer is known and may use its channels.
    Open(Box<Open>),
    Closed,
}

#[derive(Debug)]
struct Open {
    identity: Identity,
    buckets: Buckets,
    subscriptions: Vec<ChannelPattern>,
    ping_interval: Duration,
    /// A ping is out; the deadline is for its answer.
    pinged: bool,
    /// The credential ends, and the session with it.
    ends: Option<Instant>,
}

impl Session {
    /// A session that waits for its HELLO.
    pub fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            phase: Phase::Greeting,
            deadline: now + limits.greeting_timeout,
            paused_until: None,
            greeting_bytes: 0,
            hit: None,
        }
    }

    /// Who the peer is, once admitted.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.phase {
            Phase::Open(open) => Some(&open.identity),
            Phase::Greeting | Phase::Admitting { .. } | Phase::Closed => None,
        }
    }

    /// Silence after which the hub pings this peer.
    pub fn ping_interval(&self) -> Duration {
        match &self.phase {
            Phase::Open(open) => open.ping_interval,
            Phase::Admitting { keepalive } => *keepalive,
            Phase::Greeting | Phase::Closed => Duration::ZERO,
        }
    }

    /// The latest moment at which the driver must call with [`Input::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Closed => None,
            Phase::Greeting | Phase::Admitting { .. } => Some(self.deadline),
            Phase::Open(open) => {
                Some(open.ends.map_or(self.deadline, |ends| ends.min(self.deadline)))
            }
        }
    }

    /// The driver reads nothing before this moment.
    pub fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// The limit that closed the session, where its code alone doesn't say.
    pub fn limit_hit(&self) -> Option<Limit> {
        self.hit
    }

    /// The credential of an admitted peer ends at this moment: nothing that it asks for then is done.
    pub fn end_at(&mut self, moment: Instant) {
        if let Phase::Open(open) = &mut self.phase {
            open.ends = Some(moment);
        }
    }

    /// Whether the credential of an admitted peer has ended.
    pub fn has_ended(&self, now: Instant) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.ends.is_some_and(|ends| ends <= now))
    }

    /// Advances by one input. `now` must not go backwards between calls.
    pub fn handle<'a>(&mut self, limits: &Limits, now: Instant, input: Input<'a>) -> Effect<'a> {
        let effect = match self.step(limits, now, input) {
            Ok(_) if self.has_ended(now) => Effect::Close(CloseCode::CREDENTIAL_EXPIRED),
            Ok(effect) => effect,
            Err(code) => Effect::Close(code),
        };
        if matches!(effect, Effect::Close(_)) {
            self.phase = Phase::Closed;
        }
        effect
    }

    /// Every transition of the machine, on one screen.
    fn step<'a>(
        &mut self,
        limits: &Limits,
        now: Instant,
        input: Input<'a>,
    ) -> Result<Effect<'a>, CloseCode> {
        match (&mut self.phase, input) {
            (Phase::Closed, _) => Ok(Effect::None),
            // The deadline moved after the driver armed its timer.
            (_, Input::Timeout { .. }) if now < self.deadline => Ok(Effect::None),

            (Phase::Greeting, Input::Received { request: Request::Hello(hello), bytes }) => {
                check_greeting(&hello, self.greeting_bytes + bytes)?;
                self.phase = Phase::Admitting { keepalive: keepalive(limits, &hello) };
                Ok(Effect::Authenticate(hello))
            }
            (Phase::Greeting | Phase::Admitting { .. }, Input::Received { .. }) => {
                Err(CloseCode::MALFORMED)
            }
            (Phase::Admitting { keepalive }, Input::Admitted(verdict)) => {
                let ping_interval = *keepalive;
                let identity = verdict?;
                let open = Open::new(limits, identity, ping_interval, now);
                self.deadline = now + ping_interval;
                self.phase = Phase::Open(Box::new(open));
                Ok(Effect::Welcome)
            }
            (Phase::Greeting | Phase::Admitting { .. }, Input::Timeout { .. }) => {
                Err(CloseCode::AUTH_TIMEOUT)
            }
            (Phase::Greeting | Phase::Admitting { .. }, Input::Control) => {
                self.greeting_bytes += 1;
                if self.greeting_bytes > limits::GREETING_BYTES_MAX {
                    Err(CloseCode::RATE)
                } else {
                    Ok(Effect::None)
                }
            }

            (Phase::Open(open), Input::Received { request, bytes }) => {
                open.heard(&mut self.deadline, now);
                self.paused_until = open.charge(limits, now, bytes)?;
                if request.changes_subscriptions() && !open.buckets.change() {
                    self.hit = Some(Limit::SubscriptionChanges);
                    return Err(CloseCode::RATE);
                }
                open.respond(limits, request)
            }
            (Phase::Open(open), Input::Control) => {
                open.heard(&mut self.deadline, now);
                let rates = rates(limits, &open.identity);
                if open.buckets.control(rates, now) {
                    Ok(Effect::None)
                } else {
                    Err(CloseCode::RATE)
                }
            }
            (Phase::Open(open), Input::Timeout { drains }) if open.pinged => {
                // The ping waits behind what a slow peer still reads.
                if drains {
                    self.deadline = now + limits.pong_timeout;
                    return Ok(Effect::None);
                }
                // A peer that the hub does not read can't be heard.
                if self.paused_until.is_some_and(|until| now < until) {
                    Ok(Effect::None)
                } else {
                    Err(CloseCode::NO_PONG)
                }
            }
            (Phase::Open(open), Input::Timeout { .. }) => {
                open.pinged = true;
                self.deadline = now + limits.pong_timeout;
                Ok(Effect::Ping)
            }
            (Phase::Greeting | Phase::Open(_), Input::Admitted(_)) => Ok(Effect::None),
        }
    }
}

impl Open {
    fn new(limits: &Limits, identity: Identity, ping_interval: Duration, now: Instant) -> Self {
        let buckets = Buckets::new(rates(limits, &identity), now);
        let subscriptions = Vec::new();
        Self { identity, buckets, subscriptions, ping_interval, pinged: false, ends: None }
    }

    fn heard(&mut self, deadline: &mut Instant, now: Instant) {
        self.pinged = false;
        *deadline = now + self.ping_interval;
    }

    /// Takes the request from the peer's allowance. Until when not to read, if it is used up.
    fn charge(
        &mut self,
        limits: &Limits,
        now: Instant,
        bytes: usize,
    ) -> Result<Option<Instant>, CloseCode> {
        let wait = self.buckets.message(rates(limits, &self.identity), now, bytes);
        if wait > limits.pause_max {
            return Err(CloseCode::RATE);
        }
        Ok((!wait.is_zero()).then(|| now + wait))
    }

    /// The answer of an open session to one request.
    fn respond<'a>(
        &mut self,
        limits: &Limits,
        request: Request<'a>,
    ) -> Result<Effect<'a>, CloseCode> {
        match request {
            Request::Hello(_) => Err(CloseCode::MALFORMED),
            Request::Ping => Ok(Effect::Pong),
            Request::Refused(refusal) => Ok(Effect::Refuse(refusal)),
            Request::Publish(mut publication) => {
                match own_channel(&self.identity, &mut publication) {
                    Ok(()) => Ok(Effect::Publish(publication)),
                    Err(Denied::Foreign) => Err(CloseCode::NOT_PERMITTED),
                    Err(Denied::Refused(refusal)) => Ok(Effect::Refuse(refusal)),
                }
            }
            Request::Subscribe(subscription) => Ok(self.subscribe(limits, subscription)),
            Request::Unsubscribe(pattern) => {
                self.subscriptions.retain(|known| *known != pattern);
                Ok(Effect::Unsubscribe(pattern))
            }
            Request::Send(sending) if self.identity.may_command(&sending.device) => {
                Ok(Effect::Send(sending))
            }
            Request::Cancel(command) if self.identity.commands() => Ok(Effect::Cancel(command)),
            Request::Report(report) if self.device().is_some() => Ok(Effect::Report(report)),
            Request::Ready if self.device().is_some() => Ok(Effect::Ready),
            Request::Send(_) if self.device().is_none() => {
                let text = "this identity may not command the device";
                Ok(Effect::Refuse(not_permitted("send.device", text)))
            }
            Request::Cancel(_) if self.device().is_none() => {
                let text = "this identity may not command any device";
                Ok(Effect::Refuse(not_permitted("cancel.command", text)))
            }
            // A device's credential in a person's hands, or the reverse; nobody slips so.
            Request::Send(_) | Request::Cancel(_) | Request::Report(_) | Request::Ready => {
                Err(CloseCode::NOT_PERMITTED)
            }
        }
    }

    fn subscribe(&mut self, limits: &Limits, subscription: Subscription) -> Effect<'static> {
        let pattern = &subscription.pattern;
        if !self.identity.may_subscribe(pattern) {
            let text = "this identity may not see all channels of the pattern";
            return Effect::Refuse(not_permitted("subscribe.pattern", text));
        }
        let max = match self.identity {
            Identity::Device(_) => limits.device_subscriptions_max,
            Identity::Person { .. } => limits.person_subscriptions_max,
        };
        if !self.subscriptions.contains(pattern) {
            if self.subscriptions.len() >= max {
                let text = format!("{max} subscriptions are open; end one first");
                let refusal = Refusal::new(ErrorCode::Limit, "subscribe.pattern", text);
                return Effect::Refuse(refusal);
            }
            self.subscriptions.push(pattern.clone());
        }
        Effect::Subscribe(subscription)
    }

    fn device(&self) -> Option<&DeviceId> {
        self.identity.device()
    }
}

fn check_greeting(hello: &Hello<'_>, bytes: usize) -> Result<(), CloseCode> {
    if hello.protocol != proto::PROTOCOL_VERSION {
        return Err(CloseCode::VERSION);
    }
    let too_long =
        bytes > limits::GREETING_BYTES_MAX || hello.agent.len() > limits::AGENT_BYTES_MAX;
    if too_long { Err(CloseCode::MALFORMED) } else { Ok(()) }
}

/// What the peer asked for within the range, or the hub's own.
fn keepalive(limits: &Limits, hello: &Hello<'_>) -> Duration {
    match hello.keepalive_s {
        0 => limits.ping_interval,
        asked => Duration::from_secs(u64::from(
            asked.clamp(limits::KEEPALIVE_S_MIN, limits::KEEPALIVE_S_MAX),
        )),
    }
}

fn rates<'l>(limits: &'l Limits, identity: &Identity) -> &'l rate::Rates {
    match identity {
        Identity::Device(_) => &limits.device_rate,
        Identity::Person { .. } => &limits.person_rate,
    }
}

#[cfg(test)]
mod tests;
