//! All links are cut at once, as when a mobile network restarts, and everybody comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Micros;
use crate::lamp::Shared;
use crate::observer::Fleet;

/// A run without an end has a storm each five minutes.
const EVERY: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `storms` storms, evenly over `duration`: one of them comes in its middle.
pub(super) async fn play(
    duration: Option<Duration>,
    storms: u32,
    shared: &Shared,
    fleet: &Arc<Fleet>,
    outcome: &mut Vec<Option<f64>>,
) {
    let start = shared.clock.now();
    let every = duration.map_or(EVERY, |duration| duration / (storms + 1));
    let end = duration.map(|duration| start.after(duration));
    for number in 1..=storms {
        shared.clock.sleep_until(start.after(every * number)).await;
        let next = start.after(every * (number + 1));
        let until = end.map_or(next, |end| end.min(next));
        outcome.push(storm(shared, fleet, until).await);
    }
    match end {
        Some(end) => shared.clock.sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Cuts all links that stand; returns after how many seconds the last of these lamps was back.
async fn storm(shared: &Shared, fleet: &Fleet, until: Micros) -> Option<f64> {
    let at = shared.clock.now();
    shared.storm_at.store(at.0, Ordering::Release);
    for post in &fleet.posts {
        if post.is_open.load(Ordering::Acquire) {
            post.in_storm.store(true, Ordering::Release);
            shared.metrics.links_broken.add();
            post.link.cut();
        }
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = shared.clock.now();
        if !fleet.posts.iter().any(|post| post.in_storm.load(Ordering::Acquire)) {
            return Some(now.since(at) as f64 / 1e6);
        }
        if now >= until {
            return None;
        }
    }
}
