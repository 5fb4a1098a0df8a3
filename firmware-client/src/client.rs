//! The machine: one device's whole life with the hub, without socket, clock, thread or heap.
//!
//! ```text
//!    connected, message, closed, time ──▶ handle_…() ─▶ Client ─▶ poll_event()    ──▶ application,
//!                                                         │  └──▶ poll_transmit() ──▶ socket
//!    report(), command_done(), … ────────────────────────▶│  └──▶ deadline()      ──▶ timer
//! ```
//!
//! The driver owns the socket and speaks WebSocket and TLS; the machine speaks the envelopes inside
//! binary messages.
//!
//! # Contract with the driver
//!
//! - After every `handle_…` and every call of the application, take [`Client::poll_event`] until
//!   `None`, then [`Client::poll_transmit`] until `None`. Then wait for input, never past
//!   [`Client::deadline`]; when that comes, call [`Client::handle_timeout`].
//! - `now` is one monotonic clock and never goes backwards between calls.
//! - [`Event::ConnectNow`]: answer with `handle_connected` or `handle_closed`. The machine's time-out
//!   for that is [`Event::CloseConnection`]; give up the try then and call `handle_closed`.
//! - [`Event::CloseConnection`]: close and call `handle_closed` without waiting for the peer.
//! - Answer the hub's WebSocket pings in the driver, and tell [`Client::handle_alive`] of them.
//!
//! # Guarantees
//!
//! - A report is kept until the hub acknowledged or refused it, unless newer ones displace it, which
//!   is counted. It keeps its number and its time however often it is sent.
//! - For commands, see [`crate::journal`].
//! - Nothing that the hub sends makes the machine panic, loop or grow.
//!
//! # Out of scope
//!
//! Reports wait in memory: those of an older boot are gone. A device whose reports must outlive a loss
//! of power keeps them itself and reports them again in the new boot.

use proto::{CloseCode, CommandId};

use crate::backoff::{Ending, Retry};
use crate::commands::{Commands, Outcome, OutcomeError, Start};
use crate::config::{Buffers, Config};
use crate::event::{Event, Notices, Stats};
use crate::journal::Journal;
use crate::outbox::{Outbox, Report, ReportError};
use crate::pace::Pacer;
use crate::time::{HubClock, Millis, TimeQuality};

mod link;
mod receive;
mod transmit;

use link::Link;

/// The device's side of one hub. `SLOTS` commands are remembered at a time, 9 or more; each takes
/// `ENTRY` bytes of the journal, at least [`crate::journal::ENTRY_OVERHEAD`] + 32.
#[derive(Debug)]
pub struct Client<'b, J, const SLOTS: usize = 16, const ENTRY: usize = 128> {
    config: Config<'b>,
    journal: J,
    boot: u32,
    phase: Phase,
    retry: Retry,
    clock: HubClock,
    pacer: Pacer,
    link: Link,
    outbox: Outbox<'b>,
    commands: Commands<'b, SLOTS, ENTRY>,
    notices: Notices,
    ready: bool,
    stats: Stats,
}

/// Where the connection stands.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// No connection; the next try comes then.
    Away { retry_at: Millis },
    /// The driver shall connect, or does.
    Connecting { announced: bool, give_up_at: Millis },
    /// Connected; the hub has not admitted the device.
    Greeting { hello_sent: bool, give_up_at: Millis },
    /// Admitted.
    Open { since: Millis },
    /// The driver shall close, and then say that it has.
    Closing { announced: bool, code: CloseCode, ending: Ending },
}

impl<'b, J: Journal, const SLOTS: usize, const ENTRY: usize> Client<'b, J, SLOTS, ENTRY> {
    /// A machine that just got power. Raises the boot number and reads the journal. The first
    /// [`Event::ConnectNow`] comes within `backoff.first_window_ms`.
    ///
    /// # Errors
    /// The journal can't be read, or the boot number can't be raised. Without it no report could be
    /// told from one of an earlier life, so there is no machine then.
    pub fn new(
        config: Config<'b>,
        buffers: Buffers<'b>,
        mut journal: J,
        now: Millis,
    ) -> Result<Self, J::Error> {
        let config = config.clamped();
        let Buffers { samples, events, commands } = buffers;
        let commands = Commands::load(commands, &mut journal)?;
        let boot = journal.raise_boot()?;
        let mut retry = Retry::new(config.backoff, config.seed ^ u64::from(boot) << 32);
        Ok(Self {
            config,
            journal,
            boot,
            phase: Phase::Away { retry_at: now.after(retry.at_start()) },
            retry,
            clock: HubClock::default(),
            pacer: Pacer::new(&config.pace),
            link: Link::new(now),
            outbox: Outbox::new(samples, events),
            commands,
            notices: Notices::new(),
            ready: config.ready,
            stats: Stats::default(),
        })
    }

