//! The writer against a store whose commits wait for the test. Nothing sleeps: the test waits for a
//! commit to begin, looks, and lets it end.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;

use super::super::Table;
use super::*;

type Committed = Vec<(String, String)>;

#[test]
fn what_arrives_during_a_commit_goes_into_the_next_one_together() {
    let bench = Bench::new(SETTINGS);

    bench.submit("a", "1", 1);
    bench.expect_commit(&[("a", "1")]);
    bench.submit("b", "1", 2);
    bench.submit("c", "1", 3);
    bench.finish_commit();
    assert_eq!(bench.tickets(), [1]);

    bench.expect_commit(&[("b", "1"), ("c", "1")]);
    bench.finish_commit();
    assert_eq!(bench.tickets(), [2, 3]);
}

#[test]
fn no_ticket_completes_before_its_commit_ended() {
    let bench = Bench::new(SETTINGS);

    bench.submit("a", "1", 1);
    bench.expect_commit(&[("a", "1")]);

    assert!(bench.completed.try_recv().is_err(), "the commit is still running");
    bench.finish_commit();
    assert_eq!(bench.tickets(), [1]);
}

#[test]
fn only_the_last_value_of_a_key_is_written_and_all_its_tickets_complete() {
    let bench = Bench::busy();

    bench.submit("a", "older", 1);
    bench.submit("b", "other", 2);
    bench.submit("a", "new", 3);
    bench.finish_commit();

    bench.expect_commit(&[("a", "new"), ("b", "other")]);
    bench.finish_commit();
    assert_eq!(bench.tickets(), [1, 2, 3]);
    assert_eq!(bench.writer.stats().coalesced.load(Ordering::Relaxed), 1);
}

#[test]
fn a_ticket_without_operations_waits_for_what_was_submitted_before_it() {
    let bench = Bench::busy();

    bench.writer.submit([], Some(7)).expect("there is room");
    assert!(bench.completed.try_recv().is_err(), "the commit before it is still running");
    bench.finish_commit();

    assert_eq!(bench.tickets(), [7]);
}

#[test]
fn a_ticket_without_operations_needs_no_commit_when_all_is_on_disk() {
    let bench = Bench::new(SETTINGS);

    bench.writer.submit([], Some(7)).expect("there is room");

    assert_eq!(bench.tickets(), [7]);
    assert_eq!(bench.writer.stats().commits.load(Ordering::Relaxed), 0);
}

#[test]
fn a_submission_that_does_not_fit_leaves_nothing_behind() {
    let limits = PendingLimits { operations_max: 2, ..PendingLimits::default() };
    let bench = Bench::busy_with(WriterSettings { limits, ..SETTINGS });

    bench.submit("a", "1", 1);
    let refused = bench.writer.submit([put("b", "1"), put("a", "2")], Some(2));
    assert_eq!(refused, Err(Refusal::Busy(BusyReason::Operations)));
    bench.submit("c", "1", 3);
    bench.finish_commit();

    bench.expect_commit(&[("a", "1"), ("c", "1")]);
    bench.finish_commit();
    assert_eq!(bench.tickets(), [1, 3]);
    assert_eq!(bench.writer.stats().refused.load(Ordering::Relaxed), 1);
}

#[test]
fn room_that_a_commit_took_is_free_again() {
    let limits = PendingLimits { tickets_max: 1, ..PendingLimits::default() };
    let bench = Bench::busy_with(WriterSettings { limits, ..SETTINGS });

    bench.submit("a", "1", 1);
    let refused = bench.writer.submit([put("b", "1")], Some(2));
    assert_eq!(refused, Err(Refusal::Busy(BusyReason::Tickets)));
    bench.finish_commit();
    bench.expect_commit(&[("a", "1")]);

    bench.submit("b", "1", 2);
}

#[test]
fn the_first_failed_commit_is_the_last_and_is_told_once() {
    let bench = Bench::new(SETTINGS);

    bench.submit("a", "1", 1);
    bench.expect_commit(&[("a", "1")]);
    bench.submit("b", "1", 2);
    bench.end_commit(Ending::Fail);

    assert_eq!(bench.failure(), StoreError::Broken.to_string());
    assert_eq!(bench.writer.submit([put("c", "1")], Some(3)), Err(Refusal::Failed));
    assert!(bench.writer.health(bench.start).is_degraded());
    assert_eq!(bench.writer.close(), Err(Failed));
    assert!(bench.completed.try_recv().is_err(), "nothing was acknowledged");
    assert!(bench.commits.try_recv().is_err(), "nothing was committed after the failure");
    assert!(bench.failures.try_recv().is_err(), "it was told once");
}

