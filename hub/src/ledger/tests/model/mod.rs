//! Random lives of many commands, with crashes on both sides, against the promises.
//!
//! A run counts only if it can fail, so a hub that acknowledges before the disk has it, and a
//! device without a journal, must be caught by the same checks.

mod checks;
mod device;
mod random;
mod world;

pub(super) use self::random::Random;
use self::world::{Sabotage, World};

const SEEDS: u64 = 150;

#[test]
fn the_promises_hold_whatever_is_lost_doubled_reordered_or_restarted() {
    let mut seen = checks::Seen::default();
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut world = World::new(seed, Sabotage::None);
        world.run();
        assert_eq!(world.faults, [""; 0], "seed {seed}");
        seen.add(world.seen);
    }
    // A run in which nothing went wrong would prove nothing.
    seen.check();
}

#[test]
fn a_hub_that_acknowledges_before_the_disk_has_it_is_caught() {
    assert!(caught(Sabotage::AckBeforeSync, "lost"));
}

#[test]
fn a_device_that_forgets_what_it_did_is_caught() {
    assert!(caught(Sabotage::NoJournal, "started twice"));
}

fn caught(sabotage: Sabotage, fault: &str) -> bool {
    (0..20).any(|seed| {
        let mut world = World::new(seed, sabotage);
        world.run();
        world.faults.iter().any(|found| found.contains(fault))
    })
}
