//! In which encoding a reader wants a value (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, StatusCode, header};

use super::body::PROTOBUF;
use super::problem::Problem;
use super::version::Version;
use crate::codec::Frame;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A document.
    Json,
    /// The message as it was published.
    Protobuf,
}

impl Encoding {
    /// The one that the reader likes best; JSON if it doesn't mind.
    ///
    /// # Errors
    /// It wants neither.
    pub fn preferred(headers: &HeaderMap) -> Result<Self, Problem> {
        let accepted: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        if accepted.is_empty() {
            return Ok(Self::Json);
        }
        let quality = |wanted: &str| {
            accepted.iter().map(|range| quality_for(range, wanted)).fold(0.0_f32, f32::max)
        };
        let (json, protobuf) = (quality("application/json"), quality(PROTOBUF));
        if json == 0.0 && protobuf == 0.0 {
            let detail = format!("the value can be had as application/json or {PROTOBUF}");
            let problem = Problem::new(StatusCode::NOT_ACCEPTABLE, "UNSUPPORTED", detail);
            return Err(problem.at("Accept"));
        }
        Ok(if protobuf > json { Self::Protobuf } else { Self::Json })
    }

    /// The version of a value written so.
    pub fn version(self, frame: &Frame) -> Version {
        let version = Version::of(frame.offset());
        match self {
            Self::Json => version,
            Self::Protobuf => version.encoded("pb"),
        }
    }
}

/// How much one range of `Accept` wants a media type: 0 to 1.
fn quality_for(range: &str, wanted: &str) -> f32 {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok());
    let weight: f32 = weight.unwrap_or(1.0);
    match media {
        "*/*" | "application/*" => weight * 0.99,
        media if media.eq_ignore_ascii_case(wanted) => weight,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_encoding_is_the_one_that_the_reader_likes_best() {
        for (accept, encoding) in [
            ("*/*", Some(Encoding::Json)),
            ("application/json", Some(Encoding::Json)),
            ("application/x-protobuf", Some(Encoding::Protobuf)),
            ("application/json;q=0.5, application/x-protobuf", Some(Encoding::Protobuf)),
            ("application/x-protobuf;q=0.2, */*", Some(Encoding::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Encoding::preferred(&headers).ok(), encoding, "{accept}");
        }
        let wish = Encoding::preferred(&HeaderMap::new());
        assert_eq!(wish.expect("no wish"), Encoding::Json);
    }
}
