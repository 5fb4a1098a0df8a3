//! The hub that a run is about: its address, trust, token, and its HTTP side.

use std::sync::Arc;
use std::time::Duration;

use firmware_client::driver::{HostConfig, UrlError, tls_config};
use reqwest::StatusCode;
use rustls::ClientConfig;
use serde_json::Value;

use crate::args::HubSettings;
use crate::link::{LinkError, Target};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything needed to reach a hub. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    url: Arc<str>,
    http_base: Arc<str>,
    token: Arc<str>,
    tls: Option<Arc<ClientConfig>>,
    http: reqwest::Client,
    target: Target,
}

/// Why the hub can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A file is needed and can't be read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// The address is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// `wss` without something to trust.
    #[error("`wss` needs --ca-file, the certificates to trust")]
    NoRoots,
    /// Nothing that says who we are.
    #[error("--token-file is missing, a file with an operator's token")]
    NoToken,
    /// The certificates can't be used.
    #[error(transparent)]
    Tls(#[from] firmware_client::driver::TlsError),
    /// The socket.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// HTTP itself.
    #[error("{}", innermost(.0))]
    Http(#[from] reqwest::Error),
    /// The hub refused a request.
    #[error("the hub answered {status} to {what}: {detail}")]
    Refused {
        /// What was asked.
        what: String,
        /// Its status.
        status: u16,
        /// Its words.
        detail: String,
    },
    /// The answer is not what the API promises.
    #[error("the hub's answer to {0} can't be read")]
    Answer(String),
}

impl Hub {
    /// Reads the files that the settings name, and resolves the address.
    ///
    /// # Errors
    /// Says which setting can't be used.
    pub async fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let read = |path: &std::path::Path| {
            std::fs::read(path)
                .map_err(|error| HubError::File { path: path.display().to_string(), error })
        };
        let url = settings.hub.trim_end_matches('/');
        let token = read(settings.token_file.as_deref().ok_or(HubError::NoToken)?)?;
        let token: Arc<str> = String::from_utf8_lossy(&token).trim().into();
        let tls = match (url.starts_with("wss://"), &settings.ca_file) {
            (false, _) => None,
            (true, None) => return Err(HubError::NoRoots),
            (true, Some(path)) => Some(tls_config(&read(path)?, None)?),
        };
        // The HTTP library wants a provider for the process even where it speaks no TLS; whichever was
        // installed first is the same one.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let mut http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only();
        if let Some(tls) = &tls {
            http = http.tls_backend_preconfigured(tls.as_ref().clone());
        }
        Ok(Self {
            url: url.into(),
            http_base: url.replacen("ws", "http", 1).into(),
            token,
            target: Target::new(url, tls.clone()).await?,
            tls,
            http: http.build()?,
        })
    }

    /// For bare connections.
    pub fn target(&self) -> Target {
        self.target.clone()
    }

    /// The operator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// For the firmware's driver.
    ///
    /// # Errors
    /// The address is none.
    pub fn host(&self) -> Result<HostConfig, HubError> {
        Ok(HostConfig::new(&self.url, self.tls.clone())?)
    }

    /// `POST` of a JSON document.
    ///
    /// # Errors
    /// The hub can't be reached, or refuses.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, HubError> {
        let request = self.http.post(format!("{}{path}", self.http_base)).json(body);
        self.answer(path, request).await?.ok_or_else(|| HubError::Answer(path.to_owned()))
    }

    /// `PUT` of a JSON document.
    ///
    /// # Errors
    /// The hub can't be reached, or refuses.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, HubError> {
        let request = self.http.put(format!("{}{path}", self.http_base)).json(body);
        self.answer(path, request).await?.ok_or_else(|| HubError::Answer(path.to_owned()))
    }

    /// `GET`; nothing if the hub doesn't know it.
    ///
    /// # Errors
    /// The hub can't be reached, or refuses.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, HubError> {
        self.answer(path, self.http.get(format!("{}{path}", self.http_base))).await
    }

    /// What the hub counts, as it stands on `/metrics`.
    ///
    /// # Errors
    /// The hub can't be reached.
    pub async fn metrics(&self) -> Result<String, HubError> {
        let response = self.http.get(format!("{}/metrics", self.http_base)).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    async fn answer(
        &self,
        what: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Option<Value>, HubError> {
        let response = request.bearer_auth(&self.token).send().await?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body = response.bytes().await?;
        let parsed = serde_json::from_slice::<Value>(&body);
        if !status.is_success() {
            let detail =
                parsed.ok().and_then(|problem| problem["detail"].as_str().map(str::to_owned));
            let detail = detail.unwrap_or_else(|| "no reason given".to_owned());
            return Err(HubError::Refused {
                what: what.to_owned(),
                status: status.as_u16(),
                detail,
            });
        }
        parsed.map(Some).map_err(|_| HubError::Answer(what.to_owned()))
    }
}

/// The cause at the bottom: the layers above only say that something failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    format!("{}: {cause}", error.url().map_or("the hub", |url| url.path()))
}
