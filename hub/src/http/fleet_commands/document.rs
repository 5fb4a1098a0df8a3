//! How fleet commands and their targets are shown.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::broker::Broker;
use crate::broker::fleet_request::Resolved;
use crate::clock::Now;
use crate::fleet::{Fleet, FleetId, Outcome, Target, Window};

/// What a dry run answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// Devices that it would go to: what `confirm` must say.
    pub targets: usize,
    /// Of these: have a session now.
    pub reached_now: usize,
    /// Of these: have none, and would get it when they return in time.
    pub offline: usize,
    /// Are meant, and may not be commanded by the sender.
    pub forbidden: usize,
    /// Too little is known of them to tell whether they are meant.
    pub unknown: usize,
}

/// How many targets stand where; they add up to `targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TargetCounts)]
#[allow(missing_docs, reason = "the words are the states of a command")]
pub struct CountsDocument {
    /// Not accepted yet.
    pub waiting: u32,
    pub accepted: u32,
    pub sent: u32,
    pub delivered: u32,
    pub running: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub rejected: u32,
    pub expired: u32,
    pub canceled: u32,
    pub superseded: u32,
    pub unknown: u32,
}

/// The pace of a fleet command.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Waves)]
pub struct WavesDocument {
    /// Devices of one wave; `null` is all.
    pub size: Option<u32>,
    /// Devices a second inside a wave.
    pub per_s: f64,
    /// s between two waves.
    pub pause_s: u32,
}

/// A fleet command as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FleetCommand)]
pub struct FleetDocument {
    /// Its id; `fleet.<id>` is the channel of its progress.
    pub id: String,
    /// `scheduled`, `sending`, `waiting` for outcomes, or `ended`.
    pub phase: &'static str,
    /// `null`, `aborted`, `canceled` or `window_over`.
    pub stopped: Option<&'static str>,
    /// Why it was stopped.
    pub detail: String,
    /// Which devices, as it was written.
    #[serde(rename = "where")]
    pub selector: String,
    /// The earlier fleet command whose devices these were.
    pub again_of: Option<String>,
    /// Who sent it.
    pub sender: String,
    /// The sender's own name for it.
    pub request_id: Option<String>,
    /// Full name of the message.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What to do; `null` if the hub doesn't know the type any more.
    pub data: Option<Value>,
    /// s.
    pub ttl_s: u32,
    /// A newer command with the same key replaces what was not sent.
    pub supersede_key: Option<String>,
    /// The pace.
    pub waves: WavesDocument,
    /// %.
    pub abort_above_pct: Option<f64>,
    /// 0 is no bound.
    pub window: Window,
    /// ms since 1970, UTC.
    pub created_unix_ms: u64,
    /// ms since 1970, UTC; 0 until it ended.
    pub ended_unix_ms: u64,
    /// Devices that were meant when it was accepted.
    pub targets: u32,
    /// Where they stand.
    pub counts: CountsDocument,
}

/// One page of fleet commands, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FleetPage {
    /// As they stand.
    pub fleet_commands: Vec<FleetDocument>,
    /// The cursor of the next page; `null` after the last.
    pub next: Option<String>,
}

/// What became of one device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Target)]
pub struct TargetDocument {
    /// Which one.
    pub device: String,
    /// `waiting`, or the state of its command.
    pub state: &'static str,
    /// Its command, once accepted; see `/v1/commands/{id}`.
    pub command: Option<String>,
    /// Why, for people.
    pub detail: String,
}

/// One page of targets, in the order of the devices' ids.
#[derive(Debug, Serialize, ToSchema)]
pub struct TargetPage {
    /// What became of each.
    pub targets: Vec<TargetDocument>,
    /// The cursor of the next page; `null` after the last.
    pub next: Option<String>,
}

pub(super) fn dry_run(resolved: &Resolved) -> DryRun {
    DryRun {
        targets: resolved.targets.len(),
        reached_now: resolved.connected,
        offline: resolved.targets.len() - resolved.connected,
        forbidden: resolved.forbidden,
        unknown: resolved.unknown,
    }
}

pub(super) fn document(broker: &Broker, id: FleetId, fleet: &Fleet, now: Now) -> FleetDocument {
    let plan = fleet.plan();
    let text = broker.types.payload_to_json(&plan.type_name, &plan.payload).ok();
    let stop = fleet.stopped();
    FleetDocument {
        id: id.to_string(),
        phase: fleet.phase(now).word(),
        stopped: stop.map(|stop| stop.kind.word()),
        detail: stop.map(|stop| stop.detail.clone()).unwrap_or_default(),
        selector: plan.selector.clone(),
        again_of: plan.again_of.clone(),
        sender: plan.sender.clone(),
        request_id: plan.request_id.clone(),
        type_name: plan.type_name.clone(),
        data: text.and_then(|text| serde_json::from_str(&text).ok()),
        ttl_s: plan.ttl_s,
        supersede_key: plan.supersede_key.clone(),
        waves: WavesDocument {
            size: (plan.waves.size < u32::MAX).then_some(plan.waves.size),
            per_s: plan.waves.per_s,
            pause_s: plan.waves.pause_s,
        },
        abort_above_pct: plan.abort_above_pct,
        window: plan.window,
        created_unix_ms: plan.created_unix_ms,
        ended_unix_ms: fleet.ended_unix_ms(),
        targets: fleet.counts().total(),
        counts: counts(fleet),
    }
}

fn counts(fleet: &Fleet) -> CountsDocument {
    let counts = fleet.counts();
    CountsDocument {
        waiting: counts.of(Outcome::Waiting),
        accepted: counts.of(Outcome::Accepted),
        sent: counts.of(Outcome::Sent),
        delivered: counts.of(Outcome::Delivered),
        running: counts.of(Outcome::Running),
        succeeded: counts.of(Outcome::Succeeded),
        failed: counts.of(Outcome::Failed),
        rejected: counts.of(Outcome::Rejected),
        expired: counts.of(Outcome::Expired),
        canceled: counts.of(Outcome::Canceled),
        superseded: counts.of(Outcome::Superseded),
        unknown: counts.of(Outcome::Unknown),
    }
}

pub(super) fn target_document(target: &Target) -> TargetDocument {
    TargetDocument {
        device: target.device.as_str().to_owned(),
        state: target.outcome.word(),
        command: target.command.map(|command| command.to_string()),
        detail: target.detail.to_string(),
    }
}
