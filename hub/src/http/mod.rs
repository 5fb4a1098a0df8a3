//! The HTTP side of the one port: everything that may be done with the hub beside the socket, as
//! resources, and health.
//!
//! Resources are JSON with a strong entity tag; errors are problems (RFC 9457) with the code of the
//! protocol and the field that is wrong. Everything below `/v1` needs a bearer token (RFC 6750), and a role
//! that grants what is asked, but the description itself, [`openapi`], which is made from these handlers.
//!
//! Read [`origin`], [`auth`], [`problem`], [`version`], [`body`] and [`accept`], then the resources: [`devices`] and
//! [`device`], [`twin`], [`light`], [`overrides`], [`profiles`], [`channels`], [`timeline`], [`series`], [`commands`], [`fleet_commands`], [`sessions`], [`tokens`],
//! [`access`], [`schemas`], [`audit`], [`export`], [`settings`], [`health`]; then [`readers`] for what
//! stays open, and [`sdk`] and `dashboard`, which are files.

#![allow(unused_qualifications, reason = "the macros that describe the handlers write whole paths")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::broker::Broker;

pub mod accept;
pub mod audit;
pub mod auth;
pub mod body;
pub mod origin;
pub mod problem;
pub mod query;
mod strict;
pub mod version;
mod walk;

pub mod access;
pub mod certificates;
pub mod channels;
pub mod commands;
#[cfg(feature = "dashboard")]
pub mod dashboard;
pub mod device;
pub mod devices;
pub mod export;
mod fields;
pub mod fleet_commands;
pub mod health;
pub mod light;
pub mod overrides;
pub mod profiles;
pub mod readers;
pub mod schemas;
pub mod sdk;
pub mod series;
pub mod sessions;
pub mod settings;
pub mod timeline;
pub mod tokens;
pub mod twin;
pub mod value;

pub mod openapi;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Api {
    /// The hub's heart.
    pub broker: Arc<Broker>,
    /// Whether the hub takes work.
    pub ready: Arc<AtomicBool>,
    /// Streams and waiting requests.
    pub readers: Arc<readers::Readers>,
    /// The configuration in force.
    pub settings: Arc<settings::Settings>,
}

/// All routes but the WebSocket's.
pub fn router(api: Api) -> Router {
    let (described, openapi) = resources().split_for_parts();
    let described = described.method_not_allowed_fallback(problem::no_method);
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/sdk/{file}", get(sdk::file))
        .merge(page())
        .merge(described)
        .merge(openapi::routes(&openapi::complete(openapi)))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(DefaultBodyLimit::max(body::BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(api.clone(), origin::guard))
        .layer(axum::middleware::from_fn_with_state(api.clone(), audit::refusals))
        .with_state(api)
}

/// The dashboard.
#[cfg(feature = "dashboard")]
fn page() -> Router<Api> {
    Router::new()
        .route("/", get(dashboard::index))
        .route("/assets/{*path}", get(dashboard::asset))
        .route("/lamplighter.svg", get(dashboard::icon))
}

/// A hub that was built without it.
#[cfg(not(feature = "dashboard"))]
fn page() -> Router<Api> {
    Router::new()
}

/// Everything that the description shows.
fn resources() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(devices::list, devices::add))
        .routes(routes!(devices::one, devices::remove, device::put, device::patch))
        .routes(routes!(certificates::list))
        .routes(routes!(certificates::revoke))
        .routes(routes!(certificates::of_device, certificates::pin))
        .routes(routes!(twin::of_device))
        .routes(routes!(light::of_device))
        .routes(routes!(overrides::one, overrides::put, overrides::end))
        .routes(routes!(profiles::list))
        .routes(routes!(profiles::one, profiles::put, profiles::patch, profiles::remove))
        .routes(routes!(channels::list))
        .routes(routes!(channels::one, channels::put, channels::patch))
        .routes(routes!(channels::history))
        .routes(routes!(readers::events::stream))
        .routes(routes!(readers::poll::poll))
        .routes(routes!(commands::list, commands::send))
        .routes(routes!(commands::one, commands::cancel))
        .routes(routes!(timeline::of_device))
        .routes(routes!(series::of_device))
        .routes(routes!(series::totals))
        .routes(routes!(fleet_commands::list, fleet_commands::create))
        .routes(routes!(fleet_commands::one, fleet_commands::cancel))
        .routes(routes!(fleet_commands::targets))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::disconnect))
        .routes(routes!(tokens::list, tokens::issue))
        .routes(routes!(tokens::revoke))
        .routes(routes!(access::explain))
        .routes(routes!(schemas::list, schemas::add))
        .routes(routes!(schemas::one, schemas::remove))
        .routes(routes!(audit::list))
        .routes(routes!(export::all))
        .routes(routes!(settings::config))
        .routes(routes!(settings::dashboard))
}
