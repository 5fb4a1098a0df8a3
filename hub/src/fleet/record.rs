//! What the disk knows of a fleet command.
//!
//! One record for the plan and how it was stopped, in JSON under the id; and one for each 256 targets
//! under the id and the number of the chunk, in bytes: version, then for each target its device, state,
//! command and detail, texts behind one byte of length.

use bytes::Bytes;
use proto::limits as wire;
use proto::{CommandId, DeviceId};
use serde::{Deserialize, Serialize};

use super::plan::{Plan, Stop};
use super::target::{Outcome, Target};
use super::{Fleet, FleetId};

/// Targets of one record.
pub(super) const CHUNK: usize = 256;
const VERSION: u8 = 1;
const ID_BYTES: usize = 16;
/// Bytes of the longest target.
const TARGET_BYTES_MAX: usize =
    1 + wire::DEVICE_ID_BYTES_MAX + 1 + ID_BYTES + 1 + wire::DETAIL_BYTES_MAX;

/// The store takes values up to 64 KiB, and a length is one byte.
const _: () = assert!(1 + CHUNK * TARGET_BYTES_MAX < 64 * 1024);
const _: () = assert!(wire::DETAIL_BYTES_MAX < 256 && wire::DEVICE_ID_BYTES_MAX < 256);

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where.
    pub key: Box<[u8]>,
    /// What.
    pub value: Bytes,
    /// The targets' chunk; `None` for the plan.
    pub(super) chunk: Option<u16>,
}

/// Why a record can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("its key is none of a fleet command")]
    Key,
    #[error("it has targets of a fleet command that isn't there")]
    Orphan,
    #[error("its plan can't be read: {0}")]
    Plan(String),
    #[error("its targets can't be read")]
    Targets,
}

/// The plan's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) plan: Plan,
    pub(super) stop: Option<Stop>,
    /// 0 until it ended.
    pub(super) ended_unix_ms: u64,
}

fn key(id: FleetId, chunk: Option<u16>) -> Box<[u8]> {
    let mut key = id.0.to_bytes().to_vec();
    key.extend(chunk.into_iter().flat_map(u16::to_be_bytes));
    key.into_boxed_slice()
}

pub(super) fn read_key(key: &[u8]) -> Result<(FleetId, Option<u16>), RecordError> {
    let (id, chunk) = key.split_first_chunk::<ID_BYTES>().ok_or(RecordError::Key)?;
    let id = FleetId(CommandId::from_bytes(*id));
    match chunk {
        [] => Ok((id, None)),
        [high, low] => Ok((id, Some(u16::from_be_bytes([*high, *low])))),
        _ => Err(RecordError::Key),
    }
}

pub(super) fn read_header(value: &[u8]) -> Result<Header, RecordError> {
    serde_json::from_slice(value).map_err(|error| RecordError::Plan(error.to_string()))
}

pub(super) fn header(id: FleetId, header: &Header) -> Record {
    let value = serde_json::to_vec(header).expect("a plan of texts and numbers has JSON");
    Record { key: key(id, None), value: value.into(), chunk: None }
}

pub(super) fn targets(id: FleetId, chunk: u16, targets: &[Target]) -> Record {
    let mut value = Vec::with_capacity(1 + targets.len() * 40);
    value.push(VERSION);
    for target in targets {
        put_text(&mut value, target.device.as_str());
        value.push(target.outcome as u8);
        let command = target.command.unwrap_or(CommandId::from_bytes([0; ID_BYTES]));
        value.extend_from_slice(&command.to_bytes());
        put_text(&mut value, &target.detail);
    }
    Record { key: key(id, Some(chunk)), value: value.into(), chunk: Some(chunk) }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(usize::from(u8::MAX))];
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn read_targets(value: &[u8]) -> Result<Vec<Target>, RecordError> {
    let (VERSION, mut rest) =
        value.split_first().map_or((0, value), |(first, rest)| (*first, rest))
    else {
        return Err(RecordError::Targets);
    };
    let mut targets = Vec::new();
    while !rest.is_empty() {
        targets.push(read_target(&mut rest).ok_or(RecordError::Targets)?);
    }
    Ok(targets)
}

fn read_target(rest: &mut &[u8]) -> Option<Target> {
    let device = DeviceId::parse(text(rest)?).ok()?;
    let outcome = Outcome::from_number(take::<1>(rest)?[0])?;
    let command = *take::<ID_BYTES>(rest)?;
    let command = (command != [0; ID_BYTES]).then_some(CommandId::from_bytes(command));
    let detail = text(rest)?.into();
    Some(Target { outcome, command, detail, ..Target::new(device) })
}

fn take<'v, const N: usize>(rest: &mut &'v [u8]) -> Option<&'v [u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(taken)
}

fn text<'v>(rest: &mut &'v [u8]) -> Option<&'v str> {
    let length = usize::from(take::<1>(rest)?[0]);
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(taken).ok()
}

impl Fleet {
    /// The keys of all its records.
    pub(super) fn keys(&self, id: FleetId) -> Vec<Box<[u8]>> {
        let chunks = self.targets().len().div_ceil(CHUNK);
        let numbers = (0..chunks).filter_map(|chunk| u16::try_from(chunk).ok());
        std::iter::once(None).chain(numbers.map(Some)).map(|chunk| key(id, chunk)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_back_as_they_were() {
        let device = |id| DeviceId::parse(id).expect("valid");
        let mut written = vec![Target::new(device("lamp-1")), Target::new(device("lamp-2"))];
        written[1].outcome = Outcome::Failed;
        written[1].command = Some(CommandId::from_bytes([7; 16]));
        written[1].detail = "relay stuck, ö".into();
        let id = FleetId(CommandId::from_bytes([1; 16]));
        let record = targets(id, 3, &written);
        assert_eq!(read_targets(&record.value), Ok(written));
        assert_eq!(read_key(&record.key), Ok((id, Some(3))));
        for cut in 0..record.value.len() {
            // Any beginning is read or refused, never a panic.
            drop(read_targets(&record.value[..cut]));
        }
        assert_eq!(read_targets(&[]), Err(RecordError::Targets));
        assert_eq!(read_targets(&[9, 1]), Err(RecordError::Targets));
        assert_eq!(read_key(b"short"), Err(RecordError::Key));
    }
}
