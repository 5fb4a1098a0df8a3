//! Descriptor sets from outside: what is taken, what is refused, and what a newer version may change.

#![cfg(feature = "json")]

mod support;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use proto::json::{DescriptorSet, Types, TypesError, incompatibilities, parse};
use support::compile::compile;

#[test]
fn a_set_brings_its_messages_beside_the_built_in_ones() {
    let set = read(&compile(&[(
        "fleet/v1/bin.proto",
        "package fleet.v1; import \"google/protobuf/timestamp.proto\";
         message Bin { uint32 fill_pct = 1; google.protobuf.Timestamp emptied = 2;
                       message Part { string name = 1; } map<string, Part> parts = 3; }",
    )]));
    assert_eq!(set.files().collect::<Vec<_>>(), ["fleet/v1/bin.proto"]);
    assert_eq!(set.messages(), ["fleet.v1.Bin", "fleet.v1.Bin.Part"]);

    let types = Types::with(&[("fleet", &set)]).expect("usable");
    assert!(types.contains("fleet.v1.Bin") && types.contains("lighting.v1.Command"));
    assert!(!Types::built_in().contains("fleet.v1.Bin"));
    let text = r#"{"fill_pct":40,"emptied":"2026-11-21T11:00:00Z","parts":{"lid":{"name":"x"}}}"#;
    let data = parse(text).expect("JSON");
    let payload = types.payload_from_json("fleet.v1.Bin", &data).expect("of its type");
    assert_eq!(types.payload_to_json("fleet.v1.Bin", &payload), Ok(text.to_owned()));
}

#[test]
fn imports_resolve_in_the_set_in_another_and_in_what_is_built_in() {
    let base = ("base.proto", "package base; message Id { string text = 1; }");
    let user = (
        "user.proto",
        "package user; import \"base.proto\"; import \"lighting/v1/common.proto\";
         message Order { base.Id id = 1; lighting.v1.RecordHeader header = 2; }",
    );
    let whole = compile(&[base, user]);
    let base = read(&keep(&whole, |name| name == "base.proto"));
    let user = read(&keep(&whole, |name| name == "user.proto"));
    assert!(matches!(Types::with(&[("user", &user)]), Err(TypesError::Descriptors { .. })));
    for sets in [[("user", &user), ("base", &base)], [("base", &base), ("user", &user)]] {
        let types = Types::with(&sets).expect("they go together");
        assert!(types.contains("user.Order") && types.contains("base.Id"));
    }
    // The set that brings all of it, built-in files and all, is taken, too; beside the others as well.
    let all = read(&whole);
    assert_eq!(all.files().collect::<Vec<_>>(), ["base.proto", "user.proto"]);
    Types::with(&[("all", &all), ("base", &base)]).expect("the same file twice is one");
}

#[test]
fn two_sets_that_say_different_things_of_one_file_do_not_go_together() {
    let one = read(&compile(&[("base.proto", "package base; message Id { string text = 1; }")]));
    let two = read(&compile(&[("base.proto", "package base; message Id { bytes text = 1; }")]));
    let error = Types::with(&[("one", &one), ("two", &two)]).expect_err("refused").to_string();
    assert!(error.contains("base.proto") && error.contains("`one`"), "{error}");
    let three = read(&compile(&[("other.proto", "package base; message Id { string text = 1; }")]));
    let error = Types::with(&[("one", &one), ("three", &three)]).expect_err("refused").to_string();
    assert!(error.contains("base.Id"), "{error}");
}

#[test]
fn a_built_in_message_that_is_redefined_is_named() {
    let changed = compile(&[(
        "lighting/v1/common.proto",
        "package lighting.v1; message RecordHeader { string other = 1; }",
    )]);
    check_redefined(&changed, "lighting.v1.RecordHeader");
    let elsewhere = compile(&[(
        "mine.proto",
        "package lighting.v1; message RecordHeader { string other = 1; }",
    )]);
    check_redefined(&elsewhere, "lighting.v1.RecordHeader");
}

#[test]
fn what_is_no_set_is_refused() {
    let any = compile(&[(
        "any.proto",
        "package any; import \"google/protobuf/any.proto\";
         message Box { google.protobuf.Any content = 1; }",
    )]);
    let any = read(&any);
    assert_eq!(Types::with(&[("any", &any)]).expect_err("refused"), TypesError::Any);
    let empty = FileDescriptorSet::default().encode_to_vec();
    let built_in = proto::messages::DESCRIPTORS.to_vec();
    for bytes in [b"\xff".to_vec(), empty, built_in, b"{\"file\":[]}".to_vec()] {
        assert!(matches!(DescriptorSet::decode(&bytes), Err(TypesError::Descriptors { .. })));
    }
}

#[test]
fn a_broken_set_is_refused_and_never_a_panic() {
    let whole = compile(&[(
        "a.proto",
        "package a; enum E { E_NONE = 0; E_ONE = 1; }
         message M { oneof x { int32 y = 1; E e = 2; } map<int32, M> m = 3; optional M o = 4; }",
    )]);
    for at in 0..whole.len() {
        try_set(&whole[..at]);
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            try_set(&flipped);
        }
    }
}

