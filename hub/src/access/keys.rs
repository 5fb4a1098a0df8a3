//! Public keys that tokens are signed with: from a JWKS (RFC 7517) or one PEM, read when the hub starts.
//!
//! A key is for one algorithm only, which follows from what it is; so what a token says of its algorithm
//! chooses nothing. Nothing is ever fetched.

use jsonwebtoken::{Algorithm, DecodingKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Keys of one issuer.
pub const KEYS_MAX: usize = 64;
/// Bytes of an RSA modulus: 2048 bits.
const RSA_BYTES_MIN: usize = 256;

/// Names a key: the SHA-256 of its material.
pub type KeyDigest = [u8; 32];

/// One public key.
#[derive(Debug)]
pub struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    digest: KeyDigest,
    key: DecodingKey,
}

/// Why a file has no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("is neither a JWKS nor a public key in PEM")]
    Format,
    #[error("has no key for EdDSA (Ed25519), ES256 or RS256")]
    None,
    #[error("has a secret or private key; give the hub public keys only")]
    Private,
    #[error("has a key that can't be used: {problem}")]
    Unusable { problem: &'static str },
    #[error("has two keys with the id `{id}`")]
    Twice { id: String },
    #[error("has over {KEYS_MAX} keys")]
    TooMany,
}

/// The algorithm of this name, if the hub takes it.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "EdDSA" => Some(Algorithm::EdDSA),
        "ES256" => Some(Algorithm::ES256),
        "RS256" => Some(Algorithm::RS256),
        _ => None,
    }
}

/// The keys in the text of a file.
///
/// # Errors
/// There are none, or some must not be there.
pub fn read(text: &str) -> Result<Vec<Key>, KeysError> {
    if !text.trim_start().starts_with('{') {
        return pem(text).map(|key| vec![key]);
    }
    let document: Value = serde_json::from_str(text).map_err(|_| KeysError::Format)?;
    let members = document.get("keys").and_then(Value::as_array).ok_or(KeysError::Format)?;
    if members.len() > KEYS_MAX {
        return Err(KeysError::TooMany);
    }
    let mut keys: Vec<Key> = Vec::new();
    for member in members {
        let Some(key) = jwk(member)? else { continue };
        if let Some(id) = &key.id
            && keys.iter().any(|known| known.id.as_ref() == Some(id))
        {
            return Err(KeysError::Twice { id: id.clone() });
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(KeysError::None) } else { Ok(keys) }
}

/// The key that a token names. Without a name there must be only one for the algorithm.
pub fn select<'k>(keys: &'k [Key], id: Option<&str>, algorithm: Algorithm) -> Option<&'k Key> {
    let mut fitting = keys
        .iter()
        .filter(|key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id));
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Some(key),
        _ => None,
    }
}

impl Key {
    /// Names it.
    pub fn digest(&self) -> &KeyDigest {
        &self.digest
    }

    /// Whether `signature`, in base64url, is this key's for `message`.
    pub fn verifies(&self, message: &str, signature: &str) -> bool {
        let verified =
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, self.algorithm);
        verified.unwrap_or(false)
    }
}

