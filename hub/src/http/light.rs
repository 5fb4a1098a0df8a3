//! What a lamp should show now, and what each layer says: `/v1/devices/{id}/light`.

use axum::extract::{Path, State};
use axum::response::Response;
use proto::channels;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::Api;
use super::auth::Person;
use super::devices::{DevicePath, device_id, not_registered};
use super::problem::Problem;
use super::version::{self, Conditions, Version};
use crate::access::Verb;
use crate::broker::layers::LightView;
use crate::clock::Now;
use crate::light::Voice;

/// The light of a device.
#[derive(Debug, Serialize, ToSchema)]
pub struct LightDocument {
    /// The device's id.
    device: String,
    /// %; `null` if no layer says anything: the device is on its own.
    level_pct: Option<u8>,
    /// As telemetry would say it.
    #[schema(example = "CONTROL_REASON_PROGRAM")]
    reason: &'static str,
    /// The layer that counts, in words.
    source: String,
    /// ms since 1970, UTC: the next change; 0 if there is none within 48 h.
    until_unix_ms: u64,
    /// %: the level after that.
    then_level_pct: Option<u8>,
    /// Its reason.
    then_reason: &'static str,
    /// What each layer says, strongest first.
    layers: Vec<LayerDocument>,
}

/// What one layer says.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayerDocument {
    /// `local`, `override`, `calendar` or `profile`.
    layer: &'static str,
    /// %; `null` if it says nothing now.
    level_pct: Option<u8>,
    /// In words; where it says nothing, why.
    source: String,
    /// ms since 1970, UTC: until then at least; 0 without an end.
    until_unix_ms: u64,
}

impl LightDocument {
    fn of(device: String, view: LightView) -> Self {
        let layers = view.voices.iter().map(LayerDocument::of).collect();
        match view.light {
            Some(light) => Self {
                device,
                level_pct: light.level_pct,
                reason: light.reason.as_str_name(),
                source: light.source,
                until_unix_ms: light.until_unix_ms.unwrap_or(0),
                then_level_pct: light.then_level_pct,
                then_reason: light.then_reason.as_str_name(),
                layers,
            },
            None => Self {
                device,
                level_pct: None,
                reason: "CONTROL_REASON_UNSPECIFIED",
                source: "no layer".to_owned(),
                until_unix_ms: 0,
                then_level_pct: None,
                then_reason: "CONTROL_REASON_UNSPECIFIED",
                layers,
            },
        }
    }

    /// Calendars change it without anybody's writing, so its version is what it says.
    fn version(&self) -> Version {
        let text = serde_json::to_vec(self).expect("text and numbers have JSON");
        let hash = Sha256::digest(&text);
        let (first, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        Version::of(u64::from_be_bytes(*first))
    }
}

impl LayerDocument {
    fn of(voice: &Voice) -> Self {
        Self {
            layer: voice.layer.word(),
            level_pct: voice.level_pct,
            source: voice.source.clone(),
            until_unix_ms: voice.until_unix_ms.unwrap_or(0),
        }
    }
}

/// What a lamp should show now and why, with all layers. Needs `subscribe` on its `effective`.
#[utoipa::path(get, path = "/v1/devices/{id}/light", tag = "light", params(DevicePath),
    responses((status = 200, description = "the light", body = LightDocument)))]
pub async fn of_device(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Subscribe, channels::EFFECTIVE.of(&id).as_str())?;
    let view = api.broker.light_of(Now::read(), &id)?.ok_or_else(|| not_registered(&id))?;
    let document = LightDocument::of(id.as_str().to_owned(), view);
    Ok(version::answer(&conditions, &document.version(), &document))
}
