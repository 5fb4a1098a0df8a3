//! From keys to what the dashboard shows beside the fleet.

use axum::http::Uri;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::check::wrong;
use crate::http::settings::Tiles;

/// Characters of a URL, of an attribution.
const URL_CHARS_MAX: usize = 2_048;
const ATTRIBUTION_CHARS_MAX: usize = 256;
/// What a browser fills in; each has to stand in the URL.
const PLACEHOLDERS: [&str; 3] = ["{z}", "{x}", "{y}"];

/// What the dashboard shows beside the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dashboard {
    /// Pictures below the lamps, as in `https://tiles.city.example/{z}/{x}/{y}.png`; empty: none.
    pub tiles_url: String,
    /// Whose pictures these are, as their licence wants it.
    pub tiles_attribution: String,
}

/// The tiles of these keys; none if there is no URL.
///
/// # Errors
/// Names the key, and what a URL has to be like.
pub fn tiles(keys: &Dashboard) -> Result<Option<Tiles>, ConfigError> {
    let Dashboard { tiles_url: url, tiles_attribution: attribution } = keys;
    if url.is_empty() {
        return match attribution.as_str() {
            "" => Ok(None),
            _ => wrong("dashboard.tiles_attribution", "is for dashboard.tiles_url, which is empty"),
        };
    }
    if attribution.chars().count() > ATTRIBUTION_CHARS_MAX {
        let problem = format!("has over {ATTRIBUTION_CHARS_MAX} characters");
        return wrong("dashboard.tiles_attribution", problem);
    }
    let Some(origin) = origin(url) else {
        let problem = format!(
            "is `{url}`; write https://, a host, and {{z}}, {{x}} and {{y}} behind it, as in \
             https://tiles.city.example/{{z}}/{{x}}/{{y}}.png, with at most {URL_CHARS_MAX} characters and no \
             log-in (http:// for this machine only)"
        );
        return wrong("dashboard.tiles_url", problem);
    };
    Ok(Some(Tiles { url: url.clone(), attribution: attribution.clone(), origin }))
}

/// Whom a browser asks for tiles; none if it can't, or shouldn't.
fn origin(template: &str) -> Option<String> {
    if template.chars().count() > URL_CHARS_MAX {
        return None;
    }
    let mut url = template.to_owned();
    for placeholder in PLACEHOLDERS {
        if !url.contains(placeholder) {
            return None;
        }
        url = url.replace(placeholder, "0");
    }
    let uri: Uri = url.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    // A page that came by TLS shows no pictures that didn't, but for those of this machine.
    let is_here = matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
    let is_safe = scheme == "https" || (scheme == "http" && is_here);
    // The host is part of whom the page may ask, so it can't be filled in.
    let is_fixed = template.starts_with(&format!("{scheme}://{authority}/"));
    let has_log_in = authority.as_str().contains('@');
    (is_safe && is_fixed && !has_log_in).then(|| format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(url: &str, attribution: &str) -> Dashboard {
        Dashboard { tiles_url: url.to_owned(), tiles_attribution: attribution.to_owned() }
    }

    #[test]
    fn a_url_of_tiles_names_its_origin() {
        for (url, origin) in [
            ("https://tiles.city.example/{z}/{x}/{y}.png", "https://tiles.city.example"),
            (
                "https://tiles.city.example:8443/t/{z}-{x}-{y}?key=a",
                "https://tiles.city.example:8443",
            ),
            ("http://127.0.0.1:9000/{z}/{x}/{y}", "http://127.0.0.1:9000"),
            ("http://[::1]:9000/{z}/{x}/{y}", "http://[::1]:9000"),
        ] {
            let tiles = tiles(&keys(url, "© who drew them")).expect("valid").expect("some");
            assert_eq!((tiles.origin.as_str(), tiles.url.as_str()), (origin, url));
        }
        assert_eq!(tiles(&Dashboard::default()).expect("valid"), None);
    }

    #[test]
    fn what_no_browser_could_or_should_ask_is_refused() {
        for url in [
            "tiles.city.example/{z}/{x}/{y}.png",
            "/{z}/{x}/{y}.png",
            "https://tiles.city.example/{z}/{x}.png",
            "https://{z}.city.example/{z}/{x}/{y}.png",
            "https://me:secret@tiles.city.example/{z}/{x}/{y}.png",
            "http://tiles.city.example/{z}/{x}/{y}.png",
            "javascript:alert({z}{x}{y})",
            "https://tiles.city.example; script-src */{z}/{x}/{y}.png",
            "https://tiles.city.example",
            &format!("https://tiles.city.example/{{z}}/{{x}}/{{y}}{}", "a".repeat(2_048)),
        ] {
            let error = tiles(&keys(url, "")).expect_err(url).to_string();
            assert!(error.starts_with("dashboard.tiles_url"), "{error}");
        }
        for (url, attribution) in [("", "us"), ("https://t.example/{z}/{x}/{y}", &*"a".repeat(257))]
        {
            let error = tiles(&keys(url, attribution)).expect_err("refused").to_string();
            assert!(error.starts_with("dashboard.tiles_attribution"), "{error}");
        }
    }
}
