//! What the disk knows of a command, and its encoding.
//!
//! A record is a version byte and the fields in a fixed order: unsigned numbers as LEB128, texts
//! and bytes behind their length. It is read by the hub that wrote it, or by a younger one; a
//! version that this hub doesn't know is an error and never a guess. Decoding takes any bytes
//! without panicking and allocates no more than it was given.

use std::sync::Arc;

use bytes::Bytes;
use proto::CommandState;
use proto::id::{CommandId, DeviceId};

use super::limits::{RECORD_BYTES_MAX, STEPS_MAX};
use super::types::Step;

const VERSION: u8 = 1;
const DISPATCHED: u8 = 1;
const LATE: u8 = 1;

/// The durable part of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: CommandId,
    /// Place in the order of acceptance of this ledger; survives a clock that was set back.
    pub(super) order: u64,
    pub(super) state: CommandState,
    /// From this record on the command may have been sent.
    pub(super) dispatched: bool,
    pub(super) percent: u8,
    pub(super) attempt: u32,
    /// How often the device restarted while this was the oldest command that it had.
    pub(super) losses: u32,
    pub(super) accepted_unix_ms: u64,
    pub(super) deadline_unix_ms: u64,
    /// 0 until the command ends.
    pub(super) ended_unix_ms: u64,
    pub(super) device: DeviceId,
    pub(super) sender: Arc<str>,
    pub(super) request_id: Option<Arc<str>>,
    pub(super) supersede_key: Option<Arc<str>>,
    pub(super) type_name: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) detail: Box<str>,
    pub(super) result: Bytes,
    /// Steps that were left out of `steps`.
    pub(super) steps_dropped: u32,
    pub(super) steps: Vec<Step>,
}

/// Why a record can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the record has {0} bytes more than it should")]
    Trailing(usize),
    #[error("the record ends too early")]
    Truncated,
    #[error("`{0}` has a value that no hub writes")]
    Value(&'static str),
    #[error("the record has version {0}, and this hub reads {VERSION}")]
    Version(u8),
}

impl Record {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(128 + self.payload.len() + self.result.len());
        out.push(VERSION);
        out.push(if self.dispatched { DISPATCHED } else { 0 });
        out.push(self.state as u8);
        out.push(self.percent);
        out.extend_from_slice(&self.id.to_bytes());
        let numbers = [
            self.order,
            self.attempt.into(),
            self.losses.into(),
            self.accepted_unix_ms,
            self.deadline_unix_ms,
            self.ended_unix_ms,
        ];
        for number in numbers {
            put_number(&mut out, number);
        }
        put_bytes(&mut out, self.device.as_str().as_bytes());
        put_bytes(&mut out, self.sender.as_bytes());
        put_bytes(&mut out, self.request_id.as_deref().unwrap_or_default().as_bytes());
        put_bytes(&mut out, self.supersede_key.as_deref().unwrap_or_default().as_bytes());
        put_bytes(&mut out, self.type_name.as_bytes());
        put_bytes(&mut out, &self.payload);
        put_bytes(&mut out, self.detail.as_bytes());
        put_bytes(&mut out, &self.result);
        put_number(&mut out, self.steps_dropped.into());
        put_number(&mut out, self.steps.len() as u64);
        for step in &self.steps {
            put_step(&mut out, step);
        }
        debug_assert!(out.len() <= RECORD_BYTES_MAX, "a record of {} bytes", out.len());
        out.into()
    }

    pub(super) fn decode(record: &[u8]) -> Result<Self, RecordError> {
        let mut input = Reader(record);
        let version = input.byte()?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let flags = input.byte()?;
        if flags & !DISPATCHED != 0 {
            return Err(RecordError::Value("flags"));
        }
        let record = Self {
            dispatched: flags & DISPATCHED != 0,
            state: input.state()?,
            percent: input.byte()?,
            id: CommandId::from_bytes(input.array()?),
            order: input.order()?,
            attempt: input.number32("attempt")?,
            losses: input.number32("losses")?,
            accepted_unix_ms: input.number()?,
            deadline_unix_ms: input.number()?,
            ended_unix_ms: input.number()?,
            device: input.device()?,
            sender: input.text("sender")?.into(),
            request_id: input.optional_text("request_id")?,
            supersede_key: input.optional_text("supersede_key")?,
            type_name: input.text("type")?.into(),
            payload: Bytes::copy_from_slice(input.bytes()?),
            detail: input.text("detail")?.into(),
            result: Bytes::copy_from_slice(input.bytes()?),
            steps_dropped: input.number32("steps_dropped")?,
            steps: input.steps()?,
        };
        match input.0.len() {
            0 => Ok(record),
            more => Err(RecordError::Trailing(more)),
        }
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_step(out: &mut Vec<u8>, step: &Step) {
    out.push(step.state as u8);
    out.push(if step.late { LATE } else { 0 });
    put_number(out, step.unix_ms);
    put_number(out, step.attempt.into());
    put_bytes(out, step.detail.as_bytes());
}

/// What is left of a record.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, RecordError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(RecordError::Value("number"));
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(RecordError::Value("number"))
    }

    fn number32(&mut self, field: &'static str) -> Result<u32, RecordError> {
        self.number()?.try_into().map_err(|_| RecordError::Value(field))
    }

    /// Orders count up from the highest that was read, so there must be room above.
    fn order(&mut self) -> Result<u64, RecordError> {
        let order = self.number()?;
        if order < u64::MAX / 2 { Ok(order) } else { Err(RecordError::Value("order")) }
    }

    fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| RecordError::Truncated)?)
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| RecordError::Value(field))
    }

    /// An empty text stands for none.
    fn optional_text(&mut self, field: &'static str) -> Result<Option<Arc<str>>, RecordError> {
        let text = self.text(field)?;
        Ok((!text.is_empty()).then(|| text.into()))
    }

    fn state(&mut self) -> Result<CommandState, RecordError> {
        match CommandState::from_number(self.byte()?.into()) {
            CommandState::Unspecified => Err(RecordError::Value("state")),
            state => Ok(state),
        }
    }

    fn device(&mut self) -> Result<DeviceId, RecordError> {
        DeviceId::parse(self.text("device")?).map_err(|_| RecordError::Value("device"))
    }

    fn steps(&mut self) -> Result<Vec<Step>, RecordError> {
        let count = self.number()?;
        if count > STEPS_MAX as u64 {
            return Err(RecordError::Value("steps"));
        }
        (0..count).map(|_| self.step()).collect()
    }

    fn step(&mut self) -> Result<Step, RecordError> {
        let state = self.state()?;
        let flags = self.byte()?;
        if flags & !LATE != 0 {
            return Err(RecordError::Value("step.flags"));
        }
        Ok(Step {
            state,
            late: flags & LATE != 0,
            unix_ms: self.number()?,
            attempt: self.number32("step.attempt")?,
            detail: self.text("step.detail")?.into(),
            revision: 0,
        })
    }
}
