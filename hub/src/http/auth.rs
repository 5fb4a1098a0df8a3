//! Who asks: the bearer token of a request, looked up at the time of use.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::Api;
use super::problem::Problem;
use crate::access::{Identity, TokenHash};

/// A person or a program that may read.
#[derive(Debug)]
pub struct Reader(pub Identity);

/// One that may change things.
#[derive(Debug)]
pub struct Operator(pub Identity);

/// A person or a program that reads for a while: what it reads ends when its token is revoked.
#[derive(Debug)]
pub struct Watcher {
    /// Who.
    pub identity: Identity,
    /// By which token.
    pub token: TokenHash,
}

impl FromRequestParts<Api> for Watcher {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let (identity, token) = credential(parts, api).ok_or_else(Problem::unauthenticated)?;
        if identity.device().is_some() {
            return Err(Problem::not_permitted());
        }
        Ok(Self { identity, token })
    }
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let identity = identity(parts, api).ok_or_else(Problem::unauthenticated)?;
        if identity.device().is_some() { Err(Problem::not_permitted()) } else { Ok(Self(identity)) }
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let identity = identity(parts, api).ok_or_else(Problem::unauthenticated)?;
        if identity.may_manage() { Ok(Self(identity)) } else { Err(Problem::not_permitted()) }
    }
}

fn identity(parts: &Parts, api: &Api) -> Option<Identity> {
    credential(parts, api).map(|(identity, _)| identity)
}

fn credential(parts: &Parts, api: &Api) -> Option<(Identity, TokenHash)> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = scheme.eq_ignore_ascii_case("bearer").then_some(token)?;
    api.broker.identify(token)
}
