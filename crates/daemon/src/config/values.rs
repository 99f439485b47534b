//! The values of settings. Text from a flag or the file becomes one of these at once, or an [`Invalid`] that says what is
//! allowed. Later code does not check again.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use model::ProjectId;
use tracing_subscriber::EnvFilter;

/// Why a text is not allowed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error(
        "neither off nor an address and a port; allowed: off, or IP:PORT such as 127.0.0.1:9311 or [::1]:9311 (names are \
         not looked up)"
    )]
    Address,
    #[error("not the name of a project; allowed: from 1 to 255 characters")]
    Project,
    #[error("not a group; allowed: a name or a number")]
    Group,
    #[error("not a mode; allowed: from 0 to 0777, in octal, such as 0660")]
    SocketMode,
    #[error("not the start of a URL; allowed: http:// or https://, a host, and maybe a port and a path")]
    HostHref,
    #[error("not the name of a host; allowed: names without a port, such as [\"keys.example\"]")]
    HostName,
    #[error("not the origin of a page; allowed: {ORIGINS_ALLOWED}")]
    WebOrigin,
    #[error("empty, or longer than anything in Keystone; allowed: from 1 to 255 characters")]
    Name,
    #[error("unknown kind of store; allowed: sqlite:PATH")]
    Store,
    #[error(
        "not the path of a file; allowed: sqlite:PATH, where PATH is not empty and does not begin with a colon (a \
         database in memory would lose every secret at the end)"
    )]
    StorePath,
    #[error("{0} is not in this build; allowed: sqlite:PATH")]
    StoreNotBuilt(&'static str),
    #[error("unknown source of the master key; allowed: file:PATH, credential:NAME")]
    MasterKey,
    #[error("pkcs11 is not in this build; allowed: file:PATH, credential:NAME")]
    MasterKeyPkcs11,
    #[error("not the name of a credential; allowed: letters, digits and the characters . _ - (no path)")]
    CredentialName,
    #[error("not a log filter; allowed: LEVEL or TARGET=LEVEL, separated by commas, LEVEL one of {LEVELS}")]
    LogFilter,
    #[error("empty; allowed: a path")]
    EmptyPath,
    #[error("unknown; allowed: {0}")]
    Choice(String),
}

/// The origins that may be listed. `*` is not allowed: it would give access to an attacker's page too.
pub(super) const ORIGINS_ALLOWED: &str =
    "http:// or https://, a host and maybe a port, such as [\"https://ui.example\"] (no path, no *)";

const LEVELS: &str = "off, error, warn, info, debug, trace";

/// Who may call the REST door.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Auth {
    /// The project is the `X-Project-Id` header, believed as it comes.
    ProjectHeader,
    /// Keystone identifies the owner of the token in `X-Auth-Token`.
    Keystone,
}

/// Where rows are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum StoreUrl {
    /// A SQLite database at this path.
    Sqlite(PathBuf),
}

impl StoreUrl {
    /// Where the database is.
    pub(crate) fn path(&self) -> &PathBuf {
        match self {
            Self::Sqlite(path) => path,
        }
    }
}

impl FromStr for StoreUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            Some(("sqlite", path)) => database_path(path).map(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Err(Invalid::StoreNotBuilt("postgres")),
            Some(("mysql" | "mariadb", _)) => Err(Invalid::StoreNotBuilt("mysql")),
            _ => Err(Invalid::Store),
        }
    }
}

/// SQLite's special names, such as `:memory:`, begin with a colon. They keep nothing, and the lock and the key would still be
/// files.
fn database_path(text: &str) -> Result<PathBuf, Invalid> {
    if text.is_empty() || text.starts_with(':') { Err(Invalid::StorePath) } else { Ok(PathBuf::from(text)) }
}

/// Where the master key comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum KeySource {
    /// A file of mode 0600, made at the first start.
    File(PathBuf),
    /// A credential that systemd hands to the service.
    Credential(String),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Credential(name) => write!(f, "systemd credential {name}"),
        }
    }
}

impl FromStr for KeySource {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            Some(("file", file)) => path(file).map(Self::File),
            Some(("credential", name)) => credential_name(name).map(Self::Credential),
            Some(("pkcs11", _)) => Err(Invalid::MasterKeyPkcs11),
            _ => Err(Invalid::MasterKey),
        }
    }
}

