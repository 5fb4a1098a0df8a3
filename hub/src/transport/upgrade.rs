//! How an HTTP request becomes a WebSocket (RFC 6455, section 4.2), and its socket ours.
//!
//! The request is checked by hand, header by header; the answer of a wrong one says what is wrong and
//! echoes nothing. Then the raw socket is taken from HTTP and a fresh, small task begins.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::address::Place;
use super::early::{Early, Watched};
use super::{Shared, audited, connection};
use crate::access::origin::{Origins, Page};
use crate::broker::credentials::Certificate;

/// What is known of a connection before its first request.
#[derive(Debug)]
pub struct Origin {
    /// Where it comes from.
    pub address: std::net::SocketAddr,
    /// What its certificate says.
    pub certificate: Certificate,
    /// Counts for the address until dropped.
    pub place: Place,
    /// Counts for the hub until dropped.
    pub permit: tokio::sync::OwnedSemaphorePermit,
    /// What came before the answer.
    pub early: Arc<Early>,
}

/// Answers `GET /v1/ws`.
pub async fn handle(
    Extension(shared): Extension<Arc<Shared>>,
    Extension(origin): Extension<Arc<Origin>>,
    mut request: Request,
) -> Response {
    let policy = shared.broker.policy();
    let (accept, with_subprotocol) = match check(&request, &policy.origins) {
        Ok(checked) => checked,
        Err((status, what)) => {
            if status == StatusCode::FORBIDDEN {
                audited::foreign_page(&shared, &origin, request.headers());
            }
            return refuse(status, what);
        }
    };
    if origin.early.has_come() {
        return refuse(StatusCode::BAD_REQUEST, "frames must wait for the answer to the upgrade");
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<Watched>>() else { return };
        if parts.read_buf.is_empty() {
            // A task of its own, small: a future that holds the session and nothing of HTTP.
            tokio::spawn(connection::run(parts.io.into_inner().into_inner(), shared, origin));
        }
        // Else there were frames after all, while the answer was on its way out.
    });
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "Upgrade")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept);
    if with_subprotocol {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, proto::SUBPROTOCOL);
    }
    response.body(Body::empty()).unwrap_or_else(|_| StatusCode::BAD_REQUEST.into_response())
}

type Refused = (StatusCode, &'static str);

/// The accept key and whether to confirm the subprotocol.
fn check(request: &Request, origins: &Origins) -> Result<(String, bool), Refused> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "the WebSocket endpoint takes GET"));
    }
    if request.version() != Version::HTTP_11 {
        return Err((StatusCode::HTTP_VERSION_NOT_SUPPORTED, "use HTTP/1.1"));
    }
    if request.uri().authority().is_some() {
        // The form for proxies; the hub is none.
        return Err((StatusCode::NOT_FOUND, "there is nothing at this path"));
    }
    if request.uri().query().is_some() {
        return Err((BAD, "the path takes no query; a token goes into HELLO"));
    }
    one(headers, &header::HOST).ok_or((BAD, "one Host header is needed"))?;
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return Err((BAD, "an upgrade has no body"));
    }
    if !one(headers, &header::UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    {
        return Err((StatusCode::UPGRADE_REQUIRED, "this path is a WebSocket endpoint"));
    }
    let connection: Vec<&str> = list(headers, &header::CONNECTION).collect();
    let wants = |word: &str| connection.iter().any(|token| token.eq_ignore_ascii_case(word));
    if !wants("upgrade") || wants("close") {
        return Err((BAD, "the Connection header must say Upgrade, and not close"));
    }
    if one(headers, &header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "use version 13 of WebSocket"));
    }
    let values = |name: &HeaderName| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    match origins.judge(values(&header::ORIGIN), values(&header::HOST)) {
        Page::Own | Page::Listed(_) => {}
        Page::Foreign => {
            return Err((StatusCode::FORBIDDEN, "the origin is not in the hub's list"));
        }
        Page::Misdirected => {
            return Err((StatusCode::MISDIRECTED_REQUEST, "the hub has another name"));
        }
    }
    let offered: Vec<&str> = list(headers, &header::SEC_WEBSOCKET_PROTOCOL).collect();
    let ours = offered.contains(&proto::SUBPROTOCOL);
    if !ours && !offered.is_empty() {
        return Err((BAD, "the hub speaks the subprotocol lamplighter.v1"));
    }
    let key = one(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    let key = key.ok_or((BAD, "Sec-WebSocket-Key must be 16 bytes in base64"))?;
    Ok((derive_accept_key(key.as_bytes()), ours))
}

/// The header's value, if it stands exactly once.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

fn is_key(key: &str) -> bool {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(key);
    decoded.is_ok_and(|bytes| bytes.len() == 16)
}

fn refuse(status: StatusCode, what: &'static str) -> Response {
    let mut response = (status, what).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let version = HeaderValue::from_static("13");
        headers.insert(header::SEC_WEBSOCKET_VERSION, version);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_request_is_accepted_and_each_wrong_one_told_why() {
        assert!(check(&request(&[]), &Origins::default()).is_ok());
        for (change, status) in [
            (("upgrade", ""), 426),
            (("connection", "close, upgrade"), 400),
            (("connection", "keep-alive"), 400),
            (("sec-websocket-version", "8"), 426),
            (("sec-websocket-key", "AAAA"), 400),
            (("sec-websocket-key", "not base64 at all!!!!!!!"), 400),
            (("host", ""), 400),
            (("origin", "null"), 403),
            (("origin", "https://good.example.evil"), 403),
            (("origin", "HTTPS://GOOD.EXAMPLE"), 403),
            (("content-length", "5"), 400),
            (("transfer-encoding", "chunked"), 400),
            (("sec-websocket-protocol", "mqtt"), 400),
        ] {
            let refused = check(&request(&[change]), &good());
            assert_eq!(refused.map_err(|(status, _)| status.as_u16()), Err(status), "{change:?}");
        }
    }

    #[test]
    fn extensions_are_accepted_without_being_used_and_a_known_origin_may_come() {
        let change = ("sec-websocket-extensions", "permessage-deflate; garbage==");
        assert!(check(&request(&[change]), &Origins::default()).is_ok());
        for known in ["https://good.example", "https://hub"] {
            assert!(check(&request(&[("origin", known)]), &good()).is_ok(), "{known}");
        }
    }

    #[test]
    fn a_query_is_refused_since_tokens_in_urls_end_in_logs() {
        let mut request = request(&[]);
        *request.uri_mut() = "/v1/ws?token=x".parse().expect("a path");
        assert_eq!(check(&request, &good()).map_err(|(status, _)| status.as_u16()), Err(400));
    }

    fn good() -> Origins {
        Origins::new(vec!["https://good.example".to_owned()])
    }

    fn request(changes: &[(&'static str, &'static str)]) -> Request {
        let mut request = Request::new(Body::empty());
        for (name, value) in [
            ("host", "hub"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        .iter()
        .chain(changes)
        {
            if value.is_empty() {
                request.headers_mut().remove(*name);
            } else {
                request.headers_mut().insert(*name, value.parse().expect("a value"));
            }
        }
        request
    }
}
