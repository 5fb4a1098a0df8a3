//! Tokens of others: JWTs (RFC 7519) that are taken as RFC 8725 advises, and no further.
//!
//! Everything that can be checked without cryptography comes first: size, form, type, algorithm, issuer,
//! audience and times. Then the signature, by a key that the hub has; then the role. Nothing in a token
//! names a file or an address that the hub would look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::keys::{self, Key, KeyDigest};
use super::role::{Role, Roles};

/// s by which clocks may differ.
const LEEWAY_S: u64 = 60;
/// s that a token may live on: a stolen one is no good for longer.
const LIFE_S_MAX: u64 = 24 * 3600;
/// Bytes of a subject, which is in the name that people see.
const SUBJECT_BYTES_MAX: usize = 64;
/// Members of a header, or claims of a token.
const MEMBERS_MAX: usize = 64;

/// Whose tokens are taken, and for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`, exactly, or exactly one of its entries.
    pub audience: String,
    /// `typ`, one of these, whatever the case.
    pub types: Vec<String>,
    /// The claim that names the role, or several values of which one does.
    pub role_claim: String,
    /// Roles by the claim's value; the value is the role's name where this is empty.
    pub roles: BTreeMap<String, String>,
}

/// An issuer whose tokens the hub takes.
#[derive(Debug)]
pub struct Issuer {
    /// Whose, and for whom.
    pub trust: Trust,
    /// Subjects that are let in no more, whatever their tokens say.
    pub disabled: Vec<String>,
    /// What its tokens are signed with.
    pub keys: Vec<Key>,
}

/// Where the identity of a session comes from, if from an issuer.
#[derive(Debug, Clone)]
pub struct Issued {
    issuer: Arc<Issuer>,
    subject: String,
    key: KeyDigest,
}

/// What a good token says.
#[derive(Debug)]
pub struct Claims {
    /// What its bearer may do.
    pub role: Arc<Role>,
    /// ms since 1970 from when on nothing may go on by it.
    pub ends_unix_ms: u64,
    /// Who its bearer is, and for asking again after a reload.
    pub issued: Issued,
}

/// Why a token is refused; for the log, not for who presents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("not for this hub")]
    Audience,
    #[error("not an algorithm that is taken here")]
    Algorithm,
    #[error("its critical extensions aren't understood")]
    Critical,
    #[error("its subject is disabled")]
    Disabled,
    #[error("expired")]
    Expired,
    #[error("not three parts of base64url with JSON")]
    Form,
    #[error("from the future")]
    Future,
    #[error("from nobody who is trusted")]
    Issuer,
    #[error("its key isn't known")]
    Key,
    #[error("lives longer than {LIFE_S_MAX} s")]
    Life,
    #[error("names no role, or several")]
    Role,
    #[error("not signed by its key")]
    Signature,
    #[error("names nobody")]
    Subject,
    #[error("its times aren't whole seconds")]
    Times,
    #[error("not a token of this type")]
    Type,
}

