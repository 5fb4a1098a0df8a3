//! What "durable" means, seen from the kernel: an ack follows a sync, and none follows a failed one.
//!
//! The hub runs under strace, which tells its system calls or lets some of them fail.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use proto::messages::lamplighter::v1::Envelope;
use proto::messages::lamplighter::v1::envelope::Kind;
use tests::{Device, Event, Hub, PATIENCE};

/// The sync of the store's thread from which on all fail: late enough for the hub to be ready.
const FIRST_FAILING: u32 = 40;
/// How the hub says that the disk failed.
const FAREWELL: &str = "hub: the store failed";
/// The device whose system calls are looked for.
const DEVICE: &str = "lamp-1";

/// Promise P16.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_failed_sync_nothing_is_acknowledged_and_the_hub_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("calls");
    let fail = format!("inject=fdatasync:error=EIO:when={FIRST_FAILING}+");
    let mut hub =
        Hub::builder().plain().under(&strace(&file, &["trace=fdatasync", &fail])).start().await;
    let mut device = Device::start(&hub, DEVICE).await;
    let mut acked = 0;
    for number in 1.. {
        let seq = device.report(number).await;
        if !is_acked(&mut device, seq).await {
            break;
        }
        acked = number;
        assert!(acked < FIRST_FAILING, "each ack has a sync of its own that succeeded");
    }
    assert!(acked > 0, "the disk was sound at first");
    assert_eq!(hub.wait(PATIENCE).await.code(), Some(74));
    let log = hub.log();
    assert_eq!(log.lines().filter(|line| line.starts_with(FAREWELL)).count(), 1, "{log}");

    hub.change(|builder| builder.under(&[]));
    hub.restart().await;
    let twin = hub.http().get(&format!("/v1/devices/{DEVICE}/twin")).await.json();
    let values = twin["values"].as_array().expect("values");
    let kept = values.iter().filter_map(|value| value["data"]["logger_id"].as_u64()).max();
    assert!(kept >= Some(acked.into()), "acknowledged up to {acked}: {twin}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_ack_leaves_after_fdatasync_returned() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("calls");
    let watch = "trace=fdatasync,read,recvfrom,write,writev,sendto,sendmsg";
    let mut hub = Hub::builder().plain().under(&strace(&file, &[watch])).start().await;
    let mut device = Device::start(&hub, DEVICE).await;
    device.report_durably(1).await;
    drop(device);
    assert_eq!(hub.terminate().await.code(), Some(0));

    let calls = calls_of(&std::fs::read_to_string(&file).expect("strace wrote it"));
    let named = format!("device {DEVICE}");
    let welcome = calls.iter().find(|call| call.writes() && call.text.contains(&named));
    let welcome = welcome.expect("the welcome is written to a socket");
    let socket = welcome.descriptor();
    let of_device = |call: &&Call| call.descriptor() == socket;
    let mut after = calls.iter().filter(of_device).filter(|call| call.start > welcome.end);
    let ack = after.find(|call| call.writes()).expect("the ack is written");
    let mut before = calls.iter().filter(of_device).filter(|call| call.end < ack.start);
    let report = before.rfind(|call| call.has_read()).expect("the report is read");
    assert!(report.start > welcome.start, "the report comes after the welcome");
    let is_between = |call: &&Call| call.start > report.end && call.end < ack.start;
    let synced = calls.iter().filter(is_between).any(Call::has_synced);
    assert!(synced, "no sync between {report:?} and {ack:?}");
}

/// The words that put strace around a program, with these expressions.
fn strace<'w>(file: &'w Path, expressions: &[&'w str]) -> Vec<&'w str> {
    let version = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    assert!(version.is_ok_and(|status| status.success()), "install strace");
    let file = file.to_str().expect("a temporary path is text");
    let mut words = vec!["strace", "-f", "-y", "-s", "512", "-o", file];
    for expression in expressions {
        words.extend(["-e", expression]);
    }
    words
}

/// Waits for the ack of a report, or for the end of the connection.
async fn is_acked(device: &mut Device, seq: u64) -> bool {
    loop {
        match device.client.hear().await {
            Event::Envelope(Envelope { kind: Some(Kind::Ack(ack)), .. }) if ack.seq >= seq => {
                return true;
            }
            Event::Closed(_) | Event::Lost => return false,
            Event::Envelope(_) | Event::Json(_) => {}
        }
    }
}

/// A system call: the lines of strace where it began and where it returned.
#[derive(Debug)]
struct Call {
    start: usize,
    end: usize,
    text: String,
}

impl Call {
    /// The first argument, with its path: `14</data/state/db>`.
    fn descriptor(&self) -> &str {
        let arguments = self.text.split_once('(').map_or("", |(_, arguments)| arguments);
        arguments.split([',', ')']).next().unwrap_or("")
    }

    fn is_on_socket(&self) -> bool {
        self.descriptor().contains("<socket:") || self.descriptor().contains("<TCP")
    }

    fn result(&self) -> i64 {
        let result = self.text.rsplit_once(" = ").map_or("", |(_, result)| result);
        result.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(-1)
    }

    fn writes(&self) -> bool {
        let is_read = self.text.starts_with("re");
        !is_read && self.is_on_socket() && self.result() > 0
    }

    fn has_read(&self) -> bool {
        self.text.starts_with("re") && self.is_on_socket() && self.result() > 0
    }

    fn has_synced(&self) -> bool {
        let is_sync = self.text.starts_with("fdatasync(");
        is_sync && self.descriptor().ends_with("/state/db>") && self.result() == 0
    }
}

/// All calls that returned; strace tells one in two lines where another thread's came between.
fn calls_of(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let Some((thread, said)) = line.split_once(' ') else { continue };
        let said = said.trim_start();
        if let Some(head) = said.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (at, head.trim_end()));
        } else if let Some((_, tail)) = said.split_once(" resumed>") {
            if let Some((start, head)) = unfinished.remove(thread) {
                calls.push(Call { start, end: at, text: format!("{head}{tail}") });
            }
        } else {
            calls.push(Call { start: at, end: at, text: said.to_owned() });
        }
    }
    calls
}
