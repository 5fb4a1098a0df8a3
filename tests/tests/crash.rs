//! kill -9 under a simulated fleet: the real firmware client and the simulator's own ledgers against
//! the hub. `promises/crash.rs` has the twenty rounds with every envelope under the test's control.
//!
//! The simulator's lamps report and take commands while the hub is killed and started again and
//! again. Its ledgers know what was attempted, acknowledged and observed; it ends with 0 only if
//! nothing acknowledged was lost, nothing was invented, and no command was started twice.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tests::relay::Relay;
use tests::{Hub, HubBuilder, binaries, within};
use tokio::process::{Child, Command};

/// Every kill comes at a moment of its own; the same seed gives the same moments.
const SEED: u64 = 20_261_121;
const LAMPS: &str = "40";
/// Wide, so that a hub which acknowledges too early has something to lose.
const COMMIT_WINDOW: &str = "200ms";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulated_fleet_finds_everything_kept_after_each_kill() {
    let (status, report) = rounds(6, Hub::builder()).await;
    assert!(status, "seed {SEED}: a promise was broken\n{report}");
    assert!(report.contains("clean"), "the ledgers were compared\n{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleets_ledgers_catch_a_hub_that_acknowledges_before_the_sync() {
    let broken = Hub::builder().binary(&binaries::hub_broken_ack()).set("data.broken_ack", "true");
    let (status, report) = rounds(3, broken).await;
    assert!(!status, "seed {SEED}: the ledgers caught nothing, so they prove nothing\n{report}");
}

/// Kills and restarts the hub so many times under load; whether the simulator was content, and what
/// it said.
async fn rounds(count: usize, builder: HubBuilder) -> (bool, String) {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut hub = builder.set("data.commit_window", COMMIT_WINDOW).start().await;
    let relay = Relay::to(hub.secure_address()).await;
    let lamps = lamps(&hub, &relay);
    let report = within_load(&hub).await;
    assert!(report > 0.0, "the lamps report");

    for _ in 0..count {
        let moment = Duration::from_millis(random.random_range(300..1500));
        // The moment of the kill is the input of this test, not something that it waits for.
        tokio::time::sleep(moment).await;
        hub.kill().await;
        hub.restart().await;
        relay.turn(hub.secure_address());
        assert!(within_load(&hub).await > 0.0, "the lamps came back");
    }
    let pid = lamps.id().expect("it runs").cast_signed();
    let pid = rustix::process::Pid::from_raw(pid).expect("never 0");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let limit = Duration::from_secs(180);
    let output = within(limit, "the simulator ends", lamps.wait_with_output()).await;
    let output = output.expect("a child");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Waits until this life of the hub has acknowledged a report; how many by then.
async fn within_load(hub: &Hub) -> f64 {
    let acks = async {
        loop {
            let acks = hub.metric("lamplighter_acks_durable_total").await;
            if acks > 0.0 {
                return acks;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(60), "a report is acknowledged", acks).await
}

fn lamps(hub: &Hub, relay: &Relay) -> Child {
    let program: &Path = binaries::device_sim();
    Command::new(program)
        .args(["run", "--devices", LAMPS, "--scenario", "commands", "--command-rate", "20"])
        .args(["--report-every", "200ms", "--ramp", "1s", "--settle", "30s", "--observe", "true"])
        .args(["--reconnect-max", "1s", "--reconnect-window", "1s"])
        .arg("--hub")
        .arg(format!("wss://{}", relay.address()))
        .arg("--ca-file")
        .arg(hub.dev_file("ca.pem"))
        .arg("--token-file")
        .arg(hub.dev_file("operator.token"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the simulator can be started")
}