/// The name becomes a part of a path below `$CREDENTIALS_DIRECTORY`, so it must not lead out of that directory.
pub(crate) fn credential_name(name: &str) -> Result<String, Invalid> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fits = (1..=CREDENTIAL_NAME_CHARS_MAX).contains(&name.len());
    let leads_out = name == "." || name.contains("..");
    (fits && !leads_out && name.chars().all(plain)).then(|| name.to_owned()).ok_or(Invalid::CredentialName)
}

/// The longest name of a file (`NAME_MAX`): a credential is a file.
const CREDENTIAL_NAME_CHARS_MAX: usize = 255;

/// A path.
pub(crate) fn path(text: &str) -> Result<PathBuf, Invalid> {
    if text.is_empty() { Err(Invalid::EmptyPath) } else { Ok(PathBuf::from(text)) }
}

/// The address of a listener. Host names are not allowed: their address may change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ListenAt {
    /// Nowhere.
    Off,
    /// At this address.
    At(SocketAddr),
}

impl FromStr for ListenAt {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|_| Invalid::Address),
        }
    }
}

/// Where a UNIX socket is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SocketAt {
    /// Nowhere.
    Off,
    /// At this path.
    At(PathBuf),
}

impl SocketAt {
    /// The path, unless it is off.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Off => None,
            Self::At(path) => Some(path),
        }
    }
}

impl FromStr for SocketAt {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "off" => Ok(Self::Off),
            _ => path(text).map(Self::At),
        }
    }
}

/// The start of hrefs in answers, instead of the Host header. Slashes at its end are removed.
pub(super) fn host_href(text: &str) -> Result<String, Invalid> {
    let uri: http::Uri = text.parse().map_err(|_| Invalid::HostHref)?;
    let scheme_fits = matches!(uri.scheme_str(), Some("http" | "https"));
    if !scheme_fits || uri.authority().is_none() || uri.query().is_some() || text.contains('#') {
        return Err(Invalid::HostHref);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A name of this server.
pub(super) fn host_name(text: &str) -> Result<transport::HostName, Invalid> {
    text.parse().map_err(|_| Invalid::HostName)
}

/// The site of a page that may read answers.
pub(super) fn web_origin(text: &str) -> Result<transport::WebOrigin, Invalid> {
    text.parse().map_err(|_| Invalid::WebOrigin)
}

pub(super) fn project(text: &str) -> Result<ProjectId, Invalid> {
    ProjectId::try_from(text).map_err(|_| Invalid::Project)
}

/// The log filter, in the syntax of `tracing`'s `EnvFilter`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// Everything that helps to find a fault.
    pub(crate) fn debug() -> Self {
        Self("debug".to_owned())
    }

    /// The filter. Its text was parsed before, so it parses again.
    pub(crate) fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = Invalid;

    /// Stricter than `EnvFilter`, which reads a misspelt level as the name of a module and then logs nothing.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        EnvFilter::builder().parse(text).map_err(|_| Invalid::LogFilter)?;
        let part_fits = |part: &str| part.contains(['=', '[', ':']) || is_level(part);
        if text.is_empty() || !text.split(',').map(str::trim).all(part_fits) {
            return Err(Invalid::LogFilter);
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_level(text: &str) -> bool {
    LEVELS.split(", ").any(|level| level.eq_ignore_ascii_case(text))
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line, for collectors
    Json,
}

/// Where the audit trail goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AuditTarget {
    /// A file, at this path.
    File(PathBuf),
    /// Standard output, for a collector.
    Stdout,
}

impl fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}

impl FromStr for AuditTarget {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "stdout" => Ok(Self::Stdout),
            _ => path(text).map(Self::File),
        }
    }
}

/// When the audit trail is forced to disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum AuditSync {
    /// Many entries at once: a power cut may lose the last second, a crash of the process loses nothing
    Batch,
    /// Every entry before its request is answered: slower, and nothing is lost
    Entry,
}

/// A set of rules that is built in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum PolicySet {
    /// The defaults of Barbican 23
    SecureRbac,
    /// The defaults up to Barbican 22
    Legacy,
}

/// A group, by name or number. Names are looked up when the socket is made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Group(pub(crate) String);

impl FromStr for Group {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_name = !text.is_empty() && !text.contains([':', '\n', '\0']);
        if is_name { Ok(Self(text.to_owned())) } else { Err(Invalid::Group) }
    }
}

