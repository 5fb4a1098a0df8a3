//! What is stored of the pasts: written when a slot is over, read after the last values, deleted when it is too
//! old.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use proto::{ChannelName, channels};

use super::{Memory, Plan, channel_name};
use crate::broker::Broker;
use crate::broker::registry::operation;
use crate::clock::Now;
use crate::metrics::Limit;
use crate::series::past::{BlockNumber, block_of};
use crate::series::record::{self, Key, RecordError, SHARDS, Writing};
use crate::store::{Operation, Table};

/// Turns within which a round has looked at all shards.
pub const ROUND_TURNS: usize = 16;
/// Shards that one turn writes.
const SHARDS_PER_TURN: usize = SHARDS as usize / ROUND_TURNS;
/// Records that one turn deletes.
const DELETES_PER_TURN: usize = 512;

/// What is to be written and deleted.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// The slot that was open when the last round began.
    round: u64,
    shards: VecDeque<u16>,
    gone: VecDeque<Vec<u8>>,
    /// Records that the store has.
    stored: BTreeMap<BlockNumber, BTreeSet<(u16, u8)>>,
}

impl Broker {
    /// Writes what a slot that is over has left, and deletes what is too old. Called several times a second.
    pub fn pasts_tick(&self, now: Now) {
        if !self.has_loaded_pasts() || self.pasts.plans.is_empty() || self.writer().is_volatile() {
            return;
        }
        let grid = self.pasts.grid;
        let open = grid.slot(now.unix_ms);
        let mut upkeep = self.pasts.upkeep.lock();
        if upkeep.round != open {
            upkeep.round = open;
            upkeep.shards = (0..SHARDS).collect();
            upkeep.forget(&self.pasts.plans, block_of(grid.oldest(open)));
        }
        for _ in 0..SHARDS_PER_TURN {
            let Some(shard) = upkeep.shards.pop_front() else { break };
            if !self.write_shard(shard, &mut upkeep) {
                upkeep.shards.push_back(shard);
                return;
            }
        }
        let count = upkeep.gone.len().min(DELETES_PER_TURN);
        if count > 0 {
            let deletes = upkeep.gone.iter().take(count).map(|key| delete(key)).collect();
            if self.submit(deletes, None).is_ok() {
                upkeep.gone.drain(..count);
            }
        }
    }

    /// Writes all that is not written. Before the hub ends.
    pub(crate) fn write_pasts(&self) {
        if self.has_loaded_pasts() && !self.writer().is_volatile() {
            let mut upkeep = self.pasts.upkeep.lock();
            (0..SHARDS).all(|shard| self.write_shard(shard, &mut upkeep));
        }
    }

    /// Writes the marked blocks of a shard. False: the store has no room, and they stay marked.
    fn write_shard(&self, shard: u16, upkeep: &mut Upkeep) -> bool {
        let place = &self.pasts.shards[usize::from(shard)];
        let (channels, marked) = {
            let mut shard = place.lock();
            if shard.marked.is_empty() {
                return true;
            }
            (shard.channels.clone(), std::mem::take(&mut shard.marked))
        };
        let mut operations = Vec::new();
        let mut written = Vec::new();
        for block in &marked {
            for (plan, number) in self.pasts.plans.iter().zip(0_u8..) {
                let own = channels.iter().filter(|(plan, _)| *plan == number);
                let Some(bytes) = self.record(plan, own.map(|(_, name)| name), *block) else {
                    continue;
                };
                let key = Key { block: *block, shard, channel: plan.channel.clone() };
                operations.push(operation(Table::Series, &key.bytes(), Some(bytes)));
                written.push((*block, number));
            }
        }
        self.metrics.series_records.inc_by(operations.len() as u64);
        if !operations.is_empty() && self.submit(operations, None).is_err() {
            place.lock().marked.extend(marked);
            return false;
        }
        for (block, number) in written {
            upkeep.stored.entry(block).or_default().insert((shard, number));
        }
        true
    }

