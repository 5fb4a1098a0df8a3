//! Certificates of devices, signed by the CA of a hub in `--dev`, and the TLS settings that show them.

use std::path::Path;
use std::sync::Arc;

use firmware_client::driver::{ClientCertificate, tls_config};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ClientConfig;

use crate::hub::HubError;

/// In front of the device's id, in the certificate's alternative name.
const DEVICE_URI_PREFIX: &str = "urn:lamplighter:device:";

/// Signs for any device. All share one key: what a handshake costs the hub is the same.
pub(super) struct Authority {
    roots_pem: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
}

impl Authority {
    /// From the CA's certificate and key, PEM.
    ///
    /// # Errors
    /// They can't be read or don't fit.
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, HubError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| HubError::File { path: path.display().to_string(), error })
        };
        let roots_pem = read(certificate)?;
        let unusable = |error: rcgen::Error| HubError::Answer(format!("the dev CA: {error}"));
        let signing = KeyPair::from_pem(&read(key)?).map_err(unusable)?;
        let issuer = Issuer::from_ca_cert_pem(&roots_pem, signing).map_err(unusable)?;
        let key = KeyPair::generate().map_err(unusable)?;
        Ok(Self { roots_pem: roots_pem.into_bytes(), issuer, key })
    }

    /// TLS settings of a device by this id, with sessions of its own.
    ///
    /// # Errors
    /// No certificate can be made for it.
    pub(super) fn settings_of(&self, id: &str) -> Result<Arc<ClientConfig>, HubError> {
        let chain = self.certificate_of(id).map_err(|error| HubError::Answer(error.to_string()))?;
        let key = self.key.serialize_pem();
        let identity = ClientCertificate { chain_pem: chain.as_bytes(), key_pem: key.as_bytes() };
        Ok(tls_config(&self.roots_pem, Some(identity))?)
    }

    fn certificate_of(&self, id: &str) -> Result<String, rcgen::Error> {
        let mut params = CertificateParams::new(vec![])?;
        let uri = format!("{DEVICE_URI_PREFIX}{id}");
        params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Ok(params.signed_by(&self.key, &self.issuer)?.pem())
    }
}
