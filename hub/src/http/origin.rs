//! Requests of web pages: those of listed origins are answered so that the page may read it (CORS), those
//! of others are refused before anything is looked at.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Api;
use super::problem::Problem;
use crate::access::origin::Page;

/// s for which a browser may remember what a page may ask.
const PREFLIGHT_AGE_S: &str = "600";
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str =
    "authorization, content-type, if-match, if-none-match, prefer, last-event-id";
const ANSWER_HEADERS: &str = "etag, location, retry-after, preference-applied";

/// Lets through what no page or a listed one asks.
pub async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let values = |name: &HeaderName| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let policy = api.broker.policy();
    let listed = match policy.origins.judge(values(&header::ORIGIN), values(&header::HOST)) {
        Page::Own => return next.run(request).await,
        Page::Foreign => return Problem::foreign_origin().into_response(),
        Page::Misdirected => return Problem::misdirected().into_response(),
        Page::Listed(origin) => HeaderValue::from_str(origin),
    };
    // What is in the list has no byte that a header can't have.
    let Ok(origin) = listed else { return Problem::foreign_origin().into_response() };
    let asks_first = request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_first { allowance() } else { next.run(request).await };
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.append(header::VARY, HeaderValue::from_static("origin"));
    put(answer, header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
    response
}

/// The answer to a browser that asks what a page may ask.
fn allowance() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    put(headers, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    put(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    put(headers, header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE_S);
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
