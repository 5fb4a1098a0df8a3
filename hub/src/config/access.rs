//! From keys to the policy: roles, issuers with their keys, and whose web pages may ask.
//!
//! The files of issuers' keys are read here, so that a configuration that is accepted has them.

use std::path::Path;
use std::sync::Arc;

use super::ConfigError;
use super::check::{check_count, wrong};
use super::file::{self, File};
use crate::access::jwt::{Issuer, Trust};
use crate::access::origin::{self, Origins};
use crate::access::role::{Draft, DraftGrant};
use crate::access::{Policy, Roles, keys};

/// Bytes of a file of keys.
const KEYS_BYTES_MAX: u64 = 256 * 1024;
/// Issuers, and entries of each list of one.
const LIST_MAX: usize = 256;
/// Bytes of an issuer's name, of an audience, of the name of a claim.
const TEXT_BYTES_MAX: usize = 128;
/// What a token may be called in its header.
const TYPES: [&str; 2] = ["JWT", "at+jwt"];

/// The policy of these keys.
///
/// # Errors
/// A role or an issuer can't be meant so, a file of keys can't be read, or an origin isn't exact.
pub fn policy(file: &File) -> Result<Policy, ConfigError> {
    let drafts: Vec<Draft> = file.role.iter().map(draft).collect();
    let roles = match Roles::new(&drafts) {
        Ok(roles) => roles,
        Err(error) => return wrong("role", error.to_string()),
    };
    check_count("issuer", file.issuer.len())?;
    let mut issuers: Vec<Arc<Issuer>> = Vec::new();
    for issuer in &file.issuer {
        let issuer = self::issuer(issuer, &roles)?;
        if issuers.iter().any(|known| known.trust.issuer == issuer.trust.issuer) {
            return wrong("issuer.issuer", format!("`{}` stands twice", issuer.trust.issuer));
        }
        issuers.push(Arc::new(issuer));
    }
    Ok(Policy { roles, issuers, origins: origins(&file.http)? })
}

fn draft(role: &file::Role) -> Draft {
    let grants = role.grant.iter().map(|grant| DraftGrant {
        verbs: grant.verbs.clone(),
        pattern: grant.pattern.clone(),
        labels: grant.labels.clone(),
    });
    Draft { name: role.name.clone(), include: role.include.clone(), grants: grants.collect() }
}

fn issuer(issuer: &file::Issuer, roles: &Roles) -> Result<Issuer, ConfigError> {
    for (key, text) in [
        ("issuer.issuer", &issuer.issuer),
        ("issuer.audience", &issuer.audience),
        ("issuer.role_claim", &issuer.role_claim),
    ] {
        if !(1..=TEXT_BYTES_MAX).contains(&text.len()) || text.chars().any(char::is_control) {
            let problem =
                format!("is empty, over {TEXT_BYTES_MAX} bytes or has control characters");
            return wrong(key, problem);
        }
    }
    let lists = [issuer.roles.len(), issuer.disabled.len()];
    if lists.into_iter().any(|count| count > LIST_MAX) {
        return wrong("issuer", format!("`{}` has a list of over {LIST_MAX}", issuer.issuer));
    }
    if let Some(unknown) = issuer.roles.values().find(|name| roles.get(name).is_none()) {
        let known = roles.names();
        return wrong(
            "issuer.roles",
            format!("has `{unknown}`, which is no role; there are {known}"),
        );
    }
    let is_type = |name: &String| TYPES.iter().any(|known| known.eq_ignore_ascii_case(name));
    if issuer.types.is_empty() || !issuer.types.iter().all(is_type) {
        return wrong("issuer.types", "takes JWT and at+jwt, and needs one of them");
    }
    Ok(Issuer {
        trust: Trust {
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            types: issuer.types.clone(),
            role_claim: issuer.role_claim.clone(),
            roles: issuer.roles.clone(),
        },
        disabled: issuer.disabled.clone(),
        keys: read_keys(&issuer.keys)?,
    })
}

fn read_keys(path: &Path) -> Result<Vec<keys::Key>, ConfigError> {
    let file = path.to_owned();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > KEYS_BYTES_MAX => {
            let problem = format!("{} is over {KEYS_BYTES_MAX} bytes: no keys", path.display());
            return wrong("issuer.keys", problem);
        }
        Ok(_) => {}
        Err(source) => return Err(ConfigError::Read { file, source }),
    }
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| ConfigError::Read { file, source })?;
    match keys::read(&text) {
        Ok(keys) => Ok(keys),
        Err(error) => wrong("issuer.keys", format!("{} {error}", path.display())),
    }
}

fn origins(http: &file::Http) -> Result<Origins, ConfigError> {
    let file::Http { origins, hosts } = http;
    check_count("http.origins", origins.len())?;
    check_count("http.hosts", hosts.len())?;
    if let Some(wrong_one) = hosts.iter().find(|text| !origin::is_host(text)) {
        let problem = format!(
            "has `{wrong_one}`; write a host without scheme and port, as in hub.city.example"
        );
        return wrong("http.hosts", problem);
    }
    if let Some(wrong_one) = origins.iter().find(|text| !origin::is_exact(text)) {
        let problem =
            format!("has `{wrong_one}`; write an exact origin, as in https://city.example");
        return wrong("http.origins", problem);
    }
    Ok(Origins::new(origins.clone()).with_hosts(hosts.clone()))
}
