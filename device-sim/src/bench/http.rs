//! Requests over the hub's plain listener that a bench times or reads itself, as bytes.

use std::sync::Arc;

use reqwest::{Client, Response, Url};

use super::Bench;
use crate::hub::HubError;

/// A client of its own connections, HTTP/1.1. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    base: String,
    token: Arc<str>,
}

impl Http {
    /// For the hub of the bench, which listens there without TLS. Without a time limit: a stream has none.
    ///
    /// # Errors
    /// The HTTP library can't be used.
    pub(super) fn new(bench: &Bench) -> Result<Self, HubError> {
        let client = Client::builder().no_proxy().http1_only().build()?;
        let base = format!("http://{}", bench.hub.target().address());
        Ok(Self { client, base, token: bench.hub.token().into() })
    }

    /// `GET`; returns as soon as the head of the answer is here.
    ///
    /// # Errors
    /// The hub can't be reached, or refuses.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Response, HubError> {
        let url = Url::parse_with_params(&format!("{}{path}", self.base), query)
            .map_err(|error| HubError::Answer(error.to_string()))?;
        let response = self.client.get(url).bearer_auth(&self.token).send().await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let problem: serde_json::Value = response.json().await.unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no reason given").to_owned();
        Err(HubError::Refused { what: path.to_owned(), status, detail })
    }
}