/// Whether a text has the form of a JWT, and not that of a token of the hub's own.
pub fn looks_like_one(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// What a token says, if one of these issuers stands for it now.
///
/// # Errors
/// Says why not.
pub fn verify(
    issuers: &[Arc<Issuer>],
    roles: &Roles,
    unix_s: u64,
    token: &str,
) -> Result<Claims, Fault> {
    let (message, signature) = token.rsplit_once('.').ok_or(Fault::Form)?;
    let (header, payload) = message.split_once('.').ok_or(Fault::Form)?;
    let (header, claims) = (members(header)?, members(payload)?);

    let algorithm = text(&header, "alg").and_then(keys::algorithm).ok_or(Fault::Algorithm)?;
    if header.contains_key("crit") {
        return Err(Fault::Critical);
    }
    let name = text(&claims, "iss").ok_or(Fault::Issuer)?;
    let issuer = issuers.iter().find(|known| known.trust.issuer == name).ok_or(Fault::Issuer)?;
    let trust = &issuer.trust;
    let fits = |kind: &str| trust.types.iter().any(|known| known.eq_ignore_ascii_case(kind));
    if !text(&header, "typ").is_some_and(fits) {
        return Err(Fault::Type);
    }
    if !is_for(claims.get("aud"), &trust.audience) {
        return Err(Fault::Audience);
    }
    let subject =
        text(&claims, "sub").filter(|subject| is_subject(subject)).ok_or(Fault::Subject)?;
    if issuer.disabled.iter().any(|disabled| disabled == subject) {
        return Err(Fault::Disabled);
    }
    let ends = ends(&claims, unix_s)?;
    let id = match header.get("kid") {
        None => None,
        Some(id) => Some(id.as_str().ok_or(Fault::Key)?),
    };
    let key = keys::select(&issuer.keys, id, algorithm).ok_or(Fault::Key)?;
    if !key.verifies(message, signature) {
        return Err(Fault::Signature);
    }
    let role = trust.role(roles, &claims).ok_or(Fault::Role)?.clone();
    let (issuer, subject) = (issuer.clone(), subject.to_owned());
    let issued = Issued { issuer, subject, key: *key.digest() };
    Ok(Claims { role, ends_unix_ms: ends * 1000, issued })
}

impl Issuer {
    /// What stands behind the `@` of its bearers' names.
    fn place(&self) -> &str {
        let issuer = &self.trust.issuer;
        issuer.strip_prefix("https://").unwrap_or(issuer).trim_end_matches('/')
    }

    /// Whether somebody of this name may come by a token of it.
    pub fn stands_for(&self, name: &str) -> bool {
        let subject = name.strip_suffix(self.place()).and_then(|name| name.strip_suffix('@'));
        subject.is_some_and(|subject| !self.disabled.iter().any(|disabled| disabled == subject))
    }
}

impl Issued {
    /// Its bearer, as people see it: `ann@login.city.example`, which is nobody whom the hub itself or
    /// another issuer calls ann.
    pub fn name(&self) -> String {
        format!("{}@{}", self.subject, self.issuer.place())
    }

    /// Whether the issuers of now stand for it as those did that it came from.
    pub fn still_holds(&self, issuers: &[Arc<Issuer>]) -> bool {
        issuers.iter().any(|issuer| {
            issuer.trust == self.issuer.trust
                && !issuer.disabled.contains(&self.subject)
                && issuer.keys.iter().any(|key| *key.digest() == self.key)
        })
    }
}

impl PartialEq for Issued {
    fn eq(&self, other: &Self) -> bool {
        self.issuer.trust == other.issuer.trust
            && self.subject == other.subject
            && self.key == other.key
    }
}

impl Eq for Issued {}

impl Trust {
    /// The one role that the claim names.
    fn role<'r>(&self, roles: &'r Roles, claims: &Members) -> Option<&'r Arc<Role>> {
        let values = match claims.get(&self.role_claim)? {
            Value::String(value) => vec![value.as_str()],
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let name = |value: &&str| match self.roles.is_empty() {
            true => Some((*value).to_owned()),
            false => self.roles.get(*value).cloned(),
        };
        let mut named: Vec<_> =
            values.iter().filter_map(name).filter_map(|name| roles.get(&name)).collect();
        named.dedup_by(|a, b| Arc::ptr_eq(a, b));
        match named.as_slice() {
            [role] => Some(role),
            _ => None,
        }
    }
}

/// s since 1970 at which what goes on by these claims ends.
fn ends(claims: &Members, unix_s: u64) -> Result<u64, Fault> {
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or(Fault::Times),
    };
    let (expires, from, issued) = (time("exp")?, time("nbf")?, time("iat")?);
    let expires = expires.ok_or(Fault::Expired)?;
    let latest = unix_s + LEEWAY_S;
    if from.is_some_and(|from| from > latest) || issued.is_some_and(|issued| issued > latest) {
        return Err(Fault::Future);
    }
    if expires > latest + LIFE_S_MAX {
        return Err(Fault::Life);
    }
    // The leeway is for letting someone in; who is in goes when the token says so.
    if expires > unix_s {
        return Ok(expires);
    }
    let last = expires.saturating_add(LEEWAY_S);
    if last <= unix_s { Err(Fault::Expired) } else { Ok(last) }
}

fn is_for(audience: Option<&Value>, ours: &str) -> bool {
    match audience {
        Some(Value::String(one)) => one == ours,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(ours)),
        _ => false,
    }
}

fn is_subject(text: &str) -> bool {
    (1..=SUBJECT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn text<'m>(members: &'m Members, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Value::as_str)
}

type Members = BTreeMap<String, Value>;

/// The members of an object in base64url. The parser itself bounds how deep it is nested.
fn members(part: &str) -> Result<Members, Fault> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Form)?;
    serde_json::from_slice::<Once>(&bytes).map(|once| once.0).map_err(|_| Fault::Form)
}

/// An object in which no member stands twice: else two readers could take it for two tokens.
struct Once(Members);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() || members.len() > MEMBERS_MAX {
                        return Err(A::Error::custom(
                            "a member stands twice, or there are too many",
                        ));
                    }
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Object).map(Once)
    }
}

#[cfg(test)]
mod tests;
