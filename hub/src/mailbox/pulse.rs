//! Whether a reader over HTTP takes what it is given.
//!
//! The HTTP library writes what a response's body gives it, and asks for more only when its own small
//! buffer has left for the socket. So a piece that was given and not followed by another question is
//! still on its way. The body beats; whoever owns the socket looks now and then, and cuts a reader
//! whose beat stands still.

use std::sync::atomic::{AtomicU64, Ordering};

/// The beat of one response's body, shared with the owner of its socket. One at a time: HTTP/1.1
/// answers in turn.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Odd while a piece is on its way.
    beats: AtomicU64,
}

impl Pulse {
    /// The body is asked for more: what it gave before has left.
    pub fn asked(&self) {
        let beats = self.beats.load(Ordering::Relaxed);
        self.beats.store(beats + beats % 2, Ordering::Relaxed);
    }

    /// The body gives a piece.
    pub fn given(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Which piece is on its way, if one is; the same at two looks means that nothing moved between.
    pub fn on_its_way(&self) -> Option<u64> {
        Some(self.beats.load(Ordering::Relaxed)).filter(|beats| beats % 2 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_on_its_way_until_the_next_question() {
        let pulse = Pulse::default();
        pulse.asked();
        assert_eq!(pulse.on_its_way(), None);
        pulse.given();
        let first = pulse.on_its_way();
        assert!(first.is_some());
        assert_eq!(pulse.on_its_way(), first);
        pulse.asked();
        pulse.asked();
        assert_eq!(pulse.on_its_way(), None);
        pulse.given();
        assert!(pulse.on_its_way().is_some_and(|piece| Some(piece) != first));
    }
}
