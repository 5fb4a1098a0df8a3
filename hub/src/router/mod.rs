//! Finds the mailboxes that want a message.
//!
//! A subscription ties a channel pattern to a mailbox. Patterns with wildcards live in a trie that all
//! channels share; a subscription to one channel lives in that channel's own list, so that it costs
//! nobody else anything. Each channel remembers who matched it last, until the trie's generation
//! moves on.
//!
//! ```text
//!   site.*.temp ─┐                 ┌─ remembered ─┐
//!   site.1.>    ─┴─▶ trie ──▶ Audience of a channel ──▶ mailboxes
//!   site.1.temp ────────────▶ its own list ─┘
//! ```
//!
//! # Guarantees
//!
//! - A mailbox is offered a message once, however many of its patterns match.
//! - The router never waits for anyone: what a full mailbox does is the mailbox's affair.
//!
//! # Cost
//!
//! Each segment can go on through its own name or through `*`, so a channel of `s` segments visits
//! fewer than 2^(s+1) nodes of the trie, once per change of the trie and channel; after that it is a
//! comparison of two numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use proto::ChannelPattern;

use crate::mailbox::Mailbox;

pub mod trie;

use trie::Trie;

/// Pattern subscriptions of a hub.
#[derive(Debug, Default)]
pub struct Router {
    trie: RwLock<Trie>,
    /// Moves with every change of the trie.
    generation: AtomicU64,
}

/// Who receives a channel's messages.
#[derive(Debug, Default)]
pub struct Audience {
    /// Subscriptions to this very channel, by mailbox id.
    exact: Vec<Arc<Mailbox>>,
    /// Those whose pattern matches, by mailbox id, without those in `exact`.
    matched: Vec<Arc<Mailbox>>,
    /// The trie's generation when `matched` was found, plus one; 0 for never.
    known_at: u64,
}

impl Router {
    /// Adds a subscription with a wildcard; twice is once.
    pub fn subscribe(&self, pattern: &ChannelPattern, mailbox: &Arc<Mailbox>) {
        let mut trie = self.trie.write();
        trie.insert(pattern, mailbox);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Removes it.
    pub fn unsubscribe(&self, pattern: &ChannelPattern, mailbox: u64) {
        let mut trie = self.trie.write();
        trie.remove(pattern, mailbox);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl Audience {
    /// Adds a subscription to this very channel; twice is once.
    pub fn subscribe(&mut self, mailbox: &Arc<Mailbox>) {
        if let Err(at) = self.exact.binary_search_by_key(&mailbox.id(), |exact| exact.id()) {
            self.exact.insert(at, mailbox.clone());
            self.known_at = 0;
        }
    }

    /// Removes it.
    pub fn unsubscribe(&mut self, mailbox: u64) {
        if let Ok(at) = self.exact.binary_search_by_key(&mailbox, |exact| exact.id()) {
            self.exact.remove(at);
            self.known_at = 0;
        }
    }

    /// Everyone who wants a message of `channel` now, each once.
    pub fn receivers(
        &mut self,
        router: &Router,
        channel: &str,
    ) -> impl Iterator<Item = &Arc<Mailbox>> {
        let generation = router.generation.load(Ordering::Acquire) + 1;
        if self.known_at != generation {
            self.known_at = generation;
            self.matched.clear();
            router.trie.read().collect(channel, &mut self.matched);
            self.matched.sort_unstable_by_key(|mailbox| mailbox.id());
            self.matched.dedup_by_key(|mailbox| mailbox.id());
            let exact = &self.exact;
            self.matched.retain(|mailbox| {
                exact.binary_search_by_key(&mailbox.id(), |exact| exact.id()).is_err()
            });
            self.matched.shrink_to_fit();
        }
        self.exact.iter().chain(&self.matched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{Budget, Overflow, Queue};

    #[test]
    fn a_mailbox_is_found_once_however_many_of_its_patterns_match() {
        let router = Router::default();
        let (one, two) = (mailbox(1), mailbox(2));
        let mut audience = Audience::default();
        for pattern in ["a.*", "a.>", "*.b"] {
            router.subscribe(&parse(pattern), &one);
        }
        router.subscribe(&parse("a.*"), &two);
        audience.subscribe(&one);
        assert_eq!(ids(&mut audience, &router), [1, 2]);
    }

    #[test]
    fn a_change_of_the_trie_is_seen_at_the_next_message() {
        let router = Router::default();
        let one = mailbox(1);
        let mut audience = Audience::default();
        assert_eq!(ids(&mut audience, &router), [0; 0]);
        router.subscribe(&parse("a.*"), &one);
        assert_eq!(ids(&mut audience, &router), [1]);
        router.unsubscribe(&parse("a.*"), 1);
        assert_eq!(ids(&mut audience, &router), [0; 0]);
    }

    #[test]
    fn a_subscription_to_the_channel_outlives_that_to_a_pattern() {
        let router = Router::default();
        let one = mailbox(1);
        let mut audience = Audience::default();
        router.subscribe(&parse("a.*"), &one);
        audience.subscribe(&one);
        audience.subscribe(&one);
        router.unsubscribe(&parse("a.*"), 1);
        assert_eq!(ids(&mut audience, &router), [1]);
        audience.unsubscribe(1);
        assert_eq!(ids(&mut audience, &router), [0; 0]);
    }

    fn ids(audience: &mut Audience, router: &Router) -> Vec<u64> {
        audience.receivers(router, "a.b").map(|mailbox| mailbox.id()).collect()
    }

    fn mailbox(id: u64) -> Arc<Mailbox> {
        Mailbox::new(id, Queue::new(Overflow::Conflate, 1000), Budget::new(1000))
    }

    fn parse(pattern: &str) -> ChannelPattern {
        ChannelPattern::parse(pattern).expect("valid")
    }
}
