//! The recent messages of a channel, for readers that come back.
//!
//! Bounded by count and by age. It knows up to which offset it has forgotten, so recovery is all or
//! nothing: a reader gets everything after its position, or is told that it can't.

use std::collections::VecDeque;
use std::sync::Arc;

use super::rule::Rule;
use crate::codec::Frame;

/// Messages in the order of their offsets.
#[derive(Debug, Default)]
pub struct History {
    kept: VecDeque<(u64, Arc<Frame>)>,
    /// The highest offset that was forgotten; 0 if none was.
    forgotten: u64,
}

/// What a reader missed.
#[derive(Debug)]
pub enum Recovery<'a> {
    /// All of it, oldest first; none if it is empty.
    Complete(Vec<&'a Arc<Frame>>),
    /// Some of it is forgotten.
    Lost,
}

impl History {
    /// Keeps a message, as long as the rule says. `unix_ms` is when it arrived.
    pub fn push(&mut self, rule: &Rule, frame: &Arc<Frame>, unix_ms: u64) {
        if rule.history_count == 0 {
            self.forgotten = frame.offset();
            return;
        }
        let age = u64::try_from(rule.history_age.as_millis()).unwrap_or(u64::MAX);
        let oldest = unix_ms.saturating_sub(age);
        while self.kept.len() >= rule.history_count
            || self.kept.front().is_some_and(|(arrived, _)| *arrived < oldest)
        {
            let Some((_, frame)) = self.kept.pop_front() else { break };
            self.forgotten = frame.offset();
        }
        self.kept.push_back((unix_ms, frame.clone()));
    }

    /// Forgets everything up to an offset.
    pub fn forget(&mut self, up_to: u64) {
        self.kept.clear();
        self.forgotten = self.forgotten.max(up_to);
    }

    /// Every message forgets in which other forms it was read.
    pub fn renew(&mut self) {
        for (_, frame) in &mut self.kept {
            *frame = Arc::new(frame.renewed());
        }
    }

    /// All that is kept, oldest first.
    pub fn kept(&self) -> impl Iterator<Item = &Arc<Frame>> {
        self.kept.iter().map(|(_, frame)| frame)
    }

    /// What came after an offset.
    pub fn since(&self, offset: u64) -> Recovery<'_> {
        if offset < self.forgotten {
            return Recovery::Lost;
        }
        let first = self.kept.partition_point(|(_, frame)| frame.offset() <= offset);
        Recovery::Complete(self.kept.range(first..).map(|(_, frame)| frame).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::Rules;

    #[test]
    fn a_reader_gets_all_that_it_missed_or_is_told_that_it_cannot() {
        let history = filled(1..=5);
        assert_eq!(offsets(&history, 5), Some(vec![]));
        assert_eq!(offsets(&history, 3), Some(vec![4, 5]));
        assert_eq!(offsets(&history, 1), Some(vec![2, 3, 4, 5]));
        assert_eq!(offsets(&history, 0), None, "the first was forgotten");
    }

    #[test]
    fn old_messages_are_forgotten_when_new_ones_come() {
        let mut history = filled(1..=2);
        let rule = Rules::with_built_in(vec![]).of(&telemetry());
        let much_later = 100 + u64::try_from(rule.history_age.as_millis()).unwrap();
        history.push(&rule, &Arc::new(Frame::for_test("devices.lamp-1.telemetry", 3)), much_later);
        assert_eq!(offsets(&history, 2), Some(vec![3]));
        assert_eq!(offsets(&history, 1), None);
    }

    #[test]
    fn a_reader_of_a_quiet_channel_is_always_recovered() {
        assert_eq!(offsets(&History::default(), 0), Some(vec![]));
        assert_eq!(offsets(&History::default(), 77), Some(vec![]));
    }

    fn filled(range: std::ops::RangeInclusive<u64>) -> History {
        let rule = Rules::with_built_in(vec![]).of(&telemetry());
        let mut history = History::default();
        for offset in range {
            let frame = Arc::new(Frame::for_test("devices.lamp-1.telemetry", offset));
            history.push(&rule, &frame, offset);
        }
        history
    }

    fn telemetry() -> proto::ChannelName {
        proto::ChannelName::parse("devices.lamp-1.telemetry").expect("valid")
    }

    fn offsets(history: &History, since: u64) -> Option<Vec<u64>> {
        match history.since(since) {
            Recovery::Complete(frames) => Some(frames.iter().map(|frame| frame.offset()).collect()),
            Recovery::Lost => None,
        }
    }
}
