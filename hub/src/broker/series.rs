//! The pasts of all channels: fed by what is published, and shown. [`kept`] writes and reads them.
//!
//! ```text
//!   publish ─▶ remember ─▶ the channel's Past, and its shard is marked
//!   tick ────▶ a round a slot: marked shards, a few a turn ─▶ records ─▶ store
//!   start ───▶ load_pasts, after the last values ◀──────────────────────┘
//! ```
//!
//! Channels are cut into shards by their device, and a record is one block of one shard; so a city of 100,000
//! writes 2,048 records every slot and not 100,000. A record is written anew each slot until its block is
//! over, and deleted when its last slot is older than the span.
//!
//! # Guarantees
//!
//! - A slot that is over is submitted within [`kept::ROUND_TURNS`] turns of 200 ms, unless the store has no room: then
//!   as soon as it has. A kill loses the open slot and those seconds; a stop loses nothing.
//! - Nothing waits for pasts: the hub is ready before they are read, and says so where it shows them.
//!
//! # Cost
//!
//! A report costs its walk and two short locks that nobody else holds for long; what the hub keeps and writes for
//! each lamp is in docs/operations.md.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use proto::{ChannelName, DeviceId, channels};

use super::Broker;
use super::channel::{Channel, Inner};
use super::publish::Value;
use crate::clock::Now;
use crate::codec::Refusal;
use crate::metrics::Limit;
use crate::series::past::{BlockNumber, block_of};
use crate::series::record::{self, SHARDS};
use crate::series::{Field, Grid, Holds, Origin, Past, Reading, Settings, Sheet};
use crate::store::Records;

pub mod kept;

use kept::Upkeep;

/// What a channel knows of its past.
#[derive(Debug, Default)]
pub(crate) enum Memory {
    /// Nobody has looked yet whether it is to have one.
    #[default]
    Undecided,
    /// It has none.
    None,
    /// By the plan of this number.
    Kept(u8, Box<Past>),
}

/// The fields of one kind of channel.
#[derive(Debug)]
struct Plan {
    channel: String,
    sheet: Sheet,
    holds: Vec<Holds>,
    prints: Vec<u32>,
}

#[derive(Debug, Default)]
struct Shard {
    /// With their plans, in the order of their devices.
    channels: BTreeSet<(u8, ChannelName)>,
    /// Blocks that changed since they were written.
    marked: BTreeSet<BlockNumber>,
}

/// All pasts.
#[derive(Debug)]
pub(crate) struct Pasts {
    grid: Grid,
    plans: Vec<Plan>,
    channels_max: usize,
    kept: AtomicUsize,
    shards: Box<[Mutex<Shard>]>,
    upkeep: Mutex<Upkeep>,
    /// Gone when all is read, or the hub stops.
    records: Mutex<Option<Arc<dyn Records>>>,
    is_loaded: AtomicBool,
    is_stopped: AtomicBool,
}

/// A field of a device over time.
#[derive(Debug)]
pub struct Series {
    /// The first slot.
    pub from: u64,
    /// One a slot; `None` where nothing was measured.
    pub values: Vec<Option<f64>>,
}

/// A field of many devices over time.
#[derive(Debug)]
pub struct Totals {
    /// The first slot.
    pub from: u64,
    /// A slot: the sum of all values in it, and of how many devices.
    pub slots: Vec<(f64, u32)>,
    /// Devices with a value in any of them.
    pub devices: u32,
}

impl Plan {
    fn new(channel: &str, fields: Vec<Field>) -> Self {
        Self {
            channel: channel.to_owned(),
            holds: fields.iter().map(|field| field.holds).collect(),
            prints: fields.iter().map(Field::print).collect(),
            sheet: Sheet::new(fields),
        }
    }
}

impl Pasts {
    pub(crate) fn new(settings: &Settings, records: Arc<dyn Records>) -> Self {
        let mut channels: Vec<(&str, Vec<Field>)> = Vec::new();
        for field in &settings.fields {
            match channels.iter_mut().find(|(channel, _)| *channel == field.channel) {
                Some((_, fields)) => fields.push(field.clone()),
                None => channels.push((&field.channel, vec![field.clone()])),
            }
        }
        let plans = channels.into_iter().map(|(channel, fields)| Plan::new(channel, fields));
        Self {
            grid: settings.grid(),
            plans: plans.collect(),
            channels_max: settings.channels_max,
            kept: AtomicUsize::new(0),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            upkeep: Mutex::default(),
            records: Mutex::new(Some(records)),
            is_loaded: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
        }
    }

    /// Lets go of the store.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.records.lock().take();
    }

    fn plan_of<'c>(&self, channel: &'c str) -> Option<(u8, &'c str)> {
        let device = channels::device_of(channel)?;
        let rest = channel.get(channels::PREFIX.len() + device.len() + 2..)?;
        let at = self.plans.iter().position(|plan| plan.channel == rest)?;
        Some((u8::try_from(at).ok()?, device))
    }

    fn shard(&self, device: &str) -> &Mutex<Shard> {
        &self.shards[usize::from(record::shard_of(device))]
    }

    /// Marks the block of a shard as changed.
    fn mark(&self, channel: &str, block: BlockNumber) {
        if let Some(device) = channels::device_of(channel) {
            self.shard(device).lock().marked.insert(block);
        }
    }

    /// The number of the plan of a field, and its place in there.
    fn place_of(&self, field: &Field) -> Option<(u8, usize)> {
        self.plans.iter().zip(0_u8..).find_map(|(plan, number)| {
            Some((number, plan.sheet.fields().iter().position(|known| known.name == field.name)?))
        })
    }
}

