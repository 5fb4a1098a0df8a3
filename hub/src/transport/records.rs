//! TLS records in borrowed memory: rustls' interface without buffers of its own.
//!
//! What a connection owns between two calls is the session, and rarely the beginning of a record or
//! plaintext that a small read left over. `rustls` 0.24 replaces this interface; nothing else knows it.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls_pki_types::CertificateDer;

/// Plaintext of one record (RFC 8446, section 5.1).
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The TLS of one connection.
pub struct Records {
    session: UnbufferedServerConnection,
    /// The beginning of a record, or of a handshake message of several.
    incoming: Vec<u8>,
    /// Decrypted and not read yet.
    plaintext: Vec<u8>,
    /// Handshake messages, tickets and alerts that are to be sent.
    outgoing: Vec<u8>,
    /// The peer said that nothing follows.
    ended: bool,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Nothing of what was said under it.
        formatter.debug_struct("Records").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Records {
    /// Before the handshake.
    ///
    /// # Errors
    /// The configuration can't be used.
    pub fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let session = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let (incoming, plaintext, outgoing) = Default::default();
        Ok(Self { session, incoming, plaintext, outgoing, ended: false })
    }

    /// Whether the handshake goes on.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// The chain that the peer proved to have, leaf first; empty without.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.session.peer_certificates().unwrap_or_default()
    }

    /// Whether the peer said that nothing follows.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What an earlier call could not use; what is received next belongs behind it.
    pub fn incoming(&self) -> &[u8] {
        &self.incoming
    }

    /// What rustls itself has to say.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Plaintext that did not fit the last time: as much as fits now.
    pub fn take_plaintext(&mut self, into: &mut [u8]) -> usize {
        let count = self.plaintext.len().min(into.len());
        into[..count].copy_from_slice(&self.plaintext[..count]);
        if count == self.plaintext.len() {
            self.plaintext = Vec::new();
        } else {
            self.plaintext.drain(..count);
        }
        count
    }

    /// Decrypts in place all that [`Records::incoming`] and what was received behind it make up.
    /// Returns the bytes of plaintext in `into`; what doesn't fit is kept.
    ///
    /// # Errors
    /// The peer breaks the protocol or can't be accepted; the alert is in the outgoing bytes.
    pub fn open(&mut self, received: &mut [u8], into: &mut [u8]) -> io::Result<usize> {
        let (mut used, mut filled) = (0, 0);
        loop {
            let rest = &mut received[used..];
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(rest);
            used += discard;
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.collect_alert(&mut received[used..]);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            };
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        used += record.discard;
                        let fits = record.payload.len().min(into.len() - filled);
                        let (now, later) = record.payload.split_at(fits);
                        into[filled..filled + fits].copy_from_slice(now);
                        self.plaintext.extend_from_slice(later);
                        filled += fits;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(&mut self.outgoing, |buffer| data.encode(buffer))?;
                }
                ConnectionState::TransmitTlsData(transmit) => transmit.done(),
                ConnectionState::PeerClosed => self.ended = true,
                ConnectionState::WriteTraffic(_)
                | ConnectionState::BlockedHandshake
                | ConnectionState::Closed => break,
                // Early data is never offered.
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        self.incoming = received[used..].to_vec();
        Ok(filled)
    }

    /// Encrypts at most [`RECORD_BYTES_MAX`] bytes into one record.
    ///
    /// # Errors
    /// The handshake isn't over, or the keys are used up.
    pub fn seal(&mut self, plaintext: &[u8], into: &mut [u8]) -> io::Result<usize> {
        self.writing(|traffic| traffic.encrypt(plaintext, into).map_err(io::Error::other))
    }

    /// The record that says that nothing follows.
    ///
    /// # Errors
    /// The handshake isn't over.
    pub fn seal_end(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.writing(|traffic| traffic.queue_close_notify(into).map_err(io::Error::other))
    }

    /// Lets `write` encrypt, after all that rustls has to say before it.
    fn writing(
        &mut self,
        write: impl FnOnce(&mut Traffic<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            // What is held is no whole record, or `open` would have used it: nothing is discarded.
            let status = self.session.process_tls_records(&mut self.incoming);
            match status.state.map_err(io::Error::other)? {
                ConnectionState::WriteTraffic(mut traffic) => return write(&mut traffic),
                ConnectionState::EncodeTlsData(mut data) => {
                    append(&mut self.outgoing, |buffer| data.encode(buffer))?;
                }
                ConnectionState::TransmitTlsData(transmit) => transmit.done(),
                ConnectionState::PeerClosed => self.ended = true,
                _ => return Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    /// What was to be said before the error that just came back, and its alert. To ask once more after
    /// that would be to offer rustls the same bytes again.
    fn collect_alert(&mut self, rest: &mut [u8]) {
        loop {
            let status = self.session.process_tls_records(rest);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state else { return };
            let before = self.outgoing.len();
            let appended = append(&mut self.outgoing, |buffer| data.encode(buffer));
            if appended.is_err() || is_alert(&self.outgoing[before..]) {
                return;
            }
        }
    }
}

/// Whether the record is an alert: by its type, or encrypted by its length, which no handshake message
/// is as short as (RFC 8446, sections 5.1, 5.2 and 6).
fn is_alert(record: &[u8]) -> bool {
    const ALERT: u8 = 21;
    const APPLICATION_DATA: u8 = 23;
    /// Head, alert, type, and tag of the cipher.
    const ENCRYPTED_ALERT_BYTES: usize = 5 + 2 + 1 + 16;
    match record.first() {
        Some(&ALERT) => true,
        Some(&APPLICATION_DATA) => record.len() == ENCRYPTED_ALERT_BYTES,
        Some(_) | None => false,
    }
}

type Traffic<'c> = rustls::unbuffered::WriteTraffic<'c, rustls::server::ServerConnectionData>;

/// Appends what `encode` writes; it tells how much room it needs.
fn append(
    outgoing: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> io::Result<()> {
    let before = outgoing.len();
    let needed = match encode(&mut []) {
        Err(EncodeError::InsufficientSize(error)) => error.required_size,
        Ok(_) | Err(EncodeError::AlreadyEncoded) => return Ok(()),
    };
    outgoing.resize(before + needed, 0);
    let written = encode(&mut outgoing[before..]).map_err(io::Error::other)?;
    outgoing.truncate(before + written);
    Ok(())
}
