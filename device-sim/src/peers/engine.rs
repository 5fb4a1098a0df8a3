//! All connections of the generator on one thread: opens them, sends on them, reads from them.
//!
//! One thread and one `epoll`, since the generator must be cheaper than the cheapest server. It has a core
//! of its own, so near to a due moment it doesn't sleep: the kernel's timers would add up to a millisecond
//! to every latency.

use std::io;
use std::ops::Range;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::connection::{Connection, Listener, Phase, Target, Told};
use super::dialect::{Dialect, Event, Member};
use crate::clock::{Clock, Micros};

const EVENTS_MAX: usize = 1024;
/// Read by all connections in turn.
const BUFFER_BYTES: usize = 64 * 1024;
/// Connections under way at a time.
const CONNECTING_MAX: usize = 64;
/// All connections together may take so long.
const OPENING_MAX: Duration = Duration::from_secs(90);
/// Without any of them getting further.
const STUCK_MAX: Duration = Duration::from_secs(15);
const TURN: Duration = Duration::from_millis(20);

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{ready} of {wanted} connections came about: {reason}")]
    Opening { ready: usize, wanted: usize, reason: String },
}

/// The generator's connections to one server.
pub(super) struct Engine<'d> {
    target: Target,
    dialect: &'d dyn Dialect,
    clock: Clock,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    buffer: Box<[u8]>,
    ready: usize,
    lost: usize,
    last_words: String,
}

/// Cares for nothing.
struct Nobody;

impl Listener for Nobody {
    fn take(&mut self, _at: usize, _now: Micros, _event: Event<'_>, _reply: &mut Vec<u8>) {}
}

impl<'d> Engine<'d> {
    /// Without connections.
    ///
    /// # Errors
    /// The system has no `epoll` for us.
    pub(super) fn new(target: Target, dialect: &'d dyn Dialect, clock: Clock) -> io::Result<Self> {
        Ok(Self {
            target,
            dialect,
            clock,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            connections: Vec::new(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            ready: 0,
            lost: 0,
            last_words: String::new(),
        })
    }

    pub(super) const fn dialect(&self) -> &'d dyn Dialect {
        self.dialect
    }

    pub(super) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Connections that ended before we wanted it.
    pub(super) const fn lost(&self) -> usize {
        self.lost
    }

    /// Connects all of these, greetings and subscriptions included, and returns their numbers.
    ///
    /// # Errors
    /// One of them failed, or it takes too long.
    pub(super) fn open(
        &mut self,
        members: impl IntoIterator<Item = Member>,
    ) -> Result<Range<usize>, EngineError> {
        let first = self.connections.len();
        let (ready_before, lost_before) = (self.ready, self.lost);
        let mut members = members.into_iter().fuse().peekable();
        let start = self.clock.now();
        let (mut progress, mut progressed) = (start, 0);
        loop {
            let done = self.ready - ready_before;
            while self.connections.len() - first - done < CONNECTING_MAX
                && let Some(member) = members.next()
            {
                self.start(member)?;
            }
            let wanted = self.connections.len() - first;
            if done == wanted && members.peek().is_none() {
                return Ok(first..self.connections.len());
            }
            let now = self.clock.now();
            if done > progressed {
                (progress, progressed) = (now, done);
            }
            let is_late = now > start.after(OPENING_MAX) || now > progress.after(STUCK_MAX);
            if self.lost > lost_before || is_late {
                let reason = if is_late { "too slow".into() } else { self.last_words.clone() };
                return Err(EngineError::Opening { ready: done, wanted, reason });
            }
            self.turn(TURN, &mut Nobody)?;
        }
    }

    fn start(&mut self, member: Member) -> io::Result<()> {
        let mut connection = Connection::start(&self.target, self.dialect, member)?;
        let token = Token(self.connections.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(connection.socket(), token, interest)?;
        self.connections.push(connection);
        Ok(())
    }

    /// Appends to what connection `at` is to send.
    pub(super) fn send(&mut self, at: usize, write: impl FnOnce(&dyn Dialect, &mut Vec<u8>)) {
        write(self.dialect, self.connections[at].out());
    }

    /// Lets connection `at` write. Returns the bytes that its socket didn't take.
    pub(super) fn flush(&mut self, at: usize) -> usize {
        let connection = &mut self.connections[at];
        connection.flush();
        connection.backlog()
    }

    /// Waits up to so long for anything to happen, and serves what happened.
    ///
    /// # Errors
    /// The system's `epoll` fails.
    pub(super) fn turn(
        &mut self,
        timeout: Duration,
        listener: &mut dyn Listener,
    ) -> io::Result<()> {
        if let Err(error) = self.poll.poll(&mut self.events, Some(timeout)) {
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        for event in &self.events {
            let at = event.token().0;
            let connection = &mut self.connections[at];
            let before = Standing::of(connection);
            connection.flush();
            if event.is_readable() {
                let (clock, dialect) = (self.clock, self.dialect);
                let mut told = Told { at, clock, dialect, listener: &mut *listener };
                connection.receive(&mut self.buffer, &mut told);
                connection.flush();
            }
            match (before, Standing::of(connection)) {
                (Standing::Opening, Standing::Ready) => self.ready += 1,
                (Standing::Opening | Standing::Ready, Standing::Gone) => {
                    self.lost += 1;
                    if let Phase::Gone(reason) = connection.phase() {
                        self.last_words.clone_from(reason);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Serves for so long, as an idle client does.
    ///
    /// # Errors
    /// The system's `epoll` fails.
    pub(super) fn rest(&mut self, span: Duration) -> io::Result<()> {
        let end = self.clock.now().after(span);
        while self.clock.now() < end {
            self.turn(TURN, &mut Nobody)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Opening,
    Ready,
    Gone,
}

impl Standing {
    const fn of(connection: &Connection) -> Self {
        match connection.phase() {
            Phase::Upgrading | Phase::Greeting | Phase::Subscribing => Self::Opening,
            Phase::Ready => Self::Ready,
            Phase::Gone(_) => Self::Gone,
        }
    }
}