#[test]
fn a_panic_of_the_store_is_a_failure() {
    let bench = Bench::new(SETTINGS);

    bench.submit("a", "1", 1);
    bench.expect_commit(&[("a", "1")]);
    bench.end_commit(Ending::Panic);

    assert_eq!(bench.failure(), "the thread of the store panicked: on purpose");
    assert_eq!(bench.writer.submit([put("c", "1")], None), Err(Refusal::Failed));
}

#[test]
fn closing_commits_what_is_pending_and_then_takes_no_more() {
    let bench = Bench::busy();
    bench.submit("a", "1", 1);
    bench.end_commit(Ending::Succeed);
    // The commit of `a` may end as soon as it begins.
    bench.end_commit(Ending::Succeed);

    assert_eq!(bench.writer.close(), Ok(()));

    bench.expect_commit(&[("a", "1")]);
    assert_eq!(bench.tickets(), [1]);
    assert_eq!(bench.writer.submit([put("b", "1")], None), Err(Refusal::Closed));
    assert_eq!(bench.writer.close(), Ok(()), "closing twice is closing once");
}

#[test]
fn closing_does_not_wait_for_the_window() {
    let window = Duration::from_secs(3_600);
    let bench = Bench::busy_with(WriterSettings { window, ..SETTINGS });
    bench.submit("a", "1", 1);
    bench.end_commit(Ending::Succeed);
    bench.end_commit(Ending::Succeed);

    assert_eq!(bench.writer.close(), Ok(()));

    assert_eq!(bench.tickets(), [1]);
}

#[test]
fn a_half_full_queue_does_not_wait_for_the_window() {
    let window = Duration::from_secs(3_600);
    let limits = PendingLimits { operations_max: 4, ..PendingLimits::default() };
    let mut settings = SETTINGS;
    (settings.window, settings.limits) = (window, limits);
    let bench = Bench::busy_with(settings);
    bench.finish_commit();

    for key in ["a", "b", "c"] {
        bench.writer.submit([put(key, "1")], None).expect("there is room");
    }

    bench.expect_commit(&[("a", "1"), ("b", "1"), ("c", "1")]);
}

#[test]
fn what_nobody_waits_for_waits_longer_and_goes_with_the_first_ticket() {
    let unawaited_window = Duration::from_secs(3_600);
    let bench = Bench::busy_with(WriterSettings { unawaited_window, ..SETTINGS });
    bench.finish_commit();

    for key in ["a", "b"] {
        bench.writer.submit([put(key, "1")], None).expect("there is room");
    }
    bench.submit("c", "1", 1);

    bench.expect_commit(&[("a", "1"), ("b", "1"), ("c", "1")]);
    bench.finish_commit();
    assert_eq!(bench.tickets(), [1]);
}

#[test]
fn health_knows_the_age_of_the_running_commit() {
    let bench = Bench::busy();
    let after = |seconds| bench.writer.health(bench.start + Duration::from_secs(seconds));

    assert!(!after(5).is_degraded());
    assert!(after(6).is_degraded());
    bench.finish_commit();
    bench.writer.submit([], Some(1)).expect("there is room");
    assert_eq!(bench.tickets(), [1]);
    assert_eq!(after(6).commit_age, None);
}

#[test]
fn a_ticket_may_own_the_last_handle_of_the_writer() {
    let (done, finished) = sync_channel(1);
    let store = Box::new(super::super::MemoryStore::default());
    type Handle = Arc<Mutex<Option<Arc<Writer<u32>>>>>;
    let handle: Handle = Arc::new(Mutex::new(None));
    let of_thread = Arc::clone(&handle);
    let on_commit = move |_| {
        drop(of_thread.lock().take());
        done.send(()).expect("the test waits");
    };
    let writer = Writer::start(store, SETTINGS, clock, on_commit, |_| {}).expect("a thread");
    *handle.lock() = Some(Arc::new(writer));

    let writer = handle.lock().clone().expect("it was put there");
    writer.submit([], Some(1)).expect("there is room");
    drop(writer);

    finished.recv_timeout(PATIENCE).expect("the thread does not wait for itself");
}

