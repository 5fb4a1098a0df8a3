//! The description of the HTTP side, made from its code: OpenAPI 3.1, and a page to read it.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};
use utoipa_swagger_ui::SwaggerUi;

use super::problem::{PROBLEM_JSON, ProblemDocument};

/// Where the description is.
pub const OPENAPI_PATH: &str = "/v1/openapi.json";
const PAGE_PATH: &str = "/docs";
const BEARER: &str = "bearer";

/// Ways in which any request may be refused, and what each means.
const REFUSALS: &[(&str, &str)] = &[
    ("400", "the request makes no sense; the field is named"),
    ("401", "no token of this hub"),
    ("403", "this identity may not do that"),
    ("404", "there is no such thing"),
    ("406", "not to be had in this media type"),
    ("409", "it stands against what there is, or a limit is reached"),
    ("412", "the version is not the current one, which comes with the answer"),
    ("413", "too long"),
    ("415", "not in this media type"),
    ("421", "the hub has another name"),
    ("428", "the request has to name the version that it changes"),
    ("429", "too many requests"),
    ("503", "not now"),
];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Lamplighter",
        description = "The hub between a city's street lamps and the people who run them. 64-bit \
                       numbers are text. Times are ms since 1970, UTC.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "devices", description = "The registry, and all that is known of each device"),
        (name = "channels", description = "Last values, histories, publishing"),
        (name = "light", description = "What lamps should show, and why: layers"),
        (name = "commands", description = "Requests to devices, each with one life"),
        (name = "sessions", description = "Who is connected"),
        (name = "tokens", description = "Credentials of people and programs"),
        (name = "schemas", description = "Types of payloads that operators add"),
        (name = "hub", description = "The hub itself")
    ),
    components(schemas(ProblemDocument)),
    security(("bearer" = [])),
    modifiers(&Common)
)]
struct Described;

/// What all operations share.
struct Common;

impl Modify for Common {
    fn modify(&self, openapi: &mut OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme(BEARER, scheme);
    }
}

/// The description before any operation is in it.
pub fn base() -> OpenApi {
    Described::openapi()
}

/// Adds to every operation the ways in which it may be refused.
pub fn complete(mut openapi: OpenApi) -> OpenApi {
    for item in openapi.paths.paths.values_mut() {
        for operation in operations(item) {
            for (status, meaning) in REFUSALS {
                let schema = Ref::from_schema_name("Problem");
                let content = ContentBuilder::new().schema(Some(schema)).build();
                let response =
                    ResponseBuilder::new().description(*meaning).content(PROBLEM_JSON, content);
                let responses = &mut operation.responses.responses;
                responses.entry((*status).to_owned()).or_insert_with(|| response.build().into());
            }
            // Said before the hub has seen a request, so that there is no document.
            let too_long = ResponseBuilder::new().description("path and headers are too long");
            let responses = &mut operation.responses.responses;
            responses.entry("431".to_owned()).or_insert_with(|| too_long.build().into());
        }
    }
    openapi
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().filter_map(Option::as_mut)
}

/// The description as a document, and the page that shows it.
pub fn routes<S: Clone + Send + Sync + 'static>(openapi: &OpenApi) -> Router<S> {
    let text = openapi.to_json().expect("a description of text has JSON");
    let page = SwaggerUi::new(PAGE_PATH)
        .config(utoipa_swagger_ui::Config::from(OPENAPI_PATH).try_it_out_enabled(true));
    Router::new()
        .route(OPENAPI_PATH, axum::routing::get(move || described(text.clone())))
        .merge(Router::from(page).layer(axum::middleware::map_response(guarded)))
}

async fn described(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The page runs nothing but its own files.
async fn guarded(mut response: Response) -> Response {
    let policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                  frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
