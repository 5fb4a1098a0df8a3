//! What a fleet command asks for, fixed when it is accepted.

use proto::limits as wire;
use serde::{Deserialize, Serialize};

/// A fleet command as its sender stated it, without its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Who sends it.
    pub sender: String,
    /// The sender's own name for it; the same is the same fleet command.
    #[serde(default)]
    pub request_id: Option<String>,
    /// What tells this request from another under the same id.
    pub fingerprint: String,
    /// How the targets were picked, as it was written.
    pub selector: String,
    /// The fleet command whose targets these were, where it is sent again.
    #[serde(default)]
    pub again_of: Option<String>,
    /// Full name of the payload's message.
    pub type_name: String,
    /// What each device is to do.
    #[serde(with = "base64_text")]
    pub payload: bytes::Bytes,
    /// s, 5 to 604,800: how long each command may wait and start, from its handing over on.
    pub ttl_s: u32,
    /// A newer command with the same key replaces what was not sent.
    #[serde(default)]
    pub supersede_key: Option<String>,
    /// At which pace.
    pub waves: Waves,
    /// %, 0 to 100: above this share of failures it stops; `None` never.
    #[serde(default)]
    pub abort_above_pct: Option<f64>,
    /// When it may be handed over and begin.
    #[serde(default)]
    pub window: Window,
    /// ms since 1970, UTC.
    pub created_unix_ms: u64,
}

/// The pace of a fleet command.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Waves {
    /// Targets of one wave, at least 1.
    pub size: u32,
    /// Targets a second inside a wave, above 0.
    pub per_s: f64,
    /// s between the end of a wave and the next.
    pub pause_s: u32,
}

/// A maintenance window, by the hub's wall clock. 0 is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Window {
    /// ms since 1970, UTC: nothing before.
    pub from_unix_ms: u64,
    /// ms since 1970, UTC: nothing begins after.
    pub to_unix_ms: u64,
}

/// Which targets of an earlier fleet command are meant, where it is sent again.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    /// Which one.
    pub of: super::FleetId,
    /// Targets with these outcomes.
    pub outcomes: Vec<super::Outcome>,
}

/// Why a fleet command goes no further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// In one word.
    pub kind: StopKind,
    /// For people.
    pub detail: String,
    /// ms since 1970, UTC.
    pub unix_ms: u64,
}

/// In which way a fleet command was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// Too many of its targets failed.
    Aborted,
    /// Somebody withdrew it.
    Canceled,
    /// The maintenance window ended.
    WindowOver,
}

impl StopKind {
    /// Its word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Canceled => "canceled",
            Self::WindowOver => "window_over",
        }
    }
}

impl Plan {
    /// s: how long a command that is handed over now may wait and start; `None` if its window leaves
    /// less than a command needs.
    pub fn ttl_s_at(&self, unix_ms: u64) -> Option<u32> {
        let left_s = match self.window.to_unix_ms {
            0 => u64::MAX,
            to => to.saturating_sub(unix_ms) / 1000,
        };
        let ttl_s = self.ttl_s.min(u32::try_from(left_s).unwrap_or(u32::MAX));
        (ttl_s >= wire::COMMAND_TTL_S_MIN).then_some(ttl_s)
    }
}

mod base64_text {
    //! Bytes as a text in JSON.

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Bytes::from).map_err(de::Error::custom)
    }
}
