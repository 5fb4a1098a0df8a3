//! Patterns by their segments: a tree whose edges are names, `*` and `>`.

use std::collections::HashMap;
use std::sync::Arc;

use proto::ChannelPattern;

use crate::mailbox::Mailbox;

/// Subscriptions by pattern.
#[derive(Debug, Default)]
pub struct Trie {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    named: HashMap<Box<str>, Node>,
    star: Option<Box<Node>>,
    /// Patterns that end here.
    here: Vec<Arc<Mailbox>>,
    /// Patterns that end here with `>`: one segment or more below.
    below: Vec<Arc<Mailbox>>,
}

impl Trie {
    /// Adds a subscription; twice is once.
    pub fn insert(&mut self, pattern: &ChannelPattern, mailbox: &Arc<Mailbox>) {
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            match segment {
                ">" => return add(&mut node.below, mailbox),
                "*" => node = node.star.get_or_insert_default(),
                name => node = node.named.entry(name.into()).or_default(),
            }
        }
        add(&mut node.here, mailbox);
    }

    /// Removes a subscription, and the branches that nobody needs any more.
    pub fn remove(&mut self, pattern: &ChannelPattern, mailbox: u64) {
        let segments: Vec<&str> = pattern.segments().collect();
        remove(&mut self.root, &segments, mailbox);
    }

    /// Adds to `found` every mailbox whose pattern stands for `channel`; one may come several times.
    pub fn collect(&self, channel: &str, found: &mut Vec<Arc<Mailbox>>) {
        collect(&self.root, Some(channel), found);
    }
}

fn add(list: &mut Vec<Arc<Mailbox>>, mailbox: &Arc<Mailbox>) {
    if !list.iter().any(|known| known.id() == mailbox.id()) {
        list.push(mailbox.clone());
    }
}

fn remove(node: &mut Node, segments: &[&str], mailbox: u64) {
    match segments {
        [] => node.here.retain(|known| known.id() != mailbox),
        [">"] => node.below.retain(|known| known.id() != mailbox),
        ["*", rest @ ..] => {
            if let Some(star) = &mut node.star {
                remove(star, rest, mailbox);
                if star.is_empty() {
                    node.star = None;
                }
            }
        }
        [name, rest @ ..] => {
            if let Some(named) = node.named.get_mut(*name) {
                remove(named, rest, mailbox);
                if named.is_empty() {
                    node.named.remove(*name);
                }
            }
        }
    }
}

/// Depth is bounded by the segments of a channel name.
fn collect(node: &Node, rest: Option<&str>, found: &mut Vec<Arc<Mailbox>>) {
    let Some(rest) = rest else {
        found.extend_from_slice(&node.here);
        return;
    };
    found.extend_from_slice(&node.below);
    let (segment, rest) = match rest.split_once('.') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (rest, None),
    };
    if let Some(named) = node.named.get(segment) {
        collect(named, rest, found);
    }
    if let Some(star) = &node.star {
        collect(star, rest, found);
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.named.is_empty()
            && self.star.is_none()
            && self.here.is_empty()
            && self.below.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{Budget, Overflow, Queue};

    const PATTERNS: &[&str] =
        &["a", "a.b", "a.*", "*.b", "*.*", "a.>", ">", "*.>", "a.b.c", "a.*.c", "*.b.>", "x.>"];
    const CHANNELS: &[&str] = &["a", "b", "a.b", "a.c", "b.b", "a.b.c", "a.x.c", "b.b.b.b", "x"];

    #[test]
    fn the_trie_finds_what_a_comparison_one_by_one_finds() {
        let mut trie = Trie::default();
        for (id, pattern) in (0..).zip(PATTERNS) {
            trie.insert(&parse(pattern), &mailbox(id));
        }
        check(&trie, |_| true);
        for (id, pattern) in (0..).zip(PATTERNS) {
            if id % 2 == 0 {
                trie.remove(&parse(pattern), id);
            }
        }
        check(&trie, |id| id % 2 == 1);
    }

    #[test]
    fn a_trie_without_subscriptions_is_empty_again() {
        let mut trie = Trie::default();
        for (id, pattern) in (0..).zip(PATTERNS) {
            trie.insert(&parse(pattern), &mailbox(id));
        }
        for (id, pattern) in (0..).zip(PATTERNS) {
            trie.remove(&parse(pattern), id);
        }
        assert!(trie.root.is_empty());
    }

    #[track_caller]
    fn check(trie: &Trie, kept: impl Fn(u64) -> bool) {
        for channel in CHANNELS {
            let mut found = Vec::new();
            trie.collect(channel, &mut found);
            let mut ids: Vec<u64> = found.iter().map(|mailbox| mailbox.id()).collect();
            ids.sort_unstable();
            let expected: Vec<u64> = (0..)
                .zip(PATTERNS)
                .filter(|(id, pattern)| kept(*id) && parse(pattern).matches(channel))
                .map(|(id, _)| id)
                .collect();
            assert_eq!(ids, expected, "{channel}");
        }
    }

    fn mailbox(id: u64) -> Arc<Mailbox> {
        Mailbox::new(id, Queue::new(Overflow::Conflate, 1000), Budget::new(1000))
    }

    fn parse(pattern: &str) -> ChannelPattern {
        ChannelPattern::parse(pattern).expect("valid")
    }
}
