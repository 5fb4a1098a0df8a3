//! Who a peer is, by what it presents; and the tokens of operators and dashboards.

use std::sync::Arc;

use proto::envelope::ErrorCode;
use proto::{CloseCode, DeviceId};

use super::registry::{durable, json, operation};
use super::{Broker, Ticket};
use crate::access::certificate::Leaf;
use crate::access::directory::credential_id;
use crate::access::jwt;
use crate::access::{
    Admission, Credential, CredentialId, Identity, Role, Subject, Token, TokenHash,
};
use crate::audit::{Actor, Record, Verb};
use crate::clock::Now;
use crate::codec::Refusal;
use crate::store::Table;

/// Bytes of the name that a token is issued for.
const NAME_BYTES_MAX: usize = 64;
/// Tokens of people.
const PEOPLE_MAX: usize = 10_000;

/// What a client certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// None was presented.
    None,
    /// One that names this device, and what else it says.
    Device(DeviceId, Box<Leaf>),
    /// One that names no device, or several.
    Unusable,
}

impl Broker {
    /// The identity behind a HELLO: by its token if it has one, else by the certificate.
    ///
    /// # Errors
    /// The close code that the peer gets.
    pub fn authenticate(
        &self,
        now: Now,
        token: &str,
        certificate: &Certificate,
    ) -> Result<Admission, CloseCode> {
        if token.is_empty() {
            let Certificate::Device(id, leaf) = certificate else {
                return Err(CloseCode::BAD_CREDENTIAL);
            };
            self.admit_key(now, id, leaf, false)?;
            if !self.register_itself(now, id) {
                return Err(CloseCode::REVOKED);
            }
            self.admit_key(now, id, leaf, true)?;
            return Ok(Admission::by_certificate(id, leaf.presented()));
        }
        let admission = self.identify(now, token)?;
        match (&admission.identity, certificate) {
            // A certificate and a token that name different devices: someone carries another's token.
            (Identity::Device(id), Certificate::Device(other, _)) if id != other => {
                Err(CloseCode::BAD_CREDENTIAL)
            }
            (Identity::Device(id), Certificate::Device(_, leaf)) => {
                self.admit_key(now, id, leaf, true)?;
                Ok(Admission { certificate: Some(leaf.presented()), ..admission })
            }
            _ => Ok(admission),
        }
    }

    /// The identity behind a token.
    ///
    /// # Errors
    /// [`CloseCode::BAD_CREDENTIAL`], or [`CloseCode::REVOKED`] if the role of the token is gone.
    pub fn identify(&self, now: Now, token: &str) -> Result<Admission, CloseCode> {
        if token.len() > proto::limits::TOKEN_BYTES_MAX {
            return Err(CloseCode::BAD_CREDENTIAL);
        }
        if jwt::looks_like_one(token) {
            return self.identify_issued(now, token);
        }
        let hash = Token::presented(token).hash();
        let directory = self.directory.read();
        let credential = directory.find(&hash).ok_or(CloseCode::BAD_CREDENTIAL)?;
        let identity = credential.identity(&self.policy().roles).ok_or(CloseCode::REVOKED)?;
        Ok(Admission::by_token(identity, hash))
    }

    /// The identity behind a token of an issuer.
    fn identify_issued(&self, now: Now, token: &str) -> Result<Admission, CloseCode> {
        let policy = self.policy();
        let unix_s = now.unix_ms / 1000;
        let claims =
            jwt::verify(&policy.issuers, &policy.roles, unix_s, token).map_err(|fault| {
                tracing::debug!(%fault, "a token of an issuer was refused");
                match fault {
                    jwt::Fault::Disabled => CloseCode::REVOKED,
                    _ => CloseCode::BAD_CREDENTIAL,
                }
            })?;
        let identity = Identity::Person { role: claims.role, name: claims.issued.name() };
        let issued = Some(Box::new((claims.issued, claims.ends_unix_ms)));
        Ok(Admission { identity, token: None, issued, certificate: None })
    }

