//! What went wrong, as JSON that a program and a person can read (RFC 9457).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::ErrorCode;
use serde_json::json;

use crate::codec::Refusal;

/// A refused request.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    field: &'static str,
    retry_after_ms: u32,
    /// A member beyond the standard's, for programs.
    extra: Option<(&'static str, serde_json::Value)>,
}

impl Problem {
    /// A problem with a code that is also the protocol's word for it.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), field: "", retry_after_ms: 0, extra: None }
    }

    /// Who asks is not known.
    pub fn unauthenticated() -> Self {
        let detail = "send a token of this hub in the header `Authorization: Bearer …`";
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", detail)
    }

    /// Who asks may not.
    pub fn not_permitted() -> Self {
        Self::new(StatusCode::FORBIDDEN, "NOT_PERMITTED", "only an operator may do this")
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail)
    }

    /// Adds a member for programs.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: serde_json::Value) -> Self {
        self.extra = Some((name, value));
        self
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn at(mut self, field: &'static str) -> Self {
        self.field = field;
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal.code {
            ErrorCode::BadChannel => (StatusCode::BAD_REQUEST, "BAD_CHANNEL"),
            ErrorCode::BadValue => (StatusCode::BAD_REQUEST, "BAD_VALUE"),
            ErrorCode::Conflict => (StatusCode::CONFLICT, "CONFLICT"),
            ErrorCode::Limit => (StatusCode::CONFLICT, "LIMIT"),
            ErrorCode::Malformed => (StatusCode::BAD_REQUEST, "MALFORMED"),
            ErrorCode::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            ErrorCode::NotPermitted => (StatusCode::FORBIDDEN, "NOT_PERMITTED"),
            ErrorCode::QueueFull => (StatusCode::CONFLICT, "QUEUE_FULL"),
            ErrorCode::Rate => (StatusCode::TOO_MANY_REQUESTS, "RATE"),
            ErrorCode::StaleEpoch => (StatusCode::CONFLICT, "STALE_EPOCH"),
            ErrorCode::StateLimit => (StatusCode::PAYLOAD_TOO_LARGE, "STATE_LIMIT"),
            ErrorCode::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            ErrorCode::Unsupported => (StatusCode::NOT_IMPLEMENTED, "UNSUPPORTED"),
            ErrorCode::Unspecified => (StatusCode::INTERNAL_SERVER_ERROR, "UNSPECIFIED"),
        };
        let (detail, field) = (refusal.message, refusal.field);
        Self { status, code, detail, field, retry_after_ms: refusal.retry_after_ms, extra: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if !self.field.is_empty() {
            body["field"] = self.field.into();
        }
        if let Some((name, value)) = self.extra {
            body[name] = value;
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        let kind = header::HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
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
