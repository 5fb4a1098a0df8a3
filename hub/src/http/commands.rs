//! Commands as resources: `/v1/commands`. Sent to one device, listed, followed, withdrawn.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::envelope::Send;
use proto::{CommandId, CommandState, DeviceId, channels};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::audit::By;
use super::auth::Person;
use super::body::Document;
use super::devices::{bad, check_text, page_limit};
use super::problem::Problem;
use super::query::Params;
use super::version::{self, Conditions, Version};
use crate::access::{Verb, grant};
use crate::broker::Broker;
use crate::clock::Now;
use crate::codec::Refusal;
use crate::codec::request::check_send;
use crate::ledger::CommandView;

const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 500;

/// A command in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct CommandPath {
    /// The command's id.
    #[param(format = "uuid", example = "01890a5d-ac96-774b-bcce-b302099a8057")]
    id: String,
}

/// A command to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCommand {
    /// To whom.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{2,63}$", example = "lamp-0042")]
    device: String,
    /// Full name of the message; `lighting.v1.Command` if left out.
    #[serde(rename = "type", default)]
    #[schema(max_length = 128, example = "lighting.v1.Command")]
    type_name: String,
    /// The message in proto3 JSON; either this or `payload`.
    #[schema(value_type = Option<Object>, example = json!({"override": {"level_pct": 40}}))]
    data: Option<Value>,
    /// The encoded message in base64.
    payload: Option<String>,
    /// s until which it may start, 5 to 604,800.
    #[schema(minimum = 5, maximum = 604_800)]
    ttl_s: u32,
    /// The sender's own name for it: the same again within 24 h is the same command.
    #[serde(default)]
    #[schema(max_length = 64)]
    request_id: String,
    /// A newer command of the device with the same key replaces this one until it is sent.
    #[serde(default)]
    #[schema(max_length = 64)]
    supersede_key: String,
}

/// A command that the hub has on disk.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedCommand {
    /// Its id.
    command: String,
    /// Where it stands.
    state: &'static str,
    /// Whether an earlier request made it.
    duplicate: bool,
}

/// What a list is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only to this device.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{2,63}$")]
    device: Option<String>,
    /// Only in this state.
    #[param(
        pattern = "^(ACCEPTED|SENT|DELIVERED|RUNNING|SUCCEEDED|FAILED|REJECTED|EXPIRED|CANCELED|SUPERSEDED|UNKNOWN)$"
    )]
    state: Option<String>,
    /// Only of this sender, as in `operator alice`.
    #[param(max_length = 128)]
    sender: Option<String>,
    /// Only those accepted at or after this moment, in ms since 1970.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_u64)]
    since: Option<u64>,
    /// `next` of the page before.
    #[param(format = "uuid")]
    cursor: Option<String>,
    /// Commands of a page, 50 if left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// A page of commands.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommandList {
    /// Newest first.
    commands: Vec<CommandDocument>,
    /// The `cursor` of the next page; `null` after the last.
    next: Option<String>,
}

/// The life of one command.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
pub struct CommandDocument {
    /// Its id.
    command: String,
    /// To whom.
    device: String,
    /// Where it stands, as in `SUCCEEDED`.
    state: &'static str,
    /// Progress, 0 to 100.
    percent: u8,
    /// Who sent it.
    sender: String,
    /// Full name of its message.
    #[serde(rename = "type")]
    type_name: String,
    /// The message in proto3 JSON; `null` where the hub doesn't know the type.
    data: Option<Value>,
    /// The device's proof in proto3 JSON.
    result: Option<Value>,
    /// The sender's own name for it.
    request_id: Option<String>,
    /// ms since 1970, UTC.
    accepted_unix_ms: u64,
    /// ms since 1970, UTC: it may not start later.
    deadline_unix_ms: u64,
    /// How often it was delivered.
    attempts: u32,
    /// Why it stands where it stands.
    detail: String,
    /// Its life so far.
    steps: Vec<StepDocument>,
    /// Steps that had to make room for later ones.
    steps_dropped: u32,
}

/// One step of a command's life.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepDocument {
    /// The state that it reached.
    state: &'static str,
    /// ms since 1970, UTC.
    time_unix_ms: u64,
    /// Why.
    detail: String,
    /// The delivery that it belongs to; 0 before the first.
    attempt: u32,
    /// Whether it came after the end and changed nothing.
    late: bool,
}

/// Send a command to one device. The answer comes when it is on disk; follow it at its `Location`. Needs
/// `command` on `devices.<id>`.
#[utoipa::path(post, path = "/v1/commands", tag = "commands", request_body = NewCommand,
    responses((status = 202, description = "accepted, on disk", body = AcceptedCommand)))]
pub async fn send(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    Document(new): Document<NewCommand>,
) -> Result<Response, Problem> {
    let payload = new.payload.as_deref().map(|text| STANDARD.decode(text)).transpose();
    let payload = payload.map_err(|_| bad("is not base64").at("payload"))?;
    if payload.is_some() == new.data.is_some() {
        return Err(bad("takes the message either as `data` or as `payload`").at("data"));
    }
    let type_name = match new.type_name.as_str() {
        "" => channels::COMMAND_TYPE,
        name => name,
    };
    let send = Send {
        device: &new.device,
        type_name,
        payload: payload.as_deref(),
        ttl_s: new.ttl_s,
        request_id: &new.request_id,
        supersede_key: &new.supersede_key,
        ..Send::default()
    };
    let sending = check_send(send, new.data).map_err(of_body)?;
    person.require(Verb::Command, &grant::device_name(&sending.device))?;
    let accepted = api.broker.send_and_wait(Now::read(), person.identity(), by, sending).await;
    let accepted = accepted.map_err(of_body)?;
    let id = accepted.command.to_string();
    let location = [(header::LOCATION, format!("/v1/commands/{id}"))];
    let state = accepted.state.word();
    let accepted = AcceptedCommand { command: id, state, duplicate: accepted.duplicate };
    Ok((StatusCode::ACCEPTED, location, Json(accepted)).into_response())
}

