//! What one record tells, and the line of JSON that is stored and hashed.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::chain::{Hash, hex};

/// Bytes of each text of a record but `detail`; longer ones are cut.
pub const TEXT_BYTES_MAX: usize = 160;
/// Bytes of `detail`.
pub const DETAIL_BYTES_MAX: usize = 256;
/// Bytes of a stored record at most: five texts, each twice as long where JSON escapes it.
pub const ENTRY_BYTES_MAX: usize = 2 * (5 * TEXT_BYTES_MAX + DETAIL_BYTES_MAX) + 512;

/// The result of what was done.
const DONE: &str = "done";

/// Through what someone came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A request of HTTP.
    Http,
    /// The hub itself: a reload, retention.
    Hub,
    /// A program on the data folder of a hub that isn't running.
    Offline,
    /// A connection of WebSocket.
    Socket,
}

/// What was done or asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Verb {
    AddDevice,
    CancelCommand,
    ChangeConfiguration,
    ChangeDevice,
    ChangeProfile,
    ChangeSchema,
    Connect,
    Disconnect,
    EndOverride,
    Export,
    /// Retention took records away.
    Forget,
    Import,
    IssueToken,
    PinCertificate,
    Publish,
    RemoveDevice,
    RemoveProfile,
    /// What only a device may say of a command.
    Report,
    /// An HTTP request that was refused; its object has method and path.
    Request,
    RevokeCertificate,
    RevokeToken,
    SendCommand,
    SetOverride,
    Subscribe,
}

/// Who acts, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// As in `operator ann` or `device lamp-1`; `unknown` before anyone is known.
    pub who: String,
    /// The id of the token, never the token; empty without one.
    pub token: String,
    /// Where it comes from; none for the hub itself.
    pub address: Option<SocketAddr>,
    /// Through what.
    pub door: Door,
}

/// Something that was done or refused, not yet in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    actor: Actor,
    verb: Verb,
    object: String,
    detail: String,
    result: String,
    left_out: u64,
}

/// A record in its place in the chain. Its JSON is what is stored, and what the next one has the hash
/// of; the order of the fields is part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Counts from 1, without holes.
    pub n: u64,
    /// ms since 1970, UTC.
    pub unix_ms: u64,
    /// As in `operator ann`.
    pub who: String,
    /// The id of the token.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// Address and port.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// `http`, `hub`, `offline`, `socket`.
    pub door: String,
    /// The verb, as in `send-command`.
    pub what: String,
    /// A device, a channel, the id of a token or command, a path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// What else identifies it; never a payload.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// `done`, or why not, in the words of the protocol.
    pub result: String,
    /// Refusals before this one that were counted and not recorded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// The SHA-256 of the record before it, in hex; 64 zeros in the first.
    pub previous: String,
}

impl Door {
    /// Its word in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Hub => "hub",
            Self::Offline => "offline",
            Self::Socket => "socket",
        }
    }
}

impl Verb {
    /// Its word in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::AddDevice => "add-device",
            Self::CancelCommand => "cancel-command",
            Self::ChangeConfiguration => "change-configuration",
            Self::ChangeDevice => "change-device",
            Self::ChangeProfile => "change-profile",
            Self::ChangeSchema => "change-schema",
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::EndOverride => "end-override",
            Self::Export => "export",
            Self::Forget => "forget",
            Self::Import => "import",
            Self::IssueToken => "issue-token",
            Self::PinCertificate => "pin-certificate",
            Self::Publish => "publish",
            Self::RemoveDevice => "remove-device",
            Self::RemoveProfile => "remove-profile",
            Self::Report => "report",
            Self::Request => "request",
            Self::RevokeCertificate => "revoke-certificate",
            Self::RevokeToken => "revoke-token",
            Self::SendCommand => "send-command",
            Self::SetOverride => "set-override",
            Self::Subscribe => "subscribe",
        }
    }
}

impl Actor {
    /// The hub itself.
    pub fn hub() -> Self {
        Self { who: "hub".to_owned(), token: String::new(), address: None, door: Door::Hub }
    }