/// The permissions of a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SocketMode(pub(crate) u32);

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromStr for SocketMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && text.len() <= 4);
        mode.map(Self).ok_or(Invalid::SocketMode)
    }
}

/// How the libvirt door authenticates its clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LibvirtAuth {
    /// Everybody who can open the socket
    None,
    /// Root, and users that polkit authorises for org.libvirt.unix.manage or org.libvirt.unix.monitor
    Polkit,
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    #[track_caller]
    fn refused<T: Debug>(parse: fn(&str) -> Result<T, Invalid>, texts: &[&str], expect: Invalid) {
        for text in texts {
            assert_eq!(parse(text).unwrap_err(), expect, "{text:?}");
        }
    }

    #[test]
    fn sources_of_other_builds_are_refused_by_name() {
        refused(
            StoreUrl::from_str,
            &["postgres://db/donjon", "postgresql://db"],
            Invalid::StoreNotBuilt("postgres"),
        );
        refused(StoreUrl::from_str, &["mysql://db/donjon", "mariadb://db"], Invalid::StoreNotBuilt("mysql"));
        refused(StoreUrl::from_str, &["", "donjon.db", "redis://x"], Invalid::Store);
        refused(StoreUrl::from_str, &["sqlite:", "sqlite::memory:", "sqlite::x"], Invalid::StorePath);
        refused(KeySource::from_str, &["pkcs11:token=donjon"], Invalid::MasterKeyPkcs11);
    }

    #[test]
    fn a_credential_name_leads_nowhere_else() {
        let names = ["", ".", "..", "a..b", "../../etc/shadow", "a/b", "a b", "schlüssel"];
        let sources: Vec<_> = names.iter().map(|name| format!("credential:{name}")).collect();
        refused(
            KeySource::from_str,
            &sources.iter().map(String::as_str).collect::<Vec<_>>(),
            Invalid::CredentialName,
        );
        assert_eq!("credential:donjon-1.key".parse(), Ok(KeySource::Credential("donjon-1.key".to_owned())));
    }

    #[test]
    fn a_misspelt_level_is_not_a_filter() {
        refused(
            LogFilter::from_str,
            &["", "inof", "info,verbos", "vault=loud", "info,,"],
            Invalid::LogFilter,
        );
        for text in
            ["info", "WARN", "warn,vault=debug", "barbican::routes", "off", "[request{id=\"x\"}]=trace"]
        {
            assert!(text.parse::<LogFilter>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_host_href_is_the_start_of_a_url() {
        refused(
            host_href,
            &["", "key-manager.example", "ftp://x", "http://", "http://x/?a=b", "http://x/#y", "/v1"],
            Invalid::HostHref,
        );
        let href = host_href("https://keys.example:9311/key-manager/").unwrap();
        assert_eq!(href, "https://keys.example:9311/key-manager");
    }

    #[test]
    fn host_names_have_no_port_and_origins_no_path() {
        refused(
            host_name,
            &["", "keys.example:9311", "https://keys.example", "*", "*.example", "a b"],
            Invalid::HostName,
        );
        refused(
            web_origin,
            &["", "*", "null", "ui.example", "https://ui.example/", "https://*.example", "ftp://ui.example"],
            Invalid::WebOrigin,
        );
        assert!(host_name("Keys.Example").is_ok() && web_origin("https://ui.example:8443").is_ok());
    }

    #[test]
    fn addresses_are_numbers() {
        refused(ListenAt::from_str, &["", "no", "9312", "localhost:9311", "127.0.0.1"], Invalid::Address);
        let loopback = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 9311));
        assert_eq!("[::1]:9311".parse(), Ok(ListenAt::At(loopback)));
        assert_eq!("off".parse(), Ok(ListenAt::Off));
    }

    #[test]
    fn modes_are_octal() {
        for (text, mode) in
            [("0660", Some(0o660)), ("600", Some(0o600)), ("0", Some(0)), ("777", Some(0o777))]
        {
            assert_eq!(text.parse::<SocketMode>().ok(), mode.map(SocketMode), "{text}");
        }
        refused(
            SocketMode::from_str,
            &["", "1777", "0o660", "668", "rw-rw----", "-1", "+660x"],
            Invalid::SocketMode,
        );
        assert_eq!(SocketMode(0o60).to_string(), "0060");
    }
}
