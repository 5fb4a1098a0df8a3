//! Lists of revoked certificates (RFC 5280, section 5): read and checked as a whole, before any handshake
//! asks them. A list with any fault is refused, and the file is named.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::tls::TlsError;
use crate::access::certificate::CertificateNumber;
use crate::clock::Now;

/// Bytes of one file: 500,000 revoked certificates or more. A longer one is refused.
pub const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Files.
pub const FILES_MAX: usize = 16;

/// The first byte of DER; PEM begins with text.
const SEQUENCE: u8 = 0x30;
/// Where a list says which part of the revoked certificates it has.
const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";
/// In there: the reasons that it is about, as a bit string.
const ONLY_SOME_REASONS: u8 = 0x83;

/// What all files say together.
#[derive(Debug, Default)]
pub struct Lists {
    /// For handshakes.
    pub ders: Vec<CertificateRevocationListDer<'static>>,
    /// For sessions that began before, and TLS sessions that are resumed.
    pub revoked: HashSet<CertificateNumber>,
}

/// Reads all lists, PEM or DER.
///
/// # Errors
/// A file can't be read, is too long, empty or cut off, has something else in it, or is out of date.
pub fn read(files: &[PathBuf], now: Now) -> Result<Lists, TlsError> {
    let mut lists = Lists::default();
    for file in files {
        let wrong = |problem: String| TlsError::Crl { file: file.clone(), problem };
        for der in ders(file)? {
            check(&der, now, &mut lists.revoked).map_err(wrong)?;
            lists.ders.push(der);
        }
    }
    Ok(lists)
}

fn ders(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let failed = |source| TlsError::Read { file: file.to_owned(), source };
    let wrong = |problem: String| TlsError::Crl { file: file.to_owned(), problem };
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > FILE_BYTES_MAX {
        return Err(wrong(format!("has {length} bytes; at most {FILE_BYTES_MAX}")));
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![bytes.into()]);
    }
    let read: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let lists = read.map_err(|error| wrong(format!("is no PEM, or is cut off: {error}")))?;
    if lists.is_empty() {
        return Err(wrong("has no list in it; write PEM (X509 CRL) or DER".to_owned()));
    }
    Ok(lists)
}

/// Checks one list, and notes whom it revokes.
fn check(der: &[u8], now: Now, revoked: &mut HashSet<CertificateNumber>) -> Result<(), String> {
    let (rest, list) = CertificateRevocationList::from_der(der)
        .map_err(|error| format!("is no list of revoked certificates, or is cut off: {error}"))?;
    if !rest.is_empty() {
        return Err(format!("has {} bytes after its end", rest.len()));
    }
    let unix_s = (now.unix_ms / 1000).cast_signed();
    let next = list.next_update().ok_or("doesn't say when the next one comes (nextUpdate)")?;
    if next.timestamp() < unix_s {
        return Err(format!("is out of date: the next one was due at {next}"));
    }
    for extension in list.extensions() {
        // What a library takes for a bit string must have bits, or it looks for them behind its end.
        if extension.oid.to_id_string() == ISSUING_DISTRIBUTION_POINT
            && !are_bits_there(extension.value)
        {
            return Err("has an empty bit string for its reasons (onlySomeReasons)".to_owned());
        }
    }
    let issuer = list.issuer().as_raw();
    let numbers = list.iter_revoked_certificates();
    revoked.extend(numbers.map(|one| CertificateNumber::of(issuer, one.raw_serial())));
    Ok(())
}

/// Whether the reasons of an issuing distribution point, if it has any, have bits.
fn are_bits_there(point: &[u8]) -> bool {
    let Some((SEQUENCE, mut members, _)) = element(point) else { return false };
    while !members.is_empty() {
        let Some((tag, content, rest)) = element(members) else { return false };
        // The first byte counts the bits that are left out of the last one.
        if tag == ONLY_SOME_REASONS && content.len() < 2 {
            return false;
        }
        members = rest;
    }
    true
}

/// Tag and content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_without_bits_are_found_wherever_they_stand() {
        for (point, are_there) in [
            (&[0x30, 0x00][..], true),
            (&[0x30, 0x03, 0x81, 0x01, 0xff], true),
            (&[0x30, 0x04, 0x83, 0x02, 0x01, 0x40], true),
            (&[0x30, 0x03, 0x83, 0x01, 0x00], false),
            (&[0x30, 0x02, 0x83, 0x00], false),
            (&[0x30, 0x06, 0x81, 0x01, 0xff, 0x83, 0x01, 0x00], false),
            (&[0x30, 0x81, 0x03, 0x83, 0x01, 0x00], false),
            (&[0x30, 0x05, 0x83], false),
            (&[0x30, 0x85, 1, 1, 1, 1, 1], false),
            (&[], false),
        ] {
            assert_eq!(are_bits_there(point), are_there, "{point:02x?}");
        }
    }
}
