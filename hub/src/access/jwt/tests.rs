//! Tokens, good and forged. `NOW` is the hub's clock in s since 1970.

use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SigningKey as _,
};
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://login.city.example";
const AUDIENCE: &str = "lamplighter";

#[test]
fn a_good_token_of_each_algorithm_makes_an_identity() {
    for bench in [Bench::ed(), Bench::ec(), Bench::rsa()] {
        let claims = bench.verify(&bench.token(|_, _| {})).expect("good");
        assert_eq!(claims.role.name(), "operator");
        assert_eq!(claims.issued.name(), "ann@login.city.example");
        assert_eq!(claims.ends_unix_ms, (NOW + 600) * 1000);
    }
}

#[test]
fn keys_of_a_jwks_are_those_of_a_pem() {
    for mut bench in [Bench::ed(), Bench::ec(), Bench::rsa()] {
        let jwks = json!({ "keys": [bench.jwk("key-1"), Bench::ed().jwk("key-2")] });
        bench.change(|issuer| issuer.keys = keys::read(&jwks.to_string()).expect("keys"));
        let named = |id: &'static str| bench.token(move |header, _| header["kid"] = json!(id));
        assert!(bench.verify(&named("key-1")).is_ok(), "{jwks}");
        assert!(bench.verify(&named("key-2")).is_err(), "{jwks}");
    }
}

#[test]
fn bk1_the_algorithm_is_the_keys_and_not_the_tokens() {
    let bench = Bench::ed();
    for name in ["none", "None", "NONE", "HS256", "ES384", "PS256", "eddsa", "", "EdDSA "] {
        check(&bench, Fault::Algorithm, name, |header, _| header["alg"] = json!(name));
    }
    check(&bench, Fault::Algorithm, "missing", |header, _| drop(header["alg"].take()));
    check(&bench, Fault::Algorithm, "a list", |header, _| header["alg"] = json!(["EdDSA"]));
    check(&bench, Fault::Key, "RS256", |header, _| header["alg"] = json!("RS256"));
    check(&bench, Fault::Critical, "crit", |header, _| header["crit"] = json!(["exp"]));
    // Signed with the public key as if it were a secret.
    let (message, _) = bench.parts(|header, _| header["alg"] = json!("HS256"));
    let secret = EncodingKey::from_secret(bench.key.public_key_raw());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256);
    let forged = format!("{message}.{}", signature.expect("signed"));
    assert_eq!(bench.fault(&forged), Fault::Algorithm);
}

#[test]
fn bk2_a_key_is_only_looked_up_among_those_that_the_hub_has() {
    let bench = Bench::ed();
    for id in
        ["unknown", "../../etc/passwd", "' OR 1=1", "http://evil.example/keys", &"k".repeat(2048)]
    {
        check(&bench, Fault::Key, id, |header, _| header["kid"] = json!(id));
    }
    check(&bench, Fault::Key, "a number", |header, _| header["kid"] = json!(1));
    for name in ["jku", "x5u", "jwk"] {
        // They are of no interest: the signature has to be by a key that is here.
        let other = Bench::ed();
        let forged = other.token(|header, _| header[name] = json!("http://evil.example/keys"));
        assert_eq!(bench.fault(&forged), Fault::Signature, "{name}");
    }
}

#[test]
fn bk4_issuer_audience_type_and_subject_are_exact() {
    let bench = Bench::ed();
    for (claim, fault) in [
        ("iss", Fault::Issuer),
        ("aud", Fault::Audience),
        ("sub", Fault::Subject),
        ("role", Fault::Role),
    ] {
        check(&bench, fault, claim, |_, claims| {
            drop(claims.as_object_mut().expect("an object").remove(claim))
        });
        for wrong in [json!("x"), json!(""), json!(7), json!(null), json!({ "a": 1 })] {
            // Any text names somebody.
            if claim != "sub" || wrong != json!("x") {
                check(&bench, fault, claim, |_, claims| claims[claim] = wrong.clone());
            }
        }
    }
    for audience in ["Lamplighter", "lamplighter ", "lamplighter.evil", "lamp"] {
        check(&bench, Fault::Audience, audience, |_, claims| {
            claims["aud"] = json!([audience, "x"])
        });
    }
    let mut many: Vec<String> = (0..100).map(|at| format!("service-{at}")).collect();
    many.push(AUDIENCE.to_owned());
    assert!(bench.verify(&bench.token(|_, claims| claims["aud"] = json!(many))).is_ok());
    check(&bench, Fault::Issuer, "slash", |_, claims| claims["iss"] = json!(format!("{ISSUER}/")));
    for kind in [json!("at+jwt"), json!("secevent+jwt"), json!(""), json!(1), json!(null)] {
        check(&bench, Fault::Type, "typ", |header, _| header["typ"] = kind.clone());
    }
    check(&bench, Fault::Subject, "long", |_, claims| claims["sub"] = json!("a".repeat(65)));
    check(&bench, Fault::Subject, "control", |_, claims| claims["sub"] = json!("a\nb"));
}

