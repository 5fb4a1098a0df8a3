//! The one thread that writes: many submissions become one commit, and one sync acknowledges all.
//!
//! ```text
//!   submit ─▶ Pending ─┐ whatever arrived while the last commit ran
//!   submit ─▶    ·     ├─▶ commit ─▶ on_commit(tickets)
//!   submit ─▶    ·    ─┘      └───── first error ─▶ on_failure(error), and nothing after it
//! ```
//!
//! A commit starts at once if the last one started a window ago, so a lone submission waits for
//! nothing but the disk; under load the window bounds how often the engine rewrites its pages, and
//! [`pace`] makes it longer where thousands a second wait. What no ticket waits for has a longer window,
//! which the first ticket shortens.
//! When nothing is pending the thread sleeps until it is woken; there is no timer.
//!
//! # Guarantees
//!
//! - A ticket completes after everything that was submitted before it, and with it, is on disk.
//!   Tickets complete in the order of submission.
//! - A submission is refused whole or taken whole, and its operations are committed together.
//! - [`Writer::submit`] waits for no disk: it holds a lock for a look-up or two.
//! - A ticket that isn't completed is dropped. To drop a ticket must never mean success.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use parking_lot::{Condvar, Mutex};

use super::open::panic_message;
use super::pending::{Batch, BusyReason, Pending, PendingLimits};
use super::{Operation, Store, StoreError, Tap};

mod pace;
mod stats;
#[cfg(test)]
mod tests;

use pace::Pace;
pub use stats::{Health, WriterStats};

/// How much of what nobody waits for a crash may cost.
const UNAWAITED_WINDOW: Duration = Duration::from_millis(50);

/// How the writer batches.
#[derive(Debug, Clone, Copy)]
pub struct WriterSettings {
    /// The least time between the starts of two commits, 0 to 200 ms; up to four times as long, and 20 ms at
    /// most, where thousands of tickets a second wait. Longer windows write less to the disk (measured:
    /// 20 ms two fifths of 5 ms) and acknowledge later.
    pub window: Duration,
    /// The same while no ticket waits: presences, and reports that ask for no acknowledgement. A
    /// crash may cost what came within it.
    pub unawaited_window: Duration,
    pub limits: PendingLimits,
    /// Completes tickets before the commit. It exists for the crash tests alone, which have to catch
    /// a build that is broken on purpose.
    #[cfg(feature = "broken-ack")]
    pub ack_before_sync: bool,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            window: Duration::from_millis(5),
            unawaited_window: UNAWAITED_WINDOW,
            limits: PendingLimits::default(),
            #[cfg(feature = "broken-ack")]
            ack_before_sync: false,
        }
    }
}

/// Why a submission was not taken. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The sender may come back: the disk is slower than the load.
    #[error("too many {0} wait for the disk")]
    Busy(BusyReason),
    /// The hub is stopping.
    #[error("the store is closed")]
    Closed,
    /// A commit failed; the process is about to end.
    #[error("the store has failed")]
    Failed,
}

/// Not everything that was submitted is on disk, because a commit failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store has failed, and what was not acknowledged may be lost")]
pub struct Failed;

/// Submits changes to the thread that owns the store. `T` is the ticket of the caller.
#[derive(Debug)]
pub struct Writer<T> {
    shared: Arc<Shared<T>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    /// Signalled when a sleeping thread has a reason to look.
    wake: Condvar,
    stats: WriterStats,
    settings: WriterSettings,
    is_volatile: bool,
    now: fn() -> Instant,
}

#[derive(Debug)]
struct State<T> {
    pending: Pending<T>,
    phase: Phase,
    /// Notes what is submitted, for an export.
    tap: Option<Tap>,
    /// The thread sleeps, whether until it is woken or until the window ends.
    is_asleep: bool,
    /// When the running commit started.
    running_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Commits what is pending, and ends.
    Closing,
    /// Nothing is committed any more.
    Failed,
}