/// List commands, newest first.
#[utoipa::path(get, path = "/v1/commands", tag = "commands", params(ListQuery),
    responses((status = 200, description = "a page", body = CommandList)))]
pub async fn list(
    person: Person,
    State(api): State<Api>,
    Params(query): Params<ListQuery>,
) -> Result<Json<CommandList>, Problem> {
    let device = query.device.as_deref().map(DeviceId::parse).transpose();
    let device =
        device.map_err(|error| bad(format!("is no device id: it {error}")).at("device"))?;
    let state = query.state.as_deref().map(|word| {
        let state = CommandState::from_word(word);
        state.ok_or_else(|| bad("is no state; use one as in SUCCEEDED").at("state"))
    });
    let state = state.transpose()?;
    if query.since.is_some_and(|since| i64::try_from(since).is_err()) {
        return Err(bad("is no time in ms since 1970").at("since"));
    }
    check_text(query.sender.as_deref().unwrap_or_default(), "sender")?;
    let cursor = query.cursor.as_deref().map(CommandId::parse).transpose();
    let cursor = cursor.map_err(|_| bad("is no `next` of a page").at("cursor"))?;
    let limit = page_limit(query.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let may_see = sight(&person);
    let wants = |view: &CommandView<'_>| {
        may_see(view.device())
            && device.as_ref().is_none_or(|device| view.device() == device)
            && state.is_none_or(|state| view.state() == state)
            && query.sender.as_deref().is_none_or(|sender| &**view.sender() == sender)
            && query.since.is_none_or(|since| view.accepted_unix_ms() >= since)
    };
    let look = |view: CommandView<'_>| document(&api.broker, view);
    let (commands, more) = api.broker.with_commands(wants, cursor.as_ref(), limit, look);
    let next = commands.last().filter(|_| more).map(|last| last.command.clone());
    Ok(Json(CommandList { commands, next }))
}

/// One command: where it stands, and how it came there.
#[utoipa::path(get, path = "/v1/commands/{id}", tag = "commands", params(CommandPath),
    responses((status = 200, description = "the command", body = CommandDocument)))]
pub async fn one(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = command_id(&id)?;
    let look = |view: CommandView<'_>| {
        let (revision, percent) = view.revision();
        (Version::of_both(revision.into(), percent.into()), document(&api.broker, view))
    };
    let may_see = sight(&person);
    // Who may not see it isn't told that it exists.
    let look = |view: CommandView<'_>| may_see(view.device()).then(|| look(view));
    let found = api.broker.with_command(&id, look).flatten();
    let (version, command) = found.ok_or_else(unknown)?;
    Ok(version::answer(&conditions, &version, &command))
}

/// Withdraw a command that was not sent yet.
#[utoipa::path(delete, path = "/v1/commands/{id}", tag = "commands", params(CommandPath),
    responses((status = 204, description = "withdrawn, on disk")))]
pub async fn cancel(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = command_id(&id)?;
    api.broker.cancel_and_wait(Now::read(), person.identity(), by, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose commands a person sees: of devices whose `commands` it may subscribe to.
fn sight(person: &Person) -> impl Fn(&DeviceId) -> bool {
    let identity = person.identity();
    let sees_all = identity.may_all(Verb::Subscribe);
    move |device| sees_all || identity.may_see(channels::COMMANDS.of(device).as_str())
}

/// A refusal names fields as in an envelope, and here the body is what is in one.
fn of_body(refusal: Refusal) -> Problem {
    let field = refusal.field.strip_prefix("send.").unwrap_or(refusal.field);
    Problem::from(Refusal { field, ..refusal })
}

fn command_id(text: &str) -> Result<CommandId, Problem> {
    CommandId::parse(text).map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::not_found("the hub knows no such command; it may be forgotten").at("id")
}

fn document(broker: &Broker, view: CommandView<'_>) -> CommandDocument {
    let decoded = |type_name: &str, payload: &[u8]| {
        let text = broker.types.payload_to_json(type_name, payload).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    };
    let steps = view.steps().map(|step| StepDocument {
        state: step.state.word(),
        time_unix_ms: step.unix_ms,
        detail: step.detail.to_string(),
        attempt: step.attempt,
        late: step.late,
    });
    CommandDocument {
        command: view.id().to_string(),
        device: view.device().as_str().to_owned(),
        state: view.state().word(),
        percent: view.percent(),
        sender: view.sender().to_string(),
        type_name: view.type_name().to_string(),
        data: decoded(view.type_name(), view.payload()),
        result: decoded(channels::RESULT_TYPE, view.result()),
        request_id: view.request_id().map(|id| id.to_string()),
        accepted_unix_ms: view.accepted_unix_ms(),
        deadline_unix_ms: view.deadline_unix_ms(),
        attempts: view.attempt(),
        detail: view.detail().to_owned(),
        steps: steps.collect(),
        steps_dropped: view.steps_dropped(),
    }
}