#[cfg(feature = "broken-ack")]
#[test]
fn the_build_that_is_broken_on_purpose_acknowledges_before_the_commit() {
    let bench = Bench::new(WriterSettings { ack_before_sync: true, ..SETTINGS });

    bench.submit("a", "1", 1);

    assert_eq!(bench.tickets(), [1]);
    bench.expect_commit(&[("a", "1")]);
}

const SETTINGS: WriterSettings = WriterSettings {
    window: Duration::ZERO,
    unawaited_window: Duration::ZERO,
    limits: PendingLimits { operations_max: 100, bytes_max: 10_000, tickets_max: 100 },
    #[cfg(feature = "broken-ack")]
    ack_before_sync: false,
};

/// How long a test waits for what must happen before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Commits that may end before they begin, in tests that can't be between the two.
const ENDINGS_MAX: usize = 4;

enum Ending {
    Succeed,
    Fail,
    Panic,
}

/// A store that reports each batch and waits to be told how its commit ends.
struct GatedStore {
    begun: SyncSender<Committed>,
    endings: Receiver<Ending>,
}

impl Store for GatedStore {
    fn records(&self) -> Arc<dyn super::super::Records> {
        super::super::MemoryStore::default().records()
    }

    fn commit(&mut self, batch: &[Operation]) -> Result<(), StoreError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = |operation: &Operation| operation.value().map_or_else(String::new, |v| text(v));
        let mut committed: Committed =
            batch.iter().map(|operation| (text(operation.key()), value(operation))).collect();
        committed.sort();
        self.begun.send(committed).map_err(|_| StoreError::Broken)?;
        // A test that ended has closed its side; then there is nothing to wait for.
        match self.endings.recv() {
            Ok(Ending::Succeed) | Err(_) => Ok(()),
            Ok(Ending::Fail) => Err(StoreError::Broken),
            Ok(Ending::Panic) => panic!("on purpose"),
        }
    }
}

/// A writer on a gated store. The gate goes before the writer, so that a test that fails ends.
struct Bench {
    endings: SyncSender<Ending>,
    commits: Receiver<Committed>,
    completed: Receiver<Vec<u32>>,
    failures: Receiver<String>,
    start: Instant,
    writer: Writer<u32>,
}

impl Bench {
    fn new(settings: WriterSettings) -> Self {
        let (begun, commits) = sync_channel(ENDINGS_MAX);
        let (endings, gate) = sync_channel(ENDINGS_MAX);
        let (complete, completed) = sync_channel(ENDINGS_MAX);
        let (fail, failures) = sync_channel(ENDINGS_MAX);
        let on_commit = move |tickets| drop(complete.send(tickets));
        let on_failure = move |error: &StoreError| drop(fail.send(error.to_string()));
        let store = Box::new(GatedStore { begun, endings: gate });
        let writer = Writer::start(store, settings, clock, on_commit, on_failure);
        let writer = writer.expect("a thread starts");
        Self { endings, commits, completed, failures, start: clock(), writer }
    }

    /// A writer in the middle of a commit that covers no ticket.
    fn busy() -> Self {
        Self::busy_with(SETTINGS)
    }

    fn busy_with(settings: WriterSettings) -> Self {
        let bench = Self::new(settings);
        bench.writer.submit([put("first", "1")], None).expect("there is room");
        bench.expect_commit(&[("first", "1")]);
        bench
    }

    fn submit(&self, key: &str, value: &str, ticket: u32) {
        self.writer.submit([put(key, value)], Some(ticket)).expect("there is room");
    }

    #[track_caller]
    fn expect_commit(&self, expected: &[(&str, &str)]) {
        let begun = self.commits.recv_timeout(PATIENCE).expect("a commit begins");
        let begun: Vec<(&str, &str)> =
            begun.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(begun, expected);
    }

    fn finish_commit(&self) {
        self.end_commit(Ending::Succeed);
    }

    fn end_commit(&self, ending: Ending) {
        self.endings.send(ending).expect("the store listens");
    }

    #[track_caller]
    fn tickets(&self) -> Vec<u32> {
        self.completed.recv_timeout(PATIENCE).expect("tickets complete")
    }

    #[track_caller]
    fn failure(&self) -> String {
        self.failures.recv_timeout(PATIENCE).expect("the failure is told")
    }
}

fn put(key: &str, value: &str) -> Operation {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Operation::put(Table::LastValue, key.as_bytes(), value).expect("short")
}

/// Time that stands still, so that a window that began never ends by itself.
fn clock() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the starting point of virtual time")]
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *START
}