/// A key of a JWKS; nothing if it isn't for signatures that the hub takes.
fn jwk(member: &Value) -> Result<Option<Key>, KeysError> {
    let word = |name: &str| member.get(name).and_then(Value::as_str);
    if ["d", "p", "q", "k"].iter().any(|secret| member.get(secret).is_some()) {
        return Err(KeysError::Private);
    }
    let found = match (word("kty"), word("crv")) {
        (Some("RSA"), _) => Algorithm::RS256,
        (Some("EC"), Some("P-256")) => Algorithm::ES256,
        (Some("OKP"), Some("Ed25519")) => Algorithm::EdDSA,
        _ => return Ok(None),
    };
    let for_signatures = word("use").is_none_or(|purpose| purpose == "sig");
    if !for_signatures || word("alg").is_some_and(|name| algorithm(name) != Some(found)) {
        return Ok(None);
    }
    let unusable = |problem| KeysError::Unusable { problem };
    let part = |name| word(name).ok_or(unusable("a part is missing"));
    let (key, digest) = match found {
        Algorithm::RS256 => {
            let (n, e) = (part("n")?, part("e")?);
            // base64: 4 characters for 3 bytes.
            if n.len() * 3 / 4 < RSA_BYTES_MIN {
                return Err(unusable("an RSA key is below 2048 bits"));
            }
            (DecodingKey::from_rsa_components(n, e), digest(&[n, e]))
        }
        Algorithm::ES256 => {
            let (x, y) = (part("x")?, part("y")?);
            (DecodingKey::from_ec_components(x, y), digest(&[x, y]))
        }
        _ => {
            let x = part("x")?;
            (DecodingKey::from_ed_components(x), digest(&[x]))
        }
    };
    let key = key.map_err(|_| unusable("a part is no base64url"))?;
    Ok(Some(Key { id: word("kid").map(str::to_owned), algorithm: found, digest, key }))
}

fn pem(text: &str) -> Result<Key, KeysError> {
    if text.contains("PRIVATE KEY") {
        return Err(KeysError::Private);
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes());
    let der = der.map_err(|_| KeysError::Format)?;
    let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| KeysError::Format)?;
    let raw = &*info.subject_public_key.data;
    let unusable = |problem| KeysError::Unusable { problem };
    let (algorithm, key) = match info.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() >= RSA_BYTES_MIN * 8 => {
            (Algorithm::RS256, DecodingKey::from_rsa_der(raw))
        }
        Ok(PublicKey::RSA(_)) => return Err(unusable("an RSA key is below 2048 bits")),
        Ok(PublicKey::EC(point)) if point.key_size() == 256 => {
            (Algorithm::ES256, DecodingKey::from_ec_der(raw))
        }
        // Ed25519, RFC 8410; the parser has no name for it.
        _ if info.algorithm.algorithm.to_id_string() == "1.3.101.112" && raw.len() == 32 => {
            (Algorithm::EdDSA, DecodingKey::from_ed_der(raw))
        }
        _ => return Err(KeysError::None),
    };
    Ok(Key { id: None, algorithm, digest: Sha256::digest(raw).into(), key })
}

fn digest(parts: &[&str]) -> KeyDigest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    #[test]
    fn keys_that_are_not_for_our_signatures_are_left_out() {
        let other = r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#;
        let enc = ED.replace("\"kid\":\"a\"", "\"use\":\"enc\"");
        let keys = read(&format!(r#"{{"keys":[{ED},{other},{enc}]}}"#)).expect("one key");
        assert_eq!(keys.len(), 1);
        assert!(select(&keys, Some("a"), Algorithm::EdDSA).is_some());
        assert!(select(&keys, None, Algorithm::EdDSA).is_some(), "it is the only one");
        assert!(select(&keys, Some("b"), Algorithm::EdDSA).is_none());
        assert!(select(&keys, Some("a"), Algorithm::RS256).is_none());
    }

    #[test]
    fn what_must_not_be_a_key_is_refused() {
        let check = |text: &str, wanted| assert_eq!(read(text).err(), Some(wanted), "{text}");
        let unusable = |problem| KeysError::Unusable { problem };
        check("", KeysError::Format);
        check("{}", KeysError::Format);
        check(r#"{"keys":[]}"#, KeysError::None);
        check(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#, KeysError::Private);
        check(
            &format!(r#"{{"keys":[{}]}}"#, ED.replace("\"x\"", "\"d\":\"x\",\"x\"")),
            KeysError::Private,
        );
        check(&format!(r#"{{"keys":[{ED},{ED}]}}"#), KeysError::Twice { id: "a".to_owned() });
        let rsa = r#"{"keys":[{"kty":"RSA","n":"AAAA","e":"AQAB"}]}"#;
        check(rsa, unusable("an RSA key is below 2048 bits"));
        check("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", KeysError::Private);
    }
}
