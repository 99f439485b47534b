//! The CA certificates, revocations, certificate and key of a client: read from libvirt's files and checked before the
//! daemon is called.
//!
//! ```text
//!                ?pkipath=FOLDER         an ordinary user             the system
//!  CA            FOLDER/cacert.pem       ~/.pki/libvirt/cacert.pem    /etc/pki/CA/cacert.pem
//!  revocations   FOLDER/cacrl.pem        ~/.pki/libvirt/cacrl.pem     /etc/pki/CA/cacrl.pem
//!  certificate   FOLDER/clientcert.pem   ~/.pki/libvirt/…             /etc/pki/libvirt/clientcert.pem
//!  key           FOLDER/clientkey.pem    ~/.pki/libvirt/…             /etc/pki/libvirt/private/clientkey.pem
//! ```
//!
//! Only the CA is required. For files that a user does not have, the system's are used; certificate and key go together. The
//! key is wiped when the cipher library has it, which keeps a copy of its own.
//!
//! Left out: keys with a passphrase, PKCS #11, the system's own authorities.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer,
    PrivateSec1KeyDer, ServerName, UnixTime,
};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use zeroize::Zeroizing;

use super::certificate::{Facts, Validity};
use crate::error::{TlsError, Unfit};
use crate::limits::CREDENTIALS_BYTES_MAX;
use crate::uri::Uri;

type Result<T> = std::result::Result<T, TlsError>;

/// Files that were read and checked.
pub(crate) struct Credentials {
    provider: Arc<CryptoProvider>,
    authorities: Vec<CertificateDer<'static>>,
    revocations: Vec<CertificateRevocationListDer<'static>>,
    /// Without one the daemon decides whether it accepts us.
    identity: Option<Arc<SingleCertAndKey>>,
}

impl Credentials {
    /// Reads the files of a URI; `home` is the folder of an ordinary user.
    pub(crate) fn read(uri: &Uri, home: Option<&Path>) -> Result<Self> {
        let files = Files::find(uri.options().pkipath.as_deref(), home)?;
        let authorities = certificates(&files.authority)?;
        let authorities = authorities.ok_or_else(|| TlsError::NotAuthorities(files.authority.clone()))?;
        let identity = files.identity.as_ref();
        let chain = identity.map(|pair| chain(&pair.certificate)).transpose()?;
        let credentials = Self {
            provider: provider(),
            authorities,
            revocations: files.revocations.as_deref().map_or(Ok(Vec::new()), revocations)?,
            identity: None,
        };
        if let (Some(path), false) = (&files.revocations, uri.options().no_verify)
            && let Err(VerifierBuilderError::InvalidCrl(_)) = credentials.verifier()
        {
            return Err(TlsError::OldRevocations(path.clone()));
        }
        if !uri.options().no_sanity {
            credentials.check(&files, chain.as_deref().unwrap_or_default())?;
        }
        let identity = identity.zip(chain).map(|(pair, chain)| pair.identity(chain));
        Ok(Self { identity: identity.transpose()?, ..credentials })
    }

