//! Reads the configuration file. Every wrong line is told at once, each with its place, its key and what is allowed:
//!
//! ```text
//! donjon.toml:3:1: unknown key "lissten": did you mean "listen"?; allowed: audit, audit_sync, …
//! donjon.toml:7:15: limits.connections = 0: allowed: a whole number from 1 to 1000000
//! ```
//!
//! The keys are walked by hand instead of through serde's derive, whose errors name neither the key nor the choice.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use model::Role;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keystone::{self, KeystoneSettings};
use super::libvirt;
use super::numbers::{Number, Numbers, QUOTAS, UPKEEP};
use super::values::{self, Invalid, WebOrigin};
use super::{LIMITS, LimitSettings, Settings};

/// The keys of the file's top level, in the order of the alphabet. Each is also a flag of `serve`, but the tables:
/// `cors`, `keystone`, `limits`, `quotas` and `upkeep`.
pub(super) const KEYS: [&str; 28] = [
    "admin_socket",
    "audit",
    "audit_sync",
    "auth",
    "cors",
    "data_dir",
    "host_href",
    "hosts",
    "insecure_listen",
    "keystone",
    "libvirt_auth",
    "libvirt_project",
    "libvirt_socket",
    "libvirt_socket_group",
    "libvirt_socket_mode",
    "libvirt_socket_ro_mode",
    "libvirt_token",
    "limits",
    "listen",
    "log",
    "log_format",
    "master_key",
    "metrics_listen",
    "policy",
    "policy_file",
    "quotas",
    "store",
    "upkeep",
];

/// Keys whose value errors never repeat: a key itself or a password in a URL may have been written there by mistake,
/// and errors end in journals.
const MAY_HOLD_SECRETS: [&str; 8] = [
    "master_key",
    "store",
    "keystone.auth_url",
    "keystone.www_authenticate_uri",
    "keystone.password",
    "keystone.password_file",
    "keystone.application_credential_secret",
    "keystone.application_credential_secret_file",
];

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// These lines of it are wrong; at least one.
    #[error("{}", lines(.0))]
    Wrong(Vec<Fault>),
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
}

/// One thing wrong in the file, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    file: PathBuf,
    line: usize,
    column: usize,
    problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.problem)
    }
}

