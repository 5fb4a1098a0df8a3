//! The ring against a list that does the same in the plainest way.

use std::collections::VecDeque;

use super::*;
use crate::random::Random;

#[test]
fn the_oldest_records_make_room_for_the_newest() {
    let mut bytes = [0; 3 * (HEADER_BYTES + 4)];
    let mut ring = Ring::new(&mut bytes);
    for seq in 1..=3 {
        assert_eq!(ring.push(&record(seq, b"abcd")), Some(0));
    }
    assert_eq!(ring.push(&record(4, b"abcd")), Some(1));
    assert_eq!(ring.push(&record(5, b"abcdefgh")), Some(2));
    assert_eq!(unsent(&mut ring), [4, 5]);
}

#[test]
fn a_record_longer_than_the_ring_is_not_taken_and_displaces_nothing() {
    let mut bytes = [0; 64];
    let mut ring = Ring::new(&mut bytes);
    ring.push(&record(1, b"x"));
    assert_eq!(ring.push(&record(2, &[0; 64])), None);
    assert_eq!(unsent(&mut ring), [1]);
}

#[test]
fn a_refused_record_is_not_sent_again() {
    let mut bytes = [0; 256];
    let mut ring = Ring::new(&mut bytes);
    for seq in 1..=3 {
        ring.push(&record(seq, b"x"));
    }
    assert!(ring.refuse(2));
    assert!(!ring.refuse(2));
    assert!(!ring.refuse(9));
    assert_eq!(unsent(&mut ring), [1, 3]);
    assert_eq!(ring.acked(3), 2);
    assert_eq!(ring.count(), 0);
}

#[test]
fn times_are_fixed_once_and_then_stay() {
    let mut bytes = [0; 256];
    let mut ring = Ring::new(&mut bytes);
    ring.push(&record(1, b"x"));
    ring.convert(|moment| Some(moment.0 + 1_000_000));
    ring.convert(|moment| Some(moment.0 + 9_000_000));
    assert_eq!(ring.next_unsent().map(|record| record.stamp), Some(Stamp::Unix(1_000_001)));
}

#[test]
fn any_sequence_of_operations_does_what_a_list_does() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut bytes = vec![0; 60 + random.up_to(300) as usize];
        let capacity = bytes.len();
        let mut ring = Ring::new(&mut bytes);
        let mut model = Model::default();
        for seq in 1..400 {
            let payload = vec![seq as u8; random.up_to(40) as usize];
            match random.up_to(5) {
                0 => {
                    let upto = model.records.front().map_or(0, |first| first.0 + random.up_to(3));
                    ring.acked(upto);
                    model.acked(upto);
                }
                1 => {
                    ring.rewind();
                    model.sent = 0;
                }
                2 => {
                    let next =
                        ring.next_unsent().map(|record| (record.seq, record.payload.to_vec()));
                    assert_eq!(next, model.records.get(model.sent).cloned(), "seed {seed}");
                    if next.is_some() {
                        ring.mark_sent();
                        model.sent += 1;
                    }
                }
                _ if HEADER_BYTES + payload.len() <= capacity => {
                    let displaced = ring.push(&record(seq, &payload)).expect("it fits");
                    model.push(seq, payload, displaced);
                }
                _ => assert_eq!(ring.push(&record(seq, &payload)), None),
            }
            assert_eq!(ring.count(), model.records.len(), "seed {seed}");
            assert_eq!(ring.in_flight(), model.sent, "seed {seed}");
        }
        ring.rewind();
        let seqs: Vec<u64> = model.records.iter().map(|record| record.0).collect();
        assert_eq!(unsent(&mut ring), seqs, "seed {seed}");
    }
}

#[derive(Default)]
struct Model {
    records: VecDeque<(u64, Vec<u8>)>,
    sent: usize,
}

impl Model {
    fn push(&mut self, seq: u64, payload: Vec<u8>, displaced: usize) {
        self.records.drain(..displaced);
        self.sent = self.sent.saturating_sub(displaced);
        self.records.push_back((seq, payload));
    }

    fn acked(&mut self, seq: u64) {
        while self.records.front().is_some_and(|record| record.0 <= seq) {
            self.records.pop_front();
            self.sent = self.sent.saturating_sub(1);
        }
    }
}

fn record(seq: u64, payload: &[u8]) -> Record<'_> {
    Record { seq, stamp: Stamp::Uptime(Millis(1)), channel: "", type_name: "", payload }
}

fn unsent(ring: &mut Ring<'_>) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Some(record) = ring.next_unsent() {
        seqs.push(record.seq);
        ring.mark_sent();
    }
    seqs
}
