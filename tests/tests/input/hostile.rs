//! A hub to be mistreated, and the proof that others don't notice.

use proto::messages::lamplighter::v1::envelope::Kind;
use tests::client::envelope;
use tests::raw::{BINARY, Raw, frame};
use tests::{Client, Hub, Via, person};

/// A hub with a plain listener, so that every byte is the test's.
pub(crate) async fn hub() -> Hub {
    Hub::builder().plain().memory().start().await
}

/// The hub lets a person in and answers: what happened before hurt nobody else.
pub(crate) async fn serves(hub: &Hub) {
    let mut person = Client::dial(&Via::of(hub)).await;
    person.greet(person::hello(&hub.dev_token("operator"))).await;
    person.barrier().await;
    let log = hub.log();
    assert!(!log.contains("panicked at"), "{log}");
}

/// An upgraded connection on which the operator is welcome, frames in the test's hands.
pub(crate) async fn admitted(hub: &Hub) -> Raw {
    let mut raw = Raw::upgrade(&Via::of(hub)).await;
    let hello = Kind::Hello(person::hello(&hub.dev_token("operator")));
    raw.write(&frame(BINARY, &envelope(1, hello))).await;
    let welcome = raw.frame().await.expect("a welcome");
    assert_eq!(welcome.first, BINARY, "{welcome:?}");
    raw
}

/// KiB of memory that the hub has resident.
pub(crate) fn memory_kib(hub: &Hub) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", hub.pid()));
    let status = status.expect("the hub runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Descriptors that the hub has open.
pub(crate) fn descriptors(hub: &Hub) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", hub.pid())).expect("the hub runs").count()
}
