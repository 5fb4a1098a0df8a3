//! Everything breaks, now here, now there: links, power, flash, lamps. Which lamp suffers what, and when,
//! follows from the seed.
//!
//! | what | how often in 20 |
//! |---|---|
//! | the link is cut | 6 |
//! | the link becomes a black hole for 5 to 40 s: nothing comes back from the hub | 3 |
//! | the link repeats for 10 s: each message of the hub comes twice | 3 |
//! | power fails for 1 to 10 s | 3 |
//! | power fails at one of the next writes to the flash, before or after the bytes are safe | 3 |
//! | the lamp itself breaks for two minutes | 2 |

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Micros;
use crate::lamp::{Post, Shared};
use crate::observer::Fleet;
use crate::physics::FaultKind;
use crate::schedule::{Periodic, Random};

/// Each lamp suffers something about that often. The hub lets a device back 15 times a minute.
const EACH_LAMP_EVERY: Duration = Duration::from_secs(60);
const REPEATS_FOR: Duration = Duration::from_secs(10);
/// The next writes of a command's three: STARTED, DONE, SETTLED.
const WRITES_MAX: u64 = 3;

/// Breaks things for `duration`; then all links are whole again.
pub(super) async fn play(duration: Option<Duration>, shared: &Arc<Shared>, fleet: &Arc<Fleet>) {
    let start = shared.clock.now();
    let every = EACH_LAMP_EVERY.div_f64(fleet.posts.len().max(1) as f64);
    let mut schedule = Periodic::new(start.after(every), every);
    let mut random = Random::new(shared.seed, 0xfa);
    let mut repairs = JoinSet::new();
    while duration.is_none_or(|duration| schedule.next() < start.after(duration)) {
        shared.clock.sleep_until(schedule.next()).await;
        while schedule.take(shared.clock.now()).is_some() {
            let victim = random.below(fleet.posts.len() as u64) as usize;
            strike(shared, &fleet.posts[victim], &mut random, &mut repairs);
        }
        while repairs.try_join_next().is_some() {}
    }
    shared.clock.sleep_until(duration.map_or(Micros(0), |duration| start.after(duration))).await;
    repairs.shutdown().await;
    for post in &fleet.posts {
        post.link.stall(false);
        post.link.double(false);
    }
}

fn strike(shared: &Shared, post: &Arc<Post>, random: &mut Random, repairs: &mut JoinSet<()>) {
    let seconds = |random: &mut Random, from: u64, to: u64| {
        Duration::from_secs(from + random.below(to - from))
    };
    let breaks_link = || {
        if post.is_open.load(Ordering::Acquire) {
            shared.metrics.links_broken.add();
        }
    };
    match random.below(20) {
        0..6 => {
            breaks_link();
            post.link.cut();
        }
        6..9 => {
            let lasts = seconds(random, 5, 40);
            post.link.stall(true);
            let post = post.clone();
            repairs.spawn(async move {
                tokio::time::sleep(lasts).await;
                post.link.stall(false);
            });
        }
        9..12 => {
            post.link.double(true);
            let post = post.clone();
            repairs.spawn(async move {
                tokio::time::sleep(REPEATS_FOR).await;
                post.link.double(false);
            });
        }
        12..15 => {
            breaks_link();
            post.power.cut(seconds(random, 1, 10));
        }
        15..18 => {
            let writes = 1 + random.below(WRITES_MAX) as u32;
            post.power.cut_at_write(writes, random.below(2) == 0, seconds(random, 1, 10));
        }
        _ => {
            let kind = FaultKind::ALL[random.below(FaultKind::ALL.len() as u64) as usize];
            post.break_lamp(kind);
        }
    }
}
