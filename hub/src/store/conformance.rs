//! What every [`Store`] does alike. Each behaviour is a function; `suite!` runs all of them against
//! an implementation. What only a store on disk can do is tested in `open`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::{
    KEY_SIZE_MAX, MemoryStore, Operation, Records, Store, Table, TooLarge, VALUE_SIZE_MAX,
};

macro_rules! suite {
    ($implementation:ident, $fixture:expr, [$($behaviour:ident),* $(,)?]) => {
        mod $implementation {
            $(
                #[test]
                fn $behaviour() {
                    let mut fixture = $fixture;
                    super::$behaviour(&mut *fixture.store);
                }
            )*
        }
    };
}

macro_rules! suites {
    ($($behaviour:ident),* $(,)?) => {
        suite!(memory, super::memory_fixture(), [$($behaviour),*]);
        suite!(sled, super::sled_fixture(), [$($behaviour),*]);
    };
}

suites![
    a_new_table_is_empty,
    the_last_write_of_a_batch_wins,
    a_later_batch_replaces_an_earlier_one,
    a_deleted_record_is_gone_and_deleting_nothing_is_no_fault,
    keys_are_visited_in_the_order_of_their_bytes,
    tables_do_not_see_each_other,
    empty_keys_and_empty_values_are_records,
    keys_and_values_may_hold_any_bytes,
    a_batch_of_ten_thousand_is_there_whole,
    the_largest_records_fit_side_by_side,
    an_empty_batch_changes_nothing,
    a_visit_begins_at_a_key_and_ends_when_the_visitor_breaks_off,
    a_visit_ends_with_its_table,
    records_are_read_while_the_store_commits,
];

struct Fixture<G> {
    store: Box<dyn Store>,
    /// Goes after the store.
    _guard: G,
}

fn memory_fixture() -> Fixture<()> {
    Fixture { store: Box::new(MemoryStore::default()), _guard: () }
}

fn sled_fixture() -> Fixture<(super::open::DataLock, tempfile::TempDir)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = super::OpenSettings::new(folder.path().join("data"));
    let opened = super::open(&settings, 0).expect("an empty folder opens");
    Fixture { store: Box::new(opened.store), _guard: (opened.lock, folder) }
}

fn a_new_table_is_empty(store: &mut dyn Store) {
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Meta) {
        assert_eq!(records(store, table), []);
    }
}

fn the_last_write_of_a_batch_wins(store: &mut dyn Store) {
    commit(
        store,
        [
            put(b"a", b"1"),
            put(b"a", b"2"),
            delete(b"b"),
            put(b"b", b"3"),
            put(b"c", b"4"),
            delete(b"c"),
        ],
    );

    assert_eq!(records(store, Table::Device), [record(b"a", b"2"), record(b"b", b"3")]);
}

fn a_later_batch_replaces_an_earlier_one(store: &mut dyn Store) {
    commit(store, [put(b"a", b"1"), put(b"b", b"1")]);
    commit(store, [put(b"a", b"22")]);

    assert_eq!(records(store, Table::Device), [record(b"a", b"22"), record(b"b", b"1")]);
}

fn a_deleted_record_is_gone_and_deleting_nothing_is_no_fault(store: &mut dyn Store) {
    commit(store, [put(b"a", b"1"), put(b"b", b"1")]);
    commit(store, [delete(b"a"), delete(b"never there")]);

    assert_eq!(records(store, Table::Device), [record(b"b", b"1")]);
}

fn keys_are_visited_in_the_order_of_their_bytes(store: &mut dyn Store) {
    let sorted: [&[u8]; 6] = [b"", b"\x00", b"A", b"a", b"aa", b"\xff"];
    commit(store, [4, 1, 5, 0, 3, 2].map(|index| put(sorted[index], b"")));

    assert_eq!(records(store, Table::Device), sorted.map(|key| record(key, b"")));
}

fn tables_do_not_see_each_other(store: &mut dyn Store) {
    for table in Table::ALL {
        let name = Bytes::from(format!("{table:?}"));
        commit(store, [Operation::put(table, b"same", name).expect("short")]);
    }
    commit(store, [Operation::delete(Table::Command, b"same").expect("short")]);

    for table in Table::ALL {
        let found = records(store, table).into_iter().find(|(key, _)| key == b"same");
        let expected = (table != Table::Command).then(|| format!("{table:?}").into_bytes());
        assert_eq!(found.map(|(_, value)| value), expected);
    }
}

fn empty_keys_and_empty_values_are_records(store: &mut dyn Store) {
    commit(store, [put(b"", b""), put(b"a", b"")]);

    assert_eq!(records(store, Table::Device), [record(b"", b""), record(b"a", b"")]);
}

fn keys_and_values_may_hold_any_bytes(store: &mut dyn Store) {
    let bytes: Vec<u8> = (0..=255).collect();
    commit(store, (0..=255).map(|byte| put(&[byte, 255 - byte, byte], &bytes)).collect::<Vec<_>>());

    let found = records(store, Table::Device);
    assert_eq!(found.len(), 256);
    for (byte, found) in (0..=255).zip(found) {
        assert_eq!(found, record(&[byte, 255 - byte, byte], &bytes));
    }
}

