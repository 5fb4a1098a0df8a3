//! What a fleet goes through, beside its everyday work.
//!
//! A scenario only breaks things and waits; telemetry, commands and observation go on without it.

mod faults;

mod storm;

use std::sync::Arc;
use std::time::Duration;

use crate::args::{RunSettings, ScenarioName};
use crate::lamp::Shared;
use crate::observer::Fleet;

/// What a scenario found out by itself.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// s until all lamps were back, for each storm.
    pub storms_s: Vec<Option<f64>>,
}

/// Plays a scenario for its duration, or until the future is dropped.
pub async fn play(
    settings: &RunSettings,
    shared: &Arc<Shared>,
    fleet: &Arc<Fleet>,
    outcome: &mut Outcome,
) {
    match settings.scenario {
        // The console sends the commands; the run itself knows nothing more to do.
        ScenarioName::Steady | ScenarioName::Commands => wait(settings.duration).await,
        ScenarioName::Storm => {
            storm::play(settings.duration, settings.storms, shared, fleet, &mut outcome.storms_s)
                .await;
        }
        ScenarioName::Faults => faults::play(settings.duration, shared, fleet).await,
    }
}

async fn wait(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
