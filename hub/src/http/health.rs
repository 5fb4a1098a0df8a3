//! Whether the hub lives, whether it takes work, and what it counts.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::Api;
use crate::clock::Now;

/// `GET /healthz`: the process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: it takes work. Not while it drains, nor when the store is stuck.
pub async fn ready(State(api): State<Api>) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let ready = api.ready.load(Ordering::Relaxed) && api.broker.is_healthy(Now::read());
    if !ready {
        let body = Json(json!({ "status": "not ready", "version": version }));
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    // Values that are still loading are read when they are asked for; it only takes longer.
    let is_loading = api.broker.is_loading();
    Json(json!({ "status": "ready", "version": version, "values_loading": is_loading }))
        .into_response()
}

/// `GET /metrics` in the OpenMetrics text format.
pub async fn metrics(State(api): State<Api>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], api.broker.metrics_page()).into_response()
}
