//! Who may do what, and why: `/v1/access/explain`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use proto::{ChannelName, DeviceId};
use serde::Deserialize;

use super::Api;
use super::auth::Person;
use super::devices::bad;
use super::problem::Problem;
use crate::access::explain::{self, Explanation};
use crate::access::{Identity, Verb, resource};

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// `me`, `role:<name>`, `token:<id>`, `device:<id>`, or as lists and logs show it: `operator ann`.
    identity: String,
    /// `publish`, `subscribe`, `command` or `manage`.
    verb: String,
    /// A channel; `devices.<id>` for a device as a whole.
    channel: String,
}

/// `GET /v1/access/explain`: needs `manage` on `hub.access`, but for oneself.
pub async fn explain(
    person: Person,
    State(api): State<Api>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Result<Json<Explanation>, Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let own = person.identity();
    if query.identity != "me" {
        person.require(Verb::Manage, resource::ACCESS)?;
    }
    let verb = Verb::of_word(&query.verb)
        .ok_or_else(|| bad("takes publish, subscribe, command or manage").at("verb"))?;
    let channel = ChannelName::parse(&query.channel);
    let channel = channel.map_err(|error| bad(error.to_string()).at("channel"))?;
    let channel = channel.as_str();
    if query.identity == "me" {
        return Ok(Json(explain::of_identity(own, verb, channel)));
    }
    let (kind, name) = query.identity.split_once([':', ' ']).ok_or_else(unknown_form)?;
    let explained = match kind {
        "device" => {
            let id =
                DeviceId::parse(name).map_err(|error| bad(error.to_string()).at("identity"))?;
            explain::of_identity(&Identity::Device(id), verb, channel)
        }
        "token" => {
            let role = api.broker.role_of_token(name).map_err(Problem::from)?;
            explain::of_role(&query.identity, &role, verb, channel)
        }
        "role" => explain::of_role(&query.identity, &*api.broker.role(name)?, verb, channel),
        role => explain::of_role(&query.identity, &*api.broker.role(role)?, verb, channel),
    };
    Ok(Json(explained))
}

fn unknown_form() -> Problem {
    bad("takes me, role:NAME, token:ID, device:ID, or `ROLE NAME`").at("identity")
}
