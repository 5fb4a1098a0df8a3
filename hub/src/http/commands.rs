//! The life of one command: `/v1/commands/{id}`.

use axum::Json;
use axum::extract::{Path, State};
use proto::{CommandId, channels};
use serde_json::{Value, json};

use super::Api;
use super::auth::Person;
use super::problem::Problem;
use crate::broker::Broker;
use crate::ledger::CommandView;

/// `GET /v1/commands/{id}`: needs `subscribe` on the device's `commands`.
pub async fn one(
    person: Person,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let unknown =
        || Problem::not_found("the hub knows no such command; it may be forgotten").at("id");
    let id = CommandId::parse(&id).map_err(|_| unknown())?;
    let found = api.broker.with_command(&id, |view| {
        let channel = channels::COMMANDS.of(view.device());
        // Who may not see it isn't told that it exists.
        let may_see = person.identity().may_see(channel.as_str());
        may_see.then(|| document(&api.broker, view))
    });
    found.flatten().map(Json).ok_or_else(unknown)
}

fn document(broker: &Broker, view: CommandView<'_>) -> Value {
    let steps: Vec<Value> = view
        .steps()
        .map(|step| {
            json!({
                "state": step.state.word(),
                "time_unix_ms": step.unix_ms,
                "detail": &*step.detail,
                "attempt": step.attempt,
                "late": step.late,
            })
        })
        .collect();
    let decoded = |type_name: &str, payload: &[u8]| {
        let text = broker.types.payload_to_json(type_name, payload).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    };
    json!({
        "command": view.id().to_string(),
        "device": view.device().as_str(),
        "state": view.state().word(),
        "percent": view.percent(),
        "sender": &**view.sender(),
        "type": &**view.type_name(),
        "data": decoded(view.type_name(), view.payload()),
        "result": decoded(channels::RESULT_TYPE, view.result()),
        "request_id": view.request_id().map(|id| &**id),
        "accepted_unix_ms": view.accepted_unix_ms(),
        "deadline_unix_ms": view.deadline_unix_ms(),
        "attempts": view.attempt(),
        "detail": view.detail(),
        "steps": steps,
        "steps_dropped": view.steps_dropped(),
    })
}