#[test]
fn a_newer_version_may_add_and_may_reserve_what_it_drops() {
    for newer in [
        OLDER,
        "message Bin { string id = 1; repeated uint32 levels = 2;
                       oneof power { bool mains = 3; bool solar = 10; }
                       State state = 4; optional string note = 5; reserved 9; reserved \"old\";
                       map<string, int64> counts = 6; Bin inner = 7; }
         enum State { STATE_NONE = 0; STATE_FULL = 1; STATE_LOST = 2; } message More {}",
        "message Bin { string id = 1; oneof power { bool mains = 3; } State state = 4;
                       reserved 2, 5, 7 to 12; reserved \"old\", \"levels\", \"note\";
                       map<string, int64> counts = 6; }
         enum State { STATE_NONE = 0; reserved 1; reserved \"STATE_FULL\"; }",
    ] {
        assert_eq!(compare(newer), [""; 0], "{newer}");
    }
}

#[test]
fn every_break_is_named() {
    for (from, to, named) in [
        ("string id = 1;", "uint64 id = 1;", "fleet.v1.Bin.id was string and is uint64"),
        ("string id = 1;", "bytes id = 1;", "fleet.v1.Bin.id was string and is bytes"),
        (
            "string id = 1;",
            "repeated string id = 1;",
            "fleet.v1.Bin.id was a single value and is repeated",
        ),
        ("string id = 1;", "string name = 1;", "number 1 of fleet.v1.Bin was `id` and is `name`"),
        ("string id = 1;", "string id = 8;", "its number 1 is not reserved"),
        (
            "string id = 1;",
            "reserved 1;",
            "`id` of fleet.v1.Bin is gone and its name is not reserved",
        ),
        ("string id = 1;", "reserved \"id\";", "and its number 1 is not reserved"),
        ("repeated uint32", "repeated sint32", "fleet.v1.Bin.levels was uint32 and is sint32"),
        ("repeated uint32", "uint32", "fleet.v1.Bin.levels was repeated and is a single value"),
        (
            "oneof power { bool mains = 3; }",
            "bool mains = 3;",
            "fleet.v1.Bin.mains stands in another oneof",
        ),
        (
            "State state = 4;",
            "int32 state = 4;",
            "fleet.v1.Bin.state was fleet.v1.State and is int32",
        ),
        (
            "map<string, int64>",
            "map<string, int32>",
            "counts was map<string, int64> and is map<string, int32>",
        ),
        ("map<string, int64> counts", "repeated int64 counts", "counts was a map and is repeated"),
        ("reserved 9;", "string taken = 9;", "number 9 of fleet.v1.Bin is not reserved any more"),
        ("reserved \"old\";", "", "`old` of fleet.v1.Bin is not reserved any more"),
        (
            "STATE_FULL = 1;",
            "STATE_EMPTY = 1;",
            "number 1 of fleet.v1.State was `STATE_FULL` and is `STATE_EMPTY`",
        ),
        ("STATE_FULL = 1;", "", "its number 1 is not reserved"),
        ("message Bin", "message Box", "fleet.v1.Bin is gone"),
    ] {
        assert!(OLDER.contains(from), "{from}");
        let found = compare(&OLDER.replacen(from, to, 1));
        assert!(found.iter().any(|text| text.contains(named)), "{to}: {found:?}");
    }
}

#[test]
fn a_renamed_package_is_one_break_and_not_a_hundred() {
    let older = read(&fleet("fleet.v1", OLDER));
    let newer = read(&fleet("fleet.v2", OLDER));
    let found = breaks(&older, &newer);
    assert_eq!(found, ["the package of fleet.proto was `fleet.v1` and is `fleet.v2`"]);
}

#[test]
fn what_another_set_brings_is_not_compared() {
    let older = read(&fleet("fleet.v1", OLDER));
    let newer = read(&compile(&[("other.proto", "package other; message Thing {}")]));
    let found = breaks(&older, &newer);
    assert_eq!(found, ["fleet.v1.Bin is gone", "fleet.v1.State is gone"]);
}

const OLDER: &str = "message Bin { string id = 1; repeated uint32 levels = 2;
    oneof power { bool mains = 3; } State state = 4; string note = 5; reserved 9; reserved \"old\";
    map<string, int64> counts = 6; }
    enum State { STATE_NONE = 0; STATE_FULL = 1; }";

/// What a newer version of [`OLDER`] breaks.
fn compare(newer: &str) -> Vec<String> {
    breaks(&read(&fleet("fleet.v1", OLDER)), &read(&fleet("fleet.v1", newer)))
}

fn breaks(older: &DescriptorSet, newer: &DescriptorSet) -> Vec<String> {
    let types = |set| Types::with(&[("fleet", set)]).expect("usable");
    let found = incompatibilities(older, &types(older), &types(newer));
    found.iter().map(ToString::to_string).collect()
}

fn fleet(package: &str, source: &str) -> Vec<u8> {
    compile(&[("fleet.proto", &format!("package {package}; {source}"))])
}

fn try_set(bytes: &[u8]) {
    if let Ok(set) = DescriptorSet::decode(bytes)
        && let Ok(types) = Types::with(&[("broken", &set)])
    {
        for name in set.messages() {
            assert!(types.contains(&name), "{name}");
        }
    }
}

#[track_caller]
fn check_redefined(bytes: &[u8], name: &str) {
    match DescriptorSet::decode(bytes) {
        Err(TypesError::Redefined { names }) => assert_eq!(names, [name]),
        other => panic!("{other:?}"),
    }
}

fn read(bytes: &[u8]) -> DescriptorSet {
    DescriptorSet::decode(bytes).expect("a set")
}

/// The set without some of its files.
fn keep(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut set = FileDescriptorSet::decode(bytes).expect("a set");
    set.file.retain(|file| wanted(file.name()));
    set.encode_to_vec()
}
