//! What a reader may ask for: the query of `/v1/events` and `/v1/poll`, and two headers.

use std::time::Duration;

use axum::http::HeaderMap;
use proto::ChannelPattern;
use proto::envelope::ErrorCode;
use serde::de::{Deserialize, Deserializer, Error as _};
use utoipa::IntoParams;

use crate::codec::request::{Pace, check_labels};
use crate::codec::{Encoding, Refusal};
use crate::http::devices::bad;
use crate::http::problem::Problem;
use crate::selector::Selector;

/// Patterns of one request.
const PATTERNS_MAX: usize = 64;
/// The longest that a request waits.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// The header by which a stream says where it was.
const LAST_EVENT_ID: &str = "last-event-id";

/// What is to be read.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReadQuery {
    /// Which channels: `*` for one segment, a last `>` for the rest. May stand up to 64 times; all of them
    /// share one position.
    #[param(min_items = 1, max_items = 64, example = json!(["devices.*.faults"]))]
    pattern: Vec<String>,
    /// The position after which to continue, as the hub gave it.
    #[param(pattern = "^[0-9]{1,20}\\.[0-9]{1,20}$", example = "7349.184467")]
    since: Option<String>,
    /// Whether last values come first, or where what was missed is lost.
    #[param(value_type = Option<bool>)]
    snapshot: Option<String>,
    /// A selector: only channels of devices that it means.
    #[param(example = "street='Queen St'")]
    labels: Option<String>,
    /// Beats a second, 1 to 100: of each channel and type, the newest message of a beat comes.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 100)]
    max_rate: Option<String>,
    /// Whether of what waits only the newest message of each channel and type comes.
    #[param(value_type = Option<bool>)]
    conflate: Option<String>,
    /// How values are written: `json` as `data`, or `protobuf` as `payload` in base64; `json` if not said.
    #[param(pattern = "^(json|protobuf)$")]
    encoding: Option<String>,
}

/// By hand, since one key may stand several times.
impl<'de> Deserialize<'de> for ReadQuery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
        let mut query = Self::default();
        for (key, value) in pairs {
            let (slot, key) = match key.as_str() {
                "pattern" => {
                    query.pattern.push(value);
                    continue;
                }
                "since" => (&mut query.since, "since"),
                "snapshot" => (&mut query.snapshot, "snapshot"),
                "labels" => (&mut query.labels, "labels"),
                "max_rate" => (&mut query.max_rate, "max_rate"),
                "conflate" => (&mut query.conflate, "conflate"),
                "encoding" => (&mut query.encoding, "encoding"),
                _ => {
                    const KNOWN: &[&str] = &[
                        "pattern", "since", "snapshot", "labels", "max_rate", "conflate",
                        "encoding",
                    ];
                    return Err(D::Error::unknown_field(&key, KNOWN));
                }
            };
            if slot.replace(value).is_some() {
                return Err(D::Error::duplicate_field(key));
            }
        }
        Ok(query)
    }
}

/// A checked wish.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Which channels; at least one.
    pub patterns: Vec<ChannelPattern>,
    /// Epoch and offset after which to continue.
    pub since: Option<(u64, u64)>,
    /// Whether the last values come first; if not said, the door decides.
    pub snapshot: Option<bool>,
    /// Of which devices.
    pub labels: Option<Selector>,
    /// How often; none: every message.
    pub pace: Option<Pace>,
    /// How values are written.
    pub encoding: Encoding,
}

impl Ask {
    /// Reads a request. A position in the header `Last-Event-ID` wins over `since`, since it is the
    /// newer one: a browser repeats the first address with it.
    ///
    /// # Errors
    /// Names the key that is unknown or wrong.
    pub fn read(query: &ReadQuery, headers: &HeaderMap) -> Result<Self, Problem> {
        let since = query.since.as_deref().map(|text| position(text, "since")).transpose()?;
        let labels = check_labels(query.labels.as_deref().unwrap_or_default());
        let labels = labels.map_err(|text| bad(text).at("labels"))?;
        let snapshot = query.snapshot.as_deref().map(|text| flag(text, "snapshot")).transpose()?;
        let conflate = query.conflate.as_deref().map(|text| flag(text, "conflate")).transpose()?;
        let rate = query.max_rate.as_deref().map(rate).transpose()?.unwrap_or(0);
        let pace = Pace::asked(rate, conflate.unwrap_or_default());
        let pace = pace.map_err(|text| bad(text).at("max_rate"))?;
        let encoding = query.encoding.as_deref().map_or(Ok(Encoding::Json), encoding)?;
        let mut ask = Self { patterns: Vec::new(), since, snapshot, labels, pace, encoding };
        for pattern in &query.pattern {
            ask.add(pattern)?;
        }
        if ask.patterns.is_empty() {
            return Err(
                bad("is missing; name channels, as in pattern=devices.*.faults").at("pattern")
            );
        }
        if let Some(last) = headers.get(LAST_EVENT_ID) {
            let text = last.to_str().unwrap_or_default();
            if !text.is_empty() {
                ask.since = Some(position(text, LAST_EVENT_ID)?);
            }
        }
        Ok(ask)
    }