    /// No identity and no trusted authority.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { provider: provider(), authorities: vec![], revocations: vec![], identity: None }
    }

    /// A new session to a host.
    pub(super) fn connection(self, host: &str, trust_anybody: bool) -> super::Result<ClientConnection> {
        let broken = |error| TlsError::Handshake(super::broken(error));
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            Err(_) if trust_anybody => ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into()),
            Err(_) => return Err(TlsError::Untrusted(CertificateError::NotValidForName).into()),
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
        let config = if trust_anybody {
            let anybody = Arc::new(Anybody(Arc::clone(&self.provider)));
            config.dangerous().with_custom_certificate_verifier(anybody)
        } else {
            // There is no trusted authority.
            let nobody = |_| TlsError::Untrusted(CertificateError::UnknownIssuer);
            config.with_webpki_verifier(self.verifier().map_err(nobody)?)
        };
        let config = match self.identity {
            Some(identity) => config.with_client_cert_resolver(identity),
            None => config.with_no_client_auth(),
        };
        Ok(ClientConnection::new(Arc::new(config), name).map_err(broken)?)
    }

    fn verifier(&self) -> std::result::Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
        WebPkiServerVerifier::builder_with_provider(self.roots(UnixTime::now()), Arc::clone(&self.provider))
            .with_crls(self.revocations.iter().cloned())
            .allow_unknown_revocation_status()
            .build()
    }

    /// The authorities that are valid now. rustls does not look at their dates.
    fn roots(&self, now: UnixTime) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            if Facts::read(authority).is_some_and(|facts| facts.validity(now) == Validity::Now) {
                let _ = roots.add(authority.clone()); // An unreadable one has issued no certificate.
            }
        }
        Arc::new(roots)
    }

    /// libvirt's sanity check: it finds mistakes that would make a handshake fail without a reason.
    fn check(&self, files: &Files, chain: &[CertificateDer<'static>]) -> Result<()> {
        let now = UnixTime::now();
        let own = files.identity.as_ref().map(|pair| &pair.certificate).zip(chain.split_first());
        if let Some((path, (own, _))) = own {
            let facts = Facts::read(own).ok_or_else(|| TlsError::NotCertificate(path.clone()))?;
            let fault = unfit(&facts, now).or((facts.is_authority == Some(true)).then_some(Unfit::Authority));
            fault.map_or(Ok(()), |fault| Err(TlsError::Certificate { path: path.clone(), fault }))?;
        }
        for authority in &self.authorities {
            let path = &files.authority;
            let facts = Facts::read(authority).ok_or_else(|| TlsError::NotAuthorities(path.clone()))?;
            let fault = unfit(&facts, now).or(match facts.is_authority {
                Some(true) => None,
                Some(false) => Some(Unfit::NoAuthority),
                None => Some(Unfit::NoConstraints),
            });
            fault.map_or(Ok(()), |fault| Err(TlsError::Authority { path: path.clone(), fault }))?;
        }
        match own {
            Some((path, (own, rest))) => self.check_issuer(path, own, rest, &files.authority, now),
            None => Ok(()),
        }
    }

    fn check_issuer(
        &self,
        path: &Path,
        own: &CertificateDer<'static>,
        rest: &[CertificateDer<'static>],
        authority: &Path,
        now: UnixTime,
    ) -> Result<()> {
        let fault = |fault| TlsError::Issuer { certificate: path.into(), authority: authority.into(), fault };
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots(now), Arc::clone(&self.provider))
                .build()
                .map_err(|_| fault(CertificateError::UnknownIssuer))?;
        match verifier.verify_client_cert(own, rest, now) {
            Ok(_) => Ok(()),
            // The daemon decides about the purpose. libvirt's client only warns of it.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
            )) => Ok(()),
            Err(rustls::Error::InvalidCertificate(why)) => Err(fault(why)),
            Err(_) => Err(fault(CertificateError::BadEncoding)),
        }
    }
}

fn unfit(facts: &Facts, now: UnixTime) -> Option<Unfit> {
    match facts.validity(now) {
        Validity::Now => None,
        Validity::Later => Some(Unfit::NotYetValid),
        Validity::Over => Some(Unfit::Expired),
    }
}

/// A certificate and its key.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// The pair if both files exist, `None` if neither does, and an error if one is missing.
    fn if_there(self) -> Result<Option<Self>> {
        let Self { certificate, key } = self;
        match (missing(&certificate), missing(&key)) {
            (None, None) => Ok(Some(Self { certificate, key })),
            (Some(_), Some(_)) => Ok(None),
            (Some(source), None) => Err(TlsError::NoCertificate { certificate, key, source }),
            (None, Some(source)) => Err(TlsError::NoKey { key, certificate, source }),
        }
    }

    fn identity(&self, chain: Vec<CertificateDer<'static>>) -> Result<Arc<SingleCertAndKey>> {
        let (key, certificate) = (self.key.clone(), self.certificate.clone());
        let Some(signing) = signing_key(&read(&self.key)?) else {
            return Err(TlsError::Key { key, certificate });
        };
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) => Ok(Arc::new(SingleCertAndKey::from(certified))),
            Err(_) => Err(TlsError::OtherKey { key, certificate }),
        }
    }
}

