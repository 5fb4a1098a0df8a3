//! What one source address may do: connections at once, new ones a second, and failed credentials a
//! minute.
//!
//! The table is bounded by the connections that exist: an address without a connection is forgotten
//! when its allowance is full again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use parking_lot::Mutex;

use super::Settings;
use crate::clock;

/// Addresses that are remembered; beyond that, strangers wait until some are forgotten.
const ADDRESSES_MAX: usize = 100_000;

/// All addresses that are connected or were a moment ago.
#[derive(Debug)]
pub struct Addresses {
    connections_max: usize,
    rate: f32,
    failures_max: u32,
    exempt: Vec<IpNet>,
    table: Mutex<HashMap<IpAddr, Entry>>,
}

#[derive(Debug)]
struct Entry {
    connections: usize,
    credit: f32,
    at: Instant,
    /// Credentials that were refused since `failing_since`.
    failures: u32,
    failing_since: Instant,
}

/// Over which failed credentials are counted.
const FAILURES_WINDOW: Duration = Duration::from_secs(60);

/// A connection that counts for its address until it is dropped.
#[derive(Debug)]
pub struct Place {
    addresses: Arc<Addresses>,
    address: Option<IpAddr>,
}

impl Addresses {
    /// An empty table with the limits of the settings.
    pub fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            connections_max: settings.address_connections_max,
            rate: settings.address_rate as f32,
            failures_max: settings.address_failures_max,
            exempt: settings.address_exempt.clone(),
            table: Mutex::default(),
        })
    }

    /// Takes a place for a new connection, if the address has one left.
    pub fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Place> {
        let address = address.to_canonical();
        if self.exempt.iter().any(|network| network.contains(&address)) {
            return Some(Place { addresses: self.clone(), address: None });
        }
        let mut table = self.table.lock();
        if table.len() >= ADDRESSES_MAX {
            table.retain(|_, entry| {
                let age = now.saturating_duration_since(entry.at);
                let limit =
                    if entry.failures > 0 { FAILURES_WINDOW } else { Duration::from_secs(1) };
                entry.connections > 0 || age < limit
            });
            if table.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        let entry = table.entry(address).or_insert(Entry {
            connections: 0,
            credit: self.rate,
            at: now,
            failures: 0,
            failing_since: now,
        });
        let passed = now.saturating_duration_since(entry.at).as_secs_f32();
        entry.credit = (entry.credit + passed * self.rate).min(self.rate);
        entry.at = now;
        if now.saturating_duration_since(entry.failing_since) >= FAILURES_WINDOW {
            entry.failures = 0;
        }
        if entry.connections >= self.connections_max
            || entry.credit < 1.0
            || entry.failures >= self.failures_max
        {
            return None;
        }
        entry.connections += 1;
        entry.credit -= 1.0;
        Some(Place { addresses: self.clone(), address: Some(address) })
    }
}

impl Place {
    /// Counts a credential that was refused.
    pub fn refused(&self, now: Instant) {
        let Some(address) = self.address else { return };
        if let Some(entry) = self.addresses.table.lock().get_mut(&address) {
            if entry.failures == 0 {
                entry.failing_since = now;
            }
            entry.failures += 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut table = self.addresses.table.lock();
        if let Some(entry) = table.get_mut(&address) {
            entry.connections -= 1;
            let passed = clock::mono().saturating_duration_since(entry.at).as_secs_f32();
            let is_full = entry.credit + passed * self.addresses.rate >= self.addresses.rate;
            if entry.connections == 0 && entry.failures == 0 && is_full {
                table.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_that_guesses_credentials_is_held_off_for_a_minute() {
        let addresses = Addresses::new(&Settings::default());
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let mut now = clock::mono();
        for _ in 0..10 {
            let place = addresses.enter(address, now).expect("within the limits");
            place.refused(now);
            now += Duration::from_secs(1);
        }
        assert!(addresses.enter(address, now).is_none());
        assert!(addresses.enter(address, now + FAILURES_WINDOW).is_some());
    }

    #[test]
    fn every_address_of_an_exempt_network_is_free_of_the_limits() {
        let loopback = "127.0.0.0/8".parse().expect("a network");
        let settings = Settings {
            address_connections_max: 1,
            address_exempt: vec![loopback],
            ..Settings::default()
        };
        let addresses = Addresses::new(&settings);
        let now = clock::mono();

        let enter = |last| addresses.enter(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), now);
        let places = [enter(1), enter(2), enter(2)];

        assert!(places.iter().all(Option::is_some));
    }

    #[test]
    fn who_comes_and_goes_spends_its_share_all_the_same() {
        let addresses = Addresses::new(&Settings { address_rate: 20, ..Settings::default() });
        let one = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let now = clock::mono();
        let entered = (0..100).filter(|_| addresses.enter(one, now).is_some()).count();
        assert_eq!(entered, 20, "each left before the next came");
        assert!(addresses.enter(one, now + Duration::from_secs(1)).is_some());
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let settings =
            Settings { address_connections_max: 3, address_rate: 2, ..Settings::default() };
        let addresses = Addresses::new(&settings);
        let (one, other) =
            (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let now = clock::mono();
        let first = addresses.enter(one, now);
        let second = addresses.enter(one, now);
        assert!(first.is_some() && second.is_some());
        assert!(addresses.enter(one, now).is_none(), "too fast");
        assert!(addresses.enter(other, now).is_some(), "another has its own share");

        let later = now + Duration::from_secs(1);
        let third = addresses.enter(one, later);
        assert!(third.is_some());
        assert!(addresses.enter(one, later).is_none(), "too many at once");
        drop(first);
        assert!(addresses.enter(one, later).is_some());
    }
}
