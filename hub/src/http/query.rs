//! The query of a request: each parameter once, none that isn't known.

use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::devices::bad;
use super::problem::Problem;

/// What stands after the question mark.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        let Query(query) = read.map_err(|error| bad(error.body_text()).at("query"))?;
        Ok(Self(query))
    }
}
