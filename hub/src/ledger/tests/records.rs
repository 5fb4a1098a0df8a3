//! The encoding of records: golden bytes, round trips, hostile bytes.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use proto::CommandState;

use super::model::Random;
use super::{id, lamp};
use crate::clock::Now;
use crate::ledger::record::{Record, RecordError};
use crate::ledger::{Ledger, Limits, Step};

#[test]
fn a_record_is_written_as_it_always_was() {
    let golden = "
        01 01 05 32 0190f35a000070008000000000000001
        07 02 01 80d0fa99b432 e0a4fe99b432 e8d7fa99b432
        06 6c616d702d31 0e 6f70657261746f7220616c696365 02 7231 08 66756c6c2f64696d
        13 6c69676874696e672e76312e436f6d6d616e64 02 00ff 06 64696d6d6564 01 01
        03 03
        01 00 80d0fa99b432 00 00
        05 00 e8d7fa99b432 02 06 64696d6d6564
        06 01 d0dffa99b432 02 04 74776f21";
    let golden: String = golden.split_whitespace().collect();
    assert_eq!(HEXLOWER.encode(&sample().encode()), golden);
}

#[test]
fn a_record_reads_what_it_writes() {
    let record = sample();
    assert_eq!(Record::decode(&record.encode()), Ok(record));
    let plain = Record { request_id: None, supersede_key: None, steps: vec![], ..sample() };
    assert_eq!(Record::decode(&plain.encode()), Ok(plain));
}

#[test]
fn another_version_and_extra_bytes_are_errors() {
    let mut bytes = sample().encode().to_vec();
    bytes.push(0);
    assert_eq!(Record::decode(&bytes), Err(RecordError::Trailing(1)));
    bytes[0] = 2;
    let error = Record::decode(&bytes).expect_err("a younger hub wrote it");
    assert_eq!(error.to_string(), "the record has version 2, and this hub reads 1");
}

#[test]
fn a_record_cut_off_anywhere_is_an_error() {
    let bytes = sample().encode();
    for length in 0..bytes.len() {
        assert!(Record::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn hostile_bytes_never_panic() {
    let mut random = Random::new(1);
    let good = sample().encode();
    let now = Now::read();
    for _ in 0..200_000 {
        let mut bytes = if random.one_in(2) {
            good.to_vec()
        } else {
            (0..random.below(120)).map(|_| random.byte()).collect()
        };
        for _ in 0..random.below(4) {
            if let Some(last) = bytes.len().checked_sub(1) {
                bytes[random.below(last + 1)] = random.byte();
            }
        }
        if let Some(first) = bytes.first_mut().filter(|_| random.one_in(2)) {
            *first = 1;
        }
        // What can be read must also be safe to live with.
        let mut ledger = Ledger::new(Limits::default());
        if ledger.restore(now, &bytes).is_ok() {
            ledger.handle(now, crate::ledger::Input::Timeout);
        }
    }
}

fn sample() -> Record {
    let step = |state, unix_ms, attempt, detail: &str, late| Step {
        state,
        unix_ms,
        attempt,
        detail: detail.into(),
        late,
        revision: 0,
    };
    let unix_ms = 1_732_000_000_000;
    Record {
        id: id(1),
        order: 7,
        state: CommandState::Succeeded,
        dispatched: true,
        percent: 50,
        attempt: 2,
        losses: 1,
        accepted_unix_ms: unix_ms,
        deadline_unix_ms: unix_ms + 60_000,
        ended_unix_ms: unix_ms + 1_000,
        device: lamp(1),
        sender: "operator alice".into(),
        request_id: Some("r1".into()),
        supersede_key: Some("full/dim".into()),
        type_name: "lighting.v1.Command".into(),
        payload: Bytes::from_static(&[0, 255]),
        detail: "dimmed".into(),
        result: Bytes::from_static(&[1]),
        steps_dropped: 3,
        steps: vec![
            step(CommandState::Accepted, unix_ms, 0, "", false),
            step(CommandState::Succeeded, unix_ms + 1_000, 2, "dimmed", false),
            step(CommandState::Failed, unix_ms + 2_000, 2, "two!", true),
        ],
    }
}
