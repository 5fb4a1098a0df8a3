//! What a fleet command is asked for, from JSON to a plan that makes sense.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proto::{DeviceId, limits as wire};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{fleet_id, outcome, unknown};
use crate::access::Identity;
use crate::broker::Broker;
use crate::broker::fleet_request::{Whom, fingerprint};
use crate::clock::Now;
use crate::fleet::{Again, Outcome, Plan, Waves, Window};
use crate::http::devices::bad;
use crate::http::problem::Problem;
use crate::selector::Selector;

/// s: the longest pause between two waves, a day.
const PAUSE_S_MAX: u32 = 86_400;
/// Targets a second, if nothing is said.
const PER_S_DEFAULT: f64 = 2_000.0;
/// Targets a second, at least: one in 100 s.
const PER_S_MIN: f64 = 0.01;

/// `POST /v1/fleet-commands`: what many devices are to do, and at which pace.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFleetCommand {
    /// Which devices; `exists(id)` means all. Not with `again_of`.
    #[serde(rename = "where", default)]
    #[schema(max_length = 4096, example = "street = 'Queen St' and power > 40")]
    selector: String,
    /// Instead of `where`: the ids of the devices.
    #[schema(example = json!(["lamp-0042"]))]
    devices: Option<Vec<String>>,
    /// Instead of `where`: an earlier fleet command, whose failed devices are meant. What isn't said here
    /// is as it was there.
    #[schema(format = "uuid")]
    again_of: Option<String>,
    /// Which devices of the earlier one, by state; `failed`, `rejected`, `expired` if not said.
    again_states: Option<Vec<String>>,
    /// Full name of the message; `lighting.v1.Command` if not said.
    #[serde(rename = "type")]
    type_name: Option<String>,
    /// What to do, as proto3 JSON.
    #[schema(value_type = Option<Object>, example = json!({"override": {"level_pct": 40}}))]
    data: Option<Value>,
    /// The same, encoded, in base64.
    payload: Option<String>,
    /// s, 5 to 604,800: how long each command may wait and start. Needed but with `again_of`, which has it.
    #[schema(minimum = 5, maximum = 604_800)]
    ttl_s: Option<u32>,
    /// 1 to 64 bytes: sent again under the same id, it is the same fleet command.
    #[schema(min_length = 1, max_length = 64)]
    request_id: Option<String>,
    /// 1 to 64 bytes: a newer command with the same key replaces what was not sent.
    #[schema(min_length = 1, max_length = 64)]
    supersede_key: Option<String>,
    /// The pace.
    #[serde(default)]
    waves: WavesBody,
    /// %, 0 to 100: it stops when a larger share of those handed over failed.
    #[schema(minimum = 0, maximum = 100)]
    abort_above_pct: Option<f64>,
    /// When it may be handed over and begin.
    #[serde(default)]
    window: WindowBody,
    /// How many devices are meant; must be exact, and is needed above `commands.confirm_above`.
    pub(super) confirm: Option<usize>,
    /// Only count.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// The pace of a fleet command.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWaves)]
pub struct WavesBody {
    /// Devices of one wave; all if not said.
    #[schema(minimum = 1)]
    size: Option<u32>,
    /// Devices a second, 0.01 to 5,000; 2,000 if not said.
    #[schema(minimum = 0.01, maximum = 5000)]
    per_s: Option<f64>,
    /// s between two waves, 0 to 86,400; 0 if not said.
    #[schema(minimum = 0, maximum = 86_400)]
    pause_s: Option<u32>,
}

/// A maintenance window.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWindow)]
pub struct WindowBody {
    /// ms since 1970, UTC.
    #[serde(default)]
    from_unix_ms: u64,
    /// ms since 1970, UTC.
    #[serde(default)]
    to_unix_ms: u64,
}

