//! How many refusals are recorded: enough to see an attack, too few to push out what was done.
//!
//! Changes are always recorded. Refusals cost nothing to cause, so they have an allowance, in all and
//! of each address; what is over it is counted, and the next record says how many there were.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Refusals that are recorded at once.
const BURST: f32 = 500.0;
/// One more is recorded in this time: 8,640 a day.
const EVERY: Duration = Duration::from_secs(10);
/// The same of one address.
const ADDRESS_BURST: f32 = 20.0;
const ADDRESS_EVERY: Duration = Duration::from_secs(60);
/// Addresses that are told apart; others share what is left.
const ADDRESSES_MAX: usize = 1024;

/// What may still be recorded.
#[derive(Debug)]
pub struct Allowance {
    all: Bucket,
    addresses: HashMap<IpAddr, Bucket>,
    left_out: u64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    credit: f32,
    at: Instant,
}

impl Bucket {
    fn refill(&mut self, now: Instant, burst: f32, every: Duration) {
        let passed = now.saturating_duration_since(self.at).as_secs_f32();
        self.credit = (self.credit + passed / every.as_secs_f32()).min(burst);
        self.at = now;
    }
}

impl Allowance {
    /// The whole allowance.
    pub fn new(now: Instant) -> Self {
        let all = Bucket { credit: BURST, at: now };
        Self { all, addresses: HashMap::new(), left_out: 0 }
    }

    /// Whether a refusal is recorded, and how many before it were not. The others are counted.
    pub fn take(&mut self, now: Instant, address: Option<IpAddr>) -> Option<u64> {
        self.all.refill(now, BURST, EVERY);
        let has_place = self.all.credit >= 1.0 && self.take_of(now, address);
        if !has_place {
            self.left_out += 1;
            return None;
        }
        self.all.credit -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }

    /// What was taken could not be recorded after all.
    pub fn give_back(&mut self, left_out: u64) {
        self.left_out += left_out + 1;
    }

    fn take_of(&mut self, now: Instant, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return true };
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            self.addresses.retain(|_, bucket| {
                bucket.refill(now, ADDRESS_BURST, ADDRESS_EVERY);
                bucket.credit < ADDRESS_BURST
            });
            if self.addresses.len() >= ADDRESSES_MAX {
                return true;
            }
        }
        let fresh = Bucket { credit: ADDRESS_BURST, at: now };
        let bucket = self.addresses.entry(address).or_insert(fresh);
        bucket.refill(now, ADDRESS_BURST, ADDRESS_EVERY);
        if bucket.credit < 1.0 {
            return false;
        }
        bucket.credit -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_use_up_what_others_need() {
        let now = crate::clock::mono();
        let mut allowance = Allowance::new(now);
        let of = |last: u8| Some(IpAddr::from([10, 0, 0, last]));
        let recorded = (0..1000).filter(|_| allowance.take(now, of(1)).is_some()).count();
        assert_eq!(recorded, 20);
        assert_eq!(allowance.take(now, of(2)), Some(980), "the next one tells of the others");
        assert_eq!(allowance.take(now, of(2)), Some(0));
        assert_eq!(allowance.take(now + ADDRESS_EVERY, of(1)), Some(0));
    }

    #[test]
    fn many_addresses_have_one_allowance_and_a_bounded_table() {
        let now = crate::clock::mono();
        let mut allowance = Allowance::new(now);
        let addresses = (0..5000_u32).map(|number| IpAddr::from(number.to_be_bytes()));
        let recorded = addresses.filter(|ip| allowance.take(now, Some(*ip)).is_some()).count();
        assert_eq!(recorded, 500);
        assert!(allowance.addresses.len() <= ADDRESSES_MAX);
        assert!(allowance.take(now + EVERY, None).is_some());
    }
}
