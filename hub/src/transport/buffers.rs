//! Large buffers that exist once a thread, lent for a few lines.
//!
//! A connection that waits needs none; one that reads, encrypts or decrypts borrows one until the end
//! of the call. So the memory of a hub is that of what waits, and not that of what might come.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::mailbox::wakes::TOGETHER;

/// One TLS record at its largest (RFC 8446, section 5.2: 16 KiB, 256 bytes and 5 of head), and the
/// beginning of the next.
pub const SCRATCH_BYTES: usize = 20 * 1024;
/// Buffers that a thread keeps; calls nest no deeper than one that reads and one that writes, each with
/// one for TLS.
const SPARES_MAX: usize = 4;

/// Buffers for messages that a thread keeps: one for each receiver that is written to together with others,
/// and what calls nest.
const MESSAGES_MAX: usize = TOGETHER + SPARES_MAX;
/// The room of a message's buffer that is kept for another: a full batch, and what growing adds.
const SPARE_BYTES_MAX: usize = 32 * 1024;

thread_local! {
    static SPARES: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static MESSAGES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer for a message, with the room that earlier ones needed.
pub fn spare() -> Vec<u8> {
    MESSAGES.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives back what [`spare`] lent, or any other buffer that is used no more.
pub fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    MESSAGES.with_borrow_mut(|spares| {
        if spares.len() < MESSAGES_MAX && buffer.capacity() <= SPARE_BYTES_MAX {
            spares.push(buffer);
        }
    });
}

/// A borrowed buffer of [`SCRATCH_BYTES`]; what is in it is left over from others.
#[derive(Debug)]
pub struct Scratch(Box<[u8]>);

impl Scratch {
    /// Borrows one.
    pub fn borrow() -> Self {
        let spare = SPARES.with_borrow_mut(Vec::pop);
        Self(spare.unwrap_or_else(|| vec![0; SCRATCH_BYTES].into_boxed_slice()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        SPARES.with_borrow_mut(|spares| {
            if spares.len() < SPARES_MAX {
                spares.push(buffer);
            }
        });
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_given_back_is_lent_again_and_nesting_gets_another() {
        let first = Scratch::borrow();
        let address = first.as_ptr();
        let second = Scratch::borrow();
        assert_ne!(second.as_ptr(), address);
        drop(first);
        assert_eq!(Scratch::borrow().as_ptr(), address);
    }
}