#[test]
fn bk5_times_are_whole_seconds_within_the_leeway() {
    let bench = Bench::ed();
    let times = |name: &'static str, value: Value| {
        bench.token(move |_, claims| claims[name] = value.clone())
    };
    for (name, at, fault) in [
        ("exp", NOW - 59, None),
        ("exp", NOW - 60, Some(Fault::Expired)),
        ("exp", NOW - 86_400, Some(Fault::Expired)),
        ("exp", NOW + 86_400, None),
        ("exp", NOW + 86_460, None),
        ("exp", NOW + 86_461, Some(Fault::Life)),
        ("exp", NOW + 10 * 365 * 86_400, Some(Fault::Life)),
        ("nbf", NOW + 60, None),
        ("nbf", NOW + 61, Some(Fault::Future)),
        ("iat", NOW + 60, None),
        ("iat", NOW + 61, Some(Fault::Future)),
    ] {
        let verified = bench.verify(&times(name, json!(at)));
        assert_eq!(verified.err(), fault, "{name} {at}");
    }
    for wrong in [
        json!(1_800_000_100.5),
        json!(1.8e9),
        json!("1800000100"),
        json!(-1),
        json!(null),
        json!([1]),
    ] {
        for name in ["exp", "nbf", "iat"] {
            assert_eq!(bench.fault(&times(name, wrong.clone())), Fault::Times, "{name} {wrong}");
        }
    }
    check(&bench, Fault::Expired, "missing", |_, claims| {
        drop(claims.as_object_mut().expect("an object").remove("exp"));
    });
}

#[test]
fn who_is_let_in_by_the_leeway_goes_when_it_is_over() {
    let bench = Bench::ed();
    let token = bench.token(|_, claims| claims["exp"] = json!(NOW - 30));
    assert_eq!(bench.verify(&token).expect("in the leeway").ends_unix_ms, (NOW + 30) * 1000);
}

