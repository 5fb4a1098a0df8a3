//! Readers that can't hold a WebSocket: server-sent events and long polling, with the same guarantees.
//!
//! Each is one more user of what the socket uses: a session of the hub with a mailbox, and a
//! [`crate::broker::Reader`] that pulls what is owed before it.
//!
//! ```text
//!   request ─▶ ask ─▶ Seat (session, place) ─▶ Feed ──▶ events   text/event-stream ─┐
//!                                               │  └──▶ poll     one JSON document ─┴─▶ pieces ─▶ socket
//!                                            filter
//! ```
//!
//! Read [`ask`] for what a request may say, then [`feed`], then [`events`], [`poll`] and [`wait`].
//!
//! # Guarantees
//!
//! - A position is given only when everything up to it was given, so coming back with it has no gap.
//! - A reader holds its mailbox and one batch; what is slow gets the gap and the newest values, and what
//!   takes nothing is cut by the owner of its socket ([`crate::mailbox::Pulse`]).
//! - Its session ends with its connection, with the credential that admitted it, and with the hub; what was
//!   written by then and not given is not given any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use proto::envelope::{ErrorCode, Hello};
use proto::{ChannelPattern, CloseCode};

use super::Api;
use super::problem::Problem;
use crate::access::{Admission, Verb};
use crate::broker::{Broker, Peer};
use crate::clock::{self, Now};
use crate::codec::Refusal;
use crate::metrics::Limit;

pub mod ask;

pub mod feed;

pub mod pieces;

pub mod events;

pub mod poll;

pub mod wait;

/// After so many ms a reader that found no place may ask again.
const RETRY_MS: u32 = 5_000;

/// Bounds that the operator may tune.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Streams and waiting requests in all.
    pub readers_max: usize,
    /// Streams and waiting requests of one identity.
    pub identity_readers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { readers_max: 10_000, identity_readers_max: 256 }
    }
}

/// The readers that there are, so that there are never too many.
#[derive(Debug)]
pub struct Readers {
    limits: Limits,
    taken: Mutex<HashMap<String, usize>>,
}

/// A place among the readers, until it is dropped.
#[derive(Debug)]
pub struct Place {
    readers: Arc<Readers>,
    identity: String,
}

/// Which places are all taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Those of the hub.
    All,
    /// Those of the identity.
    Identity,
}

impl Readers {
    /// With nobody.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// There is none.
    pub fn enter(self: &Arc<Self>, identity: String) -> Result<Place, Full> {
        let mut taken = self.taken.lock();
        let own = taken.get(&identity).copied().unwrap_or(0);
        if own >= self.limits.identity_readers_max {
            return Err(Full::Identity);
        }
        // Identities with readers are few; a walk over them is short.
        if taken.values().sum::<usize>() >= self.limits.readers_max {
            return Err(Full::All);
        }
        taken.insert(identity.clone(), own + 1);
        drop(taken);
        Ok(Place { readers: self.clone(), identity })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.readers.taken.lock();
        if let Some(own) = taken.get_mut(&self.identity) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.identity);
            }
        }
    }
}

/// A reader that was let in: a session of the hub until it is dropped.
#[derive(Debug)]
pub struct Seat {
    broker: Arc<Broker>,
    peer: Peer,
    patterns: Vec<ChannelPattern>,
    /// When its credential ends by itself.
    ends: Option<Instant>,
    _place: Place,
}

impl Seat {
    /// Lets a reader in.
    ///
    /// # Errors
    /// It may not see all of these channels, or there are too many readers.
    pub fn take(
        api: &Api,
        admission: &Admission,
        patterns: &[ChannelPattern],
    ) -> Result<Self, Problem> {
        let identity = &admission.identity;
        if let Some(pattern) = patterns.iter().find(|one| !identity.may_subscribe(one)) {
            let problem = Problem::not_permitted(identity, Verb::Subscribe, pattern.as_str());
            return Err(problem.at("pattern"));
        }
        let place = api.readers.enter(identity.to_string()).map_err(|full| {
            api.broker.metrics.limit_hit(Limit::HttpReaders);
            refusal(full, api.readers.limits)
        })?;
        let now = Now::read();
        let entered = api.broker.enter_session(now, admission, &Hello::default());
        let peer = entered.map_err(|turned| closed(turned.code))?;
        api.broker.metrics.http_readers.inc();
        let (broker, patterns) = (api.broker.clone(), patterns.to_vec());
        Ok(Self { broker, peer, patterns, ends: admission.ends(now), _place: place })
    }

    /// Why the reader may get nothing more, if so: access was taken from it, or its credential ended.
    fn ended(&self) -> Option<CloseCode> {
        let expired = self.ends.is_some_and(|ends| ends <= clock::mono());
        self.peer.mailbox.ended().or(expired.then_some(CloseCode::CREDENTIAL_EXPIRED))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.broker.metrics.http_readers.dec();
        self.broker.unsubscribe_all(&self.patterns, self.peer.mailbox.id());
        self.broker.leave(Now::read(), &self.peer, CloseCode::NORMAL.reason());
    }
}

fn refusal(full: Full, limits: Limits) -> Refusal {
    match full {
        Full::All => {
            let text = format!("{} readers are connected over HTTP; try later", limits.readers_max);
            Refusal::retry(ErrorCode::Unavailable, "", text, RETRY_MS)
        }
        Full::Identity => {
            let max = limits.identity_readers_max;
            let text = format!("this identity reads {max} times over HTTP already; end one first");
            Refusal::retry(ErrorCode::Rate, "", text, RETRY_MS)
        }
    }
}

/// The answer to a reader whose session ended before it got anything.
fn closed(code: CloseCode) -> Problem {
    match code {
        CloseCode::REVOKED | CloseCode::BAD_CREDENTIAL | CloseCode::CREDENTIAL_EXPIRED => {
            Problem::unauthenticated()
        }
        other => Refusal::retry(ErrorCode::Unavailable, "", other.reason(), RETRY_MS).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_its_share_of_the_places_and_gives_them_back() {
        let readers = Readers::new(Limits { readers_max: 3, identity_readers_max: 2 });
        let enter = |name: &str| readers.enter(name.to_owned());
        let (one, two) = (enter("ann"), enter("ann"));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(enter("ann").err(), Some(Full::Identity));
        let third = enter("bob");
        assert!(third.is_ok());
        assert_eq!(enter("bob").err(), Some(Full::All));
        drop(one);
        assert!(enter("ann").is_ok());
        drop((two, third));
        assert!(readers.taken.lock().is_empty(), "nothing is remembered of those who left");
    }
}
