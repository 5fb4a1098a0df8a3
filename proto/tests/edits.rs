//! A payload that is changed as JSON keeps what the schema of whoever changes it doesn't know.

#![cfg(feature = "json")]

mod support;

use proto::json::{DescriptorSet, PayloadError, Types};
use serde_json::{Value, json};
use support::compile::compile;

const LAMP: &str = "fleet.v1.Lamp";

/// Types by a source in which lines with `new` are left out for the older hub.
fn types(is_new: bool) -> Types {
    let source = "package fleet.v1;
        message Head {
          uint32 a = 1;
          string secret = 7; // new
        }
        message Lamp {
          string name = 1;
          Head head = 2;
          repeated Head parts = 3;
          map<string, Head> by_name = 4;
          map<sint32, Head> by_number = 5;
          oneof kind { Head one = 6; Head other = 7; }
          Head extra = 2000; // new
          repeated fixed64 numbers = 2001; // new
        }";
    let known = source.lines().filter(|line| is_new || !line.ends_with("// new"));
    let known = known.collect::<Vec<_>>().join("\n");
    let set = DescriptorSet::decode(&compile(&[("lamp.proto", &known)])).expect("a set");
    Types::with(&[("lamp", &set)]).expect("usable")
}

/// Everything set, as the newer schema has it.
fn whole() -> Value {
    json!({
        "name": "x",
        "head": {"a": 1, "secret": "head"},
        "parts": [{"a": 1, "secret": "first"}, {"a": 2, "secret": "second"}, {"secret": "third"}],
        "by_name": {"": {"a": 3, "secret": "nobody"}, "k": {"a": 1, "secret": "k"}, "l": {"secret": "l"}},
        "by_number": {"-1": {"a": 1, "secret": "minus"}, "0": {"secret": "zero"}},
        "one": {"secret": "one"},
        "extra": {"a": 5},
        "numbers": ["1", "2"],
    })
}

/// What the newer schema sees after somebody changed the JSON that the older shows.
fn edited(change: impl FnOnce(&mut Value)) -> Value {
    let (old, new) = (types(false), types(true));
    let held = new.payload_from_json(LAMP, &whole()).expect("of its type");
    let mut shown = json_of(&old, &held);
    assert!(!shown.to_string().contains("secret"));
    change(&mut shown);
    let payload = old.payload_edited(LAMP, &held, &shown).expect("of its type");
    json_of(&new, &payload)
}

fn json_of(types: &Types, payload: &[u8]) -> Value {
    serde_json::from_str(&types.payload_to_json(LAMP, payload).expect("of its type")).expect("JSON")
}

#[track_caller]
fn check(change: impl FnOnce(&mut Value), wanted: impl FnOnce(&mut Value)) {
    let mut outcome = whole();
    wanted(&mut outcome);
    assert_eq!(edited(change), outcome);
}

#[test]
fn what_nobody_touches_stays_as_it_is() {
    check(|_| (), |_| ());
    check(|shown| shown["name"] = json!("y"), |whole| whole["name"] = json!("y"));
}

#[test]
fn inside_a_message_that_is_changed_it_stays() {
    let change = |value: &mut Value| {
        value["head"]["a"] = json!(9);
        value["by_name"]["k"]["a"] = json!(9);
        value["by_name"][""]["a"] = json!(9);
        value["by_number"]["0"]["a"] = json!(9);
        value["one"]["a"] = json!(9);
    };
    check(change, change);
}

#[test]
fn what_is_taken_away_takes_it_along() {
    let change = |value: &mut Value| {
        let value = value.as_object_mut().expect("an object");
        value.remove("head");
        value.remove("one");
        value["by_name"].as_object_mut().expect("an object").remove("k");
        value["parts"].as_array_mut().expect("a list").pop();
        value.insert("other".to_owned(), json!({}));
    };
    check(change, change);
}

#[test]
fn of_a_list_those_items_keep_it_that_are_not_changed() {
    check(|shown| shown["parts"][1]["a"] = json!(9), |whole| whole["parts"][1] = json!({"a": 9}));
    check(
        |shown| shown["parts"] = json!([{"a": 7}, {"a": 2}, {}, {}]),
        |whole| {
            whole["parts"] =
                json!([{"a": 7}, {"a": 2, "secret": "second"}, {"secret": "third"}, {}]);
        },
    );
}

#[test]
fn what_was_new_is_what_was_sent() {
    let old = types(false);
    let data = json!({"name": "x", "parts": [{"a": 1}], "by_name": {"k": {}}});
    let fresh = old.payload_edited(LAMP, b"", &data);
    assert_eq!(fresh, old.payload_from_json(LAMP, &data));
}

#[test]
fn a_held_message_in_pieces_and_keys_written_at_length_are_found() {
    let old = types(false);
    // `head` twice, field 7 in each; then `by_number` with its key 0 written out, and field 7.
    let held = [
        &[0x12, 3, 0x3a, 1, b'p'][..],
        &[0x12, 5, 0x08, 1, 0x3a, 1, b'q'],
        &[0x2a, 7, 0x08, 0, 0x12, 3, 0x3a, 1, b'r'],
    ]
    .concat();
    let shown = json_of(&old, &held);
    assert_eq!(shown, json!({"head": {"a": 1}, "by_number": {"0": {}}}));
    let payload = old.payload_edited(LAMP, &held, &shown).expect("of its type");
    let text = String::from_utf8_lossy(&payload).into_owned();
    for kept in ["p", "q", "r"] {
        assert!(text.contains(kept), "{payload:?}");
    }
    assert_eq!(json_of(&old, &payload), shown);
}

#[test]
fn what_is_no_such_message_is_refused() {
    let old = types(false);
    let broken = old.payload_edited(LAMP, &[0x12, 9], &json!({}));
    assert!(matches!(broken, Err(PayloadError::Wire(_))), "{broken:?}");
    assert!(old.payload_edited(LAMP, b"", &json!({"nme": "x"})).is_err());
}

#[test]
fn a_message_of_many_items_is_the_same_after_an_edit_that_changes_nothing() {
    let old = types(false);
    let entries: serde_json::Map<String, Value> =
        (0..5000).map(|at| (format!("k{at}"), json!({"a": at}))).collect();
    let parts: Vec<Value> = (0..5000).map(|at| json!({"a": at})).collect();
    let data = json!({"by_name": entries, "parts": parts});
    let held = old.payload_from_json(LAMP, &data).expect("of its type");
    assert_eq!(old.payload_edited(LAMP, &held, &data), Ok(held));
}
