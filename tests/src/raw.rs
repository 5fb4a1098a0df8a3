//! Bytes for a hub, each under the test's control: what no client would send.
//!
//! One connection: [`Raw::open`], [`Raw::write`], then [`Raw::head`] for an answer of HTTP, or
//! [`Raw::upgrade`] and [`Raw::frame`] for frames of WebSocket. Built on nothing that checks.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Via;
use crate::deadline::{PATIENCE, within};
use crate::stream::Stream;

/// The key of every upgrade that is made here, from RFC 6455.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// FIN and the opcode of a text frame.
pub const TEXT: u8 = 0x81;
/// FIN and the opcode of a binary frame.
pub const BINARY: u8 = 0x82;
/// FIN and the opcode of a close frame.
pub const CLOSE: u8 = 0x88;
/// FIN and the opcode of a ping.
pub const PING: u8 = 0x89;
/// FIN and the opcode of a pong.
pub const PONG: u8 = 0x8a;

/// One connection.
pub struct Raw {
    stream: Stream,
    /// Heard and not yet taken.
    heard: Vec<u8>,
}

/// A frame of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub first: u8,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code, if it is a close frame: 1005 if it says none.
    pub fn close_code(&self) -> Option<u16> {
        (self.first == CLOSE).then(|| match self.payload.as_slice() {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 1005,
        })
    }
}

impl Raw {
    /// Connects; says nothing.
    pub async fn open(via: &Via) -> Self {
        let stream = within(PATIENCE, "a connection", via.open()).await;
        Self { stream: stream.expect("the hub takes connections"), heard: Vec::new() }
    }

    /// Connects and upgrades.
    pub async fn upgrade(via: &Via) -> Self {
        let mut raw = Self::open(via).await;
        raw.write(upgrade_request(&[]).as_bytes()).await;
        let head = raw.head().await.expect("the hub answers");
        assert_eq!(status(&head), 101, "{head}");
        raw
    }

    /// Writes; a hub that cut already has said why, and that is read next.
    pub async fn write(&mut self, bytes: &[u8]) {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        drop(within(PATIENCE, "the hub takes bytes", write).await);
    }

    /// Says that nothing more comes, and stays to hear.
    pub async fn close_write(&mut self) {
        drop(self.stream.shutdown().await);
    }

    /// The head of an answer, or `None` if the hub cut without one.
    pub async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = self.heard.drain(..at + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next frame, or `None` at the end.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The code of the close frame, or `None` if the hub cut without one.
    pub async fn close_code(&mut self) -> Option<u16> {
        while let Some(frame) = self.frame().await {
            if let Some(code) = frame.close_code() {
                return Some(code);
            }
        }
        None
    }

    /// Everything up to the end.
    pub async fn to_end(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.heard)
    }

    /// Whether the hub says something within this time; its end counts.
    pub async fn says_within(&mut self, limit: Duration) -> bool {
        let mut bytes = [0; 1024];
        match tokio::time::timeout(limit, self.stream.read(&mut bytes)).await {
            Ok(read) => {
                self.heard.extend_from_slice(&bytes[..read.unwrap_or(0)]);
                true
            }
            Err(_) => false,
        }
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = within(PATIENCE, "the hub says something", self.stream.read(&mut bytes)).await;
        let count = read.unwrap_or(0);
        self.heard.extend_from_slice(&bytes[..count]);
        count > 0
    }

    /// Frames of a server have no mask.
    fn take_frame(&mut self) -> Option<Frame> {
        let (first, second) = (*self.heard.first()?, *self.heard.get(1)?);
        let (head, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(*self.heard.get(2..4)?.as_array()?))),
            127 => (
                10,
                usize::try_from(u64::from_be_bytes(*self.heard.get(2..10)?.as_array()?)).ok()?,
            ),
            length => (2, usize::from(length)),
        };
        let payload = self.heard.get(head..head + length)?.to_vec();
        self.heard.drain(..head + length);
        Some(Frame { first, payload })
    }
}

/// A good upgrade with some headers exchanged: `("", line)` adds a line as it is, `(name, "")` leaves
/// one out, `(name, value)` replaces or adds.
pub fn upgrade_request(changes: &[(&str, &str)]) -> String {
    request("GET /v1/ws HTTP/1.1", changes)
}

/// The same with another first line.
pub fn request(first: &str, changes: &[(&str, &str)]) -> String {
    const GOOD: [(&str, &str); 6] = [
        ("Host", "localhost"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Protocol", "lamplighter.v1"),
    ];
    let mut text = format!("{first}\r\n");
    for (name, value) in GOOD {
        if !changes.iter().any(|(changed, _)| *changed == name) {
            text += &format!("{name}: {value}\r\n");
        }
    }
    for (name, value) in changes {
        match (*name, *value) {
            ("", line) => text += &format!("{line}\r\n"),
            (_, "") => {}
            (name, value) => text += &format!("{name}: {value}\r\n"),
        }
    }
    text + "\r\n"
}

/// The status of an answer's head.
pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A frame as a client sends it: masked, its length in the shortest form.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = head(first, payload.len() as u64);
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The head of a frame without a mask, its length in the shortest form.
pub fn head(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(length as u8),
        126..=0xffff => {
            bytes.push(126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes
}
