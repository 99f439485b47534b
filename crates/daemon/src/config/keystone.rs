//! Where Keystone is and who this service is to it: the table `[keystone]` of the file. Its keys are called as in
//! `[keystone_authtoken]` of OpenStack's services, so that one can be written from the other.
//!
//! There are no flags: what is on a command line, a password above all, is shown to everybody who lists processes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use barbican::keystone::{AuthUrl, Credentials, Domain, KeystoneConfig, Named, Secret};
use model::Role;
use zeroize::Zeroizing;

use super::Surroundings;
use super::numbers::Number;
use super::values::{self, Invalid};

/// The keys of the table, in the order of the guide.
pub(super) const KEYS: [&str; 23] = [
    "auth_url",
    "www_authenticate_uri",
    "username",
    "user_id",
    "user_domain_name",
    "user_domain_id",
    "password",
    "password_file",
    "project_name",
    "project_id",
    "project_domain_name",
    "project_domain_id",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    "application_credential_secret_file",
    "cafile",
    "insecure",
    "http_connect_timeout",
    "http_request_timeout",
    "token_cache_time",
    "service_token_roles",
    "service_token_roles_required",
];

/// The most roles of `service_token_roles`.
pub(super) const SERVICE_ROLES_MAX: usize = 64;

/// Seconds, unless chosen: what the packages of OpenStack's services wait, but bounded.
const CONNECT_SECONDS_DEFAULT: u64 = 3;
const REQUEST_SECONDS_DEFAULT: u64 = 10;
/// Seconds: keystonemiddleware's own default.
const CACHE_SECONDS_DEFAULT: u64 = 300;
/// keystonemiddleware's own default.
const SERVICE_ROLE_DEFAULT: &str = "service";

/// What is missing or too much for Keystone to be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeystoneFault {
    /// A key is not there.
    #[error(
        "auth = \"keystone\" needs {0} in the table [keystone] of the configuration file\n\
         The operator's guide has a whole example: \"In the cloud: Keystone\"."
    )]
    Missing(&'static str),
    /// Two keys say the same, or belong to different kinds of credentials.
    #[error("keystone.{0} and keystone.{1} exclude each other\nLeave one of them.")]
    Both(&'static str, &'static str),
    /// A credential where systemd has passed none.
    #[error(
        "no credential {0}: systemd has passed this process none\n\
         Give the unit LoadCredential={0}:FILE, or name a file with keystone.password_file."
    )]
    NoCredential(String),
}

/// The numbers of the table, all in seconds.
pub(super) const NUMBERS: [Number; 3] = [
    Number { key: "http_connect_timeout", min: 1, max: 60 },
    Number { key: "http_request_timeout", min: 1, max: 120 },
    Number { key: "token_cache_time", min: 0, max: 3_600 },
];

/// What the file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeystoneSettings {
    /// The file itself, which may hold a password.
    pub(super) file: Option<PathBuf>,
    pub(super) auth_url: Option<AuthUrl>,
    pub(super) www_authenticate_uri: Option<String>,
    pub(super) username: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) user_domain_name: Option<String>,
    pub(super) user_domain_id: Option<String>,
    pub(super) password: Option<Written>,
    pub(super) password_file: Option<SecretFile>,
    pub(super) project_name: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) project_domain_name: Option<String>,
    pub(super) project_domain_id: Option<String>,
    pub(super) application_credential_id: Option<String>,
    pub(super) application_credential_name: Option<String>,
    pub(super) application_credential_secret: Option<Written>,
    pub(super) application_credential_secret_file: Option<SecretFile>,
    pub(super) cafile: Option<PathBuf>,
    pub(super) insecure: Option<bool>,
    pub(super) http_connect_timeout: Option<i64>,
    pub(super) http_request_timeout: Option<i64>,
    pub(super) token_cache_time: Option<i64>,
    pub(super) service_token_roles: Option<Vec<Role>>,
    pub(super) service_token_roles_required: Option<bool>,
}

/// A secret that stands in the file.
#[derive(Clone)]
pub(super) struct Written(Zeroizing<String>);

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written([redacted])")
    }
}

