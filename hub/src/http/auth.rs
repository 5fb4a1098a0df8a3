//! Who asks: the bearer token of a request, looked up at the time of use.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};

use super::Api;
use super::problem::Problem;
use crate::access::Identity;

/// A person or a program that may read.
#[derive(Debug)]
pub struct Reader(pub Identity);

/// One that may change things.
#[derive(Debug)]
pub struct Operator(pub Identity);

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
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    api.broker.identify(bearer(value)?).map(|(identity, _)| identity)
}

/// The token of an `Authorization` header.
pub(super) fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
