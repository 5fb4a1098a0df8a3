//! The HTTP side of the one port: health, metrics, and what operators manage.
//!
//! Resources are JSON; errors are problems (RFC 9457) with the code of the protocol and the field that
//! is wrong. Everything below `/v1` needs a bearer token (RFC 6750); reading is for every person,
//! changing for operators.
//!
//! Read [`auth`], then [`problem`] and [`negotiate`], then the resources: [`devices`], [`twin`],
//! [`commands`], [`tokens`], [`schemas`], [`health`].

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};

use crate::broker::Broker;

pub mod auth;
pub mod commands;
pub mod devices;
pub mod health;
pub mod negotiate;
pub mod problem;
pub mod schemas;
pub mod tokens;
pub mod twin;

/// Bytes of a request's body: a thousand devices with their labels.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Api {
    /// The hub's heart.
    pub broker: Arc<Broker>,
    /// Whether the hub takes work.
    pub ready: Arc<AtomicBool>,
}

/// All routes but the WebSocket's.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/v1/devices", get(devices::list).post(devices::add))
        .route("/v1/devices/{id}", get(devices::one).delete(devices::remove))
        .route("/v1/devices/{id}/twin", get(twin::of_device))
        .route("/v1/commands/{id}", get(commands::one))
        .route("/v1/schemas", post(schemas::add).get(schemas::list))
        .route("/v1/schemas/{name}", get(schemas::one).delete(schemas::remove))
        .route("/v1/tokens", post(tokens::issue).get(tokens::list))
        .route("/v1/tokens/{id}", delete(tokens::revoke))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}