impl<T: Send + 'static> Writer<T> {
    /// Starts the thread. It calls `on_commit` with the tickets of each commit, outside all locks,
    /// and `on_failure` at most once; neither may wait for the writer. `now` is the hub's clock.
    pub fn start(
        store: Box<dyn Store>,
        settings: WriterSettings,
        now: fn() -> Instant,
        on_commit: impl FnMut(Vec<T>) + Send + 'static,
        on_failure: impl FnOnce(&StoreError) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                pending: Pending::new(settings.limits),
                phase: Phase::Open,
                tap: None,
                is_asleep: false,
                running_since: None,
            }),
            wake: Condvar::new(),
            stats: WriterStats::default(),
            settings,
            is_volatile: store.is_volatile(),
            now,
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || of_thread.run(store, on_commit, on_failure))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Hands over changes that are to be committed together. `ticket` completes once they, and all
    /// that was submitted earlier, are on disk; without operations it is a barrier.
    pub fn submit<O>(&self, operations: O, ticket: Option<T>) -> Result<(), Refusal>
    where
        O: AsRef<[Operation]> + IntoIterator<Item = Operation>,
    {
        let stats = &self.shared.stats;
        let mut state = self.shared.state.lock();
        match state.phase {
            Phase::Open => {}
            Phase::Closing => return Err(Refusal::Closed),
            Phase::Failed => return Err(Refusal::Failed),
        }
        if let Err(reason) = state.pending.check(operations.as_ref(), ticket.is_some()) {
            stats.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::Busy(reason));
        }
        if let Some(tap) = &mut state.tap {
            tap.note(operations.as_ref());
        }
        let was_idle = state.pending.is_empty();
        let is_first_ticket = ticket.is_some() && state.pending.tickets() == 0;
        let coalesced = state.pending.add(operations, ticket);
        // In between, the thread sleeps on its own account until the window ends.
        let is_due = was_idle || state.pending.is_half_full();
        let wake = state.is_asleep && (is_due || is_first_ticket);
        drop(state);
        stats.coalesced.fetch_add(coalesced, Ordering::Relaxed);
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Whether the store keeps nothing longer than the process lives ([`Store::is_volatile`]). A ticket
    /// then says no more than that its submission was taken.
    pub fn is_volatile(&self) -> bool {
        self.shared.is_volatile
    }

    /// How the writer is at `now`.
    pub fn health(&self, now: Instant) -> Health {
        let state = self.shared.state.lock();
        Health {
            commit_age: state.running_since.map(|since| now.saturating_duration_since(since)),
            has_failed: state.phase == Phase::Failed,
            pending_operations: state.pending.operations(),
            pending_bytes: state.pending.bytes(),
            pending_tickets: state.pending.tickets(),
        }
    }

    /// Has all that is submitted from now on noted; false if that is so already.
    pub fn open_tap(&self, tap: Tap) -> bool {
        let mut state = self.shared.state.lock();
        let is_free = state.tap.is_none();
        if is_free {
            state.tap = Some(tap);
        }
        is_free
    }

    /// Ends that, and returns what was noted.
    pub fn close_tap(&self) -> Option<Tap> {
        self.shared.state.lock().tap.take()
    }

    pub fn stats(&self) -> &WriterStats {
        &self.shared.stats
    }
}

impl<T> Writer<T> {
    /// Takes no more, commits what is pending, completes its tickets and ends the thread. It waits
    /// for the disk, as long as that takes: call it where waiting is allowed.
    pub fn close(&self) -> Result<(), Failed> {
        let mut state = self.shared.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.shared.wake.notify_one();
        let thread = self.thread.lock().take();
        // A ticket may own the last handle; the thread can't wait for itself.
        if let Some(thread) = thread.filter(|other| other.thread().id() != thread::current().id()) {
            thread.join().map_err(|_| Failed)?;
        }
        match self.shared.state.lock().phase {
            Phase::Open | Phase::Closing => Ok(()),
            Phase::Failed => Err(Failed),
        }
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        // `on_failure` has told of a failure, and nothing here could act on it.
        self.close().ok();
    }
}

