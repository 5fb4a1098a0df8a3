//! The past of one channel, by examples and against a model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const GRID: Grid = Grid { interval_ms: 300_000, slots: 576 };
const HOLDS: [Holds; 2] = [Holds::Last, Holds::Increase];

fn readings(level: Option<i16>, energy: Option<i16>) -> [(Holds, Reading); 2] {
    let reading = |value: Option<i16>| value.map_or(Reading::Absent, Reading::Steps);
    [(Holds::Last, reading(level)), (Holds::Increase, reading(energy))]
}

fn values(past: &Past, field: usize) -> Vec<(u64, i16)> {
    let mut found = Vec::new();
    past.each(field, 0, u64::MAX, |slot, value| found.push((slot, value)));
    found
}

#[test]
fn the_last_value_of_a_slot_stays_and_increases_add_up() {
    let mut past = Past::new(2);
    for (level, energy) in [(100, 20), (70, 5)] {
        past.put(GRID, 1000, 1000, &readings(Some(level), Some(energy)), Origin::News);
    }
    assert_eq!(values(&past, 0), [(1000, 70)]);
    assert_eq!(values(&past, 1), [(1000, 25)]);
}

#[test]
fn a_slot_in_which_nobody_measured_is_a_gap() {
    let mut past = Past::new(2);
    for slot in [1000, 1003, 1050] {
        past.put(GRID, slot, slot, &readings(Some(70), None), Origin::News);
    }
    assert_eq!(values(&past, 0), [(1000, 70), (1003, 70), (1050, 70)]);
    assert_eq!(values(&past, 1), []);
}

#[test]
fn what_is_older_than_the_span_goes_and_what_is_not_yet_is_refused() {
    let mut past = Past::new(2);
    assert!(past.put(GRID, 1000, 1000, &readings(Some(1), None), Origin::News));
    assert!(!past.put(GRID, 1000, 1001, &readings(Some(2), None), Origin::News));
    assert!(!past.put(GRID, 1000, 1000 - GRID.slots, &readings(Some(3), None), Origin::Past));
    past.put(GRID, 3000, 3000, &readings(Some(4), None), Origin::News);
    assert_eq!(values(&past, 0), [(3000, 4)]);
}

#[test]
fn late_values_fill_gaps_and_replace_nothing() {
    let mut past = Past::new(2);
    for slot in [1000, 1100] {
        past.put(GRID, slot, slot, &readings(Some(70), Some(9)), Origin::News);
    }
    for slot in [999, 1000, 1050] {
        past.put(GRID, 1100, slot, &readings(Some(30), Some(9)), Origin::Past);
    }
    assert_eq!(values(&past, 0), [(999, 30), (1000, 70), (1050, 30), (1100, 70)]);
    assert_eq!(values(&past, 1), [(1000, 9), (1100, 9)], "a counter's late reports are counted");
}

#[test]
fn what_was_stored_comes_back_under_what_was_measured_since() {
    let mut before = Past::new(2);
    for slot in 990..1005 {
        before.put(GRID, slot, slot, &readings(Some(50), Some(4)), Origin::News);
    }
    let mut past = Past::new(2);
    past.put(GRID, 1004, 1004, &readings(Some(70), Some(3)), Origin::News);
    for number in [82, 83] {
        let packed = before.packed(number).expect("it has values");
        let stored = before.unpack(&packed).expect("two fields");
        past.fill(GRID, number, &stored, &HOLDS);
    }
    assert_eq!(values(&past, 0)[13..], [(1003, 50), (1004, 70)]);
    assert_eq!(
        values(&past, 1)[13..],
        [(1003, 4), (1004, 7)],
        "the slot's energy is of both lives"
    );
}

/// What 48 h of a lamp take, by how often it reports: the figures of docs/operations.md.
#[test]
fn two_days_of_a_lamp_fit_their_bytes() {
    for (every, bytes_max) in [(1, 1_700), (3, 1_050)] {
        let mut past = Past::new(3);
        for slot in (0..GRID.slots).step_by(every) {
            let is_night = slot % 288 < 168;
            let noise = i16::try_from(slot * 7 % 11).expect("small");
            let power = if is_night { 430 + noise } else { 4 };
            let told = [
                (Holds::Last, Reading::Steps(if is_night { 70 } else { 0 })),
                (Holds::Last, Reading::Steps(power)),
                (Holds::Increase, Reading::Steps(if is_night { 3 + noise % 2 } else { 0 })),
            ];
            past.put(GRID, 12_000 + slot, 12_000 + slot, &told, Origin::News);
        }
        let bytes = past.bytes() + size_of::<Past>();
        println!("a report every {every} slots: {bytes} bytes");
        assert!(bytes <= bytes_max, "{bytes} bytes, with a report every {every} slots");
    }
}

/// The same, as plainly as it can be said.
#[derive(Default)]
struct Model {
    slots: [BTreeMap<u64, i16>; 2],
}

impl Model {
    fn put(&mut self, slot: u64, values: [Option<i16>; 2], origin: Origin) {
        for (field, value) in values.into_iter().enumerate() {
            let Some(value) = value else { continue };
            let held = self.slots[field].get(&slot).copied();
            let merged = match (HOLDS[field], origin, held) {
                (Holds::Increase, Origin::Past, _) => continue,
                (_, _, None) => value,
                (Holds::Increase, Origin::News, Some(held)) => held.saturating_add(value),
                (Holds::Last, Origin::News, Some(_)) => value,
                (Holds::Last, Origin::Past, Some(held)) => held,
            };
            self.slots[field].insert(slot, merged);
        }
    }
}

proptest! {
    #[test]
    fn it_keeps_what_the_model_keeps(
        steps in prop::collection::vec(
            (0_u64..40, 0_u64..700, prop::option::of(-300_i16..300), prop::option::of(0_i16..50)), 1..150)
    ) {
        let (mut past, mut model) = (Past::new(2), Model::default());
        let mut open = 10_000;
        for (forward, back, level, energy) in steps {
            open += forward;
            let (slot, origin) =
                if forward % 3 == 0 { (open - back, Origin::Past) } else { (open, Origin::News) };
            let told = readings(level, energy);
            past.put(GRID, open, slot, &told, origin);
            if slot >= GRID.oldest(open) {
                model.put(slot, [level, energy], origin);
            }
            for (field, slots) in model.slots.iter().enumerate() {
                let oldest = GRID.oldest(open);
                let mut found = Vec::new();
                past.each(field, oldest, open, |slot, value| found.push((slot, value)));
                let kept: Vec<_> = slots.range(oldest..).map(|(slot, value)| (*slot, *value)).collect();
                prop_assert_eq!(found, kept);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_blocks_are_no_blocks(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let past = Past { closed: bytes, ..Past::new(2) };
        past.each(0, 0, u64::MAX, |_, _| {});
        past.packed(3);
    }
}
