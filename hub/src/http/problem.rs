//! What went wrong, as JSON that a program and a person can read (RFC 9457).

use std::borrow::Cow;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::ErrorCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::version::Version;
use crate::access::{Identity, Verb};
use crate::codec::Refusal;

/// The media type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refused request.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    field: Cow<'static, str>,
    retry_after_ms: u32,
    current: Option<Box<(Version, Value)>>,
    targets: Option<usize>,
}

/// A problem as it is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Always `about:blank`: the status and the code say which problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status of the response.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The protocol's word for it, as in `BAD_VALUE`.
    code: &'static str,
    /// What is wrong and how to get it right, for people.
    detail: String,
    /// The member, parameter or header that is wrong.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false)]
    field: Cow<'static, str>,
    /// The document as it is now, where a version was not the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Value>,
    /// How many devices a fleet command means, where that number must be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<usize>,
}

impl Problem {
    /// A problem with a code that is also the protocol's word for it.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            status,
            code,
            detail,
            field: "".into(),
            retry_after_ms: 0,
            current: None,
            targets: None,
        }
    }

    /// A problem with one of the protocol's codes.
    pub fn coded(status: StatusCode, code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::new(status, word(code), detail)
    }

    /// Who asks is not known.
    pub fn unauthenticated() -> Self {
        let detail = "send a token of this hub in the header `Authorization: Bearer …`";
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", detail)
    }

    /// Who asks may not do this on the channel or thing of this name.
    pub fn not_permitted(identity: &Identity, verb: Verb, name: &str) -> Self {
        let verb = verb.word();
        let detail = format!(
            "{identity} may not {verb} on `{name}`; \
             `hub access explain me {verb} NAME` says what its role grants"
        );
        Self::new(StatusCode::FORBIDDEN, "NOT_PERMITTED", detail)
    }

    /// Who asks would give away more than it has.
    pub fn beyond_own_role(identity: &Identity, role: &str) -> Self {
        let detail = format!("`{role}` may do more than {identity}, who can't give it away");
        Self::new(StatusCode::FORBIDDEN, "NOT_PERMITTED", detail)
    }

    /// A web page asks that isn't in the list.
    pub fn foreign_origin() -> Self {
        let detail = "web pages of this origin may not ask; http.origins in the configuration lists those that may";
        Self::new(StatusCode::FORBIDDEN, "NOT_PERMITTED", detail)
    }

    /// The request is for another host.
    pub fn misdirected() -> Self {
        let detail = "the hub has another name; http.hosts in the configuration lists its names";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "MISDIRECTED", detail)
    }

    /// A device asks where only people and programs may.
    pub fn for_people_only() -> Self {
        let detail = "a device has the socket only; use a token of a person or a program";
        Self::new(StatusCode::FORBIDDEN, "NOT_PERMITTED", detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail)
    }

    /// So many devices are meant, and the request has to say that number.
    pub fn unconfirmed(targets: usize) -> Self {
        let detail = format!("{targets} devices are meant; send `confirm`: {targets} to go on");
        let problem = Self::new(StatusCode::CONFLICT, "CONFLICT", detail);
        Self { targets: Some(targets), ..problem.at("confirm") }
    }

    /// The change was made for another version than the current one, which comes with the answer.
    pub fn stale(version: Version, current: Value) -> Self {
        let detail = "the resource has changed since; make your change to `current` and send it \
                      again with the ETag of this answer in If-Match";
        let problem = Self::new(StatusCode::PRECONDITION_FAILED, "CONFLICT", detail);
        Self { current: Some(Box::new((version, current))), ..problem.at("If-Match") }
    }

    /// There is something already, or nothing yet, where the request demands the opposite.
    pub fn unmet(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "CONFLICT", detail)
    }

    /// The change has to say for which version it was made (RFC 6585, section 3).
    pub fn version_required() -> Self {
        let detail = "read the resource, and send its ETag in the header If-Match; If-None-Match: * \
                      if there is none yet";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "CONFLICT", detail).at("If-Match")
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn at(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = field.into();
        self
    }

    /// The field that is wrong, if one is named.
    pub fn field(&self) -> &str {
        &self.field
    }
}

fn word(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadChannel => "BAD_CHANNEL",
        ErrorCode::BadValue => "BAD_VALUE",
        ErrorCode::Conflict => "CONFLICT",
        ErrorCode::Limit => "LIMIT",
        ErrorCode::Malformed => "MALFORMED",
        ErrorCode::NotFound => "NOT_FOUND",
        ErrorCode::NotPermitted => "NOT_PERMITTED",
        ErrorCode::QueueFull => "QUEUE_FULL",
        ErrorCode::Rate => "RATE",
        ErrorCode::StaleEpoch => "STALE_EPOCH",
        ErrorCode::StateLimit => "STATE_LIMIT",
        ErrorCode::Unavailable => "UNAVAILABLE",
        ErrorCode::Unsupported => "UNSUPPORTED",
        ErrorCode::Unspecified => "UNSPECIFIED",
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code {
            ErrorCode::BadChannel | ErrorCode::BadValue | ErrorCode::Malformed => {
                StatusCode::BAD_REQUEST
            }
            ErrorCode::Conflict
            | ErrorCode::Limit
            | ErrorCode::QueueFull
            | ErrorCode::StaleEpoch => StatusCode::CONFLICT,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::NotPermitted => StatusCode::FORBIDDEN,
            ErrorCode::Rate => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::StateLimit => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Unsupported => StatusCode::NOT_IMPLEMENTED,
            ErrorCode::Unspecified => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let problem = Self::coded(status, refusal.code, refusal.message).at(refusal.field);
        Self { retry_after_ms: refusal.retry_after_ms, ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (version, current) = self.current.map(|current| *current).unzip();
        let document = ProblemDocument {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            field: self.field,
            current,
            targets: self.targets,
        };
        let mut response = (self.status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(PROBLEM_JSON));
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(version) = version {
            headers.insert(header::ETAG, version.header());
        }
        if self.retry_after_ms > 0 {
            headers.insert(header::RETRY_AFTER, self.retry_after_ms.div_ceil(1000).into());
        }
        response
    }
}

/// No such path.
pub async fn no_route() -> Problem {
    Problem::not_found("there is nothing at this path")
}

/// The path exists, with other methods.
pub async fn no_method() -> Problem {
    let detail = "the path does not take this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", detail)
}