    /// Someone at the data folder of a hub that isn't running.
    pub fn offline() -> Self {
        Self { who: "shell".to_owned(), door: Door::Offline, ..Self::hub() }
    }

    /// Someone who has not shown who it is.
    pub fn unknown(door: Door, address: Option<SocketAddr>) -> Self {
        Self { who: "unknown".to_owned(), token: String::new(), address, door }
    }
}

impl Record {
    /// Something that is done in the same batch.
    pub fn done(actor: Actor, verb: Verb, object: impl Into<String>) -> Self {
        let (object, detail) = (object.into(), String::new());
        Self { actor, verb, object, detail, result: DONE.to_owned(), left_out: 0 }
    }

    /// Something that was refused; `why` is a code of the protocol.
    pub fn refused(actor: Actor, verb: Verb, object: impl Into<String>, why: &str) -> Self {
        Self { result: why.to_owned(), ..Self::done(actor, verb, object) }
    }

    /// Adds what else identifies it: no payload, no secret.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds how many refusals before it were left out.
    #[must_use]
    pub(crate) fn left_out(mut self, count: u64) -> Self {
        self.left_out = count;
        self
    }

    /// Where it comes from.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.actor.address
    }

    /// The record at its place.
    pub(super) fn place(&self, n: u64, unix_ms: u64, previous: &Hash) -> Entry {
        let address = self.actor.address.map(|address| address.to_string());
        Entry {
            n,
            unix_ms,
            who: plain(&self.actor.who, TEXT_BYTES_MAX),
            token: plain(&self.actor.token, TEXT_BYTES_MAX),
            address: address.unwrap_or_default(),
            door: self.actor.door.word().to_owned(),
            what: self.verb.word().to_owned(),
            object: plain(&self.object, TEXT_BYTES_MAX),
            detail: plain(&self.detail, DETAIL_BYTES_MAX),
            result: plain(&self.result, TEXT_BYTES_MAX),
            left_out: self.left_out,
            previous: hex(previous),
        }
    }
}

impl Entry {
    /// The line that is stored and hashed.
    pub fn line(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers have JSON")
    }

    /// Whether it is about this person, program, device or token: a part of a name is enough.
    pub fn is_by(&self, who: &str) -> bool {
        who.is_empty() || self.who.contains(who) || self.token.contains(who)
    }

    /// Whether it is about this verb or thing: a part of a word is enough.
    pub fn is_about(&self, what: &str) -> bool {
        what.is_empty()
            || [&self.what, &self.object, &self.detail].iter().any(|text| text.contains(what))
    }
}

/// The text without control characters, and cut at its bound.
fn plain(text: &str, bytes_max: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(bytes_max));
    for letter in text.chars() {
        let letter = if letter.is_control() { '\u{fffd}' } else { letter };
        if plain.len() + letter.len_utf8() > bytes_max {
            break;
        }
        plain.push(letter);
    }
    plain
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_record_is_within_its_bound_and_has_no_control_characters() {
        let long = "\"\u{1b}é".repeat(1000);
        let actor = Actor {
            who: long.clone(),
            token: long.clone(),
            address: "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().ok(),
            door: Door::Offline,
        };
        let record = Record::refused(actor, Verb::ChangeConfiguration, long.clone(), &long);
        let entry = record.detail(long).left_out(u64::MAX).place(u64::MAX, u64::MAX, &[0xff; 32]);

        let line = entry.line();

        assert!(line.len() <= ENTRY_BYTES_MAX, "{}", line.len());
        assert!(!line.contains(&0x1b));
        assert_eq!(serde_json::from_slice::<Entry>(&line).expect("its own JSON"), entry);
    }

    #[test]
    fn a_part_of_a_name_finds_a_record() {
        let actor = Actor { who: "operator ann".to_owned(), ..Actor::hub() };
        let entry = Record::done(actor, Verb::SendCommand, "lamp-0042").place(1, 0, &[0; 32]);
        assert!(entry.is_by("ann") && !entry.is_by("bob") && entry.is_by(""));
        assert!(entry.is_about("lamp-0042") && entry.is_about("send") && !entry.is_about("token"));
    }
}
