//! Stored last values on their way into memory: read in runs of whole families.
//!
//! A *family* is what is loaded together: all channels of one device, or one channel of anything else.
//! The store's keys begin with the channel, so a family is a stretch of them, and small: a device has a
//! dozen channels.
//!
//! Nothing here takes a lock or changes the broker; `loading` decides who reads what, and when.

use std::ops::ControlFlow;
use std::sync::Arc;

use proto::envelope::{Message, Presence};
use proto::wire::Encode as _;
use proto::{ChannelName, channels};

use super::channel::Channel;
use super::devices::Device;
use super::presence;
use crate::codec::{Draft, Frame};
use crate::store::{Records, StoreError, Table};
use crate::twin::{ReportId, Rules};

/// What ends the name of the channel in a key; no name has it.
const END_OF_NAME: u8 = 0;

/// The moment when the hub started, in the order of messages and for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restart {
    /// The first offset of this life: above all that is stored.
    pub(crate) offset: u64,
    /// ms since 1970.
    pub(crate) unix_ms: u64,
}

/// A family, as the beginning of the keys that it has in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family(String);

/// What was read at once.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// In the order of their names, each with all its values.
    pub(crate) channels: Vec<Arc<Channel>>,
    /// What the values say of devices, registered or not.
    pub(crate) devices: Vec<(Box<str>, Recollection)>,
    /// Last values in `channels`.
    pub(crate) values: usize,
    /// Records that could not be read; they are left as they are.
    pub(crate) unreadable: usize,
    /// The channel with which the next run begins; `None` after the last.
    pub(crate) next: Option<Box<str>>,
    bytes: usize,
}

/// What a run takes at least, if there is so much; the family in which it is reached is its last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunSize {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// What the values of a device say of it.
#[derive(Debug, Default)]
pub(crate) struct Recollection {
    boot: u32,
    durable: ReportId,
    /// With the generation of the session that it speaks of.
    presence: Option<(u64, presence::State)>,
}

impl Family {
    /// The family of a channel, or of all channels that a pattern stands for; `None` if they may
    /// be of several.
    pub(crate) fn of(pattern: &str) -> Option<Self> {
        match channels::device_of(pattern) {
            Some(device) => Some(Self::of_device(device)),
            None if pattern.contains(['*', '>']) => None,
            None => Some(Self(format!("{pattern}{}", char::from(END_OF_NAME)))),
        }
    }

    /// The family of a device.
    pub(crate) fn of_device(id: &str) -> Self {
        Self(format!("{}.{id}.", channels::PREFIX))
    }

    /// With what all its keys begin.
    pub(crate) fn prefix(&self) -> &str {
        &self.0
    }

    fn has(&self, key: &[u8]) -> bool {
        key.starts_with(self.0.as_bytes())
    }
}

/// Reads whole families from the channel `from` on.
pub(crate) fn read_run(
    records: &dyn Records,
    rules: &Rules,
    restart: Restart,
    from: &str,
    size: RunSize,
) -> Result<Run, StoreError> {
    let mut run = Run::default();
    let mut family = None::<Family>;
    records.visit(Table::LastValue, from.as_bytes(), &mut |key, body| {
        let Some(channel) = channel_of(key) else {
            run.skip(&"its key begins with no channel");
            return ControlFlow::Continue(());
        };
        if !family.as_ref().is_some_and(|family| family.has(key)) {
            if run.values + run.unreadable >= size.records || run.bytes >= size.bytes {
                run.next = Some(channel.into());
                return ControlFlow::Break(());
            }
            family = Family::of(channel);
        }
        run.take(rules, restart, channel, body);
        ControlFlow::Continue(())
    })?;
    Ok(run)
}

/// Reads one family.
pub(crate) fn read_family(
    records: &dyn Records,
    rules: &Rules,
    restart: Restart,
    family: &Family,
) -> Result<Run, StoreError> {
    let mut run = Run::default();
    records.visit(Table::LastValue, family.prefix().as_bytes(), &mut |key, body| {
        if !family.has(key) {
            return ControlFlow::Break(());
        }
        if let Some(channel) = channel_of(key) {
            run.take(rules, restart, channel, body);
        }
        ControlFlow::Continue(())
    })?;
    Ok(run)
}

