//! What waits for one receiver: bounded, with a policy for when it is full, and one lock.
//!
//! Publishers put messages in from their own tasks; the receiver's task takes all that is there. The
//! lock is held for a few lines, and the caller wakes the receiver after every lock is dropped.
//!
//! Read [`queue`] for the policy; this file adds the lock, the waker and the budget that all
//! mailboxes share. [`wakes`] is what happens to who waits, and [`pulse`] is how a reader over HTTP is seen to take nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::CloseCode;

use crate::access::{Role, Verb};
use crate::codec::Frame;

mod items;
pub mod pulse;
pub mod queue;
pub mod wakes;

pub use pulse::Pulse;
pub use queue::{Item, Lag, Overflow, Queue, Taken};
pub use wakes::{Receiver, Waiter, Wake, Wakes};

/// Bytes that all mailboxes together may hold.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), bytes_max })
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn is_spent(&self) -> bool {
        self.used() >= self.bytes_max
    }

    fn adjust(&self, before: usize, after: usize) {
        if after >= before {
            self.used.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}

/// The mailbox of one connection.
#[derive(Debug)]
pub struct Mailbox {
    id: u64,
    budget: Arc<Budget>,
    /// Of a receiver that gets only what its grants allow, message by message.
    sight: Option<Arc<Role>>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Queue,
    waiter: Option<Waiter>,
}

impl Mailbox {
    /// An empty mailbox. `id` is unique in the hub.
    pub fn new(id: u64, queue: Queue, budget: Arc<Budget>) -> Arc<Self> {
        Self::with_sight(id, queue, budget, None)
    }

    /// One of a receiver that may see only what this role allows of what it subscribed to.
    pub fn with_sight(
        id: u64,
        queue: Queue,
        budget: Arc<Budget>,
        sight: Option<Arc<Role>>,
    ) -> Arc<Self> {
        Arc::new(Self { id, budget, sight, inner: Mutex::new(Inner { queue, waiter: None }) })
    }

    /// Whether the receiver may see this message, now.
    pub fn may_see(&self, frame: &Frame) -> bool {
        let Some(role) = &self.sight else { return true };
        role.allows(Verb::Subscribe, frame.message().channel).is_some()
    }

    /// Unique in the hub.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Offers a message; what a full mailbox does with it is its overflow's affair.
    pub fn offer(&self, frame: &Arc<Frame>) -> Wake {
        if !self.may_see(frame) {
            return Wake(None);
        }
        let spent = self.budget.is_spent();
        self.with(|queue| queue.offer(frame, spent))
    }

    /// Adds an answer: an envelope with its length.
    pub fn answer(&self, envelope: Bytes) -> Wake {
        self.with(|queue| queue.answer(envelope))
    }

    /// Raises the cumulative ack that the device gets.
    pub fn acknowledge(&self, boot: u32, seq: u64) -> Wake {
        self.with(|queue| queue.acknowledge(boot, seq))
    }

    /// Asks the receiver's task to close.
    pub fn close(&self, code: CloseCode) -> Wake {
        self.with(|queue| queue.close(code))
    }

    /// Asks the receiver's task to close, and takes from it all that waits: it may get nothing more.
    pub fn end(&self, code: CloseCode) -> Wake {
        self.with(|queue| queue.end(code))
    }

    /// Takes up to about `bytes_max` bytes into `taken`, or registers the task to be woken.
    pub fn poll_take(
        &self,
        context: &mut Context<'_>,
        bytes_max: usize,
        taken: &mut Taken,
    ) -> Poll<()> {
        let mut inner = self.inner.lock();
        if self.take(&mut inner.queue, bytes_max, taken) {
            return Poll::Ready(());
        }
        inner.waiter = Some(Waiter::Task(context.waker().clone()));
        Poll::Pending
    }

    /// Takes up to about `bytes_max` bytes into `taken`; whether there was anything. If nothing is left, the
    /// receiver, which is always the same one, is written to by what comes next.
    pub fn take_or_wait(
        &self,
        receiver: impl FnOnce() -> Arc<dyn Receiver>,
        bytes_max: usize,
        taken: &mut Taken,
    ) -> bool {
        let mut inner = self.inner.lock();
        let is_some = self.take(&mut inner.queue, bytes_max, taken);
        taken.is_all = inner.queue.is_idle();
        if taken.is_all {
            inner.waiter.get_or_insert_with(|| Waiter::Receiver(receiver()));
        }
        is_some
    }

    /// Takes what [`Mailbox::poll_take`] would, for a receiver that puts it aside and comes again by itself:
    /// nothing wakes it. False, and nothing is touched, where messages were left out, which is told in its
    /// place, or all mailboxes together hold too much to take any out of their count.
    pub fn take_whole(&self, bytes_max: usize, taken: &mut Taken) -> bool {
        let mut inner = self.inner.lock();
        if inner.queue.has_left_out() || self.budget.is_spent() {
            return false;
        }
        self.take(&mut inner.queue, bytes_max, taken)
    }

    /// Has the receiver woken by what comes next, though something waits already; false, and nothing is
    /// changed, if that is `bytes_max` bytes or more.
    pub fn wait_for_more(&self, waiter: Waiter, bytes_max: usize) -> bool {
        let mut inner = self.inner.lock();
        let is_little = inner.queue.bytes() < bytes_max;
        if is_little {
            inner.waiter = Some(waiter);
        }
        is_little
    }

    /// Ends lagging: messages are queued again from now on. Returns how many were left out since the
    /// lag was last reported.
    pub fn resume(&self) -> u64 {
        self.inner.lock().queue.resume()
    }

    /// The receiver is gone and is woken no more.
    pub fn leave(&self) {
        let waiter = self.inner.lock().waiter.take();
        // Dropped without the lock: it may be the last that holds the receiver.
        drop(waiter);
    }

    /// Why the receiver may get nothing more, if so.
    pub fn ended(&self) -> Option<CloseCode> {
        self.inner.lock().queue.ended()
    }

    /// Why the receiver's task is to close, if it is.
    pub fn closing(&self) -> Option<CloseCode> {
        self.inner.lock().queue.closing()
    }

    /// Whether messages are left out, since the receiver is slow.
    pub fn is_lagging(&self) -> bool {
        self.inner.lock().queue.is_lagging()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.inner.lock().queue.bytes()
    }

    /// Bytes that may wait.
    pub fn bytes_max(&self) -> usize {
        self.inner.lock().queue.bytes_max()
    }

    fn take(&self, queue: &mut Queue, bytes_max: usize, taken: &mut Taken) -> bool {
        let before = queue.bytes();
        let is_some = queue.take(bytes_max, taken);
        self.budget.adjust(before, queue.bytes());
        is_some
    }

    fn with(&self, change: impl FnOnce(&mut Queue)) -> Wake {
        let mut inner = self.inner.lock();
        let before = inner.queue.bytes();
        change(&mut inner.queue);
        self.budget.adjust(before, inner.queue.bytes());
        Wake(if inner.queue.is_idle() { None } else { inner.waiter.take() })
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.budget.adjust(self.inner.get_mut().queue.bytes(), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn who_may_get_nothing_more_gets_not_even_what_waits() {
        let budget = Budget::new(1000);
        let mailbox = Mailbox::new(1, Queue::new(Overflow::Conflate, 1000), budget.clone());
        mailbox.offer(&Arc::new(Frame::for_test("a", 1))).wake();
        mailbox.end(CloseCode::REVOKED).wake();
        mailbox.offer(&Arc::new(Frame::for_test("a", 2))).wake();
        mailbox.answer(Bytes::from_static(b"x")).wake();

        let mut taken = Taken::default();
        let mut context = Context::from_waker(Waker::noop());
        assert!(mailbox.poll_take(&mut context, 100, &mut taken).is_ready());
        assert_eq!((taken.items.len(), taken.close), (0, Some(CloseCode::REVOKED)));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_put_aside_is_whole_and_wakes_nobody() {
        let frame = |offset| Arc::new(Frame::for_test("a", offset));
        let unit = frame(1).len();
        let budget = Budget::new(3 * unit);
        let queue = Queue::new(Overflow::DropOldest, 2 * unit);
        let mailbox = Mailbox::new(1, queue, budget.clone());
        let mut taken = Taken::default();
        assert!(!mailbox.take_whole(100, &mut taken));
        assert!(mailbox.offer(&frame(1)).0.is_none(), "nobody waits");
        assert!(mailbox.take_whole(100, &mut taken));
        assert_eq!((taken.items.len(), budget.used()), (1, 0));

        (2..=4).for_each(|offset| mailbox.offer(&frame(offset)).wake());
        assert!(!mailbox.take_whole(100, &mut taken), "one was left out");
        assert_eq!(mailbox.bytes(), 2 * unit, "and waits with the others to be told");
        let mut context = Context::from_waker(Waker::noop());
        assert!(mailbox.poll_take(&mut context, 100, &mut taken).is_ready());
        assert_eq!((taken.items.len(), taken.gap.map(|gap| gap.dropped)), (2, Some(1)));

        let others = Mailbox::new(2, Queue::new(Overflow::Conflate, 9 * unit), budget);
        (5..=7).for_each(|offset| others.offer(&frame(offset)).wake());
        mailbox.offer(&frame(8)).wake();
        assert!(!mailbox.take_whole(100, &mut taken), "all together hold what they may");
        assert_eq!(mailbox.bytes(), unit);
    }

    #[test]
    fn a_receiver_hears_of_what_comes_next_once_nothing_is_left() {
        #[derive(Debug)]
        struct Line;
        impl Receiver for Line {
            fn join(self: Arc<Self>) -> Option<Arc<dyn Receiver>> {
                None
            }

            fn write(&self) {}
        }
        let frame = Arc::new(Frame::for_test("a", 1));
        let queue = Queue::new(Overflow::Conflate, 1000);
        let mailbox = Mailbox::new(1, queue, Budget::new(1000));
        let mut taken = Taken::default();
        let mut take = || mailbox.take_or_wait(|| Arc::new(Line), frame.len(), &mut taken);
        assert!(!take(), "there is nothing");
        assert!(mailbox.offer(&frame).0.is_some(), "it waits");
        assert!(mailbox.offer(&frame).0.is_none(), "it was told");
        assert!(take());
        assert!(mailbox.offer(&frame).0.is_none(), "something was left");
        assert!(take() && take());
        assert!(mailbox.offer(&frame).0.is_some(), "nothing was");
    }

    #[test]
    fn who_gathers_is_woken_by_what_comes_next_until_a_batch_waits() {
        let frame = Arc::new(Frame::for_test("a", 1));
        let queue = Queue::new(Overflow::Conflate, 1000);
        let mailbox = Mailbox::new(1, queue, Budget::new(1000));
        let batch = 3 * frame.len();
        for is_little in [true, true, false] {
            mailbox.offer(&frame).wake();
            assert_eq!(
                mailbox.wait_for_more(Waiter::Task(Waker::noop().clone()), batch),
                is_little
            );
        }
        assert!(mailbox.offer(&frame).0.is_none(), "its task is on its way");
    }

    #[test]
    fn the_budget_gets_back_what_a_mailbox_held() {
        let budget = Budget::new(1000);
        let mailbox = Mailbox::new(1, Queue::new(Overflow::Conflate, 1000), budget.clone());
        mailbox.offer(&Arc::new(Frame::for_test("a", 1))).wake();
        assert!(budget.used() > 0);

        let mut taken = Taken::default();
        let mut context = Context::from_waker(Waker::noop());
        assert!(mailbox.poll_take(&mut context, 100, &mut taken).is_ready());
        assert_eq!(budget.used(), 0);
        assert!(mailbox.poll_take(&mut context, 100, &mut taken).is_pending());

        mailbox.offer(&Arc::new(Frame::for_test("a", 2))).wake();
        drop(mailbox);
        assert_eq!(budget.used(), 0);
    }
}
