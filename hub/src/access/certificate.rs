//! What a certificate says of its device and of its key.
//!
//! A key is known by the SHA-256 of its SubjectPublicKeyInfo, as in RFC 7469: it stays the same when the
//! certificate around it is renewed.

use data_encoding::HEXLOWER;
use proto::DeviceId;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

/// In front of a device's id in the subject alternative name of its certificate.
pub const DEVICE_URI_PREFIX: &str = "urn:lamplighter:device:";
/// Bytes of a subject or a serial number that are kept; longer ones are cut.
const TEXT_BYTES_MAX: usize = 256;

/// The SHA-256 of a public key, as its certificate writes it (SubjectPublicKeyInfo).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// Reads 64 hexadecimal digits in lower case, as lists show it.
    pub fn parse(text: &str) -> Option<Self> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

impl std::fmt::Display for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// A certificate as lists of revoked ones know it: the SHA-256 of who signed it and the number that it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificateNumber([u8; 32]);

impl CertificateNumber {
    /// By the DER of its issuer's name, and its serial number, big end first.
    pub fn of(issuer: &[u8], serial: &[u8]) -> Self {
        let zeros = serial.iter().take_while(|byte| **byte == 0).count();
        let mut hash = Sha256::new_with_prefix(Sha256::digest(issuer));
        hash.update(&serial[zeros..]);
        Self(hash.finalize().into())
    }
}

/// What people want to know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its key.
    pub key: KeyHash,
    /// What lists of revoked certificates call it.
    pub number: CertificateNumber,
    /// Whom it names, for people.
    pub subject: String,
    /// Its number, given by who signed it, in hexadecimal.
    pub serial: String,
    /// ms since 1970 from when on it is valid.
    pub not_before_unix_ms: u64,
    /// ms since 1970 until when it is.
    pub not_after_unix_ms: u64,
}

/// What remains of a certificate while its session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// Its key.
    pub key: KeyHash,
    /// What lists of revoked certificates call it.
    pub number: CertificateNumber,
}

impl Leaf {
    /// What remains of it.
    pub fn presented(&self) -> Box<Presented> {
        Box::new(Presented { key: self.key, number: self.number })
    }
}

/// The devices that a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// One, in the canonical form of an id.
    Device(DeviceId),
    /// None, several, or one in another form.
    Nobody,
}

/// Reads a certificate; `None` if it is none. Whether it is to be trusted is not asked here.
pub fn read(der: &[u8]) -> Option<(Named, Leaf)> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let unix_ms = |at: i64| u64::try_from(at).unwrap_or(0).saturating_mul(1000);
    let leaf = Leaf {
        key: KeyHash(Sha256::digest(parsed.tbs_certificate.subject_pki.raw).into()),
        number: CertificateNumber::of(parsed.issuer().as_raw(), parsed.raw_serial()),
        subject: cut(parsed.subject().to_string()),
        serial: cut(HEXLOWER.encode(parsed.raw_serial())),
        not_before_unix_ms: unix_ms(parsed.validity().not_before.timestamp()),
        not_after_unix_ms: unix_ms(parsed.validity().not_after.timestamp()),
    };
    Some((named(&parsed), leaf))
}

/// Exactly one URI of ours, in the canonical form that a device id has.
fn named(certificate: &X509Certificate<'_>) -> Named {
    let mut found = Named::Nobody;
    let names = certificate.extensions().iter().filter_map(|extension| {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        }
    });
    for name in names.flatten() {
        let GeneralName::URI(uri) = name else { continue };
        let Some(id) = uri.strip_prefix(DEVICE_URI_PREFIX) else { continue };
        match (DeviceId::parse(id), &found) {
            (Ok(id), Named::Nobody) => found = Named::Device(id),
            _ => return Named::Nobody,
        }
    }
    found
}

fn cut(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    text.chars().take(TEXT_BYTES_MAX / 4).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(uris: &[&str], key: &KeyPair) -> Vec<u8> {
        let mut params = CertificateParams::new(vec![]).expect("no names");
        for uri in uris {
            let uri = (*uri).try_into().expect("ASCII");
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params.self_signed(key).expect("valid parameters").der().to_vec()
    }

    #[test]
    fn a_certificate_names_one_device_or_none() {
        let device = Named::Device(DeviceId::parse("lamp-1").expect("valid"));
        let key = KeyPair::generate().expect("randomness");
        for (uris, found) in [
            (&["urn:lamplighter:device:lamp-1"][..], device),
            (&[], Named::Nobody),
            (&["urn:lamplighter:device:lamp-1", "urn:lamplighter:device:lamp-2"], Named::Nobody),
            (&["urn:lamplighter:device:LAMP-1"], Named::Nobody),
            (&["urn:lamplighter:device:lamp%2e1"], Named::Nobody),
            (&["urn:lamplighter:device:*"], Named::Nobody),
            (&["urn:other:device:lamp-1"], Named::Nobody),
        ] {
            let (named, _) = read(&certificate(uris, &key)).expect("a certificate");
            assert_eq!(named, found, "{uris:?}");
        }
        assert_eq!(read(b"no certificate"), None);
    }

    #[test]
    fn a_key_keeps_its_hash_when_its_certificate_is_renewed() {
        let [one, other] = [(); 2].map(|()| KeyPair::generate().expect("randomness"));
        let hash = |uri, key| read(&certificate(&[uri], key)).expect("a certificate").1.key;
        assert_eq!(hash("urn:a:1", &one), hash("urn:a:2", &one));
        assert_ne!(hash("urn:a:1", &one), hash("urn:a:1", &other));
        let shown = hash("urn:a:1", &one).to_string();
        assert_eq!(KeyHash::parse(&shown), Some(hash("urn:a:1", &one)));
        for wrong in ["", "ab", &shown.to_uppercase(), &shown[1..], &format!("+{}", &shown[1..])] {
            assert_eq!(KeyHash::parse(wrong), None, "{wrong}");
        }
    }
}
