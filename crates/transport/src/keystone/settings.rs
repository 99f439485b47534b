//! The address of Keystone and the credentials of this service, which the daemon reads from its configuration.

use std::fmt;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use model::Role;
use zeroize::Zeroizing;

/// The longest password or secret that is read from a file. Keystone's own limit (`max_password_length`) is 4096.
const SECRET_BYTES_MAX: u64 = 4096;

/// The settings for Keystone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeystoneConfig {
    /// Its address.
    pub auth_url: AuthUrl,
    /// The address for clients, if [`Self::auth_url`] is an internal one.
    pub www_authenticate_uri: Option<String>,
    /// The credentials of this service.
    pub credentials: Credentials,
    /// The file of authorities for Keystone's certificate; without it the system's authorities.
    pub cafile: Option<PathBuf>,
    /// Whether any certificate is accepted. Then anybody on the network between may impersonate Keystone.
    pub insecure: bool,
    /// Time to connect to it.
    pub connect_time_max: Duration,
    /// Time for a question about a token, with all attempts; then 503.
    pub request_time_max: Duration,
    /// How long its answer about a token is remembered.
    pub cache_time: Duration,
    /// A service token must have one of these roles.
    pub service_roles: Vec<Role>,
    /// Whether a service token without such a role is refused. If not, it is ignored.
    pub service_roles_required: bool,
}

/// Why Keystone cannot be used, found before a request.
#[derive(Debug, thiserror::Error)]
pub enum KeystoneError {
    /// The file of authorities for its certificate.
    #[error("the certificates in {} cannot be used: {source}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system's authorities.
    #[error("this system has no certificates of authorities; name a file of them with keystone.cafile")]
    NoCertificates,
    /// The password or secret of the service.
    #[error("the secret of the credentials cannot be read{}: {source}", place(path.as_ref()))]
    Secret {
        /// The file.
        path: Option<PathBuf>,
        /// Why not.
        source: io::Error,
    },
    /// The address, once the path of the API is added.
    #[error("{0} is not an address that can be asked")]
    Address(String),
}

fn place(path: Option<&PathBuf>) -> String {
    path.map(|path| format!(" from {}", path.display())).unwrap_or_default()
}

/// The address of Keystone's v3 API, without a slash at the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthUrl(String);

/// Not the address of an HTTP service.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the address of Keystone; allowed: http:// or https://, a host, and maybe a port and a path")]
pub struct NotAnAddress;

impl AuthUrl {
    /// The address, ending in `/v3`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether requests to it are not encrypted.
    pub fn is_in_clear(&self) -> bool {
        self.0.starts_with("http:")
    }
}

impl FromStr for AuthUrl {
    type Err = NotAnAddress;

    /// With or without the version, as OpenStack's documents give both.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let uri: Uri = text.parse().map_err(|_| NotAnAddress)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        // A name and a password in a URL would end in logs.
        let has_host = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if !is_http || !has_host || uri.query().is_some() || text.contains('#') {
            return Err(NotAnAddress);
        }
        let base = text.trim_end_matches('/');
        Ok(Self(if base.ends_with("/v3") { base.to_owned() } else { format!("{base}/v3") }))
    }
}

/// The credentials of this service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Credentials {
    /// A user, with a password.
    Password {
        /// The user.
        user: Named,
        /// The project that they act in.
        project: Named,
        /// The password.
        password: ServiceSecret,
    },
    /// An application credential, by its id.
    Application {
        /// The id.
        id: String,
        /// Its secret.
        secret: ServiceSecret,
    },
    /// An application credential, by its name and the user that made it.
    NamedApplication {
        /// The name.
        name: String,
        /// The user.
        user: Named,
        /// Its secret.
        secret: ServiceSecret,
    },
}

impl Credentials {
    /// The password or secret in them.
    pub(super) fn secret(&self) -> &ServiceSecret {
        match self {
            Self::Password { password: secret, .. }
            | Self::Application { secret, .. }
            | Self::NamedApplication { secret, .. } => secret,
        }
    }
}

/// A user or a project: names are only unique in a domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Named {
    /// By its id.
    Id(String),
    /// By its name.
    Name(String, Domain),
}

/// A domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Domain {
    /// By its id.
    Id(String),
    /// By its name.
    Name(String),
}

/// A password, or the secret of an application credential. It is compared only to find a changed configuration.
#[derive(Clone, Eq, PartialEq)]
pub enum ServiceSecret {
    /// Written in the configuration.
    Given(Zeroizing<String>),
    /// The first line of a file, read for each use: a new secret there needs no restart.
    File(PathBuf),
}

impl fmt::Debug for ServiceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given([redacted])"),
            Self::File(path) => write!(f, "File({path:?})"),
        }
    }
}

impl ServiceSecret {
    /// The secret itself.
    pub(super) fn read(&self) -> io::Result<Zeroizing<String>> {
        match self {
            Self::Given(secret) => Ok(secret.clone()),
            Self::File(path) => read_line(path),
        }
    }
}

fn read_line(path: &PathBuf) -> io::Result<Zeroizing<String>> {
    let capacity = usize::try_from(SECRET_BYTES_MAX).unwrap_or(0) + 1; // It never grows, so it leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    std::fs::File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    let line = text.split('\n').next().unwrap_or_default().trim_end_matches('\r');
    if line.is_empty() || text.len() as u64 > SECRET_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its first line is not a secret"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_ends_in_the_version() {
        let parsed = |text: &str| text.parse::<AuthUrl>().map(|url| url.as_str().to_owned());
        for text in ["http://k:5000", "http://k:5000/", "http://k:5000/v3", "http://k:5000/v3/"] {
            assert_eq!(parsed(text).as_deref(), Ok("http://k:5000/v3"), "{text}");
        }
        assert_eq!(parsed("https://k/identity").as_deref(), Ok("https://k/identity/v3"));
        for text in
            ["", "k:5000", "ftp://k", "http://", "http://k/v3?x", "http://k#x", "http://u:p@k/v3", "/v3"]
        {
            assert_eq!(parsed(text), Err(NotAnAddress), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = ServiceSecret::Given(Zeroizing::new("hunter2".to_owned()));
        assert_eq!(format!("{secret:?}"), "Given([redacted])");
    }

    #[test]
    fn the_first_line_of_a_file_is_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let read = |content: &[u8]| {
            let path = folder.path().join("secret");
            std::fs::write(&path, content).unwrap();
            ServiceSecret::File(path)
                .read()
                .map(|secret| secret.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(b"hunter2").as_deref(), Ok("hunter2"));
        assert_eq!(read(b"hunter2\r\nand more\n").as_deref(), Ok("hunter2"));
        assert_eq!(read(" pass word ü\n".as_bytes()).as_deref(), Ok(" pass word ü"));
        assert!(
            read(b"").is_err()
                && read(b"\nx").is_err()
                && read(&[b'x'; 5000]).is_err()
                && read(b"\xff").is_err()
        );
        assert!(ServiceSecret::File(folder.path().join("none")).read().is_err());
    }
}
