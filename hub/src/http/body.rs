//! The bodies of requests: JSON without its traps, and patches of it (RFC 7396).

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use proto::ErrorCode;
use proto::json::JsonError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;
use super::strict::Strict;
use crate::broker::patch::merge;

/// Bytes of a request's body: a thousand devices with their labels.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// The media type of encoded messages.
pub const PROTOBUF: &str = "application/x-protobuf";
/// What else an encoded message may be called.
const ENCODED: [&str; 4] = [
    PROTOBUF,
    "application/protobuf",
    "application/vnd.google.protobuf",
    "application/octet-stream",
];

/// A value in one of the encodings in which it can be published.
#[derive(Debug)]
pub enum Body {
    /// As JSON.
    Json(Value),
    /// The message itself.
    Encoded(Bytes),
}

/// An encoded message, and no JSON.
#[derive(Debug)]
pub struct Encoded(pub Bytes);

/// A document that a request brought.
#[derive(Debug)]
pub struct Document<T>(pub T);

/// A merge patch: members of it replace, `null` takes away.
#[derive(Debug, Clone)]
pub struct MergePatch(pub Value);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        want(request.headers(), &[JSON])?;
        let value = read(request, state).await?;
        typed(value).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        want(request.headers(), &[&[JSON], &ENCODED[..]].concat())?;
        if media_type(request.headers()).is_some_and(|given| given.eq_ignore_ascii_case(JSON)) {
            return read(request, state).await.map(Self::Json);
        }
        bytes(request, state).await.map(Self::Encoded)
    }
}

impl<S: Send + Sync> FromRequest<S> for Encoded {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        want(request.headers(), &ENCODED)?;
        bytes(request, state).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        want(request.headers(), &[MERGE_PATCH, JSON])?;
        match read(request, state).await? {
            patch @ Value::Object(_) => Ok(Self(patch)),
            _ => {
                let detail = "a merge patch is an object";
                Err(Problem::coded(StatusCode::BAD_REQUEST, ErrorCode::BadValue, detail))
            }
        }
    }
}

impl MergePatch {
    /// What the patch makes of a document.
    ///
    /// # Errors
    /// The outcome is no such document.
    pub fn apply<T: DeserializeOwned>(self, mut document: Value) -> Result<T, Problem> {
        // What is taken away and isn't there is fine, if it could be: a member that the document doesn't
        // know is refused whatever becomes of it.
        let absent: Vec<String> = match (&self.0, &document) {
            (Value::Object(patch), Value::Object(held)) => {
                let gone =
                    patch.iter().filter(|(key, value)| value.is_null() && !held.contains_key(*key));
                gone.map(|(key, _)| key.clone()).collect()
            }
            _ => Vec::new(),
        };
        merge(&mut document, self.0);
        for key in absent {
            document[key] = Value::Null;
        }
        typed(document)
    }
}

/// A document of this type; what doesn't fit is named with the way to it.
fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| {
        let path = error.path().to_string();
        let problem = malformed(error.into_inner().to_string());
        if path == "." { problem } else { problem.at(path) }
    })
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let detail = format!("the body can't be read; at most {BODY_BYTES_MAX} bytes are taken");
        Problem::new(rejection.status(), "MALFORMED", detail)
    })
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Value, Problem> {
    let bytes = bytes(request, state).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed("the body is not UTF-8"))?;
    proto::json::parse_within(text, BODY_BYTES_MAX).map_err(Problem::from)
}

/// The media type of a body, without its parameters, if there is one and no other.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let value = value.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

fn want(headers: &HeaderMap, wanted: &[&str]) -> Result<(), Problem> {
    let given = media_type(headers);
    if given.is_some_and(|given| wanted.iter().any(|one| given.eq_ignore_ascii_case(one))) {
        return Ok(());
    }
    let detail = format!("send the body as {}", wanted.join(" or "));
    let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED", detail);
    Err(problem.at("Content-Type"))
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "MALFORMED", detail)
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        let status = match error {
            JsonError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        let path = error.path().to_owned();
        let problem = Self::coded(status, ErrorCode::Malformed, format!("the body {error}"));
        if path.is_empty() { problem } else { problem.at(path) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_that_the_document_does_not_know_is_refused_also_where_it_is_taken_away() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Settings {
            profile: String,
            #[serde(rename = "place")]
            _place: Option<String>,
        }
        let apply = |patch| MergePatch(patch).apply::<Settings>(json!({"profile": "led"}));
        assert_eq!(apply(json!({"place": null})).expect("it may be absent").profile, "led");
        assert!(apply(json!({"profil": null})).is_err());
        assert!(apply(json!({"": null})).is_err());
    }

    #[test]
    fn what_does_not_fit_is_named_with_the_way_to_it() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Outer {
            #[serde(rename = "inner")]
            _inner: Vec<u8>,
        }
        let problem = typed::<Outer>(json!({"inner": [1, "x"]})).expect_err("a text is no number");
        assert_eq!(problem.field(), "inner[1]");
        assert!(typed::<Outer>(json!({"inner": [], "more": 1})).is_err());
    }
}
