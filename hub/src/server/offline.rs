//! The first token of a hub: issued on the data folder itself, while no hub runs on it.

use std::path::Path;

use super::ServeError;
use crate::access::{CredentialId, Token, directory};
use crate::broker::credentials::person;
use crate::broker::registry::{json, operation};
use crate::clock::Now;
use crate::store::{self, Store as _, Table};

/// Issues a token into the store of a hub that isn't running.
///
/// # Errors
/// The folder can't be opened; a hub that runs on it is one reason.
pub fn issue_token_offline(
    data_folder: &Path,
    role: &str,
    name: &str,
) -> Result<(CredentialId, Token), ServeError> {
    let now = Now::read();
    let settings = store::OpenSettings::new(data_folder.to_owned());
    let mut opened = store::open(&settings, now.unix_ms / 1000)?;
    let token = Token::generate();
    let record = json(&person(role, name, now));
    opened.store.commit(&[operation(Table::Token, &token.hash().0, Some(record))])?;
    Ok((directory::credential_id(&token.hash()), token))
}
