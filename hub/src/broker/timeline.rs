//! One timeline of a device: its commands step by step, its sessions, its light, its faults, its values.
//!
//! It is made of what the hub keeps anyway: the ledger's commands of the last day, and the histories and
//! last values of the device's channels ([`crate::twin::rule`] has how long). What is not kept any more is
//! not on it.

use std::sync::Arc;

use proto::json::Types;
use proto::{ChannelPattern, CommandState, DeviceId, channels};
use serde::Serialize;
use serde_json::Value;

use super::Broker;
use super::why::{Life, Presence, Story, why};
use crate::clock::Now;
use crate::codec::{Frame, Refusal};
use crate::ledger::CommandView;

/// Entries of one timeline; the newest stay.
const ENTRIES_MAX: usize = 1_000;

/// What happened to a device, and what that explains.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Timeline {
    /// Its id.
    pub device: String,
    /// ms since 1970, UTC: nothing older is shown.
    pub from_unix_ms: u64,
    /// ms since 1970, UTC: nothing younger is shown.
    pub to_unix_ms: u64,
    /// ms since 1970, UTC, by the hub's clock.
    pub now_unix_ms: u64,
    /// `null` where the hub doesn't know.
    pub online: Option<bool>,
    /// ms since 1970 from when on; 0 if never seen.
    pub since_unix_ms: u64,
    /// Why it is gone or unknown.
    pub reason: String,
    /// Commands that wait for the device or run on it, now.
    pub waiting: usize,
    /// Why it did not do what was wanted, in sentences; empty if nothing stands out.
    pub why: Vec<String>,
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// There were more; the oldest are left out.
    pub truncated: bool,
}

/// One thing that happened.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = TimelineEntry)]
pub struct Entry {
    /// ms since 1970, UTC, by the hub's clock.
    pub time_unix_ms: u64,
    /// `command`, `session`, `light`, `fault`, `telemetry`, or `value` for the rest.
    pub kind: &'static str,
    /// Of a command: its id.
    pub command: Option<String>,
    /// Of a command: what it asks, as in `override 40 %`.
    pub what: Option<String>,
    /// Of a command: where this step took it.
    pub state: Option<&'static str>,
    /// Of a command: why, for people.
    pub detail: String,
    /// Of a value: its channel.
    pub channel: Option<String>,
    /// Of a value: full name of its message.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Of a value: when it was measured, in ms since 1970 by the device's clock; 0 unknown.
    pub measured_unix_ms: u64,
    /// Of a value: the message as JSON; `null` if the hub doesn't know its type.
    pub data: Option<Value>,
}

impl Broker {
    /// What happened to a device between two moments, in ms since 1970. Costs a walk over all commands.
    ///
    /// # Errors
    /// What is stored of it has to be read, and can't.
    pub fn timeline(
        &self,
        now: Now,
        id: &DeviceId,
        from_unix_ms: u64,
        to_unix_ms: u64,
    ) -> Result<Option<Timeline>, Refusal> {
        let Some(device) = self.device(id)? else { return Ok(None) };
        let mut entries = Vec::new();
        let types = self.types.load();
        let never_seen = device.online.is_none() && device.since_unix_ms == 0;
        let mut story = Story { now_unix_ms: now.unix_ms, never_seen, ..Story::default() };
        for frame in self.kept(id) {
            let entry = of_frame(&types, &frame);
            if entry.time_unix_ms <= to_unix_ms {
                tell(&mut story, &entry);
                entries.push(entry);
            }
        }
        story.presence.sort_by_key(|change| change.since_unix_ms);
        {
            let desk = self.desk.lock();
            for view in desk.ledger.of_device(id) {
                let life = life(&types, view);
                entries.extend(of_command(&life, view));
                let end = life.ended_unix_ms.unwrap_or(now.unix_ms);
                if life.accepted_unix_ms <= to_unix_ms && end >= from_unix_ms {
                    story.commands.push(life);
                }
            }
        }
        story.commands.sort_by_key(|life| life.accepted_unix_ms);
        entries.retain(|entry| (from_unix_ms..=to_unix_ms).contains(&entry.time_unix_ms));
        entries.sort_by_key(|entry| entry.time_unix_ms);
        let over = entries.len().saturating_sub(ENTRIES_MAX);
        entries.drain(..over);
        Ok(Some(Timeline {
            device: device.id,
            from_unix_ms,
            to_unix_ms,
            now_unix_ms: now.unix_ms,
            online: device.online,
            since_unix_ms: device.since_unix_ms,
            reason: device.reason,
            waiting: self.waiting_commands(id),
            why: why(&story),
            entries,
            truncated: over > 0,
        }))
    }

