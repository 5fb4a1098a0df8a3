//! The HTTP side of a hub, asked with a bearer token.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::deadline::{PATIENCE, within};
use crate::{Hub, Via};

/// A client with one credential.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    base: String,
    token: String,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 201, 404, …
    pub status: u16,
    /// The entity tag with its quotes; empty without one.
    pub etag: String,
    /// The whole body.
    pub body: String,
}

impl Answer {
    /// The body, which has to be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

impl Http {
    /// As whoever has this token; without one if it is empty.
    pub fn new(hub: &Hub, token: &str) -> Self {
        let builder = Client::builder();
        let (builder, base) = match Via::of(hub) {
            Via::Plain(address) => {
                // Never used, but the library wants an idea of TLS.
                let config = crate::stream::trusting(&hub.dev_file("ca.pem"));
                (builder.tls_backend_preconfigured(config), format!("http://{address}"))
            }
            Via::Tls(address, config) => {
                let config = rustls::ClientConfig::clone(&config);
                (builder.tls_backend_preconfigured(config), format!("https://{address}"))
            }
        };
        let client = builder.no_proxy().build().expect("a client");
        Self { client, base, token: token.to_owned() }
    }

    /// Scheme, host and port.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// POST of a body of another kind.
    pub async fn post_bytes(&self, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        self.send_bytes("POST", path, kind, &[], body).await
    }

    /// Any method with a body of this kind and further headers.
    pub async fn send_bytes(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.request(method, path).header("Content-Type", kind).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        finish(path, request).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, None).await
    }

    /// GET with further headers; the answer's head has come, its body is taken by the test.
    pub async fn open(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = self.request(Method::GET, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        within(PATIENCE, path, request.send()).await.expect("the hub answers over HTTP")
    }

    /// Any method with any headers, and a body of JSON if it isn't `null`.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.body(body.to_string());
            if !headers.iter().any(|(name, _)| *name == "content-type") {
                request = request.header("content-type", "application/json");
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        finish(path, request).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.request(method, path);
        finish(path, if let Some(body) = body { request.json(body) } else { request }).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }
}

async fn finish(path: &str, request: RequestBuilder) -> Answer {
    let answer = async {
        let response = request.send().await.expect("the hub answers over HTTP");
        let status = response.status().as_u16();
        let etag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
        let etag = etag.unwrap_or_default().to_owned();
        Answer { status, etag, body: response.text().await.expect("a body of text") }
    };
    within(PATIENCE, path, answer).await
}
