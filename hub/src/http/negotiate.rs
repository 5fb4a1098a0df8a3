//! In which form a value goes out, by `Accept`, and what a body is, by `Content-Type` (RFC 9110).
//!
//! Pure functions: header and value in, response or payload out. Where nothing is asked for, people
//! with a command line are served: JSON if the value has any.
//!
//! ```text
//!   Accept        ─▶ wishes ─┐
//!   frame, types ─▶ offers ──┴─▶ the offer of the highest weight ─▶ Response, or 406 with the offers
//! ```

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use super::problem::Problem;
use crate::codec::{Frame, LiveTypes};

/// proto3 JSON.
pub const JSON: &str = "application/json";
/// An encoded message.
pub const PROTOBUF: &str = "application/x-protobuf";
/// Other names under which an encoded message comes.
const PROTOBUF_TOO: &[&str] =
    &["application/protobuf", "application/vnd.google.protobuf", "application/octet-stream"];
/// Bytes of a channel without a type.
pub const BYTES: &str = "application/octet-stream";
/// Wishes in one `Accept` that are looked at; nobody who means it sends more.
const WISHES_MAX: usize = 32;

/// One media range of an `Accept`, and how much it is wanted: 0 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish<'h> {
    range: &'h str,
    weight: u16,
}

/// The offer that `accept` wants most; of several alike the first. Without a header all are welcome.
/// `None` if it wants none of them.
pub fn choose<'o>(accept: Option<&str>, offers: &[&'o str]) -> Option<&'o str> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return offers.first().copied();
    };
    let wishes: Vec<Wish<'_>> = accept.split(',').take(WISHES_MAX).filter_map(wish).collect();
    let mut best = None;
    for offer in offers {
        let weight = weight_of(offer, &wishes);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((*offer, weight));
        }
    }
    best.map(|(offer, _)| offer)
}

/// A value of a channel in the form that `accept` asks for: its JSON, or its encoded message; bytes if
/// the channel has no type. The caller adds revision and caching.
///
/// # Errors
/// 406 with the forms that there are.
pub fn respond_value(
    frame: &Frame,
    accept: Option<&HeaderValue>,
    types: &LiveTypes,
) -> Result<Response<Body>, Problem> {
    let message = frame.message();
    let payload = message.payload.unwrap_or_default();
    let json = types.payload_to_json(message.type_name, payload);
    let offers: &[&str] = match (message.type_name, &json) {
        ("", _) => &[BYTES],
        (_, Ok(_)) => &[JSON, PROTOBUF],
        (_, Err(_)) => &[PROTOBUF],
    };
    let accept = accept.map(|accept| accept.to_str().unwrap_or_default());
    let Some(chosen) = choose(accept, offers) else {
        let detail = format!("the value comes as {}", offers.join(" or "));
        return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "UNSUPPORTED", detail).at("Accept"));
    };
    let body = match (chosen, json) {
        (JSON, Ok(json)) => Body::from(json),
        (_, _) => Body::from(payload.to_vec()),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let kind = HeaderValue::from_str(chosen).unwrap_or(HeaderValue::from_static(BYTES));
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// The payload that a body is: JSON is encoded as the type, an encoded message stays as it is. Whether
/// that is of the type is checked where it is published. Without a header it is JSON for a channel
/// with a type, and bytes for one without.
///
/// # Errors
/// 415 for another kind of body, 400 for JSON that is none or doesn't fit the type.
pub fn payload_from(
    body: &[u8],
    content_type: Option<&HeaderValue>,
    type_name: &str,
    types: &LiveTypes,
) -> Result<Vec<u8>, Problem> {
    let kind = content_type.map(|kind| essence(kind.to_str().unwrap_or_default()));
    match kind.as_deref() {
        None if type_name.is_empty() => Ok(body.to_vec()),
        None | Some(JSON) => from_json(body, type_name, types),
        Some(kind) if kind == PROTOBUF || PROTOBUF_TOO.contains(&kind) => Ok(body.to_vec()),
        Some(kind) => Err(unsupported(kind, &[JSON, PROTOBUF])),
    }
}

/// Checks that a body is said to be an encoded message.
///
/// # Errors
/// 415.
pub fn expect_protobuf(content_type: Option<&HeaderValue>) -> Result<(), Problem> {
    let kind = essence(content_type.map_or("", |kind| kind.to_str().unwrap_or_default()));
    if kind == PROTOBUF || PROTOBUF_TOO.contains(&kind.as_str()) {
        return Ok(());
    }
    Err(unsupported(&kind, &[PROTOBUF]))
}

fn from_json(body: &[u8], type_name: &str, types: &LiveTypes) -> Result<Vec<u8>, Problem> {
    let bad =
        |detail: String| Problem::new(StatusCode::BAD_REQUEST, "BAD_VALUE", detail).at("body");
    let text = std::str::from_utf8(body).map_err(|_| bad("is not UTF-8".to_owned()))?;
    let value = proto::json::parse(text).map_err(|error| bad(error.to_string()))?;
    if type_name.is_empty() {
        return Ok(body.to_vec());
    }
    types
        .payload_from_json(type_name, &value)
        .map_err(|error| bad(format!("is not a {type_name}: {error}")))
}

fn unsupported(kind: &str, wanted: &[&str]) -> Problem {
    let shown: String = kind.chars().take(64).collect();
    let detail = match shown.as_str() {
        "" => format!("say what the body is: {}", wanted.join(" or ")),
        shown => format!("the body is `{shown}`; send {}", wanted.join(" or ")),
    };
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Problem::new(status, "UNSUPPORTED", detail).at("Content-Type")
}

/// A media type without its parameters, in small letters.
fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// How much the most exact range that an offer falls into is wanted.
fn weight_of(offer: &str, wishes: &[Wish<'_>]) -> u16 {
    let (kind, _) = offer.split_once('/').unwrap_or((offer, ""));
    let exact = |wish: &&Wish<'_>| wish.range.eq_ignore_ascii_case(offer);
    let whole_kind = |wish: &&Wish<'_>| {
        wish.range.strip_suffix("/*").is_some_and(|range| range.eq_ignore_ascii_case(kind))
    };
    let any = |wish: &&Wish<'_>| wish.range == "*/*";
    let found = wishes.iter().find(exact).or_else(|| wishes.iter().find(whole_kind));
    found.or_else(|| wishes.iter().find(any)).map_or(0, |wish| wish.weight)
}

/// One member of an `Accept`; a weight that can't be read makes it no wish.
fn wish(member: &str) -> Option<Wish<'_>> {
    let mut parts = member.split(';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?;
    let mut weight = 1000;
    for part in parts {
        if let Some((name, value)) = part.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            weight = quality(value.trim())?;
        }
    }
    Some(Wish { range, weight })
}

/// `0`, `0.5`, `1.000`: at most three digits behind the point, in thousandths.
fn quality(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{rest:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
