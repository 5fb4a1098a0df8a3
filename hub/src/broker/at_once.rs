//! Reading and writing of one channel in one step, for those who change what they have read.

use std::sync::Arc;

use proto::envelope::ErrorCode;
use proto::{ChannelName, ChannelPattern, channels};

use super::channel::{Channel, Rest, Revisions};
use super::publish::{EXPECTED, Origin, Receipt, Sender, Value};
use super::registry::durable;
use super::{Broker, Ticket};
use crate::audit::{Actor, Record, Verb};
use crate::clock::Now;
use crate::codec::{Frame, Refusal};
use crate::mailbox::Wakes;
use crate::twin::{Keep, Recovery, ReportId};

/// Bytes of one page of last values: they become JSON.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// How often a write is tried that others keep coming before.
const WRITES_MAX: usize = 100;

/// A value that is written if the one that stands is the one meant.
#[derive(Debug)]
pub struct Publishing<'p, M, C> {
    /// One of the channel's types.
    pub type_name: &'p str,
    /// Who writes, for the audit log.
    pub by: Actor,
    /// Whether the value that stands is the one meant; nothing, if none stands.
    pub is_meant: M,
    /// Makes the payload from what stands.
    pub change: C,
}

/// How a write ended.
#[derive(Debug)]
pub enum Written {
    /// It stands, under this revision.
    Done {
        /// The offset of its message.
        revision: u64,
    },
    /// Nothing was written, since this stands and not what was meant.
    Stale(Option<Arc<Frame>>),
}

impl Channel {
    /// The held value of a type.
    pub fn last_of(&self, type_name: &str) -> Option<Arc<Frame>> {
        self.inner.lock().state.last_of(type_name).map(|last| last.frame.clone())
    }

    /// The recent messages after an offset, oldest first, and whether none of them is forgotten.
    pub fn history(&self, since: u64) -> (Vec<Arc<Frame>>, bool) {
        let inner = self.inner.lock();
        match inner.state.since(since) {
            Recovery::Complete(frames) => (frames.into_iter().cloned().collect(), true),
            Recovery::Lost => (inner.state.kept().cloned().collect(), false),
        }
    }
}

impl Broker {
    /// The channel, if it exists, also where it is stored and not loaded yet.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn stored_channel(&self, name: &ChannelName) -> Result<Option<Arc<Channel>>, Refusal> {
        if let Some(channel) = self.existing_channel(name.as_str()) {
            return Ok(Some(channel));
        }
        if self.rules().of(name).keep != Keep::None {
            self.load_family_of(name.as_str())?;
        }
        Ok(self.existing_channel(name.as_str()))
    }

    /// Last values by pattern, in the order of the channels' names, from after `cursor` on; and the
    /// channel after which the next page begins, if there is more.
    ///
    /// # Errors
    /// They have to be read from the store, and can't.
    pub fn last_values(
        &self,
        pattern: &ChannelPattern,
        cursor: Option<&ChannelName>,
        limit: usize,
    ) -> Result<(Vec<Arc<Frame>>, Option<ChannelName>), Refusal> {
        let revisions = Revisions { after: 0, up_to: u64::MAX };
        let mut values: Vec<Arc<Frame>> = Vec::new();
        let mut bytes = 0;
        let mut place = cursor.cloned();
        loop {
            let page = self.page(pattern, revisions, place.as_ref(), PAGE_BYTES_MAX);
            for value in page.values {
                let channel = value.message().channel;
                let begins_another =
                    values.last().is_none_or(|last| last.message().channel != channel);
                if begins_another && (values.len() >= limit || bytes >= PAGE_BYTES_MAX) {
                    let last = values.last().map(|last| last.message().channel);
                    let next = last.and_then(|name| ChannelName::parse(name).ok());
                    return Ok((values, next));
                }
                bytes += value.len();
                values.push(value);
            }
            if page.rest == Rest::Nothing {
                return Ok((values, None));
            }
            place = page.cursor;
        }
    }

    /// Writes a value if `is_meant` says so of the one that stands. What `change` makes of it replaces it
    /// as a whole; if another write comes between, both are asked again. Waits for the disk where the
    /// rule says so.
    ///
    /// # Errors
    /// The payload is not of its type, the store has no room, or others write all the time.
    pub async fn publish_at_once<E: From<Refusal>>(
        &self,
        channel: &Channel,
        publishing: Publishing<
            '_,
            impl Fn(Option<&Frame>) -> bool + Send,
            impl Fn(Option<&Frame>) -> Result<Vec<u8>, E> + Send,
        >,
    ) -> Result<Written, E> {
        let mut wakes = Wakes::default();
        let written =
            self.write_meant(Now::read(), channel, &publishing, &Receipt::None, &mut wakes)?;
        if channel.rule.durable && matches!(written, Written::Done { .. }) {
            let (done, wait) = tokio::sync::oneshot::channel();
            self.submit(Vec::new(), Some(Ticket::Waiter(done)))?;
            durable(wait).await?;
        }
        Ok(written)
    }

    /// The same, which waits for nothing: `receipt` says when it is durable.
    ///
    /// # Errors
    /// As for [`Broker::publish_at_once`].
    pub fn write_meant<E: From<Refusal>>(
        &self,
        now: Now,
        channel: &Channel,
        publishing: &Publishing<
            '_,
            impl Fn(Option<&Frame>) -> bool,
            impl Fn(Option<&Frame>) -> Result<Vec<u8>, E>,
        >,
        receipt: &Receipt<'_>,
        wakes: &mut Wakes,
    ) -> Result<Written, E> {
        let Publishing { type_name, by, is_meant, change } = publishing;
        for _ in 0..WRITES_MAX {
            let held = channel.last_of(type_name);
            if !is_meant(held.as_deref()) {
                return Ok(Written::Stale(held));
            }
            let payload = change(held.as_deref())?;
            let value = Value {
                type_name,
                payload: &payload,
                report: ReportId::default(),
                measured_unix_ms: 0,
                instead_of: Some(held.map_or(0, |held| held.offset())),
            };
            let record = is_told_to_devices(channel)
                .then(|| Record::done(by.clone(), Verb::Publish, channel.name.as_str()));
            let origin = Origin { sender: Sender::Actor(by), record };
            match self.publish_from(origin, now, channel, value, receipt, wakes) {
                Ok(revision) => return Ok(Written::Done { revision }),
                // Someone was quicker: what stands now may be another than the one meant.
                Err(refusal) if refusal.field == EXPECTED => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let text = "others write to the channel all the time; try again";
        Err(Refusal::retry(ErrorCode::Unavailable, "", text, 1000).into())
    }
}

/// Whether the channel tells a device what to do.
pub fn is_told_to_devices(channel: &Channel) -> bool {
    let kind = channels::known(channel.name.as_str());
    kind.is_some_and(|(_, kind)| kind.writer == channels::Writer::Operator)
}
