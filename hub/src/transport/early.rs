//! Bytes that come behind a request's head before it is answered.
//!
//! A WebSocket client has to wait for the answer before it sends frames (RFC 6455, section 4.1): who
//! doesn't, doesn't know whom it talks to. HTTP allows the next request there, so only the upgrade looks.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::Wire;

/// Whether there were such bytes.
#[derive(Debug, Default)]
pub struct Early(AtomicBool);

impl Early {
    /// Whether bytes came behind the head of the request that is being answered.
    pub fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A wire under HTTP that notes them. Costs a look at each byte of a head.
#[derive(Debug)]
pub(super) struct Watched {
    wire: Wire,
    early: Arc<Early>,
    /// Bytes of the blank line at a head's end that were seen last; [`END`]'s length after it.
    matched: usize,
}

const END: &[u8] = b"\r\n\r\n";

impl Watched {
    /// Watches from the first byte on.
    pub(super) fn new(wire: Wire, early: Arc<Early>) -> Self {
        Self { wire, early, matched: 0 }
    }

    /// The wire, when HTTP is over.
    pub(super) fn into_inner(self) -> Wire {
        self.wire
    }

    fn look(&mut self, bytes: &[u8]) {
        let Some(rest) = after_head(bytes, &mut self.matched) else { return };
        if !rest.is_empty() {
            self.early.0.store(true, Ordering::Relaxed);
        }
    }
}

/// What stands behind the head; nothing, if its end hasn't come.
fn after_head<'b>(bytes: &'b [u8], matched: &mut usize) -> Option<&'b [u8]> {
    for (at, byte) in bytes.iter().enumerate() {
        if *matched == END.len() {
            return Some(&bytes[at..]);
        }
        *matched = match byte {
            byte if *byte == END[*matched] => *matched + 1,
            b'\r' => 1,
            _ => 0,
        };
    }
    (*matched == END.len()).then_some(&[])
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.wire).poll_read(context, buffer))?;
        self.look(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // The answer: what comes now belongs to another request.
        self.matched = 0;
        self.early.0.store(false, Ordering::Relaxed);
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_head_is_found_wherever_it_is_cut() {
        for (text, rest) in [
            ("GET / HTTP/1.1\r\nA: b\r\n\r\n", ""),
            ("GET\r\r\n\r\nxy", "xy"),
            ("a\r\n\rb\r\n", ""),
        ] {
            let bytes = text.as_bytes();
            for cut in 0..=bytes.len() {
                let mut matched = 0;
                let parts = [&bytes[..cut], &bytes[cut..]];
                let found = parts.map(|part| after_head(part, &mut matched).unwrap_or_default());
                assert_eq!(found.concat(), rest.as_bytes(), "{text:?} cut at {cut}");
            }
        }
    }
}
