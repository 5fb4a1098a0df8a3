//! What is put aside while a snapshot is on its way, and when a lag ends.

use std::task::{Context, Waker};

use super::*;
use crate::broker::Settings;
use crate::broker::loading::tests::life::{Life, Shelf, dashboard, put};
use crate::clock;
use crate::codec::request::{Pace, Subscription};
use crate::mailbox::{Item, Taken};

const CITY: usize = 600;
const PAGE: usize = 4 * 1024;

fn city(at: usize) -> String {
    format!("city.{at:04}")
}

fn begin(
    life: &Life,
    reader: &mut Reader,
    mailbox: &Arc<Mailbox>,
    pattern: &str,
    pace: Option<Pace>,
) {
    let pattern = ChannelPattern::parse(pattern).expect("valid");
    let wanted = Subscription { snapshot: true, pace, ..Subscription::of(pattern.clone()) };
    let beginning = life.broker.subscribe(&wanted, mailbox).expect("there is room");
    reader.begin(&pattern, beginning);
}

/// All that waits in the mailbox, as a connection takes it that is behind.
fn take_aside(life: &Life, reader: &mut Reader, mailbox: &Mailbox) -> Taken {
    let mut taken = Taken::default();
    let mut context = Context::from_waker(Waker::noop());
    while mailbox.poll_take(&mut context, 1024, &mut taken).is_ready() {
        for item in &taken.items {
            if let Item::Message(frame) = item
                && reader.choices_mut().sift(&life.broker, frame, true) != Sifted::Held
            {
                reader.put_aside(frame);
            }
        }
        if taken.lagging.is_some() {
            break;
        }
    }
    taken
}

#[test]
fn what_comes_live_is_put_aside_and_comes_after_the_snapshot_in_its_order() {
    let life = Life::begin(&Shelf::default());
    (0..CITY).for_each(|at| put(&life.broker, &city(at), b"old"));
    let mailbox = life.broker.new_mailbox(&dashboard());
    let mut reader = Reader::default();
    begin(&life, &mut reader, &mailbox, "news.*", None);
    assert!(!reader.takes_aside(), "only who wants the newest is spared the rest");
    begin(&life, &mut reader, &mailbox, "city.*", Pace::of(10));
    assert!(reader.takes_aside());

    for _ in 0..3 {
        put(&life.broker, "news.a", b"x");
        (0..CITY / 2).for_each(|at| put(&life.broker, &city(at), b"new"));
    }
    take_aside(&life, &mut reader, &mailbox);
    assert_eq!(mailbox.bytes(), 0);

    let (mut values, mut messages) = (0, Vec::new());
    while reader.is_behind() {
        match reader.next(&life.broker, &mailbox, PAGE) {
            Some(Piece::Snapshot { values: page, .. }) => {
                assert!(messages.is_empty(), "the snapshot comes first");
                values += page.len();
            }
            Some(Piece::Message(frame)) => messages.push(frame.offset()),
            None => {}
        }
    }
    assert_eq!(
        (values, messages.len()),
        (CITY / 2, 3),
        "what is newer than the snapshot is no part of it"
    );
    assert!(messages.is_sorted());
    let newest: Vec<_> = std::iter::from_fn(|| reader.choices_mut().on_beat(clock::mono)).collect();
    assert_eq!(newest.len(), CITY / 2, "the newest of each, once");
    assert!(reader.owed.is_none(), "nothing is kept for what is owed no more");
}

#[test]
fn what_is_put_aside_is_bounded() {
    let life = Life::begin(&Shelf::default());
    put(&life.broker, "city.a", b"old");
    let mailbox = life.broker.new_mailbox(&dashboard());
    let mut reader = Reader::default();
    begin(&life, &mut reader, &mailbox, "news.*", None);
    begin(&life, &mut reader, &mailbox, "city.*", Some(Pace::CONFLATED));
    let large = vec![b'x'; 32 * 1024];
    for _ in 0..ASIDE_BYTES_MAX / large.len() {
        assert!(reader.takes_aside());
        put(&life.broker, "news.a", &large);
        take_aside(&life, &mut reader, &mailbox);
    }
    assert!(
        !reader.takes_aside(),
        "the rest waits in the mailbox, which does what its overflow says"
    );
}

#[test]
fn a_lag_ends_once_what_changes_in_a_round_fits_the_mailbox() {
    let settings = Settings { person_mailbox_bytes: 64 * 1024, ..Settings::default() };
    let life = Life::begin_with(&Shelf::default(), settings);
    let mailbox = life.broker.new_mailbox(&dashboard());
    let mut reader = Reader::default();
    begin(&life, &mut reader, &mailbox, "city.*", None);
    for at in 0..4 * CITY {
        put(&life.broker, &city(at), b"new");
    }
    let lag = take_aside(&life, &mut reader, &mailbox).lagging.expect("it is full");
    reader.lag(&life.broker, lag);

    let mut changed = 0;
    for turn in 0.. {
        assert!(turn < 200, "it goes round for ever");
        if !reader.is_lagging() {
            break;
        }
        reader.next(&life.broker, &mailbox, PAGE);
        for _ in 0..20 {
            put(&life.broker, &city(changed % CITY), b"newer");
            changed += 1;
        }
    }
    assert!(changed > 256, "more than a few change in a round");
}

#[test]
fn who_ends_a_subscription_is_owed_nothing_of_it() {
    let life = Life::begin(&Shelf::default());
    let mailbox = life.broker.new_mailbox(&dashboard());
    let mut reader = Reader::default();
    begin(&life, &mut reader, &mailbox, "news.*", None);
    begin(&life, &mut reader, &mailbox, "city.*", None);
    let ended = |pattern| ChannelPattern::parse(pattern).expect("valid");
    reader.end(&ended("news.*"));
    assert!(reader.is_behind(), "the other's snapshot is still to come");
    reader.end(&ended("city.*"));
    assert!(!reader.is_behind());
    assert!(reader.next(&life.broker, &mailbox, PAGE).is_none());
}
