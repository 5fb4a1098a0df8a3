//! Stories of a batch: a hub in a few lines answers, and sending again is watched.

use std::collections::HashMap;

use serde_json::json;

use super::*;

/// A hub that knows each request id's command and how it ended.
#[derive(Default)]
struct Hub {
    ended: HashMap<String, &'static str>,
    sent: Vec<String>,
}

impl Hub {
    /// Runs a batch to its end; `fate` says how a device's new command ends.
    fn run(&mut self, batch: &mut Batch, fate: &dyn Fn(&str) -> &'static str) {
        while let Some(next) = batch.next_send() {
            let known = self.ended.get(&next.request_id).copied();
            let state = known.unwrap_or("ACCEPTED");
            batch.acked(next.request, &json!({"command": next.request_id, "state": state}));
            if known.is_none() {
                let end = fate(&next.device);
                self.sent.push(next.device);
                self.ended.insert(next.request_id.clone(), end);
                batch.updated(&json!({
                    "command": next.request_id, "request_id": next.request_id, "state": end,
                }));
            }
        }
    }
}

fn batch(devices: &[&str], repeatable: bool) -> Batch {
    let devices = devices.iter().map(|device| (*device).to_owned()).collect();
    Batch::new(devices, "r1", repeatable, true, 0)
}

const LAMPS: [&str; 4] = ["lamp-a", "lamp-b", "lamp-c", "lamp-d"];

fn first_night(device: &str) -> &'static str {
    match device {
        "lamp-b" => "FAILED",
        "lamp-c" => "REJECTED",
        "lamp-d" => "UNKNOWN",
        _ => "SUCCEEDED",
    }
}

#[test]
fn a_batch_where_2_of_4_fail_and_1_is_unknown_names_each_and_sending_again_touches_only_the_failed()
{
    let mut hub = Hub::default();
    let mut first = batch(&LAMPS, false);
    hub.run(&mut first, &first_night);
    let codes: Vec<u8> = first.rows().iter().map(code).collect();
    assert_eq!(codes, [0, 5, 5, 6]);
    assert!(first.is_over());

    hub.sent.clear();
    let mut second = batch(&LAMPS, false);
    hub.run(&mut second, &|_| "SUCCEEDED");
    assert_eq!(hub.sent, ["lamp-b", "lamp-c"], "what may have been done isn't done again");
    assert_eq!(second.rows().iter().map(code).collect::<Vec<_>>(), [0, 0, 0, 6]);
}

#[test]
fn an_unknown_outcome_is_tried_again_only_if_twice_is_as_good_as_once() {
    let mut hub = Hub::default();
    hub.run(&mut batch(&LAMPS, true), &first_night);
    hub.sent.clear();
    hub.run(&mut batch(&LAMPS, true), &|_| "SUCCEEDED");
    assert_eq!(hub.sent, ["lamp-b", "lamp-c", "lamp-d"]);
}

#[test]
fn a_command_that_was_withdrawn_or_replaced_stays_so() {
    let mut hub = Hub::default();
    hub.run(&mut batch(&["lamp-a"], true), &|_| "SUPERSEDED");
    hub.sent.clear();
    hub.run(&mut batch(&["lamp-a"], true), &|_| "SUCCEEDED");
    assert!(hub.sent.is_empty());
}

#[test]
fn the_window_bounds_what_waits_for_an_answer() {
    let devices: Vec<String> = (0..200).map(|n| format!("lamp-{n:04}")).collect();
    let mut batch = Batch::new(devices, "r1", true, false, 1);
    let sent = std::iter::from_fn(|| batch.next_send()).count();
    assert_eq!(sent, WINDOW);
    batch.acked(2, &json!({"command": "c", "state": "ACCEPTED"}));
    assert!(batch.next_send().is_some());
    assert!(batch.next_send().is_none());
}

#[test]
fn after_a_lost_connection_the_same_ids_are_sent_again() {
    let mut batch = batch(&LAMPS, true);
    let first: Vec<_> = std::iter::from_fn(|| batch.next_send()).collect();
    batch.acked(first[0].request, &json!({"command": "c", "state": "ACCEPTED"}));
    batch.lost();
    let again: Vec<_> = std::iter::from_fn(|| batch.next_send()).collect();
    let ids =
        |sends: &[NextSend]| sends.iter().map(|send| send.request_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&first[1..]));
    assert!(again.iter().all(|send| first.iter().all(|old| old.request != send.request)));
}

#[test]
fn giving_up_tells_not_sent_from_unknown() {
    let devices: Vec<String> = (0..70).map(|n| format!("lamp-{n:04}")).collect();
    let mut batch = Batch::new(devices, "r1", true, false, 0);
    while batch.next_send().is_some() {}
    batch.give_up("hub gone");
    assert!(batch.is_over());
    let texts: Vec<_> = [0, 69]
        .map(|row: usize| match &batch.rows()[row].stand {
            Stand::Failed(failure) => failure.to_string(),
            other => panic!("{other:?}"),
        })
        .to_vec();
    assert_eq!(texts, ["outcome unknown: hub gone", "not sent: hub gone"]);
}

#[test]
fn a_busy_hub_is_asked_again_but_not_for_ever() {
    let mut batch = batch(&["lamp-a"], true);
    let busy = json!({"code": "ERROR_CODE_RATE", "message": "slow down", "retry_after_ms": 100});
    let mut pauses = 0;
    while let Some(next) = batch.next_send() {
        pauses += usize::from(batch.refused(next.request, &busy).is_some());
    }
    assert_eq!(pauses, 5);
    assert_eq!(code(&batch.rows()[0]), 5);
}

#[test]
fn an_end_that_overtakes_its_answer_stands() {
    let mut batch = batch(&["lamp-a"], true);
    let next = batch.next_send().expect("one waits");
    batch.updated(&json!({"command": "c", "request_id": next.request_id, "state": "SUCCEEDED"}));
    batch.acked(next.request, &json!({"command": "c", "state": "ACCEPTED"}));
    assert_eq!(batch.rows()[0].stand, Stand::Done);
    assert!(batch.is_over());
}

fn code(row: &Row) -> u8 {
    match &row.stand {
        Stand::Failed(failure) => failure.code(),
        Stand::Done => 0,
        other => panic!("{} is {other:?}", row.device),
    }
}
