//! The order of all messages of one hub.
//!
//! Offsets never go back, also not over a restart that lost messages nobody had been promised: the
//! hub writes down a *ceiling* ahead of what it hands out, and starts above it.

use proto::envelope::Position;

/// Offsets by which the ceiling is ahead when it is written.
const AHEAD: u64 = 1 << 20;

/// The next offset, and how far a restart will skip.
#[derive(Debug)]
pub struct Sequence {
    epoch: u64,
    offset: u64,
    ceiling: u64,
}

impl Sequence {
    /// Starts above the ceiling that was stored, in an epoch of its own. The caller stores
    /// [`Sequence::ceiling`] before it hands out the first offset.
    pub fn start(epoch: u64, stored_ceiling: u64) -> Self {
        Self { epoch, offset: stored_ceiling, ceiling: stored_ceiling + AHEAD }
    }

    /// Where the order stands now.
    pub fn position(&self) -> Position<'static> {
        Position { epoch: self.epoch, offset: self.offset, ..Position::default() }
    }

    /// The epoch of this process.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The last offset that was handed out.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What has to be stored.
    pub fn ceiling(&self) -> u64 {
        self.ceiling
    }

    /// The next offset, and the new ceiling if one has to be stored. It is asked for with every offset until
    /// [`Sequence::store_took`] it: a store that had no room must not be taken for one that has it.
    pub fn advance(&mut self) -> (u64, Option<u64>) {
        self.offset += 1;
        let is_near = self.ceiling.saturating_sub(self.offset) <= AHEAD / 2;
        (self.offset, is_near.then_some(self.offset + AHEAD))
    }

    /// A ceiling is with the store, before whatever is offered next.
    pub fn store_took(&mut self, ceiling: u64) {
        self.ceiling = self.ceiling.max(ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_never_hands_out_an_offset_again() {
        let mut sequence = Sequence::start(1, 0);
        let mut stored = sequence.ceiling();
        for _ in 0..3 * AHEAD {
            let (offset, ceiling) = sequence.advance();
            if let Some(ceiling) = ceiling {
                stored = ceiling;
                sequence.store_took(ceiling);
            }
            assert!(offset < stored);
        }
        let (first, _) = Sequence::start(2, stored).advance();
        assert!(first > sequence.offset());
    }

    #[test]
    fn a_ceiling_that_the_store_refused_is_asked_for_again() {
        let mut sequence = Sequence::start(1, 0);
        let refused = std::iter::from_fn(|| Some(sequence.advance())).find_map(|(_, it)| it);
        let (offset, ceiling) = sequence.advance();
        assert_eq!(ceiling, Some(offset + AHEAD), "after {refused:?}");
        sequence.store_took(offset + AHEAD);
        assert_eq!(sequence.advance().1, None);
    }
}
