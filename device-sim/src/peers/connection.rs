//! One connection of the generator: from the first SYN to frames both ways, never waiting.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::dialect::{Dialect, Event, Member};
use super::ws::{Opcode, frame, split_frame, upgrade_answer_end, upgrade_request};
use crate::clock::{Clock, Micros};

/// A connection that has no more than this to send gives its buffer back, so that thousands of idle ones
/// leave the memory to the server.
const KEPT_BYTES: usize = 4096;

/// Who is told of what comes in.
pub(super) trait Listener {
    /// Something came on connection `at`. What is appended to `reply` goes back on the same one.
    fn take(&mut self, at: usize, now: Micros, event: Event<'_>, reply: &mut Vec<u8>);
}

/// How far a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// The upgrade was asked for.
    Upgrading,
    /// The server has not accepted the greeting yet.
    Greeting,
    /// It has not accepted the subscription yet.
    Subscribing,
    Ready,
    /// It ended, and why.
    Gone(String),
}

/// One socket with what waits on it.
pub(super) struct Connection {
    stream: Stream,
    member: Member,
    phase: Phase,
    out: Vec<u8>,
    written: usize,
    /// A frame that isn't whole yet.
    unread: Vec<u8>,
    /// The dialect's own unit that isn't whole yet.
    carry: Vec<u8>,
}

/// Where a server listens.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: std::net::SocketAddr,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// What a listener needs to be told about.
pub(super) struct Told<'l> {
    pub(super) at: usize,
    pub(super) clock: Clock,
    pub(super) dialect: &'l dyn Dialect,
    pub(super) listener: &'l mut dyn Listener,
}

impl Connection {
    /// Begins to connect. The upgrade leaves with the first flush.
    ///
    /// # Errors
    /// There is no socket to be had, or TLS can't be used.
    pub(super) fn start(
        target: &Target,
        dialect: &dyn Dialect,
        member: Member,
    ) -> io::Result<Self> {
        let tcp = TcpStream::connect(target.address)?;
        tcp.set_nodelay(true)?;
        let stream = match &target.tls {
            None => Stream::Plain(tcp),
            Some(config) => {
                let name = ServerName::from(target.address.ip());
                let tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(tls, tcp)))
            }
        };
        let upgrade = dialect.upgrade(&member);
        let host = target.address.to_string();
        let out = upgrade_request(&host, &upgrade.path, upgrade.protocol);
        let (unread, carry) = (Vec::new(), Vec::new());
        Ok(Self { stream, member, phase: Phase::Upgrading, out, written: 0, unread, carry })
    }

    /// The socket, to be watched.
    pub(super) fn socket(&mut self) -> &mut TcpStream {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => &mut tls.sock,
        }
    }

    pub(super) const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// What is to be sent; it leaves with the next [`Connection::flush`].
    pub(super) const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Bytes that the socket has not taken.
    pub(super) const fn backlog(&self) -> usize {
        self.out.len() - self.written
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self) {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return self.end("the socket takes nothing"),
                Ok(count) => self.written += count,
                Err(error) if is_for_later(&error) => return,
                Err(error) => return self.end(&error.to_string()),
            }
        }
        self.written = 0;
        self.out.clear();
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        }
        if let Err(error) = self.stream.flush()
            && !is_for_later(&error)
        {
            self.end(&error.to_string());
        }
    }

    /// Reads all that is there, and tells of it.
    pub(super) fn receive(&mut self, buffer: &mut [u8], told: &mut Told<'_>) {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return self.end("the server closed it"),
                Ok(count) => {
                    self.take_bytes(&buffer[..count], told);
                    // The kernel had no more than that; TLS may hold a further record.
                    if count < buffer.len() && matches!(self.stream, Stream::Plain(_)) {
                        return;
                    }
                }
                Err(error) if is_for_later(&error) => return,
                Err(error) => return self.end(&error.to_string()),
            }
        }
    }

    fn take_bytes(&mut self, bytes: &[u8], told: &mut Told<'_>) {
        let now = told.clock.now();
        let mut held = std::mem::take(&mut self.unread);
        let mut rest = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            &held
        };
        if self.phase == Phase::Upgrading {
            match upgrade_answer_end(rest) {
                Ok(Some(end)) => {
                    rest = &rest[end..];
                    let is_asked = told.dialect.greet(&self.member, &mut self.out);
                    self.phase = Phase::Greeting;
                    if !is_asked {
                        self.advance(told.dialect);
                    }
                }
                Ok(None) => {}
                Err(line) => self.end(&line),
            }
        }
        if matches!(self.phase, Phase::Greeting | Phase::Subscribing | Phase::Ready) {
            while let Some((opcode, content, after)) = split_frame(rest) {
                rest = after;
                self.take_frame(opcode, content, now, told);
            }
        }
        if !rest.is_empty() {
            self.unread.extend_from_slice(rest);
        }
    }

    fn take_frame(&mut self, opcode: Opcode, content: &[u8], now: Micros, told: &mut Told<'_>) {
        match opcode {
            Opcode::Ping => {
                frame(&mut self.out, Opcode::Pong, |out| out.extend_from_slice(content));
            }
            Opcode::Close => self.end(&format!("close frame {content:?}")),
            Opcode::Pong | Opcode::Other => {}
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                let mut carry = std::mem::take(&mut self.carry);
                let dialect = told.dialect;
                dialect.read(content, &mut carry, &mut |event| self.take_event(event, now, told));
                self.carry = carry;
            }
        }
    }

    fn take_event(&mut self, event: Event<'_>, now: Micros, told: &mut Told<'_>) {
        match (&self.phase, event) {
            (_, Event::Ping) => told.dialect.pong(&mut self.out),
            (Phase::Greeting | Phase::Subscribing, Event::Accepted) => self.advance(told.dialect),
            (Phase::Greeting | Phase::Subscribing, Event::Refused(reason)) => self.end(reason),
            _ => told.listener.take(told.at, now, event, &mut self.out),
        }
    }

    /// The server agreed to the step before.
    fn advance(&mut self, dialect: &dyn Dialect) {
        let is_asked = match (&self.phase, self.member.listens) {
            (Phase::Greeting, Some(channel)) => {
                dialect.listen(&self.member, channel, &mut self.out)
            }
            _ => false,
        };
        self.phase = if is_asked { Phase::Subscribing } else { Phase::Ready };
    }

    fn end(&mut self, reason: &str) {
        if !matches!(self.phase, Phase::Gone(_)) {
            self.phase = Phase::Gone(reason.to_owned());
        }
    }
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}
