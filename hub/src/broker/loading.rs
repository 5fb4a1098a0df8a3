//! Last values come into memory while the hub works already.
//!
//! ```text
//!   thread `loader` ──▶ load_run ─┐   runs of families, in the order of the keys
//!   reader at the end ▶ load_run ─┼─▶ store ─▶ channels that are not here yet
//!   touch of a channel, ▶ family ─┘
//!   or of a device
//! ```
//!
//! One cursor goes through the stored values. The loader drives it; a snapshot that reached it drives
//! it too, one run at a time, instead of waiting to be woken. Whoever needs one channel or one device
//! reads just that.
//!
//! # Why nothing newer is overwritten
//!
//! - A channel that is in memory has all that is stored of it, and is never taken out. So who finds
//!   it there needs no store.
//! - Only a channel in memory can be published to. So what is read of one that isn't can't change
//!   before it is put there, and if someone else put it there meanwhile, what was read is dropped.
//!
//! The same holds for devices: a device is *unread* until its values were told to it, once, and
//! whoever changes what they speak of (a session, its presence) has it read before.
//!
//! # Cost
//!
//! A read waits for the disk, microseconds if the kernel has the page. On a worker of the runtime it is
//! announced, so that the worker's other tasks go on; at most [`ASIDE_MAX`] at a time, since each
//! occupies a thread, and those beyond wait in place. When all is loaded none of this is left but one
//! flag that is looked at where a channel is made or a device connects.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use proto::envelope::ErrorCode;
use proto::{ChannelName, ChannelPattern, DeviceId};

use super::Broker;
use super::channel::{Missing, Page, Rest, Revisions};
use super::restore::Restored;
use super::stored::{self, Family, Restart, Run, RunSize};
use crate::codec::Refusal;
use crate::store::{Records, StoreError, panic_message};

#[cfg(test)]
pub(crate) mod tests;

/// What is read at once: little enough that a reader who waits for its turn hardly notices.
const RUN: RunSize = RunSize { records: 512, bytes: 256 * 1024 };
/// Reads that may occupy a thread beside the runtime's workers.
const ASIDE_MAX: usize = 8;
/// Looks without a run in between until the loader is held for hung: a minute, at five a second.
const LOOKS_WITHOUT_RUN_MAX: u32 = 300;

/// Where the loading stands.
#[derive(Debug)]
pub(crate) struct Loading {
    restart: Restart,
    /// Gone when all is loaded, or the hub stops.
    records: RwLock<Option<Arc<dyn Records>>>,
    cursor: Mutex<Cursor>,
    is_done: AtomicBool,
    aside: AtomicUsize,
    runs: AtomicU64,
    watch: Mutex<Watch>,
}

/// Who holds it loads the next run.
#[derive(Debug)]
struct Cursor {
    /// The channel from which on nothing was loaded in turn.
    next: Box<str>,
    restored: Restored,
}

#[derive(Debug, Default)]
struct Watch {
    runs: u64,
    looks: u32,
    failed: Option<StoreError>,
}

impl Loading {
    /// Nothing is loaded yet. `restored` is what was read before.
    pub(crate) fn new(records: Arc<dyn Records>, restart: Restart, restored: Restored) -> Self {
        Self {
            restart,
            records: RwLock::new(Some(records)),
            cursor: Mutex::new(Cursor { next: "".into(), restored }),
            is_done: AtomicBool::new(false),
            aside: AtomicUsize::new(0),
            runs: AtomicU64::new(0),
            watch: Mutex::default(),
        }
    }

    fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Acquire)
    }

    /// Lets go of the store.
    pub(crate) fn stop(&self) {
        self.records.write().take();
    }

    /// Reads, without keeping a worker of the runtime from its other tasks. A panic is an error here:
    /// the engine may panic on damaged files.
    pub(super) fn read<R>(
        &self,
        read: impl FnOnce() -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        use tokio::runtime::{Handle, RuntimeFlavor};
        let read = || {
            catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
                Err(StoreError::Panicked { message: panic_message(&*panic) })
            })
        };
        let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
        let before = self.aside.fetch_add(1, Ordering::Relaxed);
        let result = if before < ASIDE_MAX && flavor.is_ok_and(|f| f == RuntimeFlavor::MultiThread)
        {
            tokio::task::block_in_place(read)
        } else {
            read()
        };
        self.aside.fetch_sub(1, Ordering::Relaxed);
        result
    }

    /// Keeps the first failure for [`Broker::loading_fault`].
    pub(super) fn failed(&self, error: StoreError) -> Refusal {
        let text = format!("the stored values can't be read: {error}");
        self.watch.lock().failed.get_or_insert(error);
        Refusal::retry(ErrorCode::Unavailable, "", text, 5_000)
    }
}

impl Broker {
    /// Loads everything that is not loaded yet; returns after the last run, or when the hub stops.
    /// For a thread of its own.
    pub fn load_values(&self) -> Option<Restored> {
        while !self.loading.is_done() {
            if self.loading.records.read().is_none() || self.load_run().is_err() {
                return None;
            }
        }
        Some(self.loading.cursor.lock().restored)
    }

    /// Whether stored values are still missing in memory.
    pub fn is_loading(&self) -> bool {
        !self.loading.is_done()
    }