impl Broker {
    /// How time is cut.
    pub fn series_grid(&self) -> Grid {
        self.pasts.grid
    }

    /// What is kept of each device.
    pub fn series_fields(&self) -> impl Iterator<Item = &Field> {
        self.pasts.plans.iter().flat_map(|plan| plan.sheet.fields())
    }

    /// Whether what was stored of the pasts is in memory.
    pub fn has_loaded_pasts(&self) -> bool {
        self.pasts.is_loaded.load(Ordering::Acquire)
    }

    /// Keeps what a value says for its channel's past. Called under the channel's lock, before the value
    /// takes the place of the held one.
    pub(super) fn remember(
        &self,
        now: Now,
        channel: &Channel,
        inner: &mut Inner,
        value: &Value<'_>,
        origin: Origin,
    ) {
        self.decide(channel, inner);
        let Inner { state, memory: Memory::Kept(plan, past), .. } = inner else { return };
        let held = state.last_of(value.type_name).map(|last| last.frame.message());
        let held = held.as_ref().and_then(|message| message.payload);
        let sheet = &self.pasts.plans[usize::from(*plan)].sheet;
        let readings = sheet.readings(value.type_name, value.payload, held);
        let beyond = readings.iter().filter(|(_, reading)| *reading == Reading::Beyond).count();
        if beyond > 0 {
            self.metrics.series_beyond.inc_by(beyond as u64);
        }
        // A clock that is ahead would write into the future.
        let measured = match value.measured_unix_ms {
            0 => now.unix_ms,
            measured => measured.min(now.unix_ms),
        };
        let grid = self.pasts.grid;
        let (open, slot) = (grid.slot(now.unix_ms), grid.slot(measured));
        if past.put(grid, open, slot, &readings, origin) && !self.writer().is_volatile() {
            self.pasts.mark(channel.name.as_str(), block_of(slot));
        }
    }

    /// Gives a channel its past, if it is to have one and there is room for it.
    fn decide(&self, channel: &Channel, inner: &mut Inner) {
        if !matches!(inner.memory, Memory::Undecided) {
            return;
        }
        let pasts = &self.pasts;
        inner.memory = Memory::None;
        let Some((plan, device)) = pasts.plan_of(channel.name.as_str()) else { return };
        if pasts.kept.fetch_add(1, Ordering::Relaxed) >= pasts.channels_max {
            pasts.kept.fetch_sub(1, Ordering::Relaxed);
            self.metrics.limit_hit(Limit::Series);
            return;
        }
        self.metrics.series_channels.inc();
        let fields = pasts.plans[usize::from(plan)].sheet.fields().len();
        inner.memory = Memory::Kept(plan, Box::new(Past::new(fields)));
        pasts.shard(device).lock().channels.insert((plan, channel.name.clone()));
    }

    /// A field of a device between two slots.
    ///
    /// # Errors
    /// What is stored of the device can't be read.
    pub fn series_of(
        &self,
        id: &DeviceId,
        field: &Field,
        from: u64,
        to: u64,
    ) -> Result<Series, Refusal> {
        let length = usize::try_from(to.saturating_sub(from) + 1).unwrap_or(0);
        let mut values = vec![None; length];
        let name = channel_name(id.as_str(), &field.channel);
        let channel = name.map(|name| self.stored_channel(&name)).transpose()?.flatten();
        let place = self.pasts.place_of(field);
        if let (Some(channel), Some((_, place))) = (channel, place)
            && let Memory::Kept(_, past) = &channel.inner.lock().memory
        {
            past.each(place, from, to, |slot, steps| {
                let at = usize::try_from(slot - from).unwrap_or(usize::MAX);
                if let Some(value) = values.get_mut(at) {
                    *value = Some(field.value(i64::from(steps)));
                }
            });
        }
        Ok(Series { from, values })
    }

    /// A field of all devices whose channel may be seen, added up by the slot. Walks over all of them: a few
    /// microseconds each, for a thread of its own.
    pub fn series_totals(
        &self,
        field: &Field,
        from: u64,
        to: u64,
        may_see: impl Fn(&str) -> bool,
    ) -> Totals {
        let length = usize::try_from(to.saturating_sub(from) + 1).unwrap_or(0);
        let mut sums = vec![(0_i64, 0_u32); length];
        let mut devices = 0;
        let Some((plan, place)) = self.pasts.place_of(field) else {
            return Totals { from, slots: Vec::new(), devices };
        };
        for shard in &self.pasts.shards {
            let channels: Vec<_> = shard.lock().channels.iter().cloned().collect();
            for (_, name) in channels.iter().filter(|(known, _)| *known == plan) {
                if !may_see(name.as_str()) {
                    continue;
                }
                let Some(channel) = self.existing_channel(name.as_str()) else { continue };
                let Memory::Kept(_, past) = &channel.inner.lock().memory else { continue };
                let mut has_any = false;
                past.each(place, from, to, |slot, steps| {
                    let at = usize::try_from(slot - from).unwrap_or(usize::MAX);
                    if let Some((sum, count)) = sums.get_mut(at) {
                        *sum += i64::from(steps);
                        *count += 1;
                        has_any = true;
                    }
                });
                devices += u32::from(has_any);
            }
        }
        let slots = sums.into_iter().map(|(sum, count)| (field.value(sum), count)).collect();
        Totals { from, slots, devices }
    }
}

fn channel_name(device: &str, rest: &str) -> Option<ChannelName> {
    ChannelName::parse(&format!("{}.{device}.{rest}", channels::PREFIX)).ok()
}

#[cfg(test)]
mod tests;
