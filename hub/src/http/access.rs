//! Who may do what, and why: `/v1/access/explain`.

use axum::Json;
use axum::extract::State;
use proto::{ChannelName, DeviceId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::auth::Person;
use super::devices::bad;
use super::problem::Problem;
use super::query::Params;
use crate::access::explain::{self, Explanation};
use crate::access::{Identity, Verb, resource};

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// `me`, `role:<name>`, `token:<id>`, `device:<id>`, or as lists and logs show it: `operator ann`.
    identity: String,
    /// `publish`, `subscribe`, `command` or `manage`.
    #[param(pattern = "^(publish|subscribe|command|manage)$")]
    verb: String,
    /// A channel; `devices.<id>` for a device as a whole.
    channel: String,
}

/// Explain whether an identity may do something, by which role and grant. Needs `manage` on `hub.access`,
/// but for oneself.
#[utoipa::path(get, path = "/v1/access/explain", tag = "tokens", params(ExplainQuery),
    responses((status = 200, description = "the answer and why", body = Explanation)))]
pub async fn explain(
    person: Person,
    State(api): State<Api>,
    Params(query): Params<ExplainQuery>,
) -> Result<Json<Explanation>, Problem> {
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
