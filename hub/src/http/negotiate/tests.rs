//! What is wanted and what is offered, header by header.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use proto::envelope::Message;

use super::*;
use crate::codec::Draft;

const PRESENCE: &str = "lamplighter.v1.Presence";

#[test]
fn the_offer_that_is_wanted_most_is_taken() {
    let both = &[JSON, PROTOBUF];
    for (accept, chosen) in [
        (None, Some(JSON)),
        (Some(""), Some(JSON)),
        (Some("*/*"), Some(JSON)),
        (Some("application/*"), Some(JSON)),
        (Some("application/json"), Some(JSON)),
        (Some("Application/JSON; charset=utf-8"), Some(JSON)),
        (Some("application/x-protobuf"), Some(PROTOBUF)),
        (Some("text/html, application/x-protobuf;q=0.9, */*;q=0.8"), Some(PROTOBUF)),
        (Some("application/json;q=0.5, application/x-protobuf"), Some(PROTOBUF)),
        (Some("application/json;q=0.5, application/x-protobuf;q=0.500"), Some(JSON)),
        (Some("application/json;q=0, */*"), Some(PROTOBUF)),
        (Some("application/json;q=0"), None),
        (Some("text/html"), None),
        (Some("text/*"), None),
        (Some("nonsense"), None),
        (Some("application/json;q=2"), None),
        (Some("application/json;q=0.1234"), None),
        (Some("application/json;q=-1, application/x-protobuf;q=0.001"), Some(PROTOBUF)),
    ] {
        assert_eq!(choose(accept, both), chosen, "{accept:?}");
    }
}

#[test]
fn a_value_goes_out_in_the_form_that_is_asked_for() {
    let types = LiveTypes::built_in();
    let frame = frame(PRESENCE, b"\x08\x01");
    check(&frame, &types, "*/*", Ok((JSON, br#"{"online":true}"#)));
    check(&frame, &types, "application/x-protobuf", Ok((PROTOBUF, b"\x08\x01")));
    check(&frame, &types, "image/png", Err("application/json or application/x-protobuf"));
}

#[test]
fn a_value_without_a_type_is_bytes_and_one_that_can_not_be_read_is_its_payload() {
    let types = LiveTypes::built_in();
    let untyped = frame("", b"\x01\x02");
    check(&untyped, &types, "*/*", Ok((BYTES, b"\x01\x02")));
    check(&untyped, &types, "application/json", Err(BYTES));
    let broken = frame(PRESENCE, b"\xff");
    check(&broken, &types, "*/*", Ok((PROTOBUF, b"\xff")));
    check(&broken, &types, "application/json", Err(PROTOBUF));
}

#[test]
fn a_body_becomes_a_payload_by_its_content_type() {
    let types = LiveTypes::built_in();
    let json = br#"{"online":true}"#;
    let payload = |body: &[u8], kind: Option<&str>, name: &str| {
        let kind = kind.map(|kind| HeaderValue::from_str(kind).expect("a header"));
        payload_from(body, kind.as_ref(), name, &types)
            .map_err(|problem| problem.into_response().status())
    };
    assert_eq!(payload(json, Some("application/json"), PRESENCE), Ok(b"\x08\x01".to_vec()));
    assert_eq!(
        payload(json, Some("application/json; charset=utf-8"), PRESENCE).map(|p| p.len()),
        Ok(2)
    );
    assert_eq!(payload(json, None, PRESENCE), Ok(b"\x08\x01".to_vec()));
    assert_eq!(payload(b"\x08\x01", Some(PROTOBUF), PRESENCE), Ok(b"\x08\x01".to_vec()));
    assert_eq!(
        payload(b"\x08\x01", Some("application/protobuf"), PRESENCE).map(|p| p.len()),
        Ok(2)
    );
    assert_eq!(payload(b"\xff\x00", None, ""), Ok(b"\xff\x00".to_vec()));
    assert_eq!(payload(json, Some("application/json"), ""), Ok(json.to_vec()));
    for (body, kind, name, status) in [
        (&json[..], "text/html", PRESENCE, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (json, "", PRESENCE, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (b"{", "application/json", PRESENCE, StatusCode::BAD_REQUEST),
        (b"\xff", "application/json", PRESENCE, StatusCode::BAD_REQUEST),
        (br#"{"onlin":true}"#, "application/json", PRESENCE, StatusCode::BAD_REQUEST),
        (
            br#"{"online":true,"online":false}"#,
            "application/json",
            PRESENCE,
            StatusCode::BAD_REQUEST,
        ),
        (json, "application/json", "no.such.Type", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(payload(body, Some(kind), name), Err(status), "{kind}");
    }
}

#[test]
fn only_an_encoded_message_is_taken_for_one() {
    let expect = |kind: &'static str| expect_protobuf(Some(&HeaderValue::from_static(kind)));
    assert!(expect("application/x-protobuf").is_ok());
    assert!(expect("application/x-protobuf; messageType=x").is_ok());
    assert!(expect("application/octet-stream").is_ok());
    for problem in [expect("application/json"), expect_protobuf(None)] {
        let status = problem.expect_err("refused").into_response().status();
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}

#[track_caller]
fn check(frame: &Frame, types: &LiveTypes, accept: &str, wanted: Result<(&str, &[u8]), &str>) {
    let accept = HeaderValue::from_str(accept).expect("a header");
    match (respond_value(frame, Some(&accept), types), wanted) {
        (Ok(response), Ok((kind, body))) => {
            assert_eq!(response.headers()[header::CONTENT_TYPE], kind);
            assert_eq!(response.headers()[header::VARY], "Accept");
            assert_eq!(bytes_of(response.into_body()), body);
        }
        (Err(problem), Err(offers)) => {
            let response = problem.into_response();
            assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE);
            let body = bytes_of(response.into_body());
            assert!(String::from_utf8_lossy(&body).contains(offers), "{body:?}");
        }
        (got, wanted) => panic!("{accept:?}: {got:?} instead of {wanted:?}"),
    }
}

fn bytes_of(body: Body) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let read = axum::body::to_bytes(body, 64 * 1024);
    runtime.block_on(read).expect("a whole body").to_vec()
}

fn frame(type_name: &str, payload: &[u8]) -> Frame {
    let message = Message { channel: "a", type_name, payload: Some(payload), ..Message::default() };
    Draft::new(&message).place(1)
}
