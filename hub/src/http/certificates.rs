//! Keys of devices' certificates: `/v1/certificates`, and `/v1/devices/{id}/certificates`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use proto::{DeviceId, channels};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::audit::By;
use super::auth::Person;
use super::body::Document;
use super::device::document;
use super::devices::{DevicePath, bad, device_id, not_registered, page_limit};
use super::problem::Problem;
use super::query::Params;
use super::version::{self, Conditions, Version};
use crate::access::certificate::{self, KeyHash, Named};
use crate::access::{Verb, grant};
use crate::broker::certificates::{NewPin, PINNED_MAX, Pin, Pinned};
use crate::clock::Now;

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;

/// A key in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub struct KeyPath {
    /// The SHA-256 of its SubjectPublicKeyInfo: 64 hexadecimal digits.
    #[param(pattern = "^[0-9a-f]{64}$")]
    key: String,
}

/// What a list of keys is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// `next` of the page before.
    #[param(pattern = "^[0-9a-f]{64}$")]
    cursor: Option<String>,
    /// Keys of a page, 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Keys to be pinned for a device; all are or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCertificates {
    /// SHA-256 of SubjectPublicKeyInfo, 64 hexadecimal digits each.
    #[serde(default)]
    #[schema(max_items = 16)]
    keys: Vec<String>,
    /// Certificates in PEM, one each, that have them.
    #[serde(default)]
    #[schema(max_items = 16)]
    certificates: Vec<String>,
}

/// A key of a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Certificate)]
pub struct CertificateDocument {
    /// The SHA-256 of its SubjectPublicKeyInfo.
    key: String,
    /// Whose it is.
    device: String,
    /// Whom the certificate names; empty until it was seen.
    subject: String,
    /// The certificate's number in hexadecimal; likewise.
    serial: String,
    /// ms since 1970 from when on the certificate is valid; 0 until it was seen.
    not_before_unix_ms: u64,
    /// ms since 1970 until when it is; likewise.
    not_after_unix_ms: u64,
    /// ms since 1970.
    pinned_unix_ms: u64,
    /// Who did.
    pinned_by: String,
    /// ms since 1970 when the device first came with it; 0 if it didn't.
    first_seen_unix_ms: u64,
    /// ms since 1970; 0 if it isn't.
    revoked_unix_ms: u64,
    /// Who did; empty if nobody.
    revoked_by: String,
}

/// A page of keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificateList {
    /// In the order of their hashes.
    certificates: Vec<CertificateDocument>,
    /// The `cursor` of the next page; `null` after the last.
    next: Option<String>,
}

/// The keys of one device.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceCertificates {
    /// In the order in which they were pinned, revoked ones as well.
    certificates: Vec<CertificateDocument>,
}

impl From<(KeyHash, Pin)> for CertificateDocument {
    fn from((key, pin): (KeyHash, Pin)) -> Self {
        Self {
            key: key.to_string(),
            device: pin.device,
            subject: pin.subject,
            serial: pin.serial,
            not_before_unix_ms: pin.not_before_unix_ms,
            not_after_unix_ms: pin.not_after_unix_ms,
            pinned_unix_ms: pin.pinned_unix_ms,
            pinned_by: pin.pinned_by,
            first_seen_unix_ms: pin.first_seen_unix_ms,
            revoked_unix_ms: pin.revoked_unix_ms,
            revoked_by: pin.revoked_by,
        }
    }
}

impl DeviceCertificates {
    fn of(held: &[(KeyHash, Pin)]) -> Self {
        let certificates = held.iter().cloned().map(CertificateDocument::from).collect();
        Self { certificates }
    }
}

/// List the keys of all devices, pinned and revoked, page by page. Shows those of devices whose
/// `registration` the caller may see.
#[utoipa::path(get, path = "/v1/certificates", tag = "devices", params(ListQuery),
    responses((status = 200, description = "a page", body = CertificateList)))]
pub async fn list(
    person: Person,
    State(api): State<Api>,
    Params(query): Params<ListQuery>,
) -> Result<Json<CertificateList>, Problem> {
    let cursor = query.cursor.as_deref().map(|text| key_of(text, "cursor")).transpose()?;
    let limit = page_limit(query.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let identity = person.identity();
    let may_see = |pin: &Pin| {
        let id = DeviceId::parse(&pin.device);
        id.is_ok_and(|id| identity.may_see(channels::REGISTRATION.of(&id).as_str()))
    };
    let mut found = api.broker.certificates(cursor.as_ref(), limit + 1, may_see);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|(key, _)| key.to_string());
    let certificates = found.into_iter().map(CertificateDocument::from).collect();
    Ok(Json(CertificateList { certificates, next }))
}