impl<T> Shared<T> {
    /// The whole life of the thread.
    fn run(
        &self,
        mut store: Box<dyn Store>,
        mut on_commit: impl FnMut(Vec<T>),
        on_failure: impl FnOnce(&StoreError),
    ) {
        let commit_all = || self.commit_until_closed(&mut *store, &mut on_commit);
        let ended = catch_unwind(AssertUnwindSafe(commit_all))
            .unwrap_or_else(|panic| Err(StoreError::Panicked { message: panic_message(&*panic) }));
        if let Err(error) = ended {
            self.fail();
            on_failure(&error);
        }
    }

    fn commit_until_closed(
        &self,
        store: &mut dyn Store,
        on_commit: &mut impl FnMut(Vec<T>),
    ) -> Result<(), StoreError> {
        let mut pace = Pace::new();
        while let Some(mut batch) = self.next_batch(&mut pace) {
            if self.acknowledges_early() {
                on_commit(mem::take(&mut batch.tickets));
                // As if the sync took so long: the tests' kills have to fall in between.
                thread::park_timeout(self.settings.window);
            }
            // Without operations there is nothing to sync: what came earlier is on disk already.
            if !batch.operations.is_empty() {
                store.commit(&batch.operations)?;
                self.account(&batch, pace.last_start());
            }
            self.state.lock().running_since = None;
            if !batch.tickets.is_empty() {
                self.stats.tickets.fetch_add(batch.tickets.len() as u64, Ordering::Relaxed);
                on_commit(batch.tickets);
            }
        }
        Ok(())
    }

    #[cfg(feature = "broken-ack")]
    fn acknowledges_early(&self) -> bool {
        self.settings.ack_before_sync
    }

    #[cfg(not(feature = "broken-ack"))]
    fn acknowledges_early(&self) -> bool {
        false
    }

    /// Sleeps until a commit is due and takes what it is to hold. `None` ends the thread.
    fn next_batch(&self, pace: &mut Pace) -> Option<Batch<T>> {
        let mut state = self.state.lock();
        loop {
            let now = (self.now)();
            let window = self.window(state.pending.tickets() > 0);
            let wait = pace.wait(now, window);
            let is_closing = state.phase != Phase::Open;
            if state.pending.is_empty() {
                if is_closing {
                    return None;
                }
                state.is_asleep = true;
                self.wake.wait(&mut state);
            } else if wait.is_zero() || is_closing || state.pending.is_half_full() {
                pace.start(now, window, state.pending.tickets());
                state.running_since = Some(now);
                return Some(state.pending.take());
            } else {
                state.is_asleep = true;
                self.wake.wait_for(&mut state, wait);
            }
            state.is_asleep = false;
        }
    }

    /// The least time since the last start, by whether a ticket waits.
    fn window(&self, is_awaited: bool) -> Duration {
        match is_awaited {
            // Memory doesn't wear: the window only saves wakings.
            true if self.is_volatile => Duration::ZERO,
            true => self.settings.window,
            false => self.settings.window.max(self.settings.unawaited_window),
        }
    }

    fn account(&self, batch: &Batch<T>, start: Option<Instant>) {
        let stats = &self.stats;
        let taken =
            start.map_or(Duration::ZERO, |start| (self.now)().saturating_duration_since(start));
        let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        stats.commits.fetch_add(1, Ordering::Relaxed);
        stats.operations.fetch_add(batch.operations.len() as u64, Ordering::Relaxed);
        stats.bytes.fetch_add(batch.bytes as u64, Ordering::Relaxed);
        stats.commit_micros.fetch_add(micros, Ordering::Relaxed);
        stats.last_commit_micros.store(micros, Ordering::Relaxed);
        stats.longest_commit_micros.fetch_max(micros, Ordering::Relaxed);
    }

    /// Gives up what is pending: it will never be acknowledged, and would only hold memory.
    fn fail(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Failed;
        state.running_since = None;
        let abandoned = state.pending.take();
        drop(state);
        // Tickets may do anything when they are dropped, so no lock is held.
        drop(abandoned);
    }
}
