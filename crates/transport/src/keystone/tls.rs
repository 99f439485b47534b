//! TLS to Keystone, and the authorities for its certificate.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::settings::{KeystoneConfig, KeystoneError};

/// The check of Keystone's identity.
pub(super) fn config(config: &KeystoneConfig) -> Result<ClientConfig, KeystoneError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    #[expect(clippy::expect_used, reason = "the provider is a constant of the library's")]
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("this provider has ciphers of TLS 1.2 and 1.3");
    if config.insecure {
        let verifier = Arc::new(Unverified(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let roots = match &config.cafile {
        Some(path) => roots_of_file(path)
            .map_err(|source| KeystoneError::Certificates { path: path.clone(), source })?,
        None if config.auth_url.is_in_clear() => RootCertStore::empty(), // There is no certificate.
        None => roots_of_system()?,
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of_file(path: &Path) -> io::Result<RootCertStore> {
    let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut roots = RootCertStore::empty();
    let text = std::fs::read(path)?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    if roots.is_empty() { Err(invalid("there is no certificate (PEM) in it".to_owned())) } else { Ok(roots) }
}

fn roots_of_system() -> Result<RootCertStore, KeystoneError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(KeystoneError::NoCertificates) } else { Ok(roots) }
}

/// Accepts any certificate: the setting `insecure`.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