    /// The role of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn role(&self, name: &str) -> Result<Arc<Role>, Refusal> {
        let policy = self.policy();
        policy.roles.get(name).cloned().ok_or_else(|| {
            let text = format!("is no role of this hub; there are {}", policy.roles.names());
            Refusal::new(ErrorCode::BadValue, "role", text)
        })
    }

    /// The role of the token with this id.
    ///
    /// # Errors
    /// There is no such token, or its role is gone.
    pub fn role_of_token(&self, id: &str) -> Result<Arc<Role>, Refusal> {
        let known = self.directory.read().people().into_iter().find(|(known, _)| known == id);
        match known.map(|(_, credential)| credential.subject) {
            Some(Subject::Person { role, .. }) => self.role(&role),
            Some(Subject::Device(_)) | None => {
                Err(Refusal::new(ErrorCode::NotFound, "identity", "no such token"))
            }
        }
    }

    /// Issues a token to a person or a program; shown here and never again. Waits for the disk.
    ///
    /// # Errors
    /// There is no such role, the name is empty or too long, or there are too many tokens.
    pub async fn issue_token(
        &self,
        now: Now,
        role: &str,
        name: &str,
        by: &Actor,
    ) -> Result<(CredentialId, Token), Refusal> {
        self.role(role)?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            let text = format!("needs 1 to {NAME_BYTES_MAX} bytes without control characters");
            return Err(Refusal::new(ErrorCode::BadValue, "name", text));
        }
        if self.directory.read().people().len() >= PEOPLE_MAX {
            let text = format!("at most {PEOPLE_MAX} tokens may be out; revoke some");
            return Err(Refusal::new(ErrorCode::Limit, "", text));
        }
        let token = Token::generate();
        let credential = person(role, name, now);
        let (done, wait) = tokio::sync::oneshot::channel();
        let operation = operation(Table::Token, &token.hash().0, Some(json(&credential)));
        let record = Record::done(by.clone(), Verb::IssueToken, credential_id(&token.hash()))
            .detail(format!("{} {name}", role));
        let ticket = Some(Ticket::Waiter(done));
        self.submit_audited(now, vec![operation], ticket, &[record])?;
        self.directory.write().insert(token.hash(), credential);
        durable(wait).await?;
        Ok((credential_id(&token.hash()), token))
    }

    /// The tokens of people and programs, oldest first.
    pub fn tokens(&self) -> Vec<(CredentialId, Credential)> {
        self.directory.read().people()
    }

    /// Revokes a token: its sessions end at once. Waits for the disk.
    ///
    /// # Errors
    /// There is no such token.
    pub async fn revoke_token(&self, now: Now, id: &str, by: &Actor) -> Result<(), Refusal> {
        let is_meant = |hash: &TokenHash, credential: &Credential| {
            matches!(credential.subject, Subject::Person { .. }) && credential_id(hash) == id
        };
        let removed = self.directory.write().remove_where(is_meant);
        let Some((hash, credential)) = removed.into_iter().next() else {
            return Err(Refusal::new(ErrorCode::NotFound, "id", "no such token"));
        };
        let whose = match &credential.subject {
            Subject::Person { role, name } => format!("{role} {name}"),
            Subject::Device(id) => format!("device {id}"),
        };
        let records = [Record::done(by.clone(), Verb::RevokeToken, id).detail(whose)];
        let (done, wait) = tokio::sync::oneshot::channel();
        let operation = operation(Table::Token, &hash.0, None);
        let ticket = Some(Ticket::Waiter(done));
        if let Err(refusal) = self.submit_audited(now, vec![operation], ticket, &records) {
            // What isn't recorded doesn't happen.
            self.directory.write().insert(hash, credential);
            return Err(refusal);
        }
        self.close_sessions(CloseCode::REVOKED, |entry| entry.admission.token == Some(hash));
        self.senders_changed();
        durable(wait).await
    }
}

/// The record of a person's token.
pub(crate) fn person(role: &str, name: &str, now: Now) -> Credential {
    let subject = Subject::Person { role: role.to_owned(), name: name.to_owned() };
    Credential { subject, created_unix_ms: now.unix_ms }
}
