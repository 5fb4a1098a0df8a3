//! The audit log as a resource: `/v1/audit`; who acts, for its records; and the refusals of all paths.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::IntoParams;

use super::Api;
use super::auth::{self, Operator};
use super::devices::bad;
use super::problem::Problem;
use super::query::Params;
use crate::access::Admission;
use crate::audit::{Actor, Door, Verb};
use crate::broker::audit::{Page, Wanted, actor};
use crate::clock::Now;

/// Records of one page.
const RECORDS_MAX: usize = 1000;
const PAGE_DEFAULT: usize = 100;
/// Pages that are read at once; each occupies a thread. Others wait.
const READS_MAX: usize = 2;

static READS: Semaphore = Semaphore::const_new(READS_MAX);

/// Which records are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// RFC 3339, or ms since 1970: not what came before.
    #[serde(default)]
    #[param(required = false, example = "2026-11-21T18:00:00Z")]
    from: String,
    /// A part of a name or of a token's id.
    #[serde(default)]
    #[param(required = false)]
    who: String,
    /// A part of a verb, of a device, of a channel, of a command's id.
    #[serde(default)]
    #[param(required = false)]
    what: String,
    /// `next` of the page before, or the number of a record: what comes after it.
    #[serde(default)]
    #[param(required = false, pattern = "^[0-9]{0,19}$")]
    cursor: String,
    /// Records at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Who sends a request, for the audit log. It proves nothing: [`Operator`] does.
#[derive(Debug)]
pub struct By(pub Actor);

impl FromRequestParts<Api> for By {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<SocketAddr>().copied();
        let token = parts.headers.get(header::AUTHORIZATION).and_then(auth::bearer);
        Ok(Self(sender(api, token, address)))
    }
}

/// List what was changed and who was refused, oldest first, for operators. A page may be short, or empty,
/// and still have a `next`: it looks at a bounded number of records.
#[utoipa::path(get, path = "/v1/audit", tag = "hub", params(AuditQuery),
    responses((status = 200, description = "a page", body = Object)))]
pub async fn list(
    _: Operator,
    State(api): State<Api>,
    Params(query): Params<AuditQuery>,
) -> Result<Json<Page>, Problem> {
    let wanted = wanted(query)?;
    api.broker.audit_settled().await;
    let _turn = READS.acquire().await;
    let broker = api.broker.clone();
    let read = tokio::task::spawn_blocking(move || broker.audit_page(&wanted)).await;
    // The engine may panic on damaged files.
    let read = read.map_err(|_| {
        let detail = "the audit log can't be read: the store has failed";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", detail)
    })?;
    Ok(Json(read?))
}

fn wanted(query: AuditQuery) -> Result<Wanted, Problem> {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=RECORDS_MAX).contains(&limit) {
        return Err(bad(format!("is {limit}; use 1 to {RECORDS_MAX}")).at("limit"));
    }
    let after = match query.cursor.as_str() {
        "" => 0,
        text => text.parse::<u64>().ok().filter(|after| *after < u64::MAX).ok_or_else(|| {
            bad("is no cursor; take `next` of the page before, or a record's number").at("cursor")
        })?,
    };
    let from_unix_ms = match query.from.as_str() {
        "" => 0,
        text => moment(text).ok_or_else(|| {
            bad("is no time; write 2026-11-21T18:00:00Z, or ms since 1970").at("from")
        })?,
    };
    Ok(Wanted { from_unix_ms, who: query.who, what: query.what, after, limit })
}

/// RFC 3339, or ms since 1970.
pub(super) fn moment(text: &str) -> Option<u64> {
    if let Ok(unix_ms) = text.parse() {
        return Some(unix_ms);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(u64::try_from(time.as_millisecond()).unwrap_or(0))
}

/// Records every answer that says that the sender is not known, or may not.
pub async fn refusals(State(api): State<Api>, request: Request, next: Next) -> Response {
    let credential = request.headers().get(header::AUTHORIZATION).cloned();
    let address = request.extensions().get::<SocketAddr>().copied();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let why = match response.status() {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "NOT_PERMITTED",
        _ => return response,
    };
    let actor = sender(&api, credential.as_ref().and_then(auth::bearer), address);
    // Without the query, where people put what they should not.
    let object = format!("{method} {}", uri.path());
    api.broker.audit_refusal(Now::read(), actor, Verb::Request, object, why);
    response
}

fn sender(api: &Api, token: Option<&str>, address: Option<SocketAddr>) -> Actor {
    let admission = token.and_then(|token| api.broker.identify(Now::read(), token).ok());
    match admission {
        Some(Admission { identity, token, .. }) => {
            actor(&identity, token.as_ref(), address, Door::Http)
        }
        None => Actor::unknown(Door::Http, address),
    }
}