    /// Why loading can't go on, if it can't: the hub is to end. Called several times a second.
    pub fn loading_fault(&self) -> Option<StoreError> {
        let mut watch = self.loading.watch.lock();
        if self.loading.is_done() {
            return watch.failed.take();
        }
        let runs = self.loading.runs.load(Ordering::Relaxed);
        watch.looks = if runs == watch.runs { watch.looks + 1 } else { 0 };
        watch.runs = runs;
        let is_stuck = watch.looks > LOOKS_WITHOUT_RUN_MAX;
        watch.failed.take().or(is_stuck.then_some(StoreError::Stuck))
    }

    /// Loads the next run, or finds that there is none.
    fn load_run(&self) -> Result<(), Refusal> {
        let loading = &self.loading;
        let loaded = loading.read(|| {
            let mut cursor = loading.cursor.lock();
            let Some(records) = loading.records.read().clone() else { return Ok(()) };
            if loading.is_done() {
                return Ok(());
            }
            let run =
                stored::read_run(&*records, &self.rules(), loading.restart, &cursor.next, RUN)?;
            cursor.restored.values += run.values;
            cursor.restored.unreadable += run.unreadable;
            if let Some(next) = &run.next {
                cursor.next = next.clone();
            }
            self.take_run(run);
            Ok(())
        });
        loaded.map_err(|error| loading.failed(error))
    }

    fn take_run(&self, mut run: Run) {
        let next = run.next.take();
        // Devices first: a family that counts as loaded has been told to its device. Held until the
        // channels are there: a device that counts as read has the revisions that they hold.
        let mut devices = self.devices.lock();
        for (id, recollection) in &run.devices {
            if let Some(device) = devices.get_mut(&**id) {
                recollection.tell(device);
            }
        }
        let lit = super::light::lit_devices(&run.channels);
        let is_last = next.is_none();
        let mut channels = self.channels.write();
        let added = channels.load(run.channels);
        channels.loaded_before(next);
        drop(channels);
        drop(devices);
        self.lights.found(&lit);
        self.count_channels(added);
        self.metrics.values_restored.inc_by(i64::try_from(run.values).unwrap_or(i64::MAX));
        self.loading.runs.fetch_add(1, Ordering::Relaxed);
        if is_last {
            self.metrics.values_loading.set(0);
            self.loading.is_done.store(true, Ordering::Release);
            self.loading.stop();
        }
    }

    /// Has the family of a channel in memory. Takes no lock but that of the channels, and may be
    /// called with any that come before it.
    pub(crate) fn load_family_of(&self, channel: &str) -> Result<(), Refusal> {
        match Family::of(channel) {
            Some(family) if self.is_loading() => self.load_family(&family).map(drop),
            Some(_) | None => Ok(()),
        }
    }

    /// Has what is stored of a device in memory, and told to it. Call it without locks, before
    /// anything of the device is used or changed.
    pub(crate) fn recall(&self, id: &DeviceId) -> Result<(), Refusal> {
        if !self.is_loading() || !self.devices.lock().get(id).is_none_or(|device| device.unread) {
            return Ok(());
        }
        let run = self.load_family(&Family::of_device(id.as_str()))?;
        if let Some(device) = self.devices.lock().get_mut(id) {
            for (_, recollection) in run.devices {
                recollection.tell(device);
            }
            // There may be nothing stored of it.
            device.unread = false;
        }
        Ok(())
    }

    /// Returns what was read; nothing, if the family is in memory.
    fn load_family(&self, family: &Family) -> Result<Run, Refusal> {
        let loading = &self.loading;
        if self.channels.read().has_loaded(family.prefix()) {
            return Ok(Run::default());
        }
        let Some(records) = loading.records.read().clone() else {
            return if loading.is_done() { Ok(Run::default()) } else { Err(stopping()) };
        };
        let read = loading
            .read(|| stored::read_family(&*records, &self.rules(), loading.restart, family))
            .map_err(|error| loading.failed(error));
        let mut run = read?;
        let lit = super::light::lit_devices(&run.channels);
        let added = self.channels.write().load(std::mem::take(&mut run.channels));
        self.lights.found(&lit);
        self.count_channels(added);
        Ok(run)
    }

    fn count_channels(&self, added: usize) {
        self.metrics.channels.inc_by(i64::try_from(added).unwrap_or(i64::MAX));
    }

    /// One page of last values. Where the channels that come next are not loaded, it loads a run of
    /// them and is empty: the caller asks again.
    pub(crate) fn page(
        &self,
        pattern: &ChannelPattern,
        revisions: Revisions,
        cursor: Option<&ChannelName>,
        bytes_max: usize,
    ) -> Page {
        let missing = self.missing(pattern, revisions);
        let page = self.channels.read().page(pattern, revisions, cursor, bytes_max, missing);
        if page.rest == Rest::Loading && page.values.is_empty() {
            // A fault ends the hub; until then the page stays empty, and is not the last.
            drop(self.load_run());
        }
        page
    }

    /// What a page does about channels that aren't loaded. All that is stored is older than the
    /// restart, so whoever wants what came after it misses nothing.
    fn missing(&self, pattern: &ChannelPattern, revisions: Revisions) -> Missing {
        if !self.is_loading() || revisions.after >= self.loading.restart.offset {
            return Missing::Ignored;
        }
        match Family::of(pattern.as_str()).map(|family| self.load_family(&family)) {
            Some(Ok(_)) => Missing::Ignored,
            Some(Err(_)) | None => Missing::Awaited,
        }
    }
}

fn stopping() -> Refusal {
    Refusal::retry(ErrorCode::Unavailable, "", "the hub is stopping", 5_000)
}