    fn add(&mut self, text: &str) -> Result<(), Problem> {
        let pattern = ChannelPattern::parse(text)
            .map_err(|error| Refusal::new(ErrorCode::BadChannel, "pattern", error.to_string()))?;
        if self.patterns.len() >= PATTERNS_MAX {
            return Err(bad(format!("stands too often; at most {PATTERNS_MAX}")).at("pattern"));
        }
        if !self.patterns.contains(&pattern) {
            self.patterns.push(pattern);
        }
        Ok(())
    }
}

/// A position as text: `<epoch>.<offset>`.
pub fn position_text(epoch: u64, offset: u64) -> String {
    format!("{epoch}.{offset}")
}

fn position(text: &str, field: &'static str) -> Result<(u64, u64), Problem> {
    let parts = text.split_once('.');
    let parsed = parts.and_then(|(epoch, offset)| Some((number(epoch)?, number(offset)?)));
    parsed.ok_or_else(|| {
        bad("is no position; send back what the hub gave, as in 7349.184467").at(field)
    })
}

/// Digits only: no sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn rate(text: &str) -> Result<u32, Problem> {
    let beats = number(text).and_then(|beats| u32::try_from(beats).ok());
    beats.ok_or_else(|| bad("is no number; write beats a second, 0 to 100").at("max_rate"))
}

fn flag(text: &str, field: &'static str) -> Result<bool, Problem> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(bad("takes `true` or `false`").at(field)),
    }
}

fn encoding(text: &str) -> Result<Encoding, Problem> {
    match text {
        "json" => Ok(Encoding::Json),
        "protobuf" => Ok(Encoding::Protobuf),
        _ => Err(bad("takes `json` or `protobuf`").at("encoding")),
    }
}

/// How long `Prefer: wait=…` asks to wait (RFC 7240), at most [`WAIT_MAX`]. What can't be read is
/// ignored, as that RFC wants.
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
    let seconds = preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait.then(|| number(value.trim().trim_matches('"'))).flatten()
    })?;
    Some(Duration::from_secs(seconds).min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;

    use super::*;

    #[test]
    fn a_query_is_read_with_all_its_patterns() {
        let ask = read("pattern=a.*&pattern=b&pattern=b&since=7.12&snapshot=true", None);
        let ask = ask.expect("valid");
        let patterns: Vec<&str> = ask.patterns.iter().map(ChannelPattern::as_str).collect();
        assert_eq!(patterns, ["a.*", "b"]);
        assert_eq!((ask.since, ask.snapshot), (Some((7, 12)), Some(true)));
        assert_eq!(ask.encoding, Encoding::Json);
        let ask = read("pattern=a&encoding=protobuf", None).expect("valid");
        assert_eq!(ask.encoding, Encoding::Protobuf);
    }

    #[test]
    fn the_header_wins_over_the_query() {
        assert_eq!(read("pattern=a&since=1.2", Some("1.9")).expect("valid").since, Some((1, 9)));
        assert_eq!(read("pattern=a", Some("")).expect("valid").since, None);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for bad in [
            "",
            "snapshot=true",
            "pattern=a..b",
            "pattern=a&since=12",
            "pattern=a&since=-1.2",
            "pattern=a&since=1.+2",
            "pattern=a&since=1.2&since=1.3",
            "pattern=a&snapshot=yes",
            "pattern=a&labels=street",
            "pattern=a&encoding=xml",
            "pattern=a&max=3",
        ] {
            assert!(read(bad, None).is_err(), "{bad}");
        }
        assert!(read("pattern=a", Some("yesterday")).is_err());
        let many: Vec<String> = (0..=PATTERNS_MAX).map(|at| format!("pattern=a{at}")).collect();
        assert!(read(&many.join("&"), None).is_err());
    }

    #[test]
    fn a_wish_to_wait_is_found_among_others_and_bounded() {
        for (text, seconds) in [
            ("wait=30", Some(30)),
            ("respond-async, WAIT=\"5\"", Some(5)),
            ("wait=3600", Some(60)),
            ("wait=0", Some(0)),
            ("wait", None),
            ("wait=-1", None),
            ("wait=soon", None),
            ("return=minimal", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", text.parse().expect("a value"));
            assert_eq!(wait(&headers), seconds.map(Duration::from_secs), "{text}");
        }
    }

    fn read(query: &str, last: Option<&str>) -> Result<Ask, Problem> {
        let uri = format!("/v1/events?{query}").parse().expect("a path");
        let mut headers = HeaderMap::new();
        if let Some(last) = last {
            headers.insert(LAST_EVENT_ID, last.parse().expect("a value"));
        }
        let query = Query::<ReadQuery>::try_from_uri(&uri);
        let Query(query) = query.map_err(|error| bad(error.body_text()))?;
        Ask::read(&query, &headers)
    }
}