/// The keys of a device, pinned and revoked. Without any it may come with each certificate that a CA of the
/// hub's signed for it.
#[utoipa::path(get, path = "/v1/devices/{id}/certificates", tag = "devices", params(DevicePath),
    responses((status = 200, description = "its keys", body = DeviceCertificates)))]
pub async fn of_device(
    person: Person,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Subscribe, channels::REGISTRATION.of(&id).as_str())?;
    if api.broker.device(&id)?.is_none() {
        return Err(not_registered(&id));
    }
    let shown = DeviceCertificates::of(&api.broker.certificates_of(&id));
    Ok(version::answer(&conditions, &Version::of_content(&shown), &shown))
}

/// Pin keys of a device: from then on it comes with one of its pinned keys, or not at all. Needs `manage` on
/// `devices.<id>`.
///
/// Running sessions with other keys end. `If-Match` pins only beside the keys that it names.
#[utoipa::path(post, path = "/v1/devices/{id}/certificates", tag = "devices", params(DevicePath),
    request_body = NewCertificates,
    responses((status = 201, description = "pinned, on disk", body = DeviceCertificates)))]
pub async fn pin(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    conditions: Conditions,
    Path(id): Path<String>,
    Document(new): Document<NewCertificates>,
) -> Result<Response, Problem> {
    let id = device_id(&id)?;
    person.require(Verb::Manage, &grant::device_name(&id))?;
    let new = to_pin(&id, &new)?;
    let is_meant = |held: &[(KeyHash, Pin)]| conditions.allow(Some(&version_of(held)));
    match api.broker.pin_certificates(Now::read(), &id, new, &by, is_meant).await? {
        Pinned::Done(held) => {
            let body = Json(DeviceCertificates::of(&held));
            let mut response = (StatusCode::CREATED, body).into_response();
            version::mark(&mut response, &version_of(&held));
            Ok(response)
        }
        Pinned::Stale(held) => {
            Err(Problem::stale(version_of(&held), document(&DeviceCertificates::of(&held))))
        }
    }
}

/// Revoke a key, for good: its sessions end at once, and no other begins. Needs `manage` on the
/// `devices.<id>` whose it is.
#[utoipa::path(delete, path = "/v1/certificates/{key}", tag = "devices", params(KeyPath),
    responses((status = 204, description = "revoked, on disk")))]
pub async fn revoke(
    person: Person,
    By(by): By,
    State(api): State<Api>,
    Path(key): Path<String>,
) -> Result<StatusCode, Problem> {
    let key = key_of(&key, "key")?;
    let unknown = || Problem::not_found("no such key is pinned").at("key");
    let device = api.broker.certificate(&key).and_then(|pin| DeviceId::parse(&pin.device).ok());
    let name = device.as_ref().map_or_else(|| "devices".to_owned(), grant::device_name);
    person.require(Verb::Manage, &name)?;
    if device.is_none() {
        return Err(unknown());
    }
    api.broker.revoke_certificate(Now::read(), &key, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn version_of(held: &[(KeyHash, Pin)]) -> Version {
    Version::of_content(&DeviceCertificates::of(held))
}

/// The keys that a request names, by themselves or in certificates.
fn to_pin(id: &DeviceId, new: &NewCertificates) -> Result<Vec<NewPin>, Problem> {
    let count = new.keys.len() + new.certificates.len();
    if !(1..=PINNED_MAX).contains(&count) {
        let text = format!("has {count} keys and certificates; use 1 to {PINNED_MAX}");
        return Err(bad(text).at("keys"));
    }
    let by_hash = new.keys.iter().map(|text| {
        let key = key_of(text, "keys")?;
        Ok(NewPin { key, leaf: None })
    });
    let by_certificate = new.certificates.iter().map(|text| {
        let wrong = |text: &str| bad(text.to_owned()).at("certificates");
        let der = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|_| wrong("has a text that is no certificate in PEM"))?;
        let read = certificate::read(&der);
        let (named, leaf) = read.ok_or_else(|| wrong("has a certificate that can't be read"))?;
        if named != Named::Device(id.clone()) {
            let text = format!("has one without the URI {}{id}", certificate::DEVICE_URI_PREFIX);
            return Err(wrong(&text));
        }
        Ok(NewPin { key: leaf.key, leaf: Some(leaf) })
    });
    by_hash.chain(by_certificate).collect()
}

fn key_of(text: &str, field: &'static str) -> Result<KeyHash, Problem> {
    KeyHash::parse(text).ok_or_else(|| {
        bad("is no SHA-256 of a public key; write 64 digits of 0-9 and a-f").at(field)
    })
}
