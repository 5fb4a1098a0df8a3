//! Lamps that speak protobuf only, and four readers at the same time, each by another way, through a crash
//! of the hub: they show the same.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use tests::http::Http;
use tests::relay::Relay;
use tests::{Device, Hub, PATIENCE, Via, within};
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;

use super::page::{Page, Runtime};
use super::shown::{BOOT, Shown, shown};
use super::watchers;

const LAMPS: usize = 3;
/// The last number of each part of the story: seen live; on its way when the hub dies; sent again and sent
/// on before the readers are back; live again.
const BEFORE: u32 = 30;
const DYING: u32 = 60;
const AWAY: u32 = 80;
const BACK: u32 = 100;
const END: u32 = 140;
/// Reports of a lamp at once: fewer than the hub keeps for who was away for a moment.
const STEP: usize = 4;

#[tokio::test]
async fn a_socket_in_json_events_polling_and_a_page_in_chromium_show_the_same_through_a_crash() {
    let mut hub = Hub::builder().plain().start().await;
    let relay = Relay::to(address(&hub)).await;
    let tokens = hub.register_many(&(1..=LAMPS).map(name).collect::<Vec<_>>()).await;
    let mut lamps = connect(&hub, &tokens).await;
    report(&mut lamps, 1..=1).await;
    durable(&mut lamps, 1).await;
    let mut readers = Readers::start(&hub, &relay).await;
    readers.stand_at(1).await;
    live(&mut lamps, &mut readers, 2..=BEFORE).await;
    assert!(readers.reloads().iter().all(|count| *count == 1), "nothing but the start");

    report(&mut lamps, BEFORE + 1..=DYING).await;
    hub.kill().await;
    hub.restart().await;
    let mut lamps = connect(&hub, &tokens).await;
    // A lamp has no acknowledgement of these, so it sends them again, under their old numbers.
    report(&mut lamps, BEFORE + 1..=AWAY).await;
    relay.turn(address(&hub));
    report(&mut lamps, AWAY + 1..=BACK).await;
    readers.stand_at(BACK).await;

    let reloads = readers.reloads();
    assert!(reloads.iter().all(|count| *count > 1), "each was told that the hub was gone");
    live(&mut lamps, &mut readers, BACK + 1..=END).await;
    assert_eq!(readers.reloads(), reloads, "nothing was missed after the return");
    durable(&mut lamps, u64::from(END)).await;
    readers.check();
}

/// All readers, and what each of them shows.
struct Readers {
    shown: Vec<(&'static str, Receiver<Shown>)>,
    _tasks: JoinSet<()>,
}

impl Readers {
    async fn start(hub: &Hub, relay: &Relay) -> Self {
        let token = hub.dev_token("viewer");
        let http = Http::new(hub, &token).at(relay.address());
        let place = format!("http://{} {token}", relay.address());
        let page = Page::open(Runtime::Chromium, "watch", "any", &place).await;
        let ways = ["the socket", "events", "polling", "the page in Chromium"];
        let (mut tasks, mut senders, mut all) = (JoinSet::new(), Vec::new(), Vec::new());
        for way in ways {
            let (sender, receiver) = shown();
            senders.push(sender);
            all.push((way, receiver));
        }
        let senders: [_; 4] = senders.try_into().expect("one a way");
        let [socket, events, poll, shown] = senders;
        tasks.spawn(watchers::socket(Via::Plain(relay.address()), token, socket));
        tasks.spawn(watchers::events(http.clone(), events));
        tasks.spawn(watchers::poll(http, poll));
        tasks.spawn(watchers::page(page, shown));
        Self { shown: all, _tasks: tasks }
    }

    /// Waits until each of them shows this number of every lamp.
    async fn stand_at(&mut self, number: u32) {
        for (way, shown) in &mut self.shown {
            let what = format!("{way} shows {number}");
            let arrived = shown.wait_for(|shown| shown.stands_at(LAMPS, number));
            drop(within(PATIENCE, &what, arrived).await.expect("the reader goes on"));
        }
    }

    /// How often each of them was told that something may be missing.
    fn reloads(&self) -> Vec<u32> {
        self.shown.iter().map(|(_, shown)| shown.borrow().reloads()).collect()
    }

    /// What was live for all of them, all of them have shown.
    fn check(&self) {
        for (way, shown) in &self.shown {
            let shown = shown.borrow();
            assert!(shown.has_all(1..=BEFORE), "{way}: {shown:?}");
            assert!(shown.has_all(BACK..=END), "{way}: {shown:?}");
        }
    }
}

fn name(number: usize) -> String {
    format!("lamp-{number}")
}

fn address(hub: &Hub) -> SocketAddr {
    hub.plain_address().expect("it is plain")
}

async fn connect(hub: &Hub, tokens: &[String]) -> Vec<Device> {
    let mut lamps = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        lamps.push(Device::connect(hub, &name(at + 1), token, BOOT).await);
    }
    lamps
}

/// Each lamp sends these numbers and waits for nothing.
async fn report(lamps: &mut [Device], numbers: RangeInclusive<u32>) {
    for number in numbers {
        for lamp in &mut *lamps {
            lamp.report_as(0, number.into(), number).await;
        }
    }
}

/// The same in steps that nobody falls behind of: a reader that does is told so, and may miss some.
async fn live(lamps: &mut [Device], readers: &mut Readers, mut numbers: RangeInclusive<u32>) {
    while let Some(first) = numbers.next() {
        let last = numbers.by_ref().take(STEP - 1).last().unwrap_or(first);
        report(lamps, first..=last).await;
        readers.stand_at(last).await;
    }
}

async fn durable(lamps: &mut [Device], seq: u64) {
    for lamp in lamps {
        lamp.durable(seq).await;
    }
}
