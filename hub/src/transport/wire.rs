//! The bytes of one connection: a socket, with or without TLS, that holds no buffer while it waits.
//!
//! Neither reading nor writing waits. What the socket doesn't take at once is kept, and
//! [`Wire::is_blocked`] then holds until [`Wire::poll_flush`] has brought it out; the caller writes no
//! more before that, so what is kept is bounded by what one caller writes at once.
//!
//! Records are decrypted and encrypted in borrowed [`Scratch`]. HTTP reads and writes through the traits
//! of tokio, before the connection becomes a WebSocket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::SendFlags;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::buffers::Scratch;
use super::records::{RECORD_BYTES_MAX, Records};

/// One connection's bytes.
#[derive(Debug)]
pub struct Wire {
    pipe: Pipe,
    /// Boxed: without TLS it costs a pointer.
    tls: Option<Box<Records>>,
}

/// The socket, and what it didn't take.
#[derive(Debug)]
struct Pipe {
    socket: TcpStream,
    unsent: Vec<u8>,
    written: u64,
}

impl Wire {
    /// A connection as it is.
    pub fn plain(socket: TcpStream) -> Self {
        Self { pipe: Pipe { socket, unsent: Vec::new(), written: 0 }, tls: None }
    }

    /// A connection after its TLS handshake.
    ///
    /// # Errors
    /// The peer left, or offered nothing that the configuration accepts.
    pub async fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let records = Box::new(Records::new(config)?);
        let mut wire = Self { tls: Some(records), ..Self::plain(socket) };
        std::future::poll_fn(|context| wire.poll_handshake(context)).await?;
        Ok(wire)
    }

    /// The chain that the peer proved to have, leaf first; empty without.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.as_ref().map_or(&[], |tls| tls.peer_certificates())
    }

    /// Bytes that the socket took so far.
    pub fn written(&self) -> u64 {
        self.pipe.written
    }

    /// Whether bytes wait that the socket didn't take.
    pub fn is_blocked(&self) -> bool {
        !self.pipe.unsent.is_empty()
    }

    /// Reads what is there, or has the task woken when something comes. 0 bytes: nothing will.
    pub fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(tls) = &mut self.tls else { return self.pipe.poll_read(context, into) };
        loop {
            let count = tls.take_plaintext(into);
            if count > 0 || tls.is_ended() {
                return Poll::Ready(Ok(count));
            }
            let Received { plaintext, ended } =
                ready!(poll_open(&mut self.pipe, tls, context, into))?;
            if plaintext > 0 || ended {
                return Poll::Ready(Ok(plaintext));
            }
        }
    }

    /// Sends `bytes`; keeps what the socket doesn't take.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return self.pipe.push(bytes) };
        let mut record = Scratch::borrow();
        for piece in bytes.chunks(RECORD_BYTES_MAX) {
            let length = tls.seal(piece, &mut record)?;
            let before = tls.take_outgoing();
            self.pipe.push(&before)?;
            self.pipe.push(&record[..length])?;
        }
        Ok(())
    }

    /// Says that nothing follows, and lets the peer know at once.
    ///
    /// # Errors
    /// The connection is broken, or was never whole.
    pub fn end(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            let mut record = Scratch::borrow();
            let length = tls.seal_end(&mut record)?;
            self.pipe.push(&record[..length])?;
        }
        socket2::SockRef::from(&self.pipe.socket).shutdown(std::net::Shutdown::Write)
    }

    /// Brings out what waits; whether all is out.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush(&mut self) -> io::Result<bool> {
        self.pipe.flush()?;
        Ok(!self.is_blocked())
    }

    /// Brings out what waits, or has the task woken when the socket takes bytes again.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.flush()? {
            ready!(self.pipe.socket.poll_write_ready(context))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            ready!(self.poll_flush(context))?;
            let Some(tls) = &mut self.tls else { break };
            // Nobody reads plaintext yet: it is kept.
            if ready!(poll_open(&mut self.pipe, tls, context, &mut []))?.ended {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        self.poll_flush(context)
    }
}

impl Pipe {
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let taken = if self.unsent.is_empty() { self.write(bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let mut unsent = std::mem::take(&mut self.unsent);
        let taken = self.write(&unsent)?;
        if taken < unsent.len() {
            unsent.drain(..taken);
            self.unsent = unsent;
        }
        Ok(())
    }

    /// How much the socket took of it. Past the runtime, whose note of what is ready is one more line of
    /// memory for each of many receivers; it hears of a socket that is full.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            let sent = match rustix::net::send(&self.socket, rest, SendFlags::NOSIGNAL) {
                Err(Errno::AGAIN) => self.socket.try_write(rest),
                sent => sent.map_err(io::Error::from),
            };
            match sent {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => taken += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.written += taken as u64;
        Ok(taken)
    }
}

/// What came out of one read.
struct Received {
    plaintext: usize,
    ended: bool,
}

/// Reads once and decrypts; what rustls answers by itself goes out.
fn poll_open(
    pipe: &mut Pipe,
    tls: &mut Records,
    context: &mut Context<'_>,
    into: &mut [u8],
) -> Poll<io::Result<Received>> {
    let mut scratch = Scratch::borrow();
    let held = tls.incoming().len();
    if held >= scratch.len() {
        // A handshake message of several records: a chain of certificates that is far too long.
        return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
    }
    scratch[..held].copy_from_slice(tls.incoming());
    let count = ready!(pipe.poll_read(context, &mut scratch[held..]))?;
    if count == 0 {
        return Poll::Ready(Ok(Received { plaintext: 0, ended: true }));
    }
    let opened = tls.open(&mut scratch[..held + count], into);
    let pushed = pipe.push(&tls.take_outgoing());
    let plaintext = opened?;
    pushed?;
    Poll::Ready(Ok(Received { plaintext, ended: tls.is_ended() }))
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = ready!(self.poll_receive(context, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Self::poll_flush(&mut self, context))?;
        let bytes = &bytes[..bytes.len().min(RECORD_BYTES_MAX)];
        self.send(bytes)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(&mut self, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Self::poll_flush(&mut self, context))?;
        Poll::Ready(self.end())
    }
}