/// A secret that stands in a file of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum SecretFile {
    /// At this path.
    At(PathBuf),
    /// As systemd passes it.
    Credential(String),
}

/// Keystone, with all that is needed to ask it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Keystone {
    pub(crate) config: KeystoneConfig,
    /// Where the secret of the credentials stands, unless systemd passes it.
    secret_in: Option<PathBuf>,
}

impl Keystone {
    /// The file with the secret, if it can be read by everybody on this machine.
    pub(crate) fn exposed(&self) -> Option<&Path> {
        let path = self.secret_in.as_deref()?;
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        (mode & 0o004 != 0).then_some(path)
    }
}

impl KeystoneSettings {
    /// What it comes to.
    pub(super) fn resolve(self, around: &Surroundings) -> Result<Keystone, KeystoneFault> {
        let auth_url = self.auth_url.clone().ok_or(KeystoneFault::Missing("auth_url"))?;
        let is_application = self.is_application()?;
        let (secret, secret_in) = self.secret(is_application, around)?;
        let seconds = |chosen: Option<i64>, default| {
            Duration::from_secs(chosen.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(default))
        };
        let config = KeystoneConfig {
            auth_url,
            credentials: if is_application { self.application(secret)? } else { self.password(secret)? },
            www_authenticate_uri: self.www_authenticate_uri,
            cafile: self.cafile,
            insecure: self.insecure.unwrap_or(false),
            connect_time_max: seconds(self.http_connect_timeout, CONNECT_SECONDS_DEFAULT),
            request_time_max: seconds(self.http_request_timeout, REQUEST_SECONDS_DEFAULT),
            cache_time: seconds(self.token_cache_time, CACHE_SECONDS_DEFAULT),
            service_roles: self.service_token_roles.unwrap_or_else(|| vec![Role::from(SERVICE_ROLE_DEFAULT)]),
            service_roles_required: self.service_token_roles_required.unwrap_or(true),
        };
        Ok(Keystone { config, secret_in })
    }