/// Reads the settings in a file.
pub(crate) fn read(path: &Path) -> Result<Settings, FileError> {
    let text =
        fs::read_to_string(path).map_err(|source| FileError::Unreadable { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// Reads the settings in a text; `file` is only for the errors.
pub(super) fn parse(file: &Path, text: &str) -> Result<Settings, FileError> {
    let mut reader = Reader { faults: Vec::new() };
    let mut settings = Settings::default();
    match DeTable::parse(text) {
        Ok(table) => {
            reader.settings(table.get_ref(), &mut settings);
            settings.keystone.file = Some(file.to_owned());
        }
        Err(error) => {
            let message = error.message().trim_end();
            // The usual cause, of which the parser's own words give no hint.
            let hint = if message.starts_with("invalid") { "; text goes in \"quotes\"" } else { "" };
            reader.fault(error.span().unwrap_or(0..0), format!("not TOML: {message}{hint}"));
        }
    }
    if reader.faults.is_empty() {
        return Ok(settings);
    }
    reader.faults.sort_by_key(|(offset, _)| *offset);
    Err(FileError::Wrong(reader.faults.into_iter().map(|fault| locate(file, text, fault)).collect()))
}

fn locate(file: &Path, text: &str, (offset, problem): (usize, String)) -> Fault {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Fault { file: file.to_owned(), line, column, problem }
}

/// Walks tables and keeps what it finds wrong, with the byte where it is.
struct Reader {
    faults: Vec<(usize, String)>,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

impl Reader {
    fn settings(&mut self, table: &DeTable<'_>, to: &mut Settings) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "admin_socket" => to.admin.admin_socket = self.text(key, value, FromStr::from_str),
                "audit" => to.audit = self.text(key, value, FromStr::from_str),
                "audit_sync" => to.audit_sync = self.text(key, value, choice),
                "auth" => to.auth = self.text(key, value, FromStr::from_str),
                "cors" => self.cors(key, value, &mut to.allowed_origins),
                "data_dir" => to.place.data_dir = self.text(key, value, values::path),
                "host_href" => to.host_href = self.text(key, value, FromStr::from_str),
                "hosts" => {
                    to.hosts = self.list(key.get_ref(), value, FromStr::from_str, values::HOSTS_ALLOWED);
                }
                "insecure_listen" => to.insecure_listen = self.switch(key.get_ref(), value),
                "keystone" => self.keystone(key, value, &mut to.keystone),
                "libvirt_auth" => to.libvirt.libvirt_auth = self.text(key, value, choice),
                "libvirt_project" => to.libvirt.libvirt_project = self.text(key, value, libvirt::project),
                "libvirt_socket" => to.libvirt.libvirt_socket = self.text(key, value, FromStr::from_str),
                "libvirt_socket_group" => {
                    to.libvirt.libvirt_socket_group = self.text(key, value, FromStr::from_str);
                }
                "libvirt_socket_mode" => {
                    to.libvirt.libvirt_socket_mode = self.text(key, value, FromStr::from_str);
                }
                "libvirt_socket_ro_mode" => {
                    to.libvirt.libvirt_socket_ro_mode = self.text(key, value, FromStr::from_str);
                }
                "libvirt_token" => to.libvirt.libvirt_token = self.text(key, value, values::path),
                "limits" => self.limits(key, value, &mut to.limits),
                "listen" => to.listen = self.text(key, value, FromStr::from_str),
                "log" => to.log = self.text(key, value, FromStr::from_str),
                "log_format" => to.log_format = self.text(key, value, choice),
                "master_key" => to.place.master_key = self.text(key, value, FromStr::from_str),
                "metrics_listen" => to.metrics_listen = self.text(key, value, FromStr::from_str),
                "policy" => to.policy.policy = self.text(key, value, choice),
                "policy_file" => to.policy.policy_file = self.text(key, value, values::path),
                "quotas" => self.numbers(key, value, &QUOTAS, &mut to.quotas),
                "store" => to.place.store = self.text(key, value, FromStr::from_str),
                "upkeep" => self.numbers(key, value, &UPKEEP, &mut to.upkeep),
                _ => self.unknown("", key, &KEYS),
            }
        }
    }

    fn limits(&mut self, key: &Key<'_>, value: &Value<'_>, to: &mut LimitSettings) {
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(key.get_ref(), value, "not a table; write [limits] and the keys below it");
        };
        let names = LIMITS.map(|limit| limit.key);
        for (key, value) in table {
            let Some(limit) = LIMITS.iter().find(|limit| limit.key == key.get_ref().as_ref()) else {
                self.unknown("limits.", key, &names);
                continue;
            };
            match whole_number(value.get_ref()).filter(|number| limit.range().contains(number)) {
                Some(number) => to.set(limit.key, number),
                None => {
                    let allowed = format!("allowed: a whole number from {} to {}", limit.min, limit.max);
                    self.wrong(&format!("limits.{}", limit.key), value, &allowed);
                }
            }
        }
    }

    fn numbers<const N: usize>(
        &mut self,
        name: &Key<'_>,
        value: &Value<'_>,
        known: &[Number; N],
        to: &mut Numbers<N>,
    ) {
        let name = name.get_ref();
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(name, value, &format!("not a table; write [{name}] and the keys below it"));
        };
        let names: Vec<_> = known.iter().map(|number| number.key).collect();
        for (key, value) in table {
            let Some(number) = known.iter().find(|number| number.key == key.get_ref().as_ref()) else {
                self.unknown(&format!("{name}."), key, &names);
                continue;
            };
            match signed_number(value.get_ref()).filter(|found| number.range().contains(found)) {
                Some(found) => to.set(known, number.key, found),
                None => {
                    let allowed = format!("allowed: a whole number from {} to {}", number.min, number.max);
                    self.wrong(&format!("{name}.{}", number.key), value, &allowed);
                }
            }
        }
    }

    fn keystone(&mut self, key: &Key<'_>, value: &Value<'_>, to: &mut KeystoneSettings) {
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(key.get_ref(), value, "not a table; write [keystone] and the keys below it");
        };
        for (key, value) in table {
            let name = &format!("keystone.{}", key.get_ref());
            match key.get_ref().as_ref() {
                "auth_url" => to.auth_url = self.text_of(name, value, keystone::auth_url),
                "www_authenticate_uri" => to.www_authenticate_uri = self.text_of(name, value, keystone::uri),
                "username" => to.username = self.text_of(name, value, keystone::name),
                "user_id" => to.user_id = self.text_of(name, value, keystone::name),
                "user_domain_name" => to.user_domain_name = self.text_of(name, value, keystone::name),
                "user_domain_id" => to.user_domain_id = self.text_of(name, value, keystone::name),
                "password" => to.password = self.text_of(name, value, keystone::written),
                "password_file" => to.password_file = self.text_of(name, value, keystone::secret_file),
                "project_name" => to.project_name = self.text_of(name, value, keystone::name),
                "project_id" => to.project_id = self.text_of(name, value, keystone::name),
                "project_domain_name" => to.project_domain_name = self.text_of(name, value, keystone::name),
                "project_domain_id" => to.project_domain_id = self.text_of(name, value, keystone::name),
                "application_credential_id" => {
                    to.application_credential_id = self.text_of(name, value, keystone::name);
                }
                "application_credential_name" => {
                    to.application_credential_name = self.text_of(name, value, keystone::name);
                }
                "application_credential_secret" => {
                    to.application_credential_secret = self.text_of(name, value, keystone::written);
                }
                "application_credential_secret_file" => {
                    to.application_credential_secret_file = self.text_of(name, value, keystone::secret_file);
                }
                "cafile" => to.cafile = self.text_of(name, value, values::path),
                "insecure" => to.insecure = self.switch(name, value),
                "http_connect_timeout" => to.http_connect_timeout = self.seconds(key, value),
                "http_request_timeout" => to.http_request_timeout = self.seconds(key, value),
                "token_cache_time" => to.token_cache_time = self.seconds(key, value),
                "service_token_roles" => to.service_token_roles = self.roles(name, value),
                "service_token_roles_required" => to.service_token_roles_required = self.switch(name, value),
                _ => self.unknown("keystone.", key, &keystone::KEYS),
            }
        }
    }

    fn cors(&mut self, key: &Key<'_>, value: &Value<'_>, to: &mut Option<Vec<WebOrigin>>) {
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong(key.get_ref(), value, "not a table; write [cors] and the keys below it");
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "allowed_origins" => {
                    let name = "cors.allowed_origins";
                    *to = self.list(name, value, FromStr::from_str, values::ORIGINS_ALLOWED);
                }
                _ => self.unknown("cors.", key, &["allowed_origins"]),
            }
        }
    }

    /// A list of texts, each of which is a value.
    fn list<T>(
        &mut self,
        key: &str,
        value: &Value<'_>,
        parse: fn(&str) -> Result<T, Invalid>,
        allowed: &str,
    ) -> Option<Vec<T>> {
        let Some(items) = value.get_ref().as_array() else {
            self.wrong(key, value, &format!("not a list; {allowed}"));
            return None;
        };
        if items.len() > values::LISTED_MAX {
            self.wrong(key, value, &format!("more than {}; {allowed}", values::LISTED_MAX));
            return None;
        }
        items.iter().map(|item| self.text_of(key, item, parse)).collect()
    }

    fn seconds(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<i64> {
        let known = keystone::NUMBERS.iter().find(|number| number.key == key.get_ref().as_ref())?;
        let chosen = signed_number(value.get_ref()).filter(|chosen| known.range().contains(chosen));
        if chosen.is_none() {
            let allowed = format!("allowed: a whole number of seconds from {} to {}", known.min, known.max);
            self.wrong(&format!("keystone.{}", known.key), value, &allowed);
        }
        chosen
    }

    fn roles(&mut self, key: &str, value: &Value<'_>) -> Option<Vec<Role>> {
        let names = value.get_ref().as_array().map(|names| names.iter().map(|name| name.get_ref().as_str()));
        let roles: Option<Vec<Role>> = names.and_then(|names| {
            names.map(|name| name.filter(|name| keystone::name(name).is_ok()).map(Role::from)).collect()
        });
        let roles = roles.filter(|roles| (1..=keystone::SERVICE_ROLES_MAX).contains(&roles.len()));
        if roles.is_none() {
            self.wrong(key, value, "allowed: names of roles, such as [\"service\"]");
        }
        roles
    }

    fn text<T>(
        &mut self,
        key: &Key<'_>,
        value: &Value<'_>,
        parse: fn(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.text_of(key.get_ref(), value, parse)
    }

    fn text_of<T>(
        &mut self,
        key: &str,
        value: &Value<'_>,
        parse: fn(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(key, value, "not a string; put it in \"quotes\"");
            return None;
        };
        parse(text).map_err(|invalid| self.wrong(key, value, &invalid.to_string())).ok()
    }

    fn switch(&mut self, key: &str, value: &Value<'_>) -> Option<bool> {
        let switch = value.get_ref().as_bool();
        if switch.is_none() {
            self.wrong(key, value, "not a switch; allowed: true, false (without quotes)");
        }
        switch
    }

    fn wrong(&mut self, key: &str, value: &Value<'_>, problem: &str) {
        let written = match MAY_HOLD_SECRETS.contains(&key) {
            true => key.to_owned(),
            false => format!("{key} = {}", shown(value.get_ref())),
        };
        self.fault(value.span(), format!("{written}: {problem}"));
    }

    fn unknown(&mut self, table: &str, key: &Key<'_>, allowed: &[&str]) {
        let (name, allowed_list) = (key.get_ref(), allowed.join(", "));
        let hint =
            closest(name, allowed).map(|near| format!(": did you mean \"{near}\"?")).unwrap_or_default();
        self.fault(key.span(), format!("unknown key \"{table}{name}\"{hint}; allowed: {allowed_list}"));
    }

    fn fault(&mut self, span: Range<usize>, problem: String) {
        self.faults.push((span.start, problem));
    }
}

/// One of the names that `T` has, as clap knows them.
fn choice<T: ValueEnum>(text: &str) -> Result<T, Invalid> {
    let named = |variant: &T| variant.to_possible_value().map(|value| value.get_name().to_owned());
    let found = T::value_variants().iter().find(|variant| named(variant).as_deref() == Some(text));
    found.cloned().ok_or_else(|| {
        Invalid::Choice(T::value_variants().iter().filter_map(named).collect::<Vec<_>>().join(", "))
    })
}

fn whole_number(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn signed_number(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A value as it was written, or for what is long only its kind.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{…}".to_owned(),
    }
}

/// The allowed name that was probably meant: at most a third of it written otherwise.
fn closest<'a>(name: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let near = |candidate: &&str| edits(name, candidate);
    allowed.iter().copied().min_by_key(near).filter(|best| edits(name, best) * 3 <= best.len())
}

/// How many characters must be added, removed or changed to make one of the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (b, above) in to.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