    /// All messages that are kept of a device's channels, but for those on its commands, in the order of
    /// their offsets.
    fn kept(&self, id: &DeviceId) -> Vec<Arc<Frame>> {
        let pattern = ChannelPattern::parse(&format!("{}.{id}.>", channels::PREFIX));
        let pattern = pattern.expect("a device id is a segment");
        let commands = channels::COMMANDS.of(id);
        let mut frames: Vec<Arc<Frame>> = Vec::new();
        for channel in self.channels.read().matching(&pattern) {
            if channel.name != commands {
                let inner = channel.inner.lock();
                frames.extend(inner.state.kept().cloned());
                frames.extend(inner.state.last().iter().map(|last| last.frame.clone()));
            }
        }
        frames.sort_unstable_by_key(|frame| frame.offset());
        frames.dedup_by_key(|frame| frame.offset());
        frames
    }
}

fn of_frame(types: &Types, frame: &Frame) -> Entry {
    let message = frame.message();
    let text = types.payload_to_json(message.type_name, message.payload.unwrap_or_default());
    let kind = match message.type_name {
        "lamplighter.v1.Presence" => "session",
        "lighting.v1.FaultEvent" => "fault",
        "lighting.v1.LightStateChange" => "light",
        "lighting.v1.TelemetryBatch" => "telemetry",
        _ => "value",
    };
    Entry {
        time_unix_ms: message.time_unix_ms,
        kind,
        command: None,
        what: None,
        state: None,
        detail: String::new(),
        channel: Some(message.channel.to_owned()),
        type_name: Some(message.type_name.to_owned()),
        measured_unix_ms: message.measured_unix_ms,
        data: text.ok().and_then(|text| serde_json::from_str(&text).ok()),
    }
}

fn of_command<'l>(life: &'l Life, view: CommandView<'l>) -> impl Iterator<Item = Entry> + 'l {
    view.steps().map(move |step| Entry {
        time_unix_ms: step.unix_ms,
        kind: "command",
        command: Some(life.id.clone()),
        what: Some(life.what.clone()),
        state: Some(step.state.word()),
        detail: if step.late {
            format!("late, changes nothing: {}", step.detail)
        } else {
            step.detail.to_string()
        },
        channel: None,
        type_name: None,
        measured_unix_ms: 0,
        data: None,
    })
}

fn life(types: &Types, view: CommandView<'_>) -> Life {
    let at = |state: CommandState| {
        view.steps().find(|step| step.state == state && !step.late).map(|step| step.unix_ms)
    };
    let state = view.state();
    Life {
        id: view.id().to_string(),
        what: what(types, view),
        state,
        detail: view.detail().to_owned(),
        accepted_unix_ms: view.accepted_unix_ms(),
        deadline_unix_ms: view.deadline_unix_ms(),
        ended_unix_ms: if state.is_terminal() { at(state) } else { None },
        sent_unix_ms: at(CommandState::Sent),
    }
}

/// `override 40 %`: the action of a `lighting.v1.Command`, or the type of anything else.
fn what(types: &Types, view: CommandView<'_>) -> String {
    let text = types.payload_to_json(view.type_name(), view.payload()).ok();
    let data: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
    let fields = data.as_ref().and_then(Value::as_object).into_iter().flatten();
    match fields.into_iter().find(|(_, value)| value.is_object()) {
        Some((action, body)) => match body.get("level_pct") {
            Some(level) => format!("{action} {level} %"),
            None => action.clone(),
        },
        None => view.type_name().to_string(),
    }
}

/// What a value adds to the story.
fn tell(story: &mut Story, entry: &Entry) {
    let Some(data) = &entry.data else { return };
    let flag = |name: &str| data.get(name).and_then(Value::as_bool).unwrap_or(false);
    let word = |from: &Value, name: &str, prefix: &str| {
        let full = from.get(name).and_then(Value::as_str).unwrap_or_default();
        full.strip_prefix(prefix).unwrap_or(full).to_ascii_lowercase()
    };
    match entry.kind {
        "session" if !flag("unknown") => {
            let since = data.get("since_unix_ms").and_then(Value::as_str);
            story.presence.push(Presence {
                since_unix_ms: since.and_then(|ms| ms.parse().ok()).unwrap_or(entry.time_unix_ms),
                online: flag("online"),
                reason: word(data, "reason", ""),
            });
        }
        "light" => {
            story.light = Some((entry.time_unix_ms, word(data, "reason", "CONTROL_REASON_")));
        }
        "telemetry" => {
            let last = data.get("samples").and_then(Value::as_array).and_then(|all| all.last());
            let reason = last.map(|sample| word(sample, "reason", "CONTROL_REASON_"));
            if let Some(reason) = reason.filter(|reason| !reason.is_empty())
                && story.light.as_ref().is_none_or(|(_, known)| *known != reason)
            {
                story.light = Some((entry.time_unix_ms, reason));
            }
        }
        "fault" => {
            let code = word(data, "code", "FAULT_CODE_").replace('_', " ");
            story.fault = flag("active").then_some((entry.time_unix_ms, code));
        }
        _ => {}
    }
}
