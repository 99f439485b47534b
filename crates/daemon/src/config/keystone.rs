//! The table `[keystone]`: where Keystone is, and the credentials of this service there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use model::Role;
use transport::keystone::{AuthUrl, Credentials, Domain, KeystoneConfig, Named, ServiceSecret};
use zeroize::Zeroizing;

use super::rows::KeystoneTable;
use super::surroundings::Surroundings;
use super::values::{self, Invalid};

/// A key is missing, or two keys contradict each other.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeystoneFault {
    /// A key is missing.
    #[error(
        "auth = \"keystone\" needs {0} in the table [keystone] of the configuration file\n\
         The operator's guide has a whole example: \"In the cloud: Keystone\"."
    )]
    Missing(&'static str),
    /// Two keys say the same, or belong to different kinds of credentials.
    #[error("keystone.{0} and keystone.{1} exclude each other\nLeave one of them.")]
    Both(&'static str, &'static str),
    /// systemd has not passed the credential.
    #[error(
        "no credential {0}: systemd has passed this process none\n\
         Give the unit LoadCredential={0}:FILE, or name a file with keystone.password_file."
    )]
    NoCredential(String),
}

/// Everything that is needed to ask Keystone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Keystone {
    pub(crate) config: KeystoneConfig,
    /// The file with the secret of the credentials, unless systemd passes it.
    secret_in: Option<PathBuf>,
}

impl Keystone {
    /// Checks the table, and takes the credentials out of it.
    pub(super) fn resolve(
        table: &KeystoneTable,
        file: Option<&Path>,
        around: &Surroundings,
    ) -> Result<Self, KeystoneFault> {
        let keys = table.clone();
        let auth_url = keys.auth_url.clone().ok_or(KeystoneFault::Missing("auth_url"))?;
        let is_application = keys.is_application()?;
        let (secret, secret_in) = keys.secret(is_application, file, around)?;
        let credentials = if is_application { keys.application(secret)? } else { keys.password(secret)? };
        let config = KeystoneConfig {
            auth_url,
            credentials,
            www_authenticate_uri: keys.www_authenticate_uri,
            cafile: keys.cafile,
            insecure: keys.insecure,
            connect_time_max: keys.http_connect_timeout,
            request_time_max: keys.http_request_timeout,
            cache_time: keys.token_cache_time,
            service_roles: keys.service_token_roles,
            service_roles_required: keys.service_token_roles_required,
        };
        Ok(Self { config, secret_in })
    }

    /// The file with the secret, if everybody on this machine can read it.
    pub(crate) fn exposed(&self) -> Option<&Path> {
        let path = self.secret_in.as_deref()?;
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        (mode & 0o004 != 0).then_some(path)
    }
}

/// The first of these keys that the file has.
macro_rules! first_set {
    ($keys:ident: $($key:ident),+) => {
        None$(.or($keys.$key.is_some().then_some(stringify!($key))))+
    };
}

impl KeystoneTable {
    /// Whether the service uses an application credential. Keys of the other kind are refused, because they would have no
    /// effect.
    fn is_application(&self) -> Result<bool, KeystoneFault> {
        let application: Option<&str> = first_set!(self: application_credential_id, application_credential_name,
            application_credential_secret, application_credential_secret_file);
        let password: Option<&str> = first_set!(self: password, password_file, project_id, project_name,
            project_domain_id, project_domain_name);
        let user = first_set!(self: user_id, username, user_domain_id, user_domain_name);
        let Some(application) = application else { return Ok(false) };
        // The name of a credential is unique for its user, its id for everybody.
        let user = self.application_credential_id.as_ref().and(user);
        match password.or(user) {
            Some(other) => Err(KeystoneFault::Both(application, other)),
            None => Ok(true),
        }
    }

    /// The secret, and the file it stands in.
    fn secret(
        &self,
        is_application: bool,
        file: Option<&Path>,
        around: &Surroundings,
    ) -> Result<(ServiceSecret, Option<PathBuf>), KeystoneFault> {
        let (names, written, secret_file) = match is_application {
            false => (["password", "password_file"], &self.password, &self.password_file),
            true => (
                ["application_credential_secret", "application_credential_secret_file"],
                &self.application_credential_secret,
                &self.application_credential_secret_file,
            ),
        };
        let [name, file_name] = names;
        match (written, secret_file) {
            (Some(_), Some(_)) => Err(KeystoneFault::Both(name, file_name)),
            (Some(WrittenSecret(secret)), None) => {
                Ok((ServiceSecret::Given(secret.clone()), file.map(Path::to_owned)))
            }
            (None, Some(SecretFile::At(path))) => Ok((ServiceSecret::File(path.clone()), Some(path.clone()))),
            (None, Some(SecretFile::Credential(name))) => {
                let path =
                    around.credential(name).ok_or_else(|| KeystoneFault::NoCredential(name.clone()))?;
                Ok((ServiceSecret::File(path), None))
            }
            (None, None) if is_application => Err(KeystoneFault::Missing(
                "application_credential_secret_file or application_credential_secret",
            )),
            (None, None) => Err(KeystoneFault::Missing("password_file or password")),
        }
    }

    fn password(&self, password: ServiceSecret) -> Result<Credentials, KeystoneFault> {
        let project = named(
            ["project_id", "project_name", "project_domain_id", "project_domain_name"],
            [&self.project_id, &self.project_name, &self.project_domain_id, &self.project_domain_name],
        )?;
        Ok(Credentials::Password { user: self.user()?, project, password })
    }

    fn application(&self, secret: ServiceSecret) -> Result<Credentials, KeystoneFault> {
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

// The values of the table's keys.

/// A secret that stands in the file.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct WrittenSecret(Zeroizing<String>);

impl std::fmt::Debug for WrittenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WrittenSecret([redacted])")
    }
}

/// A secret that stands in a file of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SecretFile {
    /// At this path.
    At(PathBuf),
    /// As systemd passes it.
    Credential(String),
}

pub(super) fn auth_url(text: &str) -> Result<AuthUrl, Invalid> {
    text.parse().map_err(|_| Invalid::HostHref)
}

/// What clients are told, as it is written: Keystone's address from outside.
pub(super) fn public_url(text: &str) -> Result<String, Invalid> {
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

/// A role, by its name.
pub(super) fn role(text: &str) -> Result<Role, Invalid> {
    name(text).map(|name| Role::from(name.as_str()))
}

/// A secret that stands in the file.
pub(super) fn written_secret(text: &str) -> Result<WrittenSecret, Invalid> {
    if text.is_empty() { Err(Invalid::Name) } else { Ok(WrittenSecret(Zeroizing::new(text.to_owned()))) }
}

impl FromStr for SecretFile {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            Some(("credential", name)) => values::credential_name(name).map(Self::Credential),
            _ => values::path(text).map(Self::At),
        }
    }
}
