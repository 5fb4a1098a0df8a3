//! Channels that exist, by name: what each keeps and who listens.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use proto::envelope::ErrorCode;
use proto::{ChannelName, ChannelPattern};

use super::Broker;
use crate::codec::{Frame, Refusal};
use crate::metrics::Limit;
use crate::router::Audience;
use crate::twin::{ChannelState, Rule};

/// One channel. Publishers to it take turns by its lock.
#[derive(Debug)]
pub struct Channel {
    /// Its name.
    pub name: ChannelName,
    /// What it keeps.
    pub rule: Arc<Rule>,
    pub(crate) inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) state: ChannelState,
    pub(crate) audience: Audience,
}

/// All channels, in the order of their names, so that a snapshot can be read in pages.
#[derive(Debug, Default)]
pub struct Channels {
    by_name: BTreeMap<ChannelName, Arc<Channel>>,
}

/// Last values of one page, and where the next begins.
#[derive(Debug, Default)]
pub struct Page {
    /// In the order of the channels' names.
    pub values: Vec<Arc<Frame>>,
    /// The channel after which the next page begins; `None` if this is the last.
    pub next: Option<ChannelName>,
}

/// Which values a page wants: those with `after < revision <= up_to`.
#[derive(Debug, Clone, Copy)]
pub struct Revisions {
    /// Not these and older.
    pub after: u64,
    /// Not newer than this.
    pub up_to: u64,
}

/// Channels that one call looks at, whether they have something for the page or not.
const CHANNELS_PER_PAGE: usize = 2048;
/// Values of one page.
const VALUES_PER_PAGE: usize = 256;
/// Bytes of one page in protobuf; one value more may pass it, and still fits a message.
pub const PAGE_BYTES: usize = 24 * 1024;
/// Bytes, in protobuf, of a page that becomes JSON, which is several times longer.
pub const PAGE_BYTES_AS_JSON: usize = 6 * 1024;

const _: () = assert!(
    PAGE_BYTES + proto::limits::PAYLOAD_BYTES_MAX + 1024 <= proto::limits::MESSAGE_BYTES_MAX
);

impl Channels {
    /// The channel, if it exists.
    pub fn get(&self, name: &str) -> Option<&Arc<Channel>> {
        self.by_name.get(name)
    }

    /// How many exist.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether none exists.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Adds a channel that does not exist yet.
    pub(crate) fn insert(&mut self, channel: Arc<Channel>) {
        self.by_name.insert(channel.name.clone(), channel);
    }

    /// Channels that `pattern` stands for, in order, from after `cursor` on.
    pub fn matching<'c>(
        &'c self,
        pattern: &'c ChannelPattern,
        cursor: Option<&ChannelName>,
    ) -> impl Iterator<Item = &'c Arc<Channel>> {
        use std::ops::Bound;
        let prefix = pattern.literal_prefix();
        let start = match cursor {
            Some(cursor) => Bound::Excluded(cursor.as_str()),
            None => Bound::Included(prefix),
        };
        self.by_name
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(move |(name, _)| name.as_str().starts_with(prefix))
            .map(|(_, channel)| channel)
            .filter(|channel| pattern.matches(channel.name.as_str()))
    }

    /// One page of last values.
    pub fn page(
        &self,
        pattern: &ChannelPattern,
        revisions: Revisions,
        cursor: Option<&ChannelName>,
        bytes_max: usize,
    ) -> Page {
        let mut page = Page::default();
        let mut bytes = 0;
        let mut looked_at = 0;
        for channel in self.matching(pattern, cursor) {
            looked_at += 1;
            let inner = channel.inner.lock();
            for last in inner.state.last() {
                let revision = last.frame.offset();
                if revision > revisions.after && revision <= revisions.up_to {
                    bytes += last.frame.len();
                    page.values.push(last.frame.clone());
                }
            }
            if looked_at >= CHANNELS_PER_PAGE
                || page.values.len() >= VALUES_PER_PAGE
                || bytes >= bytes_max
            {
                page.next = Some(channel.name.clone());
                break;
            }
        }
        page
    }
}

impl Broker {
    /// The channel, made if it doesn't exist.
    ///
    /// # Errors
    /// There are as many channels as may be.
    pub fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, Refusal> {
        if let Some(channel) = self.channels.read().get(name.as_str()) {
            return Ok(channel.clone());
        }
        let mut channels = self.channels.write();
        if let Some(channel) = channels.get(name.as_str()) {
            return Ok(channel.clone());
        }
        if channels.len() >= self.settings.channels_max {
            self.metrics.limit_hit(Limit::Channels);
            let text = format!("{} channels exist, which is the limit", channels.len());
            return Err(Refusal::retry(ErrorCode::Limit, "channel", text, 60_000));
        }
        let rule = self.rules.of(name);
        let channel = Arc::new(Channel { name: name.clone(), rule, inner: Mutex::default() });
        channels.insert(channel.clone());
        self.metrics.channels.inc();
        Ok(channel)
    }

    /// The channel, if it exists.
    pub fn existing_channel(&self, name: &str) -> Option<Arc<Channel>> {
        self.channels.read().get(name).cloned()
    }

    /// The last values of a channel, one a type.
    pub fn last_values(&self, name: &str) -> Vec<Arc<Frame>> {
        let Some(channel) = self.existing_channel(name) else { return Vec::new() };
        let inner = channel.inner.lock();
        inner.state.last().iter().map(|last| last.frame.clone()).collect()
    }
}
