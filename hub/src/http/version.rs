//! Versions of resources: strong entity tags, and what a request demands of them (RFC 9110, sections
//! 8.8.3 and 13).
//!
//! A resource's tag is its revision. Where its document is put together from two things that change by
//! themselves, it is both revisions.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use headers::{ETag, HeaderMapExt as _, IfMatch, IfNoneMatch};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Api;
use super::devices::bad;
use super::problem::Problem;

/// For what changes at any moment: a cache may keep it, and asks before it shows it.
pub const REVALIDATE: &str = "private, no-cache";
/// For what nobody is to keep.
pub const NEVER: &str = "no-store";

/// The version of one state of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// By one revision.
    pub fn of(revision: u64) -> Self {
        Self(revision.to_string())
    }

    /// By the hash of what it is, in hexadecimal.
    pub fn of_hash(hash: &str) -> Self {
        Self(hash.to_owned())
    }

    /// By two.
    pub fn of_both(one: u64, other: u64) -> Self {
        Self(format!("{one}-{other}"))
    }

    /// By what is in the document, where it has no revision of its own.
    ///
    /// # Panics
    /// The document has no JSON: a mistake in its type.
    pub fn of_content(document: &impl Serialize) -> Self {
        let text = serde_json::to_vec(document).expect("a document has JSON");
        let digest = Sha256::digest(text);
        Self(HEXLOWER.encode(&digest[..16]))
    }

    /// Of the same state in another encoding, which has a tag of its own.
    #[must_use]
    pub fn encoded(&self, encoding: &str) -> Self {
        Self(format!("{}.{encoding}", self.0))
    }

    /// As a header's value, in its quotes.
    ///
    /// # Panics
    /// Never: digits, letters and a hyphen are legal in a tag.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&format!("\"{}\"", self.0)).expect("a tag of legal characters")
    }

    fn tag(&self) -> ETag {
        format!("\"{}\"", self.0).parse().expect("a tag of legal characters")
    }
}

/// What a request demands of the version that it meets.
#[derive(Debug, Default)]
pub struct Conditions {
    matches: Option<IfMatch>,
    matches_none: Option<IfNoneMatch>,
}

impl FromRequestParts<Api> for Conditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Self::read(&parts.headers)
    }
}

impl Conditions {
    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        check(headers, &header::IF_MATCH, "If-Match")?;
        check(headers, &header::IF_NONE_MATCH, "If-None-Match")?;
        Ok(Self { matches: headers.typed_get(), matches_none: headers.typed_get() })
    }

    /// Whether there is any condition.
    pub fn is_none(&self) -> bool {
        self.matches.is_none() && self.matches_none.is_none()
    }

    /// Whether whoever reads has this version already.
    pub fn has(&self, version: &Version) -> bool {
        self.matches_none.as_ref().is_some_and(|tags| !tags.precondition_passes(&version.tag()))
    }

    /// Whether a change may go on, on a resource in this version; `None` if there is no such resource.
    pub fn allow(&self, current: Option<&Version>) -> bool {
        let matches = self.matches.as_ref().is_none_or(|tags| {
            current.is_some_and(|current| tags.is_any() || tags.precondition_passes(&current.tag()))
        });
        matches && current.is_none_or(|current| !self.has(current))
    }
}

/// The library takes any text for a tag that matches nothing; who forgot the quotes is told.
fn check(headers: &HeaderMap, name: &HeaderName, shown: &'static str) -> Result<(), Problem> {
    let is_tag = |tag: &str| tag.starts_with('"') || tag.starts_with("W/\"") || tag == "*";
    for value in headers.get_all(name) {
        let text = value.to_str().unwrap_or_default();
        if !text.split(',').next().is_some_and(|first| is_tag(first.trim())) {
            let detail = "is no list of entity tags; write \"tag\", with its quotes";
            return Err(bad(detail).at(shown));
        }
    }
    Ok(())
}

/// The answer to a reader: the document with its version, or 304 if the reader has it.
pub fn answer(conditions: &Conditions, version: &Version, document: &impl Serialize) -> Response {
    let mut response = if conditions.has(version) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(document).into_response()
    };
    mark(&mut response, version);
    response
}

/// Puts version and caching into a response.
pub fn mark(response: &mut Response, version: &Version) {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, version.header());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(REVALIDATE));
    // What is shown depends on who asks, and in which encoding.
    headers.insert(header::VARY, HeaderValue::from_static("authorization, accept"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(headers: &[(header::HeaderName, &str)]) -> Result<Conditions, Problem> {
        let pairs = headers.iter().map(|(name, value)| {
            (name.clone(), HeaderValue::from_str(value).expect("a header's value"))
        });
        Conditions::read(&pairs.collect())
    }

    #[test]
    fn a_reader_that_has_the_version_is_told_so() {
        for (tags, known) in
            [("\"7\"", true), ("\"6\", \"7\"", true), ("*", true), ("\"6\"", false)]
        {
            let conditions = conditions(&[(header::IF_NONE_MATCH, tags)]).expect("tags");
            assert_eq!(conditions.has(&Version::of(7)), known, "{tags}");
        }
        assert!(!Conditions::default().has(&Version::of(7)));
    }

    #[test]
    fn a_change_meets_the_version_that_it_was_made_for() {
        let current = Version::of_both(7, 2);
        for (name, tags, there, absent) in [
            (header::IF_MATCH, "\"7-2\"", true, false),
            (header::IF_MATCH, "\"7-1\"", false, false),
            (header::IF_MATCH, "W/\"7-2\"", false, false),
            (header::IF_MATCH, "*", true, false),
            (header::IF_NONE_MATCH, "*", false, true),
        ] {
            let conditions = conditions(&[(name.clone(), tags)]).expect("tags");
            assert_eq!(conditions.allow(Some(&current)), there, "{name}: {tags}");
            assert_eq!(conditions.allow(None), absent, "{name}: {tags}, absent");
        }
        assert!(Conditions::default().allow(Some(&current)) && Conditions::default().allow(None));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        assert!(conditions(&[(header::IF_MATCH, "7")]).is_err());
    }
}