    // Inputs of the driver.

    /// The WebSocket is open.
    pub fn handle_connected(&mut self, now: Millis) {
        self.link = Link::new(now);
        self.pacer = Pacer::new(&self.config.pace);
        self.outbox.rewind();
        self.commands.reconnected();
        let give_up_at = now.after(self.config.greeting_timeout_ms);
        self.phase = Phase::Greeting { hello_sent: false, give_up_at };
    }

    /// One binary WebSocket message came.
    pub fn handle_message(&mut self, now: Millis, message: &[u8]) {
        if matches!(self.phase, Phase::Greeting { .. } | Phase::Open { .. }) {
            self.stats.bytes_received += message.len() as u64;
            self.link.heard(now);
            self.receive(now, message);
        }
    }

    /// A ping or pong of WebSocket came: the hub lives.
    pub fn handle_alive(&mut self, now: Millis) {
        self.link.heard(now);
    }

    /// The connection is gone, or could not be made. `code` is that of the hub's close frame.
    pub fn handle_closed(&mut self, now: Millis, code: Option<CloseCode>) {
        let ending = match self.phase {
            Phase::Away { .. } => return,
            _ if code.is_some_and(|code| !code.is_temporary()) => Ending::SentAway,
            Phase::Connecting { .. } | Phase::Greeting { .. } => Ending::Failed,
            Phase::Open { since } => Ending::Lost { lived_ms: now.since(since) },
            Phase::Closing { ending, .. } => ending,
        };
        self.retry.retry_after(self.link.retry_at.since(now));
        let retry_at = now.after(self.retry.after(ending));
        self.phase = Phase::Away { retry_at };
        self.notice(Event::Disconnected { code, retry_at });
    }

    /// [`Client::deadline`] has come. Too early is harmless.
    pub fn handle_timeout(&mut self, now: Millis) {
        match self.phase {
            Phase::Away { retry_at } if now >= retry_at => {
                let give_up_at = now.after(self.config.connect_timeout_ms);
                self.phase = Phase::Connecting { announced: false, give_up_at };
            }
            Phase::Connecting { give_up_at, .. } | Phase::Greeting { give_up_at, .. }
                if now >= give_up_at =>
            {
                self.close(now, CloseCode::AUTH_TIMEOUT);
            }
            Phase::Open { .. } if now >= self.link.dead_at(self.config.answer_timeout_ms) => {
                self.close(now, CloseCode::NO_PONG);
            }
            Phase::Open { .. } => {
                self.link.owes_ping |= now >= self.link.ping_due_at(self.config.keepalive_s);
                // `poll_transmit` follows and sets it again; a driver that doesn't must not spin.
                self.link.send_at = self.link.send_at.filter(|at| *at > now);
            }
            Phase::Away { .. }
            | Phase::Connecting { .. }
            | Phase::Greeting { .. }
            | Phase::Closing { .. } => {}
        }
    }

    // Inputs of the application.

    /// Keeps a value until the hub has it, and returns its number in this boot. Its time is `now`.
    ///
    /// # Errors
    /// Says why the report can never be sent.
    pub fn report(&mut self, now: Millis, report: &Report<'_>) -> Result<u64, ReportError> {
        transmit::check_names(self.config.device, report)?;
        let pushed = self.outbox.push(now, &self.clock, report)?;
        self.stats.records_lost += pushed.displaced as u64;
        Ok(pushed.seq)
    }

    /// Commands may come from now on, in this and all later connections.
    pub fn set_ready(&mut self) {
        if !self.ready {
            self.ready = true;
            self.link.owes_ready = true;
        }
    }

