//! Who a peer is, by what it presents; and the tokens of operators and dashboards.

use proto::envelope::ErrorCode;
use proto::{CloseCode, DeviceId};

use super::registry::{durable, json, operation};
use super::{Broker, Ticket};
use crate::access::directory::credential_id;
use crate::access::{Credential, CredentialId, Identity, Role, Subject, Token, TokenHash};
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
    /// One that names this device.
    Device(DeviceId),
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
    ) -> Result<(Identity, Option<TokenHash>), CloseCode> {
        if token.is_empty() {
            return match certificate {
                Certificate::Device(id) if self.register_itself(now, id) => {
                    Ok((Identity::Device(id.clone()), None))
                }
                Certificate::Device(_) => Err(CloseCode::REVOKED),
                Certificate::None | Certificate::Unusable => Err(CloseCode::BAD_CREDENTIAL),
            };
        }
        let (identity, hash) = self.identify(token).ok_or(CloseCode::BAD_CREDENTIAL)?;
        match (&identity, certificate) {
            // A certificate and a token that name different devices: someone carries another's token.
            (Identity::Device(id), Certificate::Device(other)) if id != other => {
                Err(CloseCode::BAD_CREDENTIAL)
            }
            _ => Ok((identity, Some(hash))),
        }
    }

    /// The identity behind a token.
    pub fn identify(&self, token: &str) -> Option<(Identity, TokenHash)> {
        if token.len() > proto::limits::TOKEN_BYTES_MAX {
            return None;
        }
        let hash = Token::presented(token).hash();
        let identity = self.directory.read().find(&hash).and_then(Credential::identity)?;
        Some((identity, hash))
    }

    /// Issues a token to a person or a program; shown here and never again. Waits for the disk.
    ///
    /// # Errors
    /// The name is empty or too long, or there are too many tokens.
    pub async fn issue_token(
        &self,
        now: Now,
        role: Role,
        name: &str,
        by: &Actor,
    ) -> Result<(CredentialId, Token), Refusal> {
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
            .detail(format!("{} {name}", role.word()));
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
        let whose = credential.identity().map(|identity| identity.to_string());
        let record = Record::done(by.clone(), Verb::RevokeToken, id);
        let records = [record.detail(whose.unwrap_or_default())];
        let (done, wait) = tokio::sync::oneshot::channel();
        let operation = operation(Table::Token, &hash.0, None);
        let ticket = Some(Ticket::Waiter(done));
        if let Err(refusal) = self.submit_audited(now, vec![operation], ticket, &records) {
            // What isn't recorded doesn't happen.
            self.directory.write().insert(hash, credential);
            return Err(refusal);
        }
        self.close_sessions(CloseCode::REVOKED, |entry| entry.token == Some(hash));
        durable(wait).await
    }
}

/// The record of a person's token.
pub(crate) fn person(role: Role, name: &str, now: Now) -> Credential {
    let subject = Subject::Person { role, name: name.to_owned() };
    Credential { subject, created_unix_ms: now.unix_ms }
}