pub(super) fn whom(new: &NewFleetCommand) -> Result<Whom, Problem> {
    if let Some(ids) = &new.devices {
        if new.again_of.is_some() || !new.selector.trim().is_empty() {
            let text = "say who is meant in one way only: with `where`, `again_of` or this";
            return Err(bad(text).at("devices"));
        }
        let parsed = ids.iter().map(|id| {
            DeviceId::parse(id).map_err(|error| bad(format!("{id}: {error}")).at("devices"))
        });
        return Ok(Whom::Listed(parsed.collect::<Result<_, _>>()?));
    }
    match (&new.again_of, new.selector.trim()) {
        (Some(_), text) if !text.is_empty() => {
            Err(bad("and `where` exclude each other; leave one out").at("again_of"))
        }
        (Some(id), _) => {
            let default = [Outcome::Failed, Outcome::Rejected, Outcome::Expired];
            let outcomes = match &new.again_states {
                None => default.to_vec(),
                Some(words) => words
                    .iter()
                    .map(|word| outcome(word).map_err(|problem| problem.at("again_states")))
                    .collect::<Result<_, _>>()?,
            };
            if let Some(open) = outcomes.iter().find(|outcome| !outcome.is_ended()) {
                let text = format!("has `{}`, which is no end yet", open.word());
                return Err(bad(text).at("again_states"));
            }
            Ok(Whom::Again(Again { of: fleet_id(id).map_err(|p| p.at("again_of"))?, outcomes }))
        }
        (None, "") => Err(bad("is empty; say which devices, or exists(id) for all").at("where")),
        (None, text) => {
            let selector = Selector::parse(text);
            Ok(Whom::Where(selector.map_err(|error| bad(error.to_string()).at("where"))?))
        }
    }
}

/// The request, checked, with what it leaves out.
pub(super) fn plan(
    broker: &Broker,
    identity: &Identity,
    new: &NewFleetCommand,
    whom: &Whom,
    now: Now,
) -> Result<Plan, Problem> {
    let earlier = match whom {
        Whom::Where(_) | Whom::Listed(_) => None,
        Whom::Again(again) => {
            let plan = broker.with_fleet(again.of, |fleet| Plan::clone(fleet.plan()));
            Some(plan.ok_or_else(|| unknown().at("again_of"))?)
        }
    };
    let (type_name, payload) = content(broker, new, earlier.as_ref())?;
    let kept = |of: fn(&Plan) -> Option<String>| earlier.as_ref().and_then(of);
    let mut plan = Plan {
        sender: identity.to_string(),
        request_id: key(new.request_id.as_deref(), "request_id")?,
        fingerprint: String::new(),
        selector: kept(|plan| Some(plan.selector.clone()))
            .unwrap_or_else(|| new.selector.trim().to_owned()),
        again_of: new.again_of.clone(),
        type_name,
        payload,
        ttl_s: ttl(new.ttl_s.or(earlier.as_ref().map(|plan| plan.ttl_s)))?,
        supersede_key: key(new.supersede_key.as_deref(), "supersede_key")?
            .or_else(|| kept(|plan| plan.supersede_key.clone())),
        waves: waves(new.waves, broker.settings().fleet.per_s_max)?,
        abort_above_pct: match new.abort_above_pct {
            Some(share) if !(0.0..=100.0).contains(&share) => {
                return Err(bad(format!("is {share}; use 0 to 100")).at("abort_above_pct"));
            }
            share => share,
        },
        window: window(new.window, now)?,
        created_unix_ms: now.unix_ms,
    };
    plan.fingerprint = fingerprint(&plan, whom);
    Ok(plan)
}