    /// Whether the service is known by an application credential. Nothing of the other kind may be there: it would mean
    /// nothing.
    fn is_application(&self) -> Result<bool, KeystoneFault> {
        let of_application = [
            ("application_credential_id", self.application_credential_id.is_some()),
            ("application_credential_name", self.application_credential_name.is_some()),
            ("application_credential_secret", self.application_credential_secret.is_some()),
            ("application_credential_secret_file", self.application_credential_secret_file.is_some()),
        ];
        let of_password = [
            ("password", self.password.is_some()),
            ("password_file", self.password_file.is_some()),
            ("project_id", self.project_id.is_some()),
            ("project_name", self.project_name.is_some()),
            ("project_domain_id", self.project_domain_id.is_some()),
            ("project_domain_name", self.project_domain_name.is_some()),
        ];
        let of_user = [
            ("user_id", self.user_id.is_some()),
            ("username", self.username.is_some()),
            ("user_domain_id", self.user_domain_id.is_some()),
            ("user_domain_name", self.user_domain_name.is_some()),
        ];
        let there =
            |keys: &[(&'static str, bool)]| keys.iter().find(|(_, there)| *there).map(|(key, _)| *key);
        let Some(application) = there(&of_application) else { return Ok(false) };
        // A credential's name is its user's; its id is everybody's.
        let user = self.application_credential_id.as_ref().and_then(|_| there(&of_user));
        match there(&of_password).or(user) {
            Some(other) => Err(KeystoneFault::Both(application, other)),
            None => Ok(true),
        }
    }

    /// The secret, and the file it stands in.
    fn secret(
        &self,
        is_application: bool,
        around: &Surroundings,
    ) -> Result<(Secret, Option<PathBuf>), KeystoneFault> {
        let (names, written, file) = match is_application {
            false => (["password", "password_file"], &self.password, &self.password_file),
            true => (
                ["application_credential_secret", "application_credential_secret_file"],
                &self.application_credential_secret,
                &self.application_credential_secret_file,
            ),
        };
        let [name, file_name] = names;
        match (written, file) {
            (Some(_), Some(_)) => Err(KeystoneFault::Both(name, file_name)),
            (Some(Written(secret)), None) => Ok((Secret::Given(secret.clone()), self.file.clone())),
            (None, Some(SecretFile::At(path))) => Ok((Secret::File(path.clone()), Some(path.clone()))),
            (None, Some(SecretFile::Credential(name))) => {
                let path =
                    around.credential(name).ok_or_else(|| KeystoneFault::NoCredential(name.clone()))?;
                Ok((Secret::File(path), None))
            }
            (None, None) if is_application => Err(KeystoneFault::Missing(
                "application_credential_secret_file or application_credential_secret",
            )),
            (None, None) => Err(KeystoneFault::Missing("password_file or password")),
        }
    }

    fn password(&self, password: Secret) -> Result<Credentials, KeystoneFault> {
        let project = named(
            ["project_id", "project_name", "project_domain_id", "project_domain_name"],
            [&self.project_id, &self.project_name, &self.project_domain_id, &self.project_domain_name],
        )?;
        Ok(Credentials::Password { user: self.user()?, project, password })
    }

    fn application(&self, secret: Secret) -> Result<Credentials, KeystoneFault> {
        match (&self.application_credential_id, &self.application_credential_name) {
            (Some(_), Some(_)) => {
                Err(KeystoneFault::Both("application_credential_id", "application_credential_name"))
            }
            (Some(id), None) => Ok(Credentials::Application { id: id.clone(), secret }),
            (None, name) => {
                let name = name.clone().ok_or(KeystoneFault::Missing("application_credential_id"))?;
                Ok(Credentials::NamedApplication { name, user: self.user()?, secret })
            }
        }
    }

    fn user(&self) -> Result<Named, KeystoneFault> {
        named(
            ["user_id", "username", "user_domain_id", "user_domain_name"],
            [&self.user_id, &self.username, &self.user_domain_id, &self.user_domain_name],
        )
    }
}

/// Something that has an id, or a name in a domain that has an id or a name.
fn named(keys: [&'static str; 4], values: [&Option<String>; 4]) -> Result<Named, KeystoneFault> {
    let [id_key, name_key, domain_id_key, domain_name_key] = keys;
    let [id, name, domain_id, domain_name] = values;
    let name = match (id, name) {
        (Some(_), Some(_)) => return Err(KeystoneFault::Both(id_key, name_key)),
        (Some(id), None) => return Ok(Named::Id(id.clone())),
        (None, name) => name.clone().ok_or(KeystoneFault::Missing(name_key))?,
    };
    match (domain_id, domain_name) {
        (Some(_), Some(_)) => Err(KeystoneFault::Both(domain_id_key, domain_name_key)),
        (Some(id), None) => Ok(Named::Name(name, Domain::Id(id.clone()))),
        (None, Some(domain)) => Ok(Named::Name(name, Domain::Name(domain.clone()))),
        (None, None) => Err(KeystoneFault::Missing(domain_name_key)),
    }
}

pub(super) fn auth_url(text: &str) -> Result<AuthUrl, Invalid> {
    text.parse().map_err(|_| Invalid::HostHref)
}

/// What clients are told, as it is written: Keystone's address from outside.
pub(super) fn uri(text: &str) -> Result<String, Invalid> {
    let is_address = text.parse::<AuthUrl>().is_ok() && !text.contains(['"', '\\']);
    if is_address { Ok(text.to_owned()) } else { Err(Invalid::HostHref) }
}

pub(super) fn name(text: &str) -> Result<String, Invalid> {
    if (1..=NAME_CHARS_MAX).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err(Invalid::Name)
    }
}

/// The longest name or id of anything in Keystone: the width of its columns.
const NAME_CHARS_MAX: usize = 255;

pub(super) fn written(text: &str) -> Result<Written, Invalid> {
    if text.is_empty() { Err(Invalid::Name) } else { Ok(Written(Zeroizing::new(text.to_owned()))) }
}

pub(super) fn secret_file(text: &str) -> Result<SecretFile, Invalid> {
    match text.split_once(':') {
        Some(("credential", name)) => values::credential_name(name).map(SecretFile::Credential),
        _ => values::path(text).map(SecretFile::At),
    }
}
