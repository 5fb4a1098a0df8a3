//! Who waits at a mailbox, and how many of them are woken together.
//!
//! A task that waits is woken. A [`Receiver`] is written to by whoever wakes it, which is cheaper; and
//! cheaper still if some writes stand together: a write goes through so much of the kernel's code that
//! the processor has forgotten the rest of a message's way each time. So what is for each of
//! [`TOGETHER`] receivers is joined first, and then written.

use std::fmt::Debug;
use std::sync::Arc;
use std::task::Waker;

use smallvec::SmallVec;

/// Receivers that are written to together: most of what there is to be gained, and the first waits no
/// longer than a few writes take.
pub const TOGETHER: usize = 16;

/// A receiver that whoever wakes it writes to, in two steps. Between them it is nobody's: its own task, or
/// another that wakes it, may go on from where it stands.
pub trait Receiver: Debug + Send + Sync {
    /// Takes what waits, and joins it into what is to be written; from then on the receiver hears of what
    /// comes next. `None` if nothing is left to do here: all is written, or its task is on its way.
    fn join(self: Arc<Self>) -> Option<Arc<dyn Receiver>>;

    /// Writes what was joined, or has its task do it.
    fn write(&self);
}

/// Who is to hear that something waits.
#[derive(Debug)]
pub enum Waiter {
    /// A task, which then takes it.
    Task(Waker),
    /// A receiver that is written to at once.
    Receiver(Arc<dyn Receiver>),
}

/// To be woken after all locks are dropped.
#[derive(Debug)]
#[must_use = "the receiver sleeps until it is woken"]
pub struct Wake(pub(super) Option<Waiter>);

impl Wake {
    /// Wakes the receiver, if it waits.
    pub fn wake(self) {
        wake_together(self.0.into_iter());
    }
}

/// Receivers to be woken after all locks are dropped, by whoever holds this: at the latest when it is
/// dropped. Each is in it at most once, since one that is to be woken gives out no second [`Wake`].
#[derive(Debug, Default)]
pub struct Wakes(Vec<Waiter>);

impl Wakes {
    /// Adds a receiver, if it waits.
    pub fn add(&mut self, wake: Wake) {
        self.0.extend(wake.0);
    }

    /// Wakes up to `count` of them; whether none is left.
    pub fn wake_some(&mut self, count: usize) -> bool {
        let rest = self.0.len().saturating_sub(count);
        while self.0.len() > rest {
            let together = self.0.len().saturating_sub(TOGETHER).max(rest);
            wake_together(self.0.drain(together..));
        }
        if rest == 0 {
            self.0 = Vec::new();
        }
        rest == 0
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.wake_some(usize::MAX);
    }
}

/// At most [`TOGETHER`], in their order.
fn wake_together(waiters: impl Iterator<Item = Waiter>) {
    let joined: SmallVec<[_; TOGETHER]> = waiters
        .filter_map(|waiter| match waiter {
            Waiter::Receiver(receiver) => receiver.join(),
            Waiter::Task(waker) => {
                waker.wake();
                None
            }
        })
        .collect();
    joined.iter().for_each(|receiver| receiver.write());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn receivers_are_woken_in_portions_and_all_at_the_end() {
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let woken = Arc::new(Count(AtomicUsize::new(0)));
        let mut wakes = Wakes::default();
        wakes.add(Wake(None));
        for _ in 0..50 {
            wakes.add(Wake(Some(Waiter::Task(woken.clone().into()))));
        }

        assert!(!wakes.wake_some(20));
        assert_eq!(woken.0.load(Ordering::Relaxed), 20);
        drop(wakes);
        assert_eq!(woken.0.load(Ordering::Relaxed), 50);
    }

    #[derive(Debug)]
    struct Steps {
        id: usize,
        is_busy: bool,
        log: Arc<Mutex<Vec<(usize, &'static str)>>>,
    }

    impl Receiver for Steps {
        fn join(self: Arc<Self>) -> Option<Arc<dyn Receiver>> {
            self.log.lock().push((self.id, "join"));
            if self.is_busy { None } else { Some(self) }
        }

        fn write(&self) {
            self.log.lock().push((self.id, "write"));
        }
    }

    #[test]
    fn some_are_written_to_together_and_not_who_is_its_tasks_business() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut wakes = Wakes::default();
        for id in 0..3 {
            let receiver = Steps { id, is_busy: id == 1, log: log.clone() };
            wakes.add(Wake(Some(Waiter::Receiver(Arc::new(receiver)))));
        }
        drop(wakes);
        let steps = [(0, "join"), (1, "join"), (2, "join"), (0, "write"), (2, "write")];
        assert_eq!(*log.lock(), steps);
    }
}
