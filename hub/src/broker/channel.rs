//! Channels that exist, by name: what each keeps and who listens.
//!
//! For a while after the start, stored channels are missing: they come in the order of their names, or
//! when someone touches them ([`super::loading`]). A channel that is here has all its stored values.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use proto::envelope::ErrorCode;
use proto::{ChannelName, ChannelPattern};

use super::Broker;
use crate::codec::{Frame, Refusal};
use crate::metrics::Limit;
use crate::router::Audience;
use crate::twin::{ChannelState, Keep, Rule};

use super::light::Concern;
use super::series::Memory;

/// One channel. Publishers to it take turns by its lock.
#[derive(Debug)]
pub struct Channel {
    /// Its name.
    pub name: ChannelName,
    /// What it keeps.
    pub rule: Arc<Rule>,
    /// What its values mean for the light of its device.
    pub(crate) concern: Concern,
    pub(crate) inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) state: ChannelState,
    pub(crate) audience: Audience,
    pub(crate) memory: Memory,
}

/// All channels, in the order of their names, so that a snapshot can be read in pages.
#[derive(Debug, Default)]
pub struct Channels {
    by_name: BTreeMap<ChannelName, Arc<Channel>>,
    loaded: Loaded,
}

/// Which channels are here for certain, if they are stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// All.
    #[default]
    All,
    /// Those whose name comes before this one.
    Before(Box<str>),
}

/// Last values of one page, and where the next begins.
#[derive(Debug, Default)]
pub struct Page {
    /// In the order of the channels' names.
    pub values: Vec<Arc<Frame>>,
    /// The channel after which the next page begins; `None` if it begins with the first.
    pub cursor: Option<ChannelName>,
    /// What comes after this page.
    pub rest: Rest,
}

/// What comes after a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    #[default]
    Nothing,
    /// Another page, now.
    More,
    /// Another page, once the channels there are loaded.
    Loading,
}

/// What a page does about channels that are not loaded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It ends before the first of them.
    Awaited,
    /// They have nothing that it wants.
    Ignored,
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

impl Channel {
    /// A channel without values.
    pub(crate) fn new(name: ChannelName, rule: Arc<Rule>) -> Self {
        let concern = Concern::of(&name);
        Self { name, rule, concern, inner: Mutex::default() }
    }
}

impl Loaded {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Before(end) => *name < **end,
        }
    }

    /// Whether every name that begins so is loaded.
    fn has_all(&self, prefix: &str) -> bool {
        match self {
            Self::All => true,
            Self::Before(end) => *prefix < **end && !end.starts_with(prefix),
        }
    }
}

impl Channels {
    /// No channel yet, of which any may be stored.
    pub(crate) fn to_be_loaded() -> Self {
        Self { by_name: BTreeMap::new(), loaded: Loaded::Before("".into()) }
    }

    /// The channel, if it exists.
    pub fn get(&self, name: &str) -> Option<&Arc<Channel>> {
        self.by_name.get(name)
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.by_name.values()
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
    fn insert(&mut self, channel: Arc<Channel>) {
        self.by_name.insert(channel.name.clone(), channel);
    }

    /// Adds channels with what was stored of them, but for those that are here: these were loaded
    /// before, and may have got newer values. Returns how many were added.
    pub(crate) fn load(&mut self, channels: Vec<Arc<Channel>>) -> usize {
        let before = self.len();
        for channel in channels {
            self.by_name.entry(channel.name.clone()).or_insert(channel);
        }
        self.len() - before
    }

    /// From now on all stored channels before this name are here; all of them, if there is none.
    pub(crate) fn loaded_before(&mut self, next: Option<Box<str>>) {
        self.loaded = next.map_or(Loaded::All, Loaded::Before);
    }

    /// Whether all stored channels are here whose names begin so.
    pub(crate) fn has_loaded(&self, prefix: &str) -> bool {
        self.loaded.has_all(prefix)
    }

    /// Channels that `pattern` stands for, in order.
    pub fn matching<'c>(
        &'c self,
        pattern: &'c ChannelPattern,
    ) -> impl Iterator<Item = &'c Arc<Channel>> {
        self.candidates(pattern, None).filter(|channel| pattern.matches(channel.name.as_str()))
    }

    /// Channels whose names begin as the pattern does, in order, from after `cursor` on.
    fn candidates<'c>(
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
    }

    /// One page of last values, after a bounded amount of looking.
    pub fn page(
        &self,
        pattern: &ChannelPattern,
        revisions: Revisions,
        cursor: Option<&ChannelName>,
        bytes_max: usize,
        missing: Missing,
    ) -> Page {
        let waits = missing == Missing::Awaited && !self.has_loaded(pattern.literal_prefix());
        let mut page = Page::default();
        let mut last = cursor;
        let mut bytes = 0;
        let candidates = self.candidates(pattern, cursor);
        for (channel, looked_at) in candidates.zip(1..) {
            if waits && !self.loaded.has(channel.name.as_str()) {
                break;
            }
            last = Some(&channel.name);
            if pattern.matches(channel.name.as_str()) {
                for value in channel.inner.lock().state.last() {
                    let revision = value.frame.offset();
                    if revision > revisions.after && revision <= revisions.up_to {
                        bytes += value.frame.len();
                        page.values.push(value.frame.clone());
                    }
                }
            }
            if looked_at >= CHANNELS_PER_PAGE
                || page.values.len() >= VALUES_PER_PAGE
                || bytes >= bytes_max
            {
                page.rest = Rest::More;
                break;
            }
        }
        if waits && page.rest == Rest::Nothing {
            page.rest = Rest::Loading;
        }
        page.cursor = last.cloned();
        page
    }
}

impl Broker {
    /// The channel, made if it doesn't exist, read if it is stored and not loaded yet.
    ///
    /// # Errors
    /// There are as many channels as may be, or the store can't be read.
    pub fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, Refusal> {
        if let Some(channel) = self.channels.read().get(name.as_str()) {
            return Ok(channel.clone());
        }
        let rule = self.rules().of(name);
        if rule.keep != Keep::None {
            self.load_family_of(name.as_str())?;
        }
        let mut channels = self.channels.write();
        if let Some(channel) = channels.get(name.as_str()) {
            return Ok(channel.clone());
        }
        if channels.len() >= self.settings().channels_max {
            self.metrics.limit_hit(Limit::Channels);
            let text = format!("{} channels exist, which is the limit", channels.len());
            return Err(Refusal::retry(ErrorCode::Limit, "channel", text, 60_000));
        }
        let channel = Arc::new(Channel::new(name.clone(), rule));
        channels.insert(channel.clone());
        self.metrics.channels.inc();
        Ok(channel)
    }

    /// The channel, if it exists.
    pub fn existing_channel(&self, name: &str) -> Option<Arc<Channel>> {
        self.channels.read().get(name).cloned()
    }
}