#[test]
fn bk8_what_is_no_token_is_refused_before_any_cryptography() {
    let bench = Bench::ed();
    let good = bench.token(|_, _| {});
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let twice = part(r#"{"alg":"EdDSA","alg":"none","typ":"JWT"}"#);
    let many: String = (0..100).map(|at| format!(r#""c{at}":1,"#)).collect();
    let payload = good.split('.').nth(1).expect("three parts");
    for forged in [
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{}.{payload}.AA", part(&deep)),
        format!("{}.{payload}.AA", part(&format!(r#"{{"alg":"EdDSA","x":{deep}}}"#))),
        format!("{twice}.{payload}.AA"),
        format!("{}.{payload}.AA", part("[]")),
        format!("{}.{}.AA", part(r#"{"alg":"EdDSA"}"#), part(&format!("{{{many}\"z\":1}}"))),
        format!("{good}."),
        format!("{good}.x"),
        good.replacen('.', "=.", 1),
    ] {
        assert_eq!(bench.fault(&forged), Fault::Form, "{forged}");
    }
}

#[test]
fn a_signature_is_for_one_token_and_by_one_key() {
    let bench = Bench::ed();
    let good = bench.token(|_, _| {});
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (other, _) = bench.parts(|_, claims| claims["sub"] = json!("eve"));
    for forged in [
        format!("{other}.{signature}"),
        format!("{message}."),
        format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        format!("{message}.{}", &signature[..signature.len() - 4]),
        Bench::ed().token(|_, _| {}),
    ] {
        assert_eq!(bench.fault(&forged), Fault::Signature, "{forged}");
    }
}

#[test]
fn a_role_comes_from_one_value_that_the_issuer_may_give() {
    let mut bench = Bench::ed();
    let role = |bench: &Bench, value: Value| {
        let verified = bench.verify(&bench.token(|_, claims| claims["role"] = value.clone()));
        verified.map(|claims| claims.role.name().to_owned())
    };
    assert_eq!(role(&bench, json!(["staff", "viewer"])), Ok("viewer".to_owned()));
    assert_eq!(role(&bench, json!(["operator", "viewer"])), Err(Fault::Role));
    let mapped = [("lights-admin".to_owned(), "operator".to_owned())];
    bench.change(|issuer| issuer.trust.roles = mapped.into());
    assert_eq!(role(&bench, json!("lights-admin")), Ok("operator".to_owned()));
    assert_eq!(role(&bench, json!("operator")), Err(Fault::Role), "only what is in the map");
}

#[test]
fn bk9_a_disabled_subject_a_gone_key_or_issuer_stands_for_nobody() {
    let mut bench = Bench::ed();
    let token = bench.token(|_, _| {});
    let issued = bench.verify(&token).expect("good").issued;
    assert!(issued.still_holds(&bench.issuers));
    assert!(!issued.still_holds(&[]));
    assert!(!issued.still_holds(&Bench::ed().issuers), "another key");
    bench.change(|issuer| issuer.disabled = vec!["ann".to_owned()]);
    assert!(!issued.still_holds(&bench.issuers));
    assert_eq!(bench.fault(&token), Fault::Disabled);
}

#[track_caller]
fn check(bench: &Bench, fault: Fault, what: &str, change: impl Fn(&mut Value, &mut Value)) {
    assert_eq!(bench.fault(&bench.token(change)), fault, "{what}");
}

/// An issuer with one key.
struct Bench {
    key: KeyPair,
    algorithm: Algorithm,
    issuers: Vec<Arc<Issuer>>,
    roles: Roles,
}

impl Bench {
    fn ed() -> Self {
        Self::new(KeyPair::generate_for(&PKCS_ED25519).expect("a key"), Algorithm::EdDSA)
    }

    fn ec() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        Self::new(key.expect("a key"), Algorithm::ES256)
    }

    fn rsa() -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        Self::new(key.expect("a key"), Algorithm::RS256)
    }

    fn new(key: KeyPair, algorithm: Algorithm) -> Self {
        let trust = Trust {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            types: vec!["JWT".to_owned()],
            role_claim: "role".to_owned(),
            roles: BTreeMap::new(),
        };
        let keys = keys::read(&key.public_key_pem()).expect("a key");
        let issuer = Issuer { trust, disabled: Vec::new(), keys };
        Self { key, algorithm, issuers: vec![Arc::new(issuer)], roles: Roles::default() }
    }

    fn change(&mut self, change: impl FnOnce(&mut Issuer)) {
        let issuer = Arc::get_mut(&mut self.issuers[0]);
        match issuer {
            Some(issuer) => change(issuer),
            None => {
                let old = &self.issuers[0];
                let keys = keys::read(&self.key.public_key_pem()).expect("a key");
                let (trust, disabled) = (old.trust.clone(), old.disabled.clone());
                let mut issuer = Issuer { trust, disabled, keys };
                change(&mut issuer);
                self.issuers = vec![Arc::new(issuer)];
            }
        }
    }

    /// Its public key as a member of a JWKS.
    fn jwk(&self, id: &str) -> Value {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let raw = self.key.public_key_raw();
        match self.algorithm {
            Algorithm::EdDSA => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": part(raw) })
            }
            Algorithm::ES256 => {
                let (x, y) = raw[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": part(x), "y": part(y) })
            }
            _ => {
                use x509_parser::der_parser::asn1_rs::FromDer as _;
                let (_, key) = x509_parser::public_key::RSAPublicKey::from_der(raw).expect("a key");
                let modulus = &key.modulus[usize::from(key.modulus[0] == 0)..];
                json!({ "kty": "RSA", "kid": id, "n": part(modulus), "e": part(key.exponent) })
            }
        }
    }

    fn verify(&self, token: &str) -> Result<Claims, Fault> {
        verify(&self.issuers, &self.roles, NOW, token)
    }

    #[track_caller]
    fn fault(&self, token: &str) -> Fault {
        self.verify(token).expect_err("it is no good")
    }

    /// A token of the issuer, after a change of its header and claims.
    fn token(&self, change: impl Fn(&mut Value, &mut Value)) -> String {
        let (message, signature) = self.parts(change);
        format!("{message}.{signature}")
    }

    fn parts(&self, change: impl Fn(&mut Value, &mut Value)) -> (String, String) {
        let name = match self.algorithm {
            Algorithm::EdDSA => "EdDSA",
            Algorithm::ES256 => "ES256",
            _ => "RS256",
        };
        let mut header = json!({ "alg": name, "typ": "JWT" });
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "role": "operator",
            "exp": NOW + 600, "iat": NOW,
        });
        change(&mut header, &mut claims);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        if self.algorithm != Algorithm::ES256 {
            let signature = self.key.sign(message.as_bytes()).expect("signed");
            return (message, URL_SAFE_NO_PAD.encode(signature));
        }
        // Certificates have another form of these signatures.
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, self.algorithm);
        (message, signature.expect("signed"))
    }
}
