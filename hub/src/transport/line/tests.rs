//! The two steps in which others write to a receiver, and what may come between them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use proto::ChannelPattern;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::broker::loading::tests::life::{Life, Shelf};
use crate::codec::request::Subscription;
use crate::mailbox::{Budget, Overflow, Queue};
use crate::selector::Selector;
use crate::transport::Settings;

/// How often the connection's task was called.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Bench {
    life: Life,
    runtime: Runtime,
    outlet: Arc<Outlet>,
    mailbox: Arc<Mailbox>,
    peer: TcpStream,
    calls: Arc<Calls>,
}

impl Bench {
    /// A connection whose task waits, and its peer.
    fn begin() -> Self {
        let life = Life::begin(&Shelf::default());
        let shared = Shared { broker: life.broker.clone(), settings: Settings::default() };
        let queue = Queue::new(Overflow::Conflate, 4 * BATCH_BYTES);
        let mailbox = Mailbox::new(1, queue, Budget::new(4 * BATCH_BYTES));
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        let (outlet, peer) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            let address = listener.local_addr().expect("it is bound");
            let peer = TcpStream::connect(address).await.expect("it listens");
            let (socket, _) = listener.accept().await.expect("it connected");
            (Outlet::new(Wire::plain(socket), Arc::new(shared)), peer)
        });
        let bench = Self { life, runtime, outlet, mailbox, peer, calls: Arc::default() };
        bench.outlet.line().mailbox = Some(bench.mailbox.clone());
        assert_eq!(bench.turn(), Ok(Pumped::Dry));
        bench
    }

    /// A turn of the connection's task.
    fn turn(&self) -> Result<Pumped, End> {
        self.outlet.attend(&self.calls.clone().into()).pump(&self.outlet)
    }

    /// A message is on its way, whose publisher has yet to wake the receiver.
    fn offer(&self, channel: &str) {
        drop(self.mailbox.offer(&Arc::new(Frame::for_test(channel, 1))));
    }

    fn join(&self) -> Option<Arc<dyn Receiver>> {
        self.outlet.clone().join()
    }

    fn calls(&self) -> usize {
        self.calls.0.load(Ordering::Relaxed)
    }

    /// All that the peer got, which gets no more.
    fn received(mut self) -> String {
        self.outlet.line().wire.end().expect("it is connected");
        let mut bytes = Vec::new();
        self.runtime.block_on(self.peer.read_to_end(&mut bytes)).expect("it was ended well");
        self.life.end();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The channels whose messages the peer got, in their order.
fn channels(received: &str) -> Vec<&str> {
    received.split("lamp.").skip(1).filter_map(|rest| rest.get(..4)).collect()
}

#[test]
fn who_waits_is_written_to_in_two_steps_and_its_task_sleeps() {
    let bench = Bench::begin();
    bench.offer("lamp.0001");
    bench.join().expect("it can be written").write();
    assert_eq!(bench.calls(), 0);
    assert_eq!(channels(&bench.received()), ["0001"]);
}

#[test]
fn what_comes_between_the_steps_comes_after_what_was_joined_and_nothing_twice() {
    let bench = Bench::begin();
    bench.offer("lamp.0001");
    let first = bench.join().expect("it can be written");
    bench.offer("lamp.0002");
    // Close together it is gathered, which the task writes; else it is written here, with the first.
    assert!(bench.join().is_none());
    if bench.calls() > 0 {
        assert_eq!(bench.turn(), Ok(Pumped::Dry));
    }
    first.write();
    assert_eq!(channels(&bench.received()), ["0001", "0002"]);
}

#[test]
fn a_task_that_has_the_line_at_the_second_step_is_called_and_writes_it() {
    let bench = Bench::begin();
    bench.offer("lamp.0001");
    let joined = bench.join().expect("it can be written");
    let line = bench.outlet.line();
    joined.write();
    drop(line);
    assert_eq!(bench.calls(), 1);
    assert_eq!(bench.turn(), Ok(Pumped::Dry));
    assert_eq!(channels(&bench.received()), ["0001"]);
}

#[test]
fn who_ended_between_the_steps_gets_nothing() {
    let bench = Bench::begin();
    bench.offer("lamp.0001");
    let joined = bench.join().expect("it can be written");
    bench.outlet.close(End::Stalled);
    joined.write();
    assert_eq!(bench.calls(), 0);
    assert_eq!(channels(&bench.received()), [""; 0]);
}

#[test]
fn what_explains_a_close_is_written_before_the_task_is_called_to_close() {
    let bench = Bench::begin();
    bench.offer("lamp.0001");
    drop(bench.mailbox.close(CloseCode::SLOW));
    assert!(bench.join().is_none());
    assert_eq!(bench.outlet.line().ended(), Err(End::Close(CloseCode::SLOW)));
    assert_eq!(bench.calls(), 1);
    assert_eq!(channels(&bench.received()), ["0001"]);
}

#[test]
fn more_than_a_batch_is_written_at_once_as_far_as_it_goes() {
    let bench = Bench::begin();
    let count = 2 * BATCH_BYTES / Frame::for_test("lamp.0000", 1).len();
    let names: Vec<_> = (0..count).map(|at| format!("{at:04}")).collect();
    names.iter().for_each(|name| bench.offer(&format!("lamp.{name}")));
    assert!(bench.join().is_none());
    assert_eq!(bench.calls(), 0);
    assert_eq!(channels(&bench.received()), names);
}

#[test]
fn who_was_owed_nothing_that_it_wants_hears_of_what_comes_next() {
    let bench = Bench::begin();
    let pattern = ChannelPattern::parse("lamp.*").expect("valid");
    let labels = Some(Selector::parse("street=high").expect("valid"));
    let begin = |since| {
        let wanted =
            Subscription { since, labels: labels.clone(), ..Subscription::of(pattern.clone()) };
        bench.life.broker.subscribe(&wanted, &bench.mailbox).expect("there is room")
    };
    let first = begin(None);
    let since = (first.position.epoch, first.position.offset);
    bench.outlet.line().reader.begin(&pattern, first);
    bench.life.publish("lamp.0001", b"x");
    let missed = begin(Some(since));
    assert_eq!(missed.recovered.as_ref().map(Vec::len), Some(1));

    // The one who waited was told of it while the socket was full.
    bench.mailbox.leave();
    bench.outlet.line().reader.begin(&pattern, missed);
    assert_eq!(bench.turn(), Ok(Pumped::Dry));
    bench.outlet.line().reader = Reader::default();
    let called = bench.calls();
    bench.mailbox.offer(&Arc::new(Frame::for_test("lamp.0002", 2))).wake();
    if bench.calls() > called {
        assert_eq!(bench.turn(), Ok(Pumped::Dry));
    }
    assert_eq!(channels(&bench.received()), ["0002"]);
}
