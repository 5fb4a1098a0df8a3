//! The floor: the least that a program can do for the scenarios of the comparison, on one thread.
//!
//! It accepts WebSockets, puts each into the slot that its path names, and passes on what it gets to all
//! members of the slot that the message names: one encoded frame for all, one write for each receiver. It
//! has no sessions, no names, no limits for peers, and trusts whoever connects. What a real server costs
//! above it is what that server adds. Not for use.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LISTENER: Token = Token(usize::MAX);
const EVENTS_MAX: usize = 1024;
const BUFFER_BYTES: usize = 256 * 1024;
/// What a receiver has not taken; more is left out.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;
const HEAD_BYTES_MAX: usize = 4096;
const SLOT_BYTES: usize = 4;

struct Member {
    socket: TcpStream,
    is_upgraded: bool,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

/// All members, and who is in which slot.
struct Floor {
    poll: Poll,
    members: Vec<Option<Member>>,
    slots: HashMap<u32, Vec<usize>>,
    buffer: Box<[u8]>,
    frames: Vec<u8>,
}

fn main() -> io::Result<()> {
    device_sim::run::raise_descriptor_limit();
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    let mut floor = Floor {
        poll: Poll::new()?,
        members: Vec::new(),
        slots: HashMap::new(),
        buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
        frames: Vec::new(),
    };
    floor.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    device_sim::report::print(&format!("ready ws://{}", listener.local_addr()?));
    let mut events = Events::with_capacity(EVENTS_MAX);
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&listener)?,
                Token(at) => {
                    if event.is_writable() {
                        floor.write(at);
                    }
                    if event.is_readable() && floor.read(at).is_none() {
                        floor.members[at] = None;
                    }
                }
            }
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let token = Token(self.members.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, token, interest)?;
            let (unread, unsent) = (Vec::new(), Vec::new());
            self.members.push(Some(Member { socket, is_upgraded: false, unread, unsent }));
        }
    }

    /// Reads what is there and passes it on; nothing if the member is gone.
    fn read(&mut self, at: usize) -> Option<()> {
        loop {
            let member = self.members[at].as_mut()?;
            let count = match member.socket.read(&mut self.buffer) {
                Ok(0) => return None,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
                Err(_) => return None,
            };
            let mut bytes = std::mem::take(&mut member.unread);
            bytes.extend_from_slice(&self.buffer[..count]);
            let is_upgraded = member.is_upgraded;
            let taken =
                if is_upgraded { self.pass_on(&mut bytes) } else { self.upgrade(at, &bytes)? };
            bytes.drain(..taken);
            if !bytes.is_empty() {
                self.members[at].as_mut()?.unread = bytes;
            }
            if count < self.buffer.len() {
                return Some(());
            }
        }
    }

    /// Answers the upgrade; returns the bytes of the request, 0 if it isn't whole yet.
    fn upgrade(&mut self, at: usize, bytes: &[u8]) -> Option<usize> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return (bytes.len() < HEAD_BYTES_MAX).then_some(0);
        };
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let slot = head.strip_prefix("GET /")?.split(' ').next()?.parse::<u32>().ok();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        let member = self.members[at].as_mut()?;
        member.is_upgraded = true;
        member.socket.write_all(answer.as_bytes()).ok()?;
        if let Some(slot) = slot {
            self.slots.entry(slot).or_default().push(at);
        }
        Some(end + 4)
    }

    /// Passes whole frames on, all in a row for one slot with one write; returns their bytes.
    fn pass_on(&mut self, bytes: &mut [u8]) -> usize {
        let (mut taken, mut slot) = (0, None);
        let mut frames = std::mem::take(&mut self.frames);
        while let Some((length, content)) = unmask(&mut bytes[taken..]) {
            taken += length;
            let Some((to, _)) = content.split_first_chunk::<SLOT_BYTES>() else { continue };
            let to = u32::from_le_bytes(*to);
            if slot.is_some_and(|slot| slot != to) {
                self.deliver(slot, &frames);
                frames.clear();
            }
            slot = Some(to);
            // All contents of the scenarios are short.
            frames.extend_from_slice(&[0x82, content.len() as u8]);
            frames.extend_from_slice(content);
        }
        self.deliver(slot, &frames);
        frames.clear();
        self.frames = frames;
        taken
    }

    fn deliver(&mut self, slot: Option<u32>, frames: &[u8]) {
        let Some(receivers) = slot.and_then(|slot| self.slots.get(&slot)) else { return };
        for at in receivers {
            let Some(member) = &mut self.members[*at] else { continue };
            let written =
                if member.unsent.is_empty() { member.socket.write(frames).unwrap_or(0) } else { 0 };
            let rest = &frames[written..];
            if written > 0 || member.unsent.len() + rest.len() <= UNSENT_BYTES_MAX {
                member.unsent.extend_from_slice(rest);
            }
        }
    }

    /// Writes what a receiver had no room for.
    fn write(&mut self, at: usize) {
        let Some(member) = &mut self.members[at] else { return };
        while !member.unsent.is_empty() {
            match member.socket.write(&member.unsent) {
                Ok(count) => drop(member.unsent.drain(..count)),
                Err(_) => return,
            }
        }
    }
}

/// The first frame of a client, unmasked in place: its whole length, and its content. Nothing if it isn't
/// whole yet, or longer than any of the scenarios.
fn unmask(bytes: &mut [u8]) -> Option<(usize, &[u8])> {
    const HEAD: usize = 6;
    let length = usize::from(*bytes.get(1)? & 0x7f);
    let (head, rest) = bytes.split_at_mut_checked(HEAD)?;
    let content = rest.get_mut(..length).filter(|_| length <= 125)?;
    for (byte, mask) in content.iter_mut().zip(head[2..].iter().cycle()) {
        *byte ^= mask;
    }
    Some((HEAD + length, content))
}