    /// The command that runs came so far, 0 to 100. Only the latest word is sent.
    pub fn command_progress(&mut self, percent: u8) {
        self.commands.progress(percent);
    }

    /// The command that runs has ended. The outcome is durable before the hub hears of it.
    ///
    /// # Errors
    /// It doesn't run, or the outcome is too long for the journal; then it still runs.
    pub fn command_done(
        &mut self,
        id: CommandId,
        outcome: &Outcome<'_>,
    ) -> Result<(), OutcomeError> {
        if !self.commands.done(&mut self.journal, id, outcome)? {
            self.notice(Event::JournalFailed);
        }
        Ok(())
    }

    /// The machine shall drop its connection and come back by the rules, as before a planned restart
    /// of the modem.
    pub fn disconnect(&mut self, now: Millis) {
        self.close(now, CloseCode::NORMAL);
    }

    // Outputs.

    /// The next thing to know or to do. Starts the next command if none runs, which writes the journal.
    pub fn poll_event(&mut self, now: Millis) -> Option<Event<'_>> {
        if let Some(event) = self.notices.pop() {
            return Some(event);
        }
        match &mut self.phase {
            Phase::Connecting { announced, .. } if !*announced => {
                *announced = true;
                return Some(Event::ConnectNow);
            }
            Phase::Closing { announced, code, .. } if !*announced => {
                *announced = true;
                return Some(Event::CloseConnection(*code));
            }
            Phase::Away { .. }
            | Phase::Connecting { .. }
            | Phase::Greeting { .. }
            | Phase::Open { .. }
            | Phase::Closing { .. } => {}
        }
        match self.commands.start(now, &mut self.journal, self.config.idempotent) {
            Start::Nothing => None,
            Start::JournalFailed => Some(Event::JournalFailed),
            Start::Started => {
                let (id, type_name, payload, deadline) = self.commands.running()?;
                Some(Event::CommandStart { id, type_name, payload, deadline })
            }
        }
    }

    /// When [`Client::handle_timeout`] must be called; `None` while the driver owes an answer.
    pub fn deadline(&self) -> Option<Millis> {
        match self.phase {
            Phase::Away { retry_at } => Some(retry_at),
            Phase::Connecting { give_up_at, .. } | Phase::Greeting { give_up_at, .. } => {
                Some(give_up_at)
            }
            Phase::Open { .. } => {
                let dead = self.link.dead_at(self.config.answer_timeout_ms);
                let ping = self.link.ping_due_at(self.config.keepalive_s);
                let ping = if self.link.owes_ping { dead } else { ping };
                let send = self.link.send_at.unwrap_or(dead);
                Some(dead.min(ping).min(send))
            }
            Phase::Closing { .. } => None,
        }
    }

    // Getters.

    /// The number of this boot, as the journal counts.
    pub const fn boot(&self) -> u32 {
        self.boot
    }

    /// Whether the hub has admitted the device on the connection that stands.
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// The hub's time at this moment (ms since 1970, UTC), once it is known.
    pub fn unix_ms(&self, now: Millis) -> Option<u64> {
        self.clock.unix_ms(now)
    }

    /// How far to trust [`Client::unix_ms`].
    pub fn time_quality(&self, now: Millis) -> TimeQuality {
        self.clock.quality(now)
    }

    /// Reports that wait for the hub's ack.
    pub fn reports_waiting(&self) -> usize {
        self.outbox.count()
    }

    /// The command that runs, if one does: id, type name, payload.
    pub fn running_command(&self) -> Option<(CommandId, &str, &[u8])> {
        self.commands.running().map(|(id, type_name, payload, _)| (id, type_name, payload))
    }

    /// Counts since the start.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Gives the journal back, as it is when power fails.
    pub fn into_journal(self) -> J {
        self.journal
    }

    fn notice(&mut self, event: Event<'static>) {
        self.stats.events_lost += u32::from(self.notices.push(event));
    }

    fn close(&mut self, now: Millis, code: CloseCode) {
        let ending = match self.phase {
            Phase::Open { since } => Ending::Lost { lived_ms: now.since(since) },
            Phase::Away { .. } | Phase::Closing { .. } => return,
            Phase::Connecting { .. } | Phase::Greeting { .. } => Ending::Failed,
        };
        self.phase = Phase::Closing { announced: false, code, ending };
    }
}