    /// One block of these channels; `None` if none of them has anything in it.
    fn record<'n>(
        &self,
        plan: &Plan,
        names: impl Iterator<Item = &'n ChannelName>,
        block: BlockNumber,
    ) -> Option<bytes::Bytes> {
        let mut writing = Writing::begin(self.pasts.grid.interval_ms, &plan.prints);
        let mut is_empty = true;
        for name in names {
            let (Some(channel), Some(device)) =
                (self.existing_channel(name.as_str()), channels::device_of(name.as_str()))
            else {
                continue;
            };
            let Memory::Kept(_, past) = &channel.inner.lock().memory else { continue };
            let Some(packed) = past.packed(block) else { continue };
            if writing.add(device, &packed) {
                is_empty = false;
            } else {
                self.metrics.limit_hit(Limit::Series);
            }
        }
        (!is_empty).then(|| writing.end())
    }

    /// Reads what is stored of the pasts; after the last values, whose channels they belong to. For a thread of
    /// its own. Returns how many records there were.
    pub fn load_pasts(&self, now: Now) -> Option<usize> {
        let records = self.pasts.records.lock().take()?;
        let mut count = 0;
        let mut gone = VecDeque::new();
        let mut stored: BTreeMap<BlockNumber, BTreeSet<(u16, u8)>> = BTreeMap::new();
        let read = self.loading.read(|| {
            records.visit(Table::Series, &[], &mut |key, value| {
                count += 1;
                match self.take_record(now, key, value) {
                    Some((key, plan)) => {
                        stored.entry(key.block).or_default().insert((key.shard, plan));
                    }
                    None => gone.push_back(key.to_vec()),
                }
                if self.pasts.is_stopped.load(Ordering::Relaxed) {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
        });
        if let Err(error) = read {
            // The ticks find it, and end the hub.
            drop(self.loading.failed(error));
            return None;
        }
        if self.pasts.is_stopped.load(Ordering::Relaxed) {
            return None;
        }
        let mut upkeep = self.pasts.upkeep.lock();
        (upkeep.gone, upkeep.stored) = (gone, stored);
        drop(upkeep);
        self.pasts.is_loaded.store(true, Ordering::Release);
        Some(count)
    }

    /// Puts a record into the pasts of its channels. `None`: it is of no use any more.
    fn take_record(&self, now: Now, key: &[u8], value: &[u8]) -> Option<(Key, u8)> {
        let pasts = &self.pasts;
        let key = Key::read(key)?;
        let open = pasts.grid.slot(now.unix_ms);
        let kept = block_of(pasts.grid.oldest(open))..=block_of(open);
        let number = pasts.plans.iter().position(|plan| plan.channel == key.channel)?;
        if !kept.contains(&key.block) {
            return None;
        }
        let Plan { holds, prints, .. } = &pasts.plans[number];
        let read = record::read(value, pasts.grid.interval_ms, prints, |device, slots| {
            let channel = channel_name(device, &key.channel);
            // A device without last values is gone.
            let Some(channel) = channel.and_then(|name| self.existing_channel(name.as_str()))
            else {
                return;
            };
            let mut inner = channel.inner.lock();
            self.decide(&channel, &mut inner);
            if let Memory::Kept(_, past) = &mut inner.memory {
                past.fill(pasts.grid, key.block, slots, holds);
            }
        });
        match read {
            Ok(()) => {}
            Err(RecordError::OtherInterval) => return None,
            Err(error @ RecordError::Damaged) => {
                let mut unreadable = 0;
                crate::broker::restore::skip("past", &error, &mut unreadable);
            }
        }
        Some((key, u8::try_from(number).ok()?))
    }
}

impl Upkeep {
    /// Has the records of the blocks before this one deleted.
    fn forget(&mut self, plans: &[Plan], oldest: BlockNumber) {
        while let Some(entry) = self.stored.first_entry().filter(|entry| *entry.key() < oldest) {
            let (block, records) = entry.remove_entry();
            for (shard, plan) in records {
                let channel = plans[usize::from(plan)].channel.clone();
                self.gone.push_back(Key { block, shard, channel }.bytes());
            }
        }
    }
}

fn delete(key: &[u8]) -> Operation {
    operation(Table::Series, key, None)
}
