//! The operator of a run: sends commands at a steady rate, in an open loop, and follows their lives.
//!
//! A request that was not answered goes out again, under the same request id, on the next connection:
//! the hub must make one command of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use proto::channels;
use proto::envelope::{Batch, Kind, Send, Subscribe};
use proto::messages::lighting::v1::command::Action;
use proto::messages::lighting::v1::{Command, Identify, Override, ReadNow, Resume};
use proto::{CommandId, ErrorCode};

use crate::clock::Micros;
use crate::hub::Hub;
use crate::lamp::{Phase, Shared};
use crate::ledger::hash;
use crate::link::{Link, LinkError, encode};
use crate::observer::{Fleet, take_update};
use crate::schedule::{Periodic, Random};

/// How long a command may wait and start.
const TTL: Duration = Duration::from_secs(60);
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// Requests that wait for an answer at a time; the schedule stands still beyond that, and says so in
/// its latencies, which count from the intended moment.
const UNANSWERED_MAX: usize = 4_096;

/// Sends commands.
pub struct Console {
    hub: Hub,
    shared: Arc<Shared>,
    fleet: Arc<Fleet>,
    schedule: Periodic,
    random: Random,
    sent: u64,
    /// Requests under way: number, lamp, payload.
    open: HashMap<u64, (u32, Vec<u8>)>,
    observes: bool,
}

impl Console {
    /// Sends `rate` commands a second from `start` on, and watches the channel of commands if nobody
    /// else does.
    pub fn new(
        hub: Hub,
        shared: Arc<Shared>,
        fleet: Arc<Fleet>,
        start: Micros,
        rate: f64,
        observes: bool,
    ) -> Self {
        let schedule = Periodic::new(start, Duration::from_secs_f64(1.0 / rate));
        let random = Random::new(shared.seed, !u64::from(fleet.first()));
        Self { hub, shared, fleet, schedule, random, sent: 0, open: HashMap::new(), observes }
    }

    /// Works until the run is over.
    pub async fn work(mut self) {
        let mut phase = self.shared.phase.subscribe();
        loop {
            tokio::select! {
                _ = phase.wait_for(|phase| *phase == Phase::Over) => return,
                _ = Box::pin(self.session()) => {}
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// One connection's worth of work; ends with an error only.
    async fn session(&mut self) -> Result<(), LinkError> {
        let (mut link, _) =
            Link::open(&self.hub.target().for_reader(), self.hub.token(), 0).await?;
        if self.observes {
            let subscribe = Subscribe { pattern: "devices.*.commands", ..Subscribe::default() };
            link.send(&encode(u64::MAX, Kind::Subscribe(subscribe))).await?;
        }
        for request in self.shared.commands.unanswered() {
            if let Some((device, payload)) = self.open.get(&request) {
                let bytes = self.send_envelope(request, *device, payload);
                link.send(&bytes).await?;
            }
        }
        loop {
            let may_send =
                *self.shared.phase.borrow() == Phase::Load && self.open.len() < UNANSWERED_MAX;
            tokio::select! {
                bytes = link.next() => self.take(&bytes?)?,
                () = self.shared.clock.sleep_until(self.schedule.next()), if may_send => {
                    while let Some(intended) = self.schedule.take(self.shared.clock.now()) {
                        let bytes = self.order(intended);
                        link.feed(&bytes).await?;
                    }
                    link.flush().await?;
                }
            }
        }
    }

    /// The next command, written into the ledger before it leaves.
    fn order(&mut self, intended: Micros) -> Vec<u8> {
        self.sent += 1;
        let request = self.sent;
        let device = self.random.below(self.fleet.posts.len() as u64) as u32;
        let command = Command { action: Some(any_action(&mut self.random)), ..Command::default() };
        let payload = command.encode_to_vec();
        self.shared.commands.attempt(request, device, hash(&payload), intended, TTL);
        let bytes = self.send_envelope(request, device, &payload);
        self.open.insert(request, (device, payload));
        bytes
    }

    fn send_envelope(&self, request: u64, device: u32, payload: &[u8]) -> Vec<u8> {
        let request_id = request_id(request, self.shared.run);
        let send = Send {
            device: &self.fleet.posts[device as usize].id,
            type_name: channels::COMMAND_TYPE,
            payload: Some(payload),
            ttl_s: TTL.as_secs() as u32,
            request_id: &request_id,
            ..Send::default()
        };
        encode(request, Kind::Send(send))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let batch = Batch::parse(bytes).map_err(|_| LinkError::Lost)?;
        let (shared, open) = (&self.shared, &mut self.open);
        for envelope in batch {
            match envelope.kind {
                Kind::Message(message) => take_update(shared, &message),
                Kind::Ack(ack) if open.contains_key(&envelope.request) => {
                    let Ok(id) = CommandId::parse(ack.command) else { continue };
                    let now = shared.clock.now();
                    let since = shared.commands.acked(&shared.findings, envelope.request, id, now);
                    if let Some(us) = since {
                        shared.metrics.command_accepted.record(us);
                    }
                    open.remove(&envelope.request);
                }
                Kind::Error(error) if open.contains_key(&envelope.request) => {
                    // The hub can't do it now; the next connection asks again.
                    if error.code == ErrorCode::Unavailable {
                        continue;
                    }
                    shared.commands.refused(envelope.request);
                    open.remove(&envelope.request);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What operators order: mostly levels, with short fades so that a lamp is soon free again.
fn any_action(random: &mut Random) -> Action {
    match random.below(20) {
        0..14 => Action::Override(Override {
            level_pct: Some(any_level(random)),
            ramp_to_ms: Some(random.below(500) as u32),
            ..Override::default()
        }),
        14..16 => Action::Resume(Resume { ramp_ms: Some(200) }),
        16 => Action::Identify(Identify { duration_s: 1 }),
        _ => Action::ReadNow(ReadNow::default()),
    }
}

/// Off, or a level that every driver reaches: below 10 % lamps stay at their own lowest level.
fn any_level(random: &mut Random) -> u32 {
    if random.below(10) == 0 { 0 } else { 10 + random.below(91) as u32 }
}

/// The request id of a run's n-th command.
fn request_id(number: u64, run: u64) -> String {
    format!("sim-{run:x}-{number}")
}

/// The number in a request id, if it is one of this run.
pub fn request_number(request_id: &str, run: u64) -> Option<u64> {
    let (of, number) = request_id.strip_prefix("sim-")?.split_once('-')?;
    (u64::from_str_radix(of, 16) == Ok(run)).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_names_its_run() {
        assert_eq!(request_number(&request_id(42, 0xabc), 0xabc), Some(42));
        assert_eq!(request_number(&request_id(42, 0xabc), 0xabd), None);
        for other in ["", "sim-", "sim-zz-1", "cli-1"] {
            assert_eq!(request_number(other, 0xabc), None, "{other}");
        }
    }

    #[test]
    fn every_order_can_be_carried_out() {
        let mut random = Random::new(3, 3);
        for _ in 0..500 {
            if let Action::Override(level) = any_action(&mut random) {
                assert!(level.level_pct.is_some_and(|level| level <= 100));
            }
        }
    }
}
