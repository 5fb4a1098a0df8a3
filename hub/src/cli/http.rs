//! Questions to the hub that have one answer: REST over the same host, port and trust as the
//! socket.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

use super::client::{TLS_HINT, authority};
use super::connect::{Target, Token, tls_without_trust};
use super::exit::Failure;
use super::fields::{error_code, word};
use super::selector::Selector;

/// From dialling to the last byte.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// The same for a long answer.
const DOWNLOAD_MAX: Duration = Duration::from_secs(3600);
/// Bytes of an answer; a page of 1,000 devices is far below.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Devices a page.
const PAGE: u32 = 500;

/// The hub's HTTP side.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: Client,
    base: String,
    token: Token,
    host: String,
}

impl Http {
    /// Makes no connection yet.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let tls = target.tls.as_deref().cloned().unwrap_or_else(tls_without_trust);
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(REQUEST_MAX)
            // A token that follows a redirection has left its hub.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .build()
            .map_err(|error| Failure::Unreachable(format!("HTTP can't be set up: {error}")))?;
        let scheme = if target.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", authority(target));
        Ok(Self { client, base, token: target.token.clone(), host: authority(target) })
    }

    /// `GET`; `path` has no text in it that needs escaping.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.answer(self.request(Method::GET, path)).await
    }

    /// `POST` of a JSON document.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.answer(self.request(Method::POST, path).json(body)).await
    }

    /// `POST` of an encoded message.
    pub(crate) async fn post_protobuf(&self, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let request = self.request(Method::POST, path);
        let kind = (reqwest::header::CONTENT_TYPE, "application/x-protobuf");
        self.answer(request.header(kind.0, kind.1).body(body)).await
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.answer(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// Status and body of an answer that isn't always JSON.
    pub(crate) async fn probe(&self, path: &str) -> Result<(u16, String), Failure> {
        let response = self.call(self.request(Method::GET, path)).await?;
        let status = response.status().as_u16();
        let body = self.body(response).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// `GET` of a long answer, piece by piece.
    pub(crate) async fn download(
        &self,
        path: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let request = self.request(Method::GET, path).timeout(DOWNLOAD_MAX);
        let mut response = self.call(request).await?;
        let status = response.status();
        if !status.is_success() {
            let body = self.body(response).await?;
            let parsed = serde_json::from_slice::<Value>(&body);
            return Err(problem(status.as_u16(), &parsed.unwrap_or(Value::Null)));
        }
        let broken = |error| Failure::Unreachable(format!("{}: {}", self.host, innermost(&error)));
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            take(&piece)?;
        }
        Ok(())
    }

    /// All devices that a selector picks, page by page; `None` picks all.
    pub(crate) async fn devices(&self, selector: Option<&Selector>) -> Result<Vec<Value>, Failure> {
        let mut devices = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut path = format!("/v1/devices?limit={PAGE}");
            if let Some(selector) = selector {
                path.push_str(&format!("&where={}", escape(selector.as_str())));
            }
            if !cursor.is_empty() {
                path.push_str(&format!("&cursor={}", escape(&cursor)));
            }
            let mut page = self.get(&path).await?;
            if let Some(Value::Array(found)) = page.get_mut("devices").map(Value::take) {
                devices.extend(found);
            }
            let next = word(&page, "next");
            // A cursor that stands still would never end.
            if next.is_empty() || next == cursor {
                return Ok(devices);
            }
            cursor = next.to_owned();
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match self.token.secret() {
            "" => request,
            secret => request.bearer_auth(secret),
        }
    }

    async fn call(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().await.map_err(|error| {
            let cause = innermost(&error);
            let hint = if error.is_connect() && cause.contains("certificate") {
                TLS_HINT
            } else {
                "is the hub running?"
            };
            Failure::Unreachable(format!("{}: {cause}; {hint}", self.host))
        })
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let response = self.call(request).await?;
        let status = response.status();
        let body = self.body(response).await?;
        let parsed = serde_json::from_slice::<Value>(&body);
        if !status.is_success() {
            return Err(problem(status.as_u16(), &parsed.unwrap_or(Value::Null)));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        parsed.map_err(|error| Failure::Unreachable(format!("{}: no JSON: {error}", self.host)))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let broken = |why: String| Failure::Unreachable(format!("{}: {why}", self.host));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(innermost(&error)))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(broken("the answer is too long".to_owned()));
            }
        }
        Ok(body)
    }
}

/// The failure that a problem document (RFC 9457) stands for.
fn problem(status: u16, problem: &Value) -> Failure {
    let detail = [word(problem, "detail"), word(problem, "title")];
    let said = detail.into_iter().find(|text| !text.is_empty());
    let said = said.map_or_else(|| format!("the hub answered {status}"), str::to_owned);
    let field = word(problem, "field");
    let text = if field.is_empty() { said } else { format!("{field}: {said}") };
    // The word says more than the number: LIMIT and CONFLICT are both 409.
    match error_code(problem) {
        Some(code) => Failure::from_error_code(Some(code), text),
        None => Failure::from_status(status, text),
    }
}

/// The last cause: the outer ones only say that something failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Escapes a part of a URL (RFC 3986): all but what never needs it.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_names_the_field_and_has_the_code_of_its_status() {
        let document = json!({"title": "Bad Request", "detail": "not an id", "field": "id"});
        let failure = problem(400, &document);
        assert_eq!((failure.to_string().as_str(), failure.code()), ("id: not an id", 5));
        assert_eq!(problem(404, &Value::Null).to_string(), "the hub answered 404");
    }

    #[test]
    fn text_cannot_leave_its_part_of_a_url() {
        assert_eq!(escape("street=Queen St&x=/é"), "street%3DQueen%20St%26x%3D%2F%C3%A9");
    }
}
