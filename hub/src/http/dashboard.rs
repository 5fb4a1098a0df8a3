//! The dashboard: the page at `/` and its files, as the hub was built with (feature `dashboard`; sources in
//! `hub/dashboard`).
//!
//! For everybody, since a page has to be loaded before it can show a token; it holds nothing of the fleet.
//! Files below `/assets` have their hash in their name and never change. All are compressed when the page
//! is built, so serving one costs nothing but the bytes.

use std::borrow::Cow;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::Api;
use super::problem::Problem;
use super::sdk::{is_held, tag_by};

/// What `npm run build` made; empty if it wasn't run before the hub was built.
#[derive(RustEmbed)]
#[folder = "dashboard/dist/page"]
#[allow_missing = true]
struct Page;

const INDEX: &str = "index.html";
const ASSETS: &str = "assets/";
/// The page runs, shows and asks nothing but this hub's own, and pictures for the map where the configuration
/// names a server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; \
     connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     img-src 'self' blob:";
/// A year, as long as a browser may keep anything.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Ways in which files are kept beside the plain one, the smaller first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// `GET /`
pub async fn index(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let mut response = served(INDEX, &headers).ok_or_else(|| {
        Problem::not_found("this hub was built without its dashboard; run `make dashboard` first")
    })?;
    if let Some(tiles) = &api.settings.tiles
        && let Ok(policy) = HeaderValue::from_str(&format!("{POLICY} {}", tiles.origin))
    {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

/// `GET /assets/{path}`
pub async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    served(&format!("{ASSETS}{path}"), &headers).ok_or_else(nothing)
}

/// `GET /lamplighter.svg`
pub async fn icon(headers: HeaderMap) -> Result<Response, Problem> {
    served("lamplighter.svg", &headers).ok_or_else(nothing)
}

fn nothing() -> Problem {
    Problem::not_found("the dashboard has no such file; a newer hub has newer ones, so reload")
}

fn served(path: &str, headers: &HeaderMap) -> Option<Response> {
    let kind = kind_of(path)?;
    let (encoding, file) = chosen(path, headers).or_else(|| Some(("", Page::get(path)?)))?;
    // Made when the hub was built. Each encoding has a tag of its own (RFC 9110, section 8.8.3.3).
    let tag = tag_by(&file.metadata.sha256_hash());
    let caching = if path.starts_with(ASSETS) { FOREVER } else { "no-cache" };
    let mut response = if is_held(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = match file.data {
            Cow::Borrowed(built_in) => Bytes::from_static(built_in),
            Cow::Owned(read) => read.into(),
        };
        let mut found = bytes.into_response();
        if !encoding.is_empty() {
            let encoding = HeaderValue::from_static(encoding);
            found.headers_mut().insert(header::CONTENT_ENCODING, encoding);
        }
        found
    };
    let answer = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, caching),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        answer.insert(name, HeaderValue::from_static(value));
    }
    answer.insert(header::ETAG, HeaderValue::from_str(&tag).ok()?);
    Some(response)
}

/// The smallest form of a file that the asker takes.
fn chosen(path: &str, headers: &HeaderMap) -> Option<(&'static str, EmbeddedFile)> {
    let (encoding, suffix) = ENCODINGS.iter().find(|(encoding, _)| takes(headers, encoding))?;
    Page::get(&format!("{path}{suffix}")).map(|file| (*encoding, file))
}

/// Whether `Accept-Encoding` names this encoding and doesn't refuse it (RFC 9110, section 12.5.3).
fn takes(headers: &HeaderMap, encoding: &str) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut wishes = values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    wishes.any(|wish| {
        let (name, quality) = wish.split_once(';').unwrap_or((wish, "q=1"));
        let quality = quality.trim().trim_start_matches("q=").parse::<f32>().unwrap_or(0.0);
        name.trim().eq_ignore_ascii_case(encoding) && quality > 0.0
    })
}

/// The media type by the name; none for what isn't to be served by itself.
fn kind_of(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "css" => Some("text/css; charset=utf-8"),
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "woff2" => Some("font/woff2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_encoding_is_chosen_if_the_asker_takes_it() {
        for (wish, br, gzip) in [
            ("gzip, deflate, br, zstd", true, true),
            ("gzip;q=0.5, br;q=0", false, true),
            ("identity", false, false),
            ("GZIP", false, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(wish));
            assert_eq!((takes(&headers, "br"), takes(&headers, "gzip")), (br, gzip), "{wish}");
        }
        assert!(!takes(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn compressed_forms_are_no_files_of_their_own() {
        assert_eq!(kind_of("assets/index-1.js.br"), None);
        assert_eq!(kind_of("assets/index"), None);
        assert_eq!(kind_of("assets/index-1.css"), Some("text/css; charset=utf-8"));
    }

    #[test]
    fn whatever_was_built_is_served_with_a_strict_policy_and_assets_for_ever() {
        for path in Page::iter().filter(|path| kind_of(path).is_some()) {
            let response = served(&path, &HeaderMap::new()).expect("it is there");
            let header = |name| response.headers()[name].to_str().expect("text").to_owned();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(!header(header::CONTENT_SECURITY_POLICY).contains("unsafe"));
            assert_eq!(
                header(header::CACHE_CONTROL) == FOREVER,
                path.starts_with(ASSETS),
                "{path}"
            );
            let mut held = HeaderMap::new();
            held.insert(header::IF_NONE_MATCH, response.headers()[header::ETAG].clone());
            let again = served(&path, &held).expect("it is there");
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        }
    }
}