/// The files that exist.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Files {
    authority: PathBuf,
    revocations: Option<PathBuf>,
    identity: Option<Pair>,
}

impl Files {
    fn find(pkipath: Option<&Path>, home: Option<&Path>) -> Result<Self> {
        match (pkipath, home) {
            (Some(folder), _) => Places::of_folder(folder).all(None),
            (None, Some(home)) => {
                Places::of_system().all(Some(Places::of_folder(&home.join(".pki/libvirt"))))
            }
            (None, None) => Places::of_system().all(None),
        }
    }
}

/// The paths where files may be.
struct Places {
    authority: PathBuf,
    revocations: PathBuf,
    identity: Pair,
}

impl Places {
    fn of_folder(folder: &Path) -> Self {
        // libvirt puts a slash after whatever is named: nothing is the root, and never the folder we happen to be in.
        let folder = if folder.as_os_str().is_empty() { Path::new("/") } else { folder };
        let [authority, revocations, certificate, key] =
            ["cacert.pem", "cacrl.pem", "clientcert.pem", "clientkey.pem"].map(|name| folder.join(name));
        Self { authority, revocations, identity: Pair { certificate, key } }
    }

    fn of_system() -> Self {
        let [authority, revocations, certificate, key] = [
            "/etc/pki/CA/cacert.pem",
            "/etc/pki/CA/cacrl.pem",
            "/etc/pki/libvirt/clientcert.pem",
            "/etc/pki/libvirt/private/clientkey.pem",
        ]
        .map(PathBuf::from);
        Self { authority, revocations, identity: Pair { certificate, key } }
    }

    /// Each file from the first of two places that has it.
    fn all(self, before: Option<Self>) -> Result<Files> {
        let there = |path: &PathBuf| missing(path).is_none();
        let (authority, revocations, identity) = match before {
            Some(before) => (
                Some(before.authority).filter(there),
                Some(before.revocations).filter(there),
                before.identity.if_there()?,
            ),
            None => (None, None, None),
        };
        let authority = authority.unwrap_or(self.authority);
        if let Some(source) = missing(&authority) {
            return Err(TlsError::NoAuthority { path: authority, source });
        }
        let identity = match identity {
            None => self.identity.if_there()?,
            found => found,
        };
        Ok(Files { authority, revocations: revocations.or(Some(self.revocations).filter(there)), identity })
    }
}

/// The error for a missing file; `None` if it exists.
fn missing(path: &Path) -> Option<io::Error> {
    std::fs::metadata(path).err()
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let unreadable = |source| TlsError::Unreadable { path: path.into(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // It never grows, because that would leave a copy of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(CREDENTIALS_BYTES_MAX + 1));
    let limit = u64::try_from(CREDENTIALS_BYTES_MAX).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() {
        0..=CREDENTIALS_BYTES_MAX => Ok(bytes),
        _ => Err(unreadable(io::ErrorKind::FileTooLarge.into())),
    }
}

/// All certificates in a file; `None` if it has none or something else.
fn certificates(path: &Path) -> Result<Option<Vec<CertificateDer<'static>>>> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    Ok(found.ok().filter(|found| !found.is_empty()))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    certificates(path)?.ok_or_else(|| TlsError::NotCertificate(path.into()))
}

fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(&read(path)?).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| TlsError::NotRevocations(path.into()))
}

/// The first key in a file.
fn signing_key(pem: &[u8]) -> Option<Arc<dyn SigningKey>> {
    type Named = for<'a> fn(&'a [u8]) -> PrivateKeyDer<'a>;
    const KINDS: [(&str, Named); 3] = [
        ("PRIVATE KEY", |der| PrivatePkcs8KeyDer::from(der).into()),
        ("RSA PRIVATE KEY", |der| PrivatePkcs1KeyDer::from(der).into()),
        ("EC PRIVATE KEY", |der| PrivateSec1KeyDer::from(der).into()),
    ];
    let pem = std::str::from_utf8(pem).ok()?;
    KINDS.iter().find_map(|(label, named)| any_supported_type(&named(&section(pem, label)?)).ok())
}

