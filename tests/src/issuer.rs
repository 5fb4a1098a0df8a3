//! Someone else who says who people are: an Ed25519 key, its file for the hub, and tokens good and forged.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Its name, which is the `iss` of its tokens.
pub const NAME: &str = "https://login.city.example";
/// The hub's name for it, which is their `aud`.
pub const AUDIENCE: &str = "lamplighter";
/// The id of its key.
pub const KEY_ID: &str = "key-1";

/// An issuer.
#[derive(Debug)]
pub struct Issuer {
    key: KeyPair,
    folder: TempDir,
}

impl Default for Issuer {
    fn default() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("randomness");
        let folder = tempfile::tempdir().expect("a folder");
        let issuer = Self { key, folder };
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(issuer.public_key()),
        });
        std::fs::write(issuer.keys(), json!({ "keys": [jwk] }).to_string()).expect("writable");
        issuer
    }
}

impl Issuer {
    /// The section of the configuration that makes a hub trust it.
    pub fn section(&self) -> String {
        let keys = self.keys().display().to_string();
        format!("[[issuer]]\nissuer = {NAME:?}\naudience = {AUDIENCE:?}\nkeys = {keys:?}\n")
    }

    /// Its public key.
    pub fn public_key(&self) -> &[u8] {
        self.key.der_bytes()
    }

    /// A token for ann, an operator, for ten minutes; after a change of its header and claims.
    pub fn token(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let mut header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": KEY_ID });
        let mut claims = json!({
            "iss": NAME, "aud": AUDIENCE, "sub": "ann", "role": "operator",
            "iat": unix_s(), "exp": unix_s() + 600,
        });
        change(&mut header, &mut claims);
        self.signed(&header.to_string(), &claims.to_string())
    }

    /// Any texts, signed by it.
    pub fn signed(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", part(header.as_bytes()), part(claims.as_bytes()));
        let signature = self.key.sign(message.as_bytes()).expect("a key that signs");
        format!("{message}.{}", part(&signature))
    }

    fn keys(&self) -> PathBuf {
        self.folder.path().join("keys.json")
    }
}

/// base64url, as in a token.
pub fn part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// s since 1970.
#[expect(clippy::disallowed_methods, reason = "the hub checks tokens against the real time")]
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
