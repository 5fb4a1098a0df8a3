//! The device's mains and flash: power that fails at a moment, or at a write of the journal.
//!
//! What the flash holds outlives the power; nothing else does. A cut at a write comes in two kinds,
//! because both must be survived: the bytes had reached the flash, or had not.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use firmware_client::{Durability, Journal, MemoryJournal};
use tokio::sync::Notify;

/// Commands that a simulated lamp remembers.
pub(super) const SLOTS: usize = 10;
/// Bytes that its journal keeps of each.
pub(super) const ENTRY: usize = 256;

/// A lamp's flash.
pub(super) type Flash = MemoryJournal<SLOTS, ENTRY>;

/// The mains of one lamp's controller, with a switch for the simulation. Without a call it never fails.
#[derive(Debug, Default)]
pub struct Power {
    failed: AtomicBool,
    off_ms: AtomicU64,
    /// Writes to the journal until power fails; 0 if that isn't planned.
    writes_left: AtomicU32,
    /// The write at which it fails reaches the flash.
    write_survives: AtomicBool,
    cut: Notify,
}

impl Power {
    /// Power fails now, for so long.
    pub fn cut(&self, off: Duration) {
        self.plan_off(off);
        self.fail();
    }

    /// Power fails at the n-th write of the journal from now, before or after the bytes are safe.
    pub fn cut_at_write(&self, writes: u32, survives: bool, off: Duration) {
        self.plan_off(off);
        self.write_survives.store(survives, Ordering::Release);
        self.writes_left.store(writes, Ordering::Release);
    }

    /// Whether it has failed, and the controller is dead though it may not know yet.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Waits until it fails.
    pub async fn failing(&self) {
        while !self.has_failed() {
            self.cut.notified().await;
        }
    }

    /// Power returns. Says how long it was to be away.
    pub fn restore(&self) -> Duration {
        self.writes_left.store(0, Ordering::Release);
        self.failed.store(false, Ordering::Release);
        Duration::from_millis(self.off_ms.load(Ordering::Acquire))
    }

    fn plan_off(&self, off: Duration) {
        self.off_ms.store(u64::try_from(off.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.cut.notify_one();
    }

    /// Whether a write reaches the flash, counted down to the planned cut.
    fn allows_write(&self) -> bool {
        if self.has_failed() {
            return false;
        }
        match self.writes_left.load(Ordering::Acquire) {
            0 => true,
            1 => {
                self.writes_left.store(0, Ordering::Release);
                self.fail();
                self.write_survives.load(Ordering::Acquire)
            }
            left => {
                self.writes_left.store(left - 1, Ordering::Release);
                true
            }
        }
    }
}

/// The flash, behind a controller whose power may fail in the middle of using it.
#[derive(Debug)]
pub(super) struct FragileJournal<'p> {
    flash: &'p mut Flash,
    power: &'p Power,
}

impl<'p> FragileJournal<'p> {
    /// Writes go to `flash` as long as there is `power`.
    pub(super) fn new(flash: &'p mut Flash, power: &'p Power) -> Self {
        Self { flash, power }
    }
}

impl Journal for FragileJournal<'_> {
    type Error = <Flash as Journal>::Error;

    fn raise_boot(&mut self) -> Result<u32, Self::Error> {
        self.flash.raise_boot()
    }

    fn load(&mut self, slot: usize, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        self.flash.load(slot, buffer)
    }

    fn record(
        &mut self,
        slot: usize,
        entry: &[u8],
        durability: Durability,
    ) -> Result<(), Self::Error> {
        // A controller without power doesn't learn that its write failed: it learns nothing any more.
        if self.power.allows_write() { self.flash.record(slot, entry, durability) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(survives: bool) -> [usize; 3] {
        let (mut flash, power) = (Flash::default(), Power::default());
        power.cut_at_write(2, survives, Duration::from_secs(3));
        let mut journal = FragileJournal::new(&mut flash, &power);
        for slot in 0..3 {
            journal.record(slot, b"entry", Durability::Now).expect("it never says");
        }
        assert!(power.has_failed());
        assert_eq!(power.restore(), Duration::from_secs(3));
        let mut buffer = [0; ENTRY];
        std::array::from_fn(|slot| flash.load(slot, &mut buffer).expect("memory"))
    }

    #[test]
    fn power_fails_before_or_after_the_planned_write_and_nothing_is_written_later() {
        assert_eq!(written(true), [5, 5, 0]);
        assert_eq!(written(false), [5, 0, 0]);
    }
}