fn content(
    broker: &Broker,
    new: &NewFleetCommand,
    earlier: Option<&Plan>,
) -> Result<(String, Bytes), Problem> {
    let named = new.type_name.as_deref();
    let type_name = named.unwrap_or(proto::channels::COMMAND_TYPE);
    if !broker.types.contains(type_name) {
        let text = "is no message type that the hub knows; use lighting.v1.Command";
        return Err(bad(text).at("type"));
    }
    let payload: Bytes = match (&new.data, &new.payload, earlier) {
        (Some(_), Some(_), _) => return Err(bad("and `data` exclude each other").at("payload")),
        (Some(data), None, _) => {
            let encoded = broker.types.payload_from_json(type_name, data);
            let wrong = |error| bad(format!("is not a {type_name}: {error}")).at("data");
            encoded.map_err(wrong)?.into()
        }
        (None, Some(text), _) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|error| bad(format!("is not base64: {error}")).at("payload"))?;
            let wrong = |error| bad(format!("is not a {type_name}: {error}")).at("payload");
            broker.types.check_payload(type_name, &bytes).map_err(wrong)?;
            bytes.into()
        }
        (None, None, Some(earlier)) => {
            return Ok((earlier.type_name.clone(), earlier.payload.clone()));
        }
        (None, None, None) => return Err(bad("is missing: say what to do").at("data")),
    };
    if payload.len() > wire::PAYLOAD_BYTES_MAX {
        let text = format!("has {} bytes; at most {}", payload.len(), wire::PAYLOAD_BYTES_MAX);
        return Err(bad(text).at("payload"));
    }
    Ok((type_name.to_owned(), payload))
}

fn key(text: Option<&str>, field: &'static str) -> Result<Option<String>, Problem> {
    let is_fine = |text: &str| (1..=wire::KEY_BYTES_MAX).contains(&text.len());
    match text {
        Some(text) if !is_fine(text) || text.chars().any(char::is_control) => {
            let text =
                format!("takes 1 to {} bytes without control characters", wire::KEY_BYTES_MAX);
            Err(bad(text).at(field))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

fn ttl(wanted: Option<u32>) -> Result<u32, Problem> {
    let (min, max) = (wire::COMMAND_TTL_S_MIN, wire::COMMAND_TTL_S_MAX);
    match wanted {
        Some(ttl_s) if (min..=max).contains(&ttl_s) => Ok(ttl_s),
        Some(ttl_s) => Err(bad(format!("is {ttl_s}; use {min} to {max} s")).at("ttl_s")),
        None => {
            Err(bad(format!("is missing; say how long each command is good for, {min} to {max} s"))
                .at("ttl_s"))
        }
    }
}

fn waves(body: WavesBody, per_s_max: f64) -> Result<Waves, Problem> {
    let wrong = |field, value: String, range: String| {
        Err(bad(format!("is {value}; use {range}")).at(field))
    };
    let size = body.size.unwrap_or(u32::MAX);
    let per_s = body.per_s.unwrap_or(PER_S_DEFAULT.min(per_s_max));
    let pause_s = body.pause_s.unwrap_or(0);
    if size == 0 {
        return wrong("waves.size", "0".to_owned(), "1 or more".to_owned());
    }
    if !(PER_S_MIN..=per_s_max).contains(&per_s) {
        return wrong("waves.per_s", per_s.to_string(), format!("{PER_S_MIN} to {per_s_max}"));
    }
    if pause_s > PAUSE_S_MAX {
        return wrong("waves.pause_s", pause_s.to_string(), format!("0 to {PAUSE_S_MAX} s"));
    }
    Ok(Waves { size, per_s, pause_s })
}

fn window(body: WindowBody, now: Now) -> Result<Window, Problem> {
    let WindowBody { from_unix_ms, to_unix_ms } = body;
    let shortest = u64::from(wire::COMMAND_TTL_S_MIN) * 1000;
    if to_unix_ms > 0 && to_unix_ms < from_unix_ms.max(now.unix_ms).saturating_add(shortest) {
        let text = "leaves no time: it must be 5 s after `from_unix_ms` and after now";
        return Err(bad(text).at("window.to_unix_ms"));
    }
    Ok(Window { from_unix_ms, to_unix_ms })
}
