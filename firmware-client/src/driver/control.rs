//! A handle on a running link, from outside its task: to break it in tests and simulations, and to wake
//! its application.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::socket::ConnectError;

/// Shared by reference or `Arc` between a driver and whoever breaks its link. Without a call it does
/// nothing.
#[derive(Debug, Default)]
pub struct LinkControl {
    changed: Notify,
    cut: AtomicBool,
    stalled: AtomicBool,
    doubling: AtomicBool,
    delay_ms: AtomicU64,
    failures: AtomicU32,
    last_failure: Mutex<Option<Box<str>>>,
}

impl LinkControl {
    /// A link that nobody breaks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops the connection now, without a close frame.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// From now on nothing is read or written, as in a black hole, until told otherwise or until the
    /// machine takes the hub for dead. What waits flows when the stall ends. New connections can be
    /// opened meanwhile, and are stalled, too.
    pub fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Release);
        self.changed.notify_one();
    }

    /// From now on each incoming message reaches the machine twice, as a link that repeats would do.
    pub fn double(&self, doubling: bool) {
        self.doubling.store(doubling, Ordering::Release);
    }

    /// Delays each incoming message by so much, one after the other. Zero ends it.
    pub fn set_delay(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(ms, Ordering::Release);
    }

    /// Has the application polled now.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Tries to connect that failed.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Why the last try failed.
    pub fn last_failure(&self) -> Option<Box<str>> {
        self.last_failure.lock().ok().and_then(|text| text.clone())
    }

    pub(super) fn note_failure(&self, error: &ConnectError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut text) = self.last_failure.lock() {
            *text = Some(error.to_string().into());
        }
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn take_cut(&self) -> bool {
        self.cut.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    pub(super) fn is_doubling(&self) -> bool {
        self.doubling.load(Ordering::Acquire)
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.load(Ordering::Acquire))
    }
}
