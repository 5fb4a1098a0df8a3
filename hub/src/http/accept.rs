//! In which encoding a reader wants a value (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, StatusCode, header};

use super::body::PROTOBUF;
use super::problem::Problem;
use super::version::Version;
use crate::codec::{Encoding, Frame};

/// Media ranges of one request that are looked at; nobody who means it sends more.
const WISHES_MAX: usize = 32;

/// One media range of an `Accept`, and how much it is wanted: 0 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish<'h> {
    range: &'h str,
    weight: u16,
}

/// The encoding that the reader likes best; JSON if it doesn't mind.
///
/// # Errors
/// It wants neither.
pub fn preferred(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let members = values.flat_map(|value| value.split(',')).map(str::trim);
    let members = members.filter(|member| !member.is_empty()).take(WISHES_MAX);
    let wishes: Vec<Option<Wish<'_>>> = members.map(wish).collect();
    if wishes.is_empty() {
        return Ok(Encoding::Json);
    }
    let wishes: Vec<Wish<'_>> = wishes.into_iter().flatten().collect();
    let (json, protobuf) = (weight_of("application/json", &wishes), weight_of(PROTOBUF, &wishes));
    if json == 0 && protobuf == 0 {
        let detail = format!("the value can be had as application/json or {PROTOBUF}");
        let problem = Problem::new(StatusCode::NOT_ACCEPTABLE, "UNSUPPORTED", detail);
        return Err(problem.at("Accept"));
    }
    Ok(if protobuf > json { Encoding::Protobuf } else { Encoding::Json })
}

/// The version of a value in an encoding: each has a tag of its own.
pub fn version(encoding: Encoding, frame: &Frame) -> Version {
    let version = Version::of(frame.offset());
    match encoding {
        Encoding::Json => version,
        Encoding::Protobuf => version.encoded("pb"),
    }
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
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_encoding_is_the_one_that_the_reader_likes_best() {
        for (accept, encoding) in [
            ("", Some(Encoding::Json)),
            ("*/*", Some(Encoding::Json)),
            ("Application/JSON; charset=utf-8", Some(Encoding::Json)),
            ("application/x-protobuf", Some(Encoding::Protobuf)),
            ("application/json;q=0.5, application/x-protobuf", Some(Encoding::Protobuf)),
            ("application/json ; Q=0.501 , application/x-protobuf;q=0.5", Some(Encoding::Json)),
            ("application/x-protobuf;q=0.2, */*", Some(Encoding::Json)),
            ("application/json;q=0, application/*", Some(Encoding::Protobuf)),
            ("text/html, */*;q=0.1", Some(Encoding::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("application/json;q=much", None),
            ("nonsense", None),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(preferred(&headers).ok(), encoding, "{accept}");
        }
        assert_eq!(preferred(&HeaderMap::new()).ok(), Some(Encoding::Json));
    }

    #[test]
    fn wishes_beyond_the_bound_are_not_looked_at() {
        let many = format!("{}application/json", "text/html,".repeat(WISHES_MAX));
        let headers =
            HeaderMap::from_iter([(header::ACCEPT, many.parse().expect("a header's value"))]);
        assert!(preferred(&headers).is_err());
    }
}
