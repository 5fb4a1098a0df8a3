//! Who asks: the bearer token of a request, looked up at the time of use, and what it may do.
//!
//! A handler takes [`Person`] and asks for the verb and the name that it acts on. [`Reader`] and
//! [`Operator`] are for what concerns everything at once: they let nobody in whose role has a part only.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};

use super::Api;
use super::problem::Problem;
use crate::access::{Admission, Identity, Verb};
use crate::clock::Now;

/// A person or a program that is known. What it may do is still to be asked.
#[derive(Debug)]
pub struct Person(pub Admission);

/// One that may see everything.
#[derive(Debug)]
pub struct Reader(pub Identity);

/// One that may change everything.
#[derive(Debug)]
pub struct Operator(pub Identity);

impl Person {
    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Lets it go on if it may do this on the channel or thing of this name.
    ///
    /// # Errors
    /// It may not; says what it would need.
    pub fn require(&self, verb: Verb, name: &str) -> Result<(), Problem> {
        if self.identity().may(verb, name) {
            return Ok(());
        }
        Err(Problem::not_permitted(self.identity(), verb, name))
    }
}

impl FromRequestParts<Api> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let admission = admission(parts, api).ok_or_else(Problem::unauthenticated)?;
        if admission.identity.device().is_some() {
            return Err(Problem::for_people_only());
        }
        Ok(Self(admission))
    }
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        everything(parts, api, Verb::Subscribe).await.map(Self)
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        everything(parts, api, Verb::Manage).await.map(Self)
    }
}

async fn everything(parts: &mut Parts, api: &Api, verb: Verb) -> Result<Identity, Problem> {
    let Person(Admission { identity, .. }) = Person::from_request_parts(parts, api).await?;
    if !identity.may_all(verb) {
        return Err(Problem::not_permitted(&identity, verb, ">"));
    }
    Ok(identity)
}

fn admission(parts: &Parts, api: &Api) -> Option<Admission> {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    api.broker.identify(Now::read(), bearer(value)?).ok()
}

/// The token of an `Authorization` header.
pub(super) fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