fn channel_of(key: &[u8]) -> Option<&str> {
    let end = key.iter().position(|byte| *byte == END_OF_NAME)?;
    std::str::from_utf8(&key[..end]).ok()
}

impl Run {
    /// Takes one record. Those of a channel come one after the other.
    fn take(&mut self, rules: &Rules, restart: Restart, channel: &str, body: &[u8]) {
        self.bytes += body.len();
        let frame = match Frame::restore(body) {
            Ok(frame) if frame.message().channel == channel => frame,
            Ok(_) => return self.skip(&"it is of another channel than its key"),
            Err(error) => return self.skip(&error),
        };
        let known = self.channels.last().filter(|known| known.name.as_str() == channel);
        let channel = match known {
            Some(known) => known.clone(),
            None => match ChannelName::parse(channel) {
                Ok(name) => {
                    let rule = rules.of(&name);
                    let channel = Arc::new(Channel::new(name, rule));
                    self.channels.push(channel.clone());
                    channel
                }
                Err(error) => return self.skip(&error),
            },
        };
        self.values += 1;
        let frame = self.recollect(restart, frame);
        let message = frame.message();
        let report = ReportId { boot: message.boot, seq: message.seq };
        let unix_ms = message.time_unix_ms;
        let frame = Arc::new(frame);
        channel.inner.lock().state.restore(&channel.rule, &frame, report, unix_ms);
    }

    /// Notes what a value says of its device. Returns the value as it is after the restart.
    fn recollect(&mut self, restart: Restart, frame: Frame) -> Frame {
        let message = frame.message();
        let Some((id, kind)) = channels::known(message.channel) else { return frame };
        let device = match self.devices.last_mut() {
            Some((known, device)) if **known == *id => device,
            _ => {
                self.devices.push((id.into(), Recollection::default()));
                let (_, device) = self.devices.last_mut().expect("one was pushed");
                device
            }
        };
        if kind.writer == channels::Writer::Device {
            let report = ReportId { boot: message.boot, seq: message.seq };
            device.boot = device.boot.max(report.boot);
            device.durable = device.durable.max(report);
        }
        if *kind != channels::PRESENCE {
            return frame;
        }
        let Ok(said) = Presence::decode(message.payload.unwrap_or_default()) else { return frame };
        device.boot = device.boot.max(said.boot);
        if said.online || said.unknown {
            let since_unix_ms = restart.unix_ms;
            device.presence = Some((said.generation, presence::State::Unknown { since_unix_ms }));
            return unknown(&message, said.generation, restart);
        }
        let (since_unix_ms, reason) = (said.since_unix_ms, said.reason.to_owned());
        let offline = presence::State::Offline { since_unix_ms, reason };
        device.presence = Some((said.generation, offline));
        frame
    }

    fn skip(&mut self, error: &dyn std::fmt::Display) {
        self.unreadable += 1;
        tracing::error!(record = "last value", %error,
            "a stored record can't be read; it is left as it is");
    }
}

/// What a presence that was stored as online is since the restart. All of them have the restart's one
/// place in the order: nobody was there to whom another could have been offered.
fn unknown(stored: &Message<'_>, generation: u64, restart: Restart) -> Frame {
    let presence = Presence {
        unknown: true,
        since_unix_ms: restart.unix_ms,
        generation,
        ..Presence::default()
    };
    let mut payload = Vec::with_capacity(presence.encoded_len());
    presence.encode(&mut payload);
    let message = Message {
        channel: stored.channel,
        payload: Some(&payload),
        time_unix_ms: restart.unix_ms,
        type_name: stored.type_name,
        ..Message::default()
    };
    Draft::new(&message).place(restart.offset)
}

impl Recollection {
    /// Tells a device what its values say, unless it knows: then it may know something newer.
    pub(crate) fn tell(&self, device: &mut Device) {
        if !device.unread {
            return;
        }
        device.unread = false;
        device.boot = device.boot.max(self.boot);
        let mut durable = device.durable.lock();
        *durable = (*durable).max(self.durable);
        drop(durable);
        if let Some((generation, presence)) = &self.presence {
            device.generation = *generation;
            device.presence = presence.clone();
        }
    }
}