/// Decodes the bytes between BEGIN and END. The decoder for certificates does not wipe, so it is not used here.
fn section(pem: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once("-----END ")?;
    let mut letters = Zeroizing::new(Vec::with_capacity(body.len()));
    letters.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(letters.len())]);
    let length = STANDARD.decode_slice(&*letters, &mut der).ok()?;
    der.truncate(length);
    Some(der)
}

/// Accepts every certificate, for `no_verify=1`. It still verifies that the peer has the certificate's key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The library that does all the cryptography of the rest of Donjon too.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which files are found in a folder with these, and those of a user in `home/.pki/libvirt`.
    fn found(pkipath: bool, names: &[&str]) -> std::result::Result<String, String> {
        let folder = std::env::temp_dir().join(format!("virsecret-{}-{names:?}", std::process::id()));
        let user = folder.join(".pki/libvirt");
        std::fs::create_dir_all(&user).unwrap();
        names.iter().for_each(|name| std::fs::write(user.join(name), "").unwrap());
        let (pkipath, home) = if pkipath { (Some(&*user), None) } else { (None, Some(&*folder)) };
        let files = Files::find(pkipath, home);
        let shown = |text: String| text.replace(&user.display().to_string(), "~");
        std::fs::remove_dir_all(&folder).unwrap();
        files
            .map(|files| {
                let pair = files.identity.map(|pair| [pair.certificate, pair.key]).into_iter().flatten();
                let all = [files.authority].into_iter().chain(files.revocations).chain(pair);
                all.map(|path| shown(path.display().to_string())).collect::<Vec<_>>().join(" ")
            })
            .map_err(|error| shown(error.to_string()))
    }

    #[test]
    fn a_folder_that_is_named_has_all_or_the_ca_alone() {
        let check = |names: &[&str], expect: std::result::Result<&str, &str>| {
            assert_eq!(found(true, names).as_deref().map_err(String::as_str), expect, "{names:?}");
        };
        check(&["cacert.pem"], Ok("~/cacert.pem"));
        check(
            &["cacert.pem", "cacrl.pem", "clientcert.pem", "clientkey.pem"],
            Ok("~/cacert.pem ~/cacrl.pem ~/clientcert.pem ~/clientkey.pem"),
        );
        let absent = "No such file or directory (os error 2)";
        check(
            &["clientcert.pem", "clientkey.pem"],
            Err(&format!("the CA certificate ~/cacert.pem does not exist: {absent}")),
        );
        check(
            &["cacert.pem", "clientcert.pem"],
            Err(&format!("there is a certificate ~/clientcert.pem, but no key ~/clientkey.pem: {absent}")),
        );
        check(
            &["cacert.pem", "clientkey.pem"],
            Err(&format!("there is a key ~/clientkey.pem, but no certificate ~/clientcert.pem: {absent}")),
        );
    }

    #[test]
    fn a_users_own_files_come_first() {
        let own = found(false, &["cacert.pem", "clientcert.pem", "clientkey.pem"]).unwrap();
        assert!(
            own.starts_with("~/cacert.pem ") && own.ends_with(" ~/clientcert.pem ~/clientkey.pem"),
            "{own}"
        );
        assert!(found(false, &["cacert.pem", "clientkey.pem"]).unwrap_err().contains("no certificate ~/"));
    }

    #[test]
    fn a_key_is_read_in_every_usual_form() {
        // openssl genpkey -algorithm ed25519; openssl ecparam -name prime256v1 -genkey
        let pkcs8 = "Text before.\n-----BEGIN PRIVATE KEY-----\r\n\
                     MC4CAQAwBQYDK2VwBCIEIEP4yvzHTWaf5rnzH94bVjLBmJPsoZwRd9ZT9wpZPvKb\r\n\
                     -----END PRIVATE KEY-----\n";
        assert!(signing_key(pkcs8.as_bytes()).is_some());
        for wrong in [
            "",
            "x",
            "-----BEGIN PRIVATE KEY-----\nAAAA",
            "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            &pkcs8.replace("PRIVATE", "ENCRYPTED PRIVATE"),
        ] {
            assert!(signing_key(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
