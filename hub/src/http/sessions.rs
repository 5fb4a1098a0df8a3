//! Who is connected: `/v1/sessions`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use proto::CloseCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::audit::By;
use super::auth::{Operator, Reader};
use super::devices::{bad, check_text, page_limit};
use super::problem::Problem;
use super::query::Params;
use crate::audit::{Record, Verb};
use crate::broker::devices::SessionEntry;
use crate::clock::Now;

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;

/// A session in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct SessionPath {
    /// The session's id, as `Welcome` told it.
    #[param(pattern = "^[0-9]{1,19}$", example = "42")]
    id: String,
}

/// What a list is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those whose identity has this text in it.
    #[serde(default)]
    #[param(required = false, max_length = 128, example = "lamp-0042")]
    identity: String,
    /// Only those for whom more bytes wait than this.
    #[serde(default)]
    #[param(required = false, maximum = 18_446_744_073_709_551_615_u64)]
    waiting_over: usize,
    /// `next` of the page before.
    #[param(pattern = "^[0-9]{1,19}$")]
    cursor: Option<String>,
    /// Sessions of a page, 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionDocument {
    /// Its id.
    session: String,
    /// Who it is, as in `device lamp-0042`.
    identity: String,
    /// Since when, in ms since 1970.
    since_unix_ms: u64,
    /// Bytes that wait for it: how slow it is.
    waiting_bytes: usize,
    /// Whether it fell so far behind that messages are left out for it.
    lagging: bool,
}

/// A page of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    /// Oldest first.
    sessions: Vec<SessionDocument>,
    /// How many match on all pages.
    total: usize,
    /// The `cursor` of the next page; `null` after the last.
    next: Option<String>,
}

impl From<&SessionEntry> for SessionDocument {
    fn from(entry: &SessionEntry) -> Self {
        Self {
            session: name_of(entry.mailbox.id()),
            identity: entry.admission.identity.to_string(),
            since_unix_ms: entry.since_unix_ms,
            waiting_bytes: entry.mailbox.bytes(),
            lagging: entry.mailbox.is_lagging(),
        }
    }
}

/// List sessions: who is connected, since when, and how slow each is.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(ListQuery),
    responses((status = 200, description = "a page", body = SessionList)))]
pub async fn list(
    _: Reader,
    State(api): State<Api>,
    Params(query): Params<ListQuery>,
) -> Result<Json<SessionList>, Problem> {
    let limit = page_limit(query.limit, PAGE_DEFAULT, PAGE_MAX)?;
    check_text(&query.identity, "identity")?;
    let cursor = query
        .cursor
        .as_deref()
        .map(|name| number_of(name).ok_or_else(|| bad("is no `next` of a page").at("cursor")));
    let after = cursor.transpose()?.unwrap_or(0);
    let mut found = api.broker.sessions(|entry| {
        entry.mailbox.bytes() >= query.waiting_over
            && entry.admission.identity.to_string().contains(&query.identity)
    });
    let total = found.len();
    found.retain(|entry| entry.mailbox.id() > after);
    found.sort_unstable_by_key(|entry| entry.mailbox.id());
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|entry| name_of(entry.mailbox.id()));
    let sessions = found.iter().map(|entry| SessionDocument::from(&**entry)).collect();
    Ok(Json(SessionList { sessions, total, next }))
}

/// Disconnect a session. It may come back at once; revoke its token or remove its device to keep it out.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "sessions", params(SessionPath),
    responses((status = 204, description = "told to go")))]
pub async fn disconnect(
    _: Operator,
    By(by): By,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let unknown = || Problem::not_found("there is no such session").at("id");
    let number = number_of(&id).ok_or_else(unknown)?;
    let known = api.broker.sessions(|entry| entry.mailbox.id() == number);
    let who = known.first().ok_or_else(unknown)?.admission.identity.to_string();
    let record = Record::done(by, Verb::Disconnect, id).detail(who);
    api.broker.audit_durably(Now::read(), record).await?;
    let ended = api.broker.close_sessions(CloseCode::DRAIN, |entry| entry.mailbox.id() == number);
    if ended == 0 { Err(unknown()) } else { Ok(StatusCode::NO_CONTENT) }
}

/// The name of a session is its mailbox's number.
fn name_of(number: u64) -> String {
    number.to_string()
}

fn number_of(name: &str) -> Option<u64> {
    name.parse().ok()
}
