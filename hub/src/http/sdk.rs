//! The browser's module: `/sdk/lamplighter.js`, its parts and its types, as the hub was built with.
//!
//! For everybody, since a page has to load it before it can show a token. A browser asks each time
//! whether it is still the same (`no-cache`), which its ETag answers in a few bytes.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

const SCRIPT: &str = "text/javascript; charset=utf-8";
/// There is no registered type for it; editors go by the name.
const TYPES: &str = "text/plain; charset=utf-8";
/// Bytes of a hash that are enough to tell versions apart.
const TAG_BYTES: usize = 12;

struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal: $kind:expr),* $(,)?) => {
        &[$(File { name: $name, kind: $kind, text: include_str!(concat!("../../sdk/", $name)) }),*]
    };
}

const FILES: &[File] = files! {
    "lamplighter.js": SCRIPT,
    "lamplighter.d.ts": TYPES,
    "backoff.js": SCRIPT,
    "collection.js": SCRIPT,
    "command.js": SCRIPT,
    "emitter.js": SCRIPT,
    "envelopes.js": SCRIPT,
    "events.js": SCRIPT,
    "http.js": SCRIPT,
    "names.js": SCRIPT,
    "poll.js": SCRIPT,
    "protobuf.js": SCRIPT,
    "reader.js": SCRIPT,
    "socket.js": SCRIPT,
    "subscription.js": SCRIPT,
    "write.js": SCRIPT,
};

/// One a file, in their order.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(tag).collect());

fn tag(file: &File) -> String {
    tag_of(file.text.as_bytes())
}

/// The entity tag of a file that is built in.
fn tag_of(bytes: &[u8]) -> String {
    tag_by(&Sha256::digest(bytes))
}

/// The same, where the hash is known.
pub(super) fn tag_by(hash: &[u8]) -> String {
    format!("\"{}\"", HEXLOWER.encode(&hash[..TAG_BYTES]))
}

/// `GET /sdk/{file}`
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = FILES.iter().zip(TAGS.iter()).find(|(file, _)| file.name == name);
    let (file, tag) = found.ok_or_else(|| Problem::not_found("there is no such module"))?;
    let fixed = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_TYPE, file.kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if is_held(&headers, tag) {
        return Ok((StatusCode::NOT_MODIFIED, fixed).into_response());
    }
    Ok((fixed, file.text).into_response())
}

/// Whether the asker has this version (RFC 9110, section 13.1.2).
pub(super) fn is_held(headers: &HeaderMap, tag: &str) -> bool {
    let held = headers.get_all(header::IF_NONE_MATCH).iter();
    let tags = held.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tags.map(str::trim).any(|held| held == "*" || held.strip_prefix("W/").unwrap_or(held) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_a_module_imports_is_served() {
        for file in FILES.iter().filter(|file| file.kind == SCRIPT) {
            for import in file.text.split("from './").skip(1) {
                let name = import.split('\'').next().unwrap_or_default();
                assert!(FILES.iter().any(|file| file.name == name), "{} wants {name}", file.name);
            }
        }
    }

    #[tokio::test]
    async fn a_browser_that_has_the_version_gets_a_304() {
        let path = || Path("lamplighter.js".to_owned());
        let first = file(path(), HeaderMap::new()).await.expect("served");
        let tag = first.headers()[header::ETAG].clone();
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, tag);
        let second = file(path(), headers).await.expect("served");
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        assert!(file(Path("../secret".to_owned()), HeaderMap::new()).await.is_err());
    }
}
