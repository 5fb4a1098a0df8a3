//! A line of waiting items of which the first is at hand.
//!
//! Most mailboxes hold nothing, and then one message until its receiver takes it a moment later. That one
//! stands in the queue itself: whoever publishes to a thousand receivers goes to no second place for each,
//! and a receiver that waits holds no room for more.

use std::collections::VecDeque;

use super::Item;

/// Items that the room for more than one is kept for.
const SPARE_MAX: usize = 32;

/// Items in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// Empty only if nothing waits.
    first: Option<Item>,
    rest: VecDeque<Item>,
}

impl Items {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(super) fn push(&mut self, item: Item) {
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.rest.push_back(item);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let first = std::mem::replace(&mut self.first, self.rest.pop_front());
        if self.first.is_none() && self.rest.capacity() > SPARE_MAX {
            self.rest = VecDeque::new();
        }
        first
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.first.iter().chain(&self.rest)
    }

    /// Keeps those of which `keep` holds.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Item) -> bool) {
        self.rest.retain(&mut keep);
        if !self.first.as_ref().is_some_and(keep) {
            self.first = self.rest.pop_front();
        }
    }

    /// Takes out the oldest of which `is_it` holds.
    pub(super) fn take_oldest(&mut self, is_it: impl Fn(&Item) -> bool) -> Option<Item> {
        if self.first.as_ref().is_some_and(&is_it) {
            return self.pop();
        }
        self.rest.remove(self.rest.iter().position(is_it)?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn item(at: u8) -> Item {
        Item::Answer(Bytes::copy_from_slice(&[at]))
    }

    fn number(item: &Item) -> u8 {
        match item {
            Item::Answer(bytes) => bytes[0],
            Item::Message(_) => unreachable!("none was put in"),
        }
    }

    fn numbers(items: &Items) -> Vec<u8> {
        items.iter().map(number).collect()
    }

    fn filled(count: u8) -> Items {
        let mut items = Items::default();
        (0..count).for_each(|at| items.push(item(at)));
        items
    }

    #[test]
    fn they_come_out_as_they_came_and_one_needs_no_room_elsewhere() {
        let mut items = filled(1);
        assert_eq!(items.rest.capacity(), 0);
        assert_eq!(items.pop().as_ref().map(number), Some(0));
        assert!(items.is_empty() && items.pop().is_none());

        let mut items = filled(100);
        assert_eq!(items.len(), 100);
        let out: Vec<_> = std::iter::from_fn(|| items.pop()).map(|item| number(&item)).collect();
        assert_eq!(out, Vec::from_iter(0..100));
        assert_eq!(items.rest.capacity(), 0, "the room for many is given back");
    }

    #[test]
    fn what_is_taken_out_of_the_middle_leaves_the_order() {
        let mut items = filled(5);
        items.retain(|item| number(item) % 2 == 1);
        assert_eq!(numbers(&items), [1, 3]);
        items.push(item(9));
        assert!(items.take_oldest(|item| number(item) == 7).is_none());
        assert_eq!(items.take_oldest(|item| number(item) > 1).as_ref().map(number), Some(3));
        assert_eq!(items.take_oldest(|_| true).as_ref().map(number), Some(1));
        assert_eq!(numbers(&items), [9]);
        assert_eq!(items.len(), 1);
    }
}
