//! Keeps the device below the hub's limits on what a device may send: so many messages and bytes
//! a second, with bursts. A hub that is passed stops reading, and then closes with 4003.

use crate::time::Millis;

/// What may be sent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Envelopes a second, 1 to 1000. The hub takes 20.
    pub messages_per_s: u32,
    /// Envelopes at once after a rest, 1 to 1000. The hub takes 100.
    pub messages_burst: u32,
    /// Bytes a second, at least 1024. The hub takes 64 KiB.
    pub bytes_per_s: u32,
    /// Bytes at once after a rest; a longer message is sent when the allowance is full. The hub
    /// takes 256 KiB.
    pub bytes_burst: u32,
}

impl Pace {
    /// A tenth below what the hub takes, because two clocks measure it.
    pub const DEFAULT: Self = Self {
        messages_per_s: 18,
        messages_burst: 90,
        bytes_per_s: 56 * 1024,
        bytes_burst: 224 * 1024,
    };
}

/// Thousandths of a message or byte: a bucket that fills by the millisecond and is emptied by use.
#[derive(Debug, Clone)]
struct Bucket {
    per_s: u64,
    burst: u64,
    level: u64,
}

const UNIT: u64 = 1000;

impl Bucket {
    fn new(per_s: u32, burst: u32) -> Self {
        let burst = u64::from(burst.max(1)) * UNIT;
        Self { per_s: u64::from(per_s.max(1)), burst, level: burst }
    }

    fn fill(&mut self, ms: u64) {
        self.level = self.level.saturating_add(self.per_s.saturating_mul(ms)).min(self.burst);
    }

    /// ms until `amount` is there, or until the bucket is full if it can't hold that much.
    fn wait_ms(&self, amount: u64) -> u64 {
        let missing = amount.saturating_mul(UNIT).min(self.burst).saturating_sub(self.level);
        missing.div_ceil(self.per_s)
    }

    fn take(&mut self, amount: u64) {
        self.level = self.level.saturating_sub(amount.saturating_mul(UNIT));
    }
}

/// Messages and bytes together.
#[derive(Debug, Clone)]
pub(crate) struct Pacer {
    messages: Bucket,
    bytes: Bucket,
    at: Millis,
}

impl Pacer {
    pub(crate) fn new(pace: &Pace) -> Self {
        Self {
            messages: Bucket::new(pace.messages_per_s, pace.messages_burst),
            bytes: Bucket::new(pace.bytes_per_s, pace.bytes_burst),
            at: Millis(0),
        }
    }

    /// The moment from which one more message of this length may be sent; `now` if at once.
    pub(crate) fn ready_at(&mut self, now: Millis, bytes: usize) -> Millis {
        let passed = now.since(self.at);
        self.at = self.at.max(now);
        self.messages.fill(passed);
        self.bytes.fill(passed);
        now.after(self.messages.wait_ms(1).max(self.bytes.wait_ms(bytes as u64)))
    }

    /// A message was sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.messages.take(1);
        self.bytes.take(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_then_so_many_a_second() {
        let mut pacer =
            Pacer::new(&Pace { messages_per_s: 20, messages_burst: 5, ..Pace::DEFAULT });
        let mut now = Millis(1_000);
        let mut sent = 0;
        while now < Millis(3_000) {
            let ready_at = pacer.ready_at(now, 100);
            if ready_at == now {
                pacer.sent(100);
                sent += 1;
            }
            now = ready_at;
        }
        assert_eq!(sent, 5 + 2 * 20 - 1);
    }

    #[test]
    fn a_message_longer_than_the_burst_still_goes() {
        let mut pacer =
            Pacer::new(&Pace { bytes_per_s: 1_000, bytes_burst: 1_000, ..Pace::DEFAULT });
        assert_eq!(pacer.ready_at(Millis(0), 5_000), Millis(0));
        pacer.sent(5_000);
        assert_eq!(pacer.ready_at(Millis(0), 5_000), Millis(1_000));
    }
}
