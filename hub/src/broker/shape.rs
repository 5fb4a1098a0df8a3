//! Less for a reader that asks for less: of each channel and type the newest message, at a beat.
//!
//! Messages leave in the order of their offsets, also over several beats: a message that comes while a
//! beat's messages still wait for room belongs to the next beat. So whatever a reader has seen last is a
//! position from which it can continue, and nothing before it is owed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::codec::Frame;
use crate::codec::request::Pace;

/// Channels whose messages wait for one subscription's next beat. With more the beat comes at once; while
/// that one waits for room, too, the mailbox is left alone, and does what its overflow says.
const HELD_MAX: usize = 4_096;
/// The same while a snapshot is on its way, which all of them have to wait for.
const HELD_ASIDE_MAX: usize = 4 * HELD_MAX;

/// What waits for one subscription.
#[derive(Debug)]
pub struct Shape {
    /// Between two beats; zero if only room is waited for.
    every: Duration,
    /// The newest of each type, by channel.
    held: HashMap<Box<str>, SmallVec<[Arc<Frame>; 1]>>,
    /// Of the beat that began, in the order of offsets.
    leaving: VecDeque<Arc<Frame>>,
    /// The next beat comes no sooner.
    next: Option<Instant>,
}

impl Shape {
    /// Nothing waits.
    pub fn new(pace: Pace) -> Self {
        let every = pace.every();
        Self { every, held: HashMap::new(), leaving: VecDeque::new(), next: None }
    }

    /// Takes a message in; whether it took the place of an older one. Costs a look-up by the channel.
    pub fn offer(&mut self, frame: &Arc<Frame>) -> bool {
        let message = frame.message();
        let Some(held) = self.held.get_mut(message.channel) else {
            self.held.insert(message.channel.into(), SmallVec::from([frame.clone()]));
            return false;
        };
        let same = held.iter_mut().find(|held| held.message().type_name == message.type_name);
        match same {
            Some(older) => {
                older.clone_from(frame);
                true
            }
            None => {
                held.push(frame.clone());
                false
            }
        }
    }

    /// The next message to send, if its time has come.
    pub fn next(&mut self, now: Instant) -> Option<Arc<Frame>> {
        if self.leaving.is_empty() && self.is_due(now) {
            self.begin_beat();
            self.next = Some(now + self.every);
        }
        self.leaving.pop_front()
    }

    /// When the next beat is, if something waits for time and not for room.
    pub fn beat(&self) -> Option<Instant> {
        self.next.filter(|_| self.leaving.is_empty() && !self.held.is_empty())
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty() && self.leaving.is_empty()
    }

    /// Whether it can take nothing more before something of it is sent.
    pub fn is_full(&self) -> bool {
        !self.leaving.is_empty() && self.held.len() >= HELD_MAX
    }

    /// Whether it can take more while none of it may be sent.
    pub fn has_room_aside(&self) -> bool {
        self.held.len() < HELD_ASIDE_MAX
    }

    /// Takes out all that waits, in the order of offsets.
    pub fn take_all(&mut self) -> VecDeque<Arc<Frame>> {
        let mut waiting = std::mem::take(&mut self.leaving);
        self.begin_beat();
        waiting.append(&mut self.leaving);
        waiting
    }

    /// Forgets what waits. Returns the lowest offset of it, and how many messages there were.
    pub fn clear(&mut self) -> Option<(u64, u64)> {
        let waiting = self.take_all();
        Some((waiting.front()?.offset(), waiting.len() as u64))
    }

    fn is_due(&self, now: Instant) -> bool {
        let is_time = self.next.is_none_or(|next| now >= next);
        !self.held.is_empty() && (is_time || self.held.len() >= HELD_MAX)
    }

    fn begin_beat(&mut self) {
        let mut frames: Vec<_> = self.held.drain().flat_map(|(_, held)| held).collect();
        frames.sort_unstable_by_key(|frame| frame.offset());
        self.leaving = frames.into();
        if self.held.capacity() > 2 * self.leaving.len() + 64 {
            self.held = HashMap::new();
        }
    }
}

/// Of what was missed, given in order, the newest of each channel and type, in order.
pub fn newest(mut frames: Vec<Arc<Frame>>) -> Vec<Arc<Frame>> {
    let mut seen = HashSet::new();
    let mut wanted: Vec<_> = frames
        .iter()
        .rev()
        .map(|frame| {
            let message = frame.message();
            seen.insert((message.channel, message.type_name))
        })
        .collect();
    frames.retain(|_| wanted.pop().unwrap_or_default());
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn offsets(shape: &mut Shape, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| shape.next(now)).map(|frame| frame.offset()).collect()
    }

    fn offer(shape: &mut Shape, channel: &str, offset: u64) -> bool {
        shape.offer(&Arc::new(Frame::for_test(channel, offset)))
    }

    #[test]
    fn between_two_beats_the_newest_of_each_channel_waits() {
        let mut shape = Shape::new(Pace::of(10).expect("in range"));
        let (start, step) = (clock::mono(), Duration::from_millis(100));
        assert_eq!(shape.beat(), None);
        assert!(!offer(&mut shape, "a", 1));
        assert_eq!(offsets(&mut shape, start), [1], "the first waits for nothing");
        assert!(!offer(&mut shape, "a", 2));
        assert!(!offer(&mut shape, "b", 3));
        assert!(offer(&mut shape, "a", 4));
        assert!(offsets(&mut shape, start + step / 2).is_empty());
        assert_eq!(shape.beat(), Some(start + step));
        assert_eq!(offsets(&mut shape, start + step), [3, 4]);
        assert!(shape.is_idle());
    }

    #[test]
    fn offsets_only_grow_though_a_beat_waits_for_room() {
        let mut shape = Shape::new(Pace::CONFLATED);
        let now = clock::mono();
        for (channel, offset) in [("a", 1), ("b", 2), ("c", 3)] {
            offer(&mut shape, channel, offset);
        }
        assert_eq!(shape.next(now).map(|frame| frame.offset()), Some(1));
        // Of a channel whose message is still to leave: it belongs to the next beat.
        assert!(!offer(&mut shape, "c", 4));
        assert!(!offer(&mut shape, "a", 5));
        assert!(offer(&mut shape, "c", 6));
        assert_eq!(offsets(&mut shape, now), [2, 3, 5, 6]);
    }

    #[test]
    fn of_what_was_missed_the_newest_of_each_channel_is_left_in_order() {
        let frames = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5), ("a", 6)];
        let frames = frames.map(|(name, offset)| Arc::new(Frame::for_test(name, offset)));
        let left = newest(frames.to_vec());
        assert_eq!(left.iter().map(|frame| frame.offset()).collect::<Vec<_>>(), [4, 5, 6]);
        assert!(newest(Vec::new()).is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_a_lag_says_from_where_on_it_is_missing() {
        let mut shape = Shape::new(Pace::of(1).expect("in range"));
        let now = clock::mono();
        offer(&mut shape, "first", 1);
        assert_eq!(offsets(&mut shape, now), [1]);
        let many = HELD_MAX as u64;
        for number in 0..many {
            offer(&mut shape, &format!("channel-{number}"), 2 + number);
        }
        assert!(shape.next(now).is_some(), "too many wait for the beat");
        assert!(!shape.is_full());
        for number in 0..many {
            offer(&mut shape, &format!("channel-{number}"), 2 + many + number);
        }
        assert!(shape.is_full());
        assert_eq!(shape.clear(), Some((3, 2 * many - 1)));
        assert!(shape.is_idle() && shape.clear().is_none());
    }
}