fn a_batch_of_ten_thousand_is_there_whole(store: &mut dyn Store) {
    let name = |index: u32| format!("devices.lamp-{index:06}").into_bytes();
    let value = |index: u32| vec![(index % 251) as u8; 200];
    commit(store, (0..10_000).map(|index| put(&name(index), &value(index))).collect::<Vec<_>>());

    let expected: Vec<_> = (0..10_000).map(|index| record(&name(index), &value(index))).collect();
    assert!(records(store, Table::Device) == expected);
}

fn the_largest_records_fit_side_by_side(store: &mut dyn Store) {
    let key = |index: u8| vec![index; KEY_SIZE_MAX];
    let value = |index: u8| vec![index; VALUE_SIZE_MAX];
    let mut expected = BTreeMap::new();
    for index in 0..40 {
        commit(store, [put(&key(index), &value(index))]);
        expected.insert(key(index), value(index));
    }

    assert!(records(store, Table::Device) == expected.into_iter().collect::<Vec<_>>());
}

fn an_empty_batch_changes_nothing(store: &mut dyn Store) {
    commit(store, [put(b"a", b"1")]);
    commit(store, []);

    assert_eq!(records(store, Table::Device), [record(b"a", b"1")]);
}

fn a_visit_begins_at_a_key_and_ends_when_the_visitor_breaks_off(store: &mut dyn Store) {
    commit(store, [b"a", b"c", b"d", b"e"].map(|key| put(key, b"")));

    assert_eq!(keys(&*store.records(), b"c", 2), ["c", "d"]);
    assert_eq!(keys(&*store.records(), b"b", 2), ["c", "d"]);
    assert_eq!(keys(&*store.records(), b"cc", 9), ["d", "e"]);
    assert_eq!(keys(&*store.records(), b"f", 9), [""; 0]);
}

fn a_visit_ends_with_its_table(store: &mut dyn Store) {
    for table in Table::ALL {
        let operation = Operation::put(table, b"same", Bytes::new()).expect("short");
        commit(store, [operation]);
    }

    assert_eq!(keys(&*store.records(), b"", 9), ["same"]);
    assert_eq!(keys(&*store.records(), b"t", 9), [""; 0]);
}

fn records_are_read_while_the_store_commits(store: &mut dyn Store) {
    let name = |index: u32| format!("{index:05}").into_bytes();
    commit(store, (0..2000).map(|index| put(&name(index), b"old")).collect::<Vec<_>>());
    let records = store.records();

    let reader = std::thread::spawn(move || {
        (0..20).map(|_| keys(&*records, b"", usize::MAX).len()).collect::<Vec<_>>()
    });
    for round in 0..50 {
        commit(store, (0..40).map(|i| put(&name(round * 40 + i), b"newer")).collect::<Vec<_>>());
    }

    assert_eq!(reader.join().expect("no panic"), [2000; 20]);
}

#[test]
fn what_is_too_large_is_refused_and_named() {
    let long = vec![0; KEY_SIZE_MAX + 1];
    let large = Bytes::from(vec![0; VALUE_SIZE_MAX + 1]);

    let key = TooLarge::Key { table: Table::Token, size: KEY_SIZE_MAX + 1 };
    assert_eq!(Operation::put(Table::Token, &long, Bytes::new()), Err(key));
    assert_eq!(Operation::delete(Table::Token, &long), Err(key));
    let value = Operation::put(Table::Token, b"a", large).expect_err("it is over the limit");
    assert_eq!(
        value.to_string(),
        "a value of 65537 bytes in table Token is over the 65536 that are allowed"
    );
}

#[test]
fn the_tables_have_different_prefixes() {
    let mut prefixes = Table::ALL.map(Table::prefix).to_vec();
    prefixes.sort_unstable();
    prefixes.dedup();
    assert_eq!(prefixes.len(), Table::ALL.len());
}

fn commit(store: &mut dyn Store, batch: impl AsRef<[Operation]>) {
    store.commit(batch.as_ref()).expect("the store is healthy");
}

fn records(store: &dyn Store, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let scanned = store.scan(table, &mut |key, value| found.push(record(key, value)));
    scanned.expect("the store is healthy");
    found
}

/// At most so many keys of devices from `from` on.
fn keys(records: &dyn Records, from: &[u8], count: usize) -> Vec<String> {
    let mut found = Vec::new();
    let visited = records.visit(Table::Device, from, &mut |key, _| {
        found.push(String::from_utf8_lossy(key).into_owned());
        if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    visited.expect("the store is healthy");
    found
}

fn record(key: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (key.to_vec(), value.to_vec())
}

fn put(key: &[u8], value: &[u8]) -> Operation {
    Operation::put(Table::Device, key, Bytes::copy_from_slice(value)).expect("within the limits")
}

fn delete(key: &[u8]) -> Operation {
    Operation::delete(Table::Device, key).expect("within the limits")
}
