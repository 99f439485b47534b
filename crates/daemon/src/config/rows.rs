//! Every setting, once. Flags and their help, the keys of the file and their errors, defaults, the tables of the
//! operator's guide and `packaging/donjon.toml` come from these rows; `cargo xtask settings` rewrites the documents.
//!
//! ```text
//! key: type = kind, row(sentence, default).flag(value's name, commands).more(sentences)…;
//! key [optional]: type = …                   without a default value
//! ```

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use model::{ProjectId, Role};
use transport::keystone::AuthUrl;
use transport::{HostName, WebOrigin};

use super::Derived;
use super::keystone::{self, SecretFile, WrittenSecret};
use super::kinds::{
    Choice, FileValue, Kind, List, Switch, Text, WrongValue, at_least_one, quota, seconds, size,
};
use super::table::DefaultValue::{Absent, Computed, Fixed};
use super::table::{BACKUP, CHECK, INIT, POLICY, Row, settings};
use super::values::{
    self, AuditSync, AuditTarget, Auth, Group, KeySource, LibvirtAuth, ListenAt, LogFilter, LogFormat,
    PolicySet, SocketAt, SocketMode, StoreUrl,
};

const fn row(help: &'static str, default: super::table::DefaultValue) -> Row {
    Row::new(help, default)
}

/// Each request is compared with all of these names or origins.
const LISTED_MAX: usize = 100;
/// Each service token is compared with all of these roles.
const SERVICE_ROLES_MAX: usize = 64;
const YEAR_SECONDS: i64 = 366 * 24 * 3600;

settings! {
    /// The top level of the file.
    general: GeneralKeys => General, "" {
        data_dir: PathBuf = Text(values::path),
            row("Keep all data in this directory, which is made with mode 0700 if it is missing", Computed {
                words: "`/var/lib/donjon` as root or as the user who owns it (that of the service), else \
                        `$XDG_DATA_HOME/donjon`, else `~/.local/share/donjon`",
                packaged: r#""/var/lib/donjon""#,
            }).flag("DIR", INIT | CHECK | BACKUP);
        store: StoreUrl = Text(FromStr::from_str),
            row("Keep the database here: `sqlite:PATH`", Computed {
                words: "`sqlite:DATA-DIR/donjon.db`",
                packaged: r#""sqlite:/var/lib/donjon/donjon.db""#,
            }).flag("URL", INIT | CHECK | BACKUP).secret();
        master_key: KeySource = Text(FromStr::from_str),
            row("Take the master key from `file:PATH`, or from `credential:NAME` as systemd's LoadCredential= passes it", Computed {
                words: "`file:DATA-DIR/master.key`",
                packaged: r#""file:/var/lib/donjon/master.key""#,
            }).flag("SOURCE", INIT | CHECK | BACKUP).secret()
            .more("A missing key file is made together with the store, and never again.");
        admin_socket: SocketAt = Text(FromStr::from_str),
            row("Open the admin socket at this path, where `check` and `backup` ask a running server, or `off`", Computed {
                words: "`DATA-DIR/admin-sock`",
                packaged: r#""/var/lib/donjon/admin-sock""#,
            }).flag("PATH", CHECK | BACKUP)
            .more("Root and the user that runs the server may use it.").guide("The admin socket");

        listen: ListenAt = Text(FromStr::from_str),
            row("Serve the REST API at this IP address and port, or `off`", Fixed(r#""127.0.0.1:9311""#))
            .flag("ADDR", 0).more("Sockets that systemd passes take precedence.");
        host_href [optional]: String = Text(values::host_href),
            row("Begin hrefs in answers with this URL", Absent {
                words: "`http://` and the request's Host header",
                example: r#""https://keys.example:9311""#,
            }).flag("URL", 0);
        hosts: Vec<HostName> =
            List { parse: values::host_name, length: 0..=LISTED_MAX, allowed: r#"names without a port, such as ["keys.example"]"# },
            row("Answer to these names of this server, without ports; a flag separates them by commas", Fixed("[]"))
            .flag("NAMES", 0)
            .more("With `project-header` a request for any other name is 403, so that no web page can point its own name \
                   here. IP addresses, localhost and the host of `host_href` need no listing. A reference that begins with \
                   one of these names is a reference to this server.")
            .guide("Proxies and pages");
        auth: Auth = Choice,
            row("Identify callers by `project-header` or by `keystone`", Fixed(r#""project-header""#)).flag("HOW", 0)
            .more("`project-header` believes the X-Project-Id header, like Barbican without Keystone; a caller without X-Roles, \
                   or with an empty one, is admin, so a proxy has to set it. `keystone` asks Keystone about the token in \
                   X-Auth-Token; the table [keystone] of the file says where Keystone is and who asks.")
            .guide("In the cloud: Keystone");
        insecure_listen: bool = Switch,
            row("Allow `project-header` at an address that other machines reach", Fixed("false")).flag("BOOL", 0);

        policy [optional]: PolicySet = Choice,
            row("Begin with these rules of who may do what: `secure-rbac`, the defaults of Barbican 23, or `legacy`, those before", Absent {
                words: "`legacy` with `project-header`, else `secure-rbac`",
                example: r#""legacy""#,
            }).flag("SET", CHECK | POLICY).reloads()
            .more("With `secure-rbac`, as in Barbican, an admin of any project may read the metadata of every project's secrets, \
                   and delete them; `policy-project-admin.yaml` closes that.")
            .guide("Who may do what");
        policy_file [optional]: PathBuf = Text(values::path),
            row("Override rules by this file: Barbican's policy.yaml, in the language of oslo.policy", Absent {
                words: "none",
                example: r#""/etc/donjon/policy.yaml""#,
            }).flag("FILE", CHECK | POLICY).reloads()
            .more("A wrong file stops a start; at a reload it changes nothing.");

        libvirt_socket: SocketAt = Text(FromStr::from_str),
            row("Serve libvirt's secret API on a UNIX socket at this path, and read-only at PATH-ro, or `off`", Computed {
                words: "`/run/donjon/virtsecretd-sock` as root, else `$RUNTIME_DIRECTORY/virtsecretd-sock` (in a systemd unit with \
                        RuntimeDirectory=), else `$XDG_RUNTIME_DIR/donjon/virtsecretd-sock`, else `DATA-DIR/virtsecretd-sock`",
                packaged: r#""/run/donjon/virtsecretd-sock""#,
            }).flag("PATH", 0)
            .more("Sockets that systemd passes take precedence. At /run/libvirt/virtsecretd-sock virsh and libvirt's daemons \
                   find it without being told.")
            .guide("The libvirt door");
        libvirt_socket_group [optional]: Group = Text(FromStr::from_str),
            row("Let this group, a name or a number, open the read-write socket too", Absent {
                words: "none",
                example: r#""libvirt""#,
            }).flag("GROUP", 0)
            .more("The user of donjond must be in the group (SupplementaryGroups= of the unit), or be root.");
        libvirt_socket_mode: SocketMode = Text(FromStr::from_str),
            row("Give the read-write socket this mode, in octal", Computed {
                words: "`0600`, or `0660` with a group",
                packaged: r#""0600""#,
            }).flag("MODE", 0);
        libvirt_socket_ro_mode: SocketMode = Text(FromStr::from_str),
            row("Give the read-only socket this mode, in octal", Fixed(r#""0666""#)).flag("MODE", 0)
            .more("That socket lists secrets and shows no value.");
        libvirt_project: ProjectId = Text(values::project),
            row("Show libvirt the secrets of this project", Fixed(r#""default""#)).flag("ID", 0);
        libvirt_auth: LibvirtAuth = Choice,
            row("Let in everybody who can open the socket (`none`), or ask polkit about everybody but root (`polkit`)", Fixed(r#""none""#))
            .flag("HOW", 0);
        libvirt_token [optional]: PathBuf = Text(values::path),
            row("Keep the system token in this file, which is made if it is missing", Absent {
                words: "`common/system.token` in the socket's directory, where libvirt has it",
                example: r#""/run/libvirt/common/system.token""#,
            }).flag("FILE", 0)
            .more("libvirt's daemons prove by the token that they may read private secrets.");

        metrics_listen: ListenAt = Text(FromStr::from_str),
            row("Serve Prometheus metrics at this IP address and port, under /metrics, or `off`", Fixed(r#""127.0.0.1:9312""#))
            .flag("ADDR", 0);
        audit: AuditTarget = Text(FromStr::from_str),
            row("Write the audit trail, one line a request, to this file or to `stdout`", Computed {
                words: "`DATA-DIR/audit.log`",
                packaged: r#""/var/lib/donjon/audit.log""#,
            }).flag("FILE", 0).guide("Audit trail");
        audit_sync: AuditSync = Choice,
            row("Force the audit trail to disk by `batch`, or by `entry` before each answer", Fixed(r#""batch""#)).flag("WHEN", 0)
            .more("Either way an entry is with the operating system before a payload leaves.").guide("Audit trail");
        log: LogFilter = Text(FromStr::from_str),
            row("Log what passes this filter: `LEVEL` or `TARGET=LEVEL`, separated by commas", Fixed(r#""info""#))
            .flag("FILTER", 0).reloads()
            .more("Levels: off, error, warn, info, debug, trace. Example: `warn,vault=debug`.").guide("Log");
        log_format: LogFormat = Choice,
            row("Log to stderr as `text` for people, or as `json`, one object a line", Fixed(r#""text""#)).flag("FORMAT", 0);
    }

    /// Pages of other sites.
    cors: CorsKeys => Cors, "cors" {
        allowed_origins: Vec<WebOrigin> =
            List { parse: values::web_origin, length: 0..=LISTED_MAX, allowed: values::ORIGINS_ALLOWED },
            row("Let pages of these sites read the REST API in a browser, such as `[\"https://ui.example\"]`", Fixed("[]"))
            .guide("Proxies and pages");
    }

    /// Every limit that an operator can move. The others are constants beside the code that keeps them.
    limits: LimitKeys => Limits, "limits" {
        header_bytes: usize = size(transport::Limits::HEAD_BYTES_MIN as i64, 1_048_576, "bytes"),
            row("Bytes that a request line and its headers may have together; more is 431", Fixed("65536"));
        header_fields: usize = size(10, 1_000, "headers"),
            row("Headers that a request may have; more is 431", Fixed("100"));
        header_seconds: Duration = seconds(1, 3_600),
            row("Time in which the headers must arrive, and that a connection may be idle between requests; then 408 and closed", Fixed("60"));
        body_bytes: usize = size(1_000, 16_777_216, "bytes"),
            row("Bytes of a body that are read; a longer one is read as if it ended there, as Barbican does: 400 or 413", Fixed("25000"));
        body_seconds: Duration = seconds(1, 3_600),
            row("Time in which a body must arrive; then 408 and closed", Fixed("30"));
        discarded_bytes: usize = size(0, 1_073_741_824, "bytes"),
            row("Bytes that are received and thrown away of a body that is too long or that nobody asked for; then the connection is closed", Fixed("16777216"));
        connections: usize = size(1, 1_000_000, "connections"),
            row("Connections open at once; further clients wait to be accepted", Fixed("10000"));
        libvirt_connections: usize = size(1, 1_000_000, "connections"),
            row("Connections open at once at each of the libvirt door's two sockets; further clients wait to be accepted", Fixed("10000"));
        drain_seconds: Duration = seconds(0, 3_600),
            row("Time that requests have to finish after SIGTERM; then they are cut off", Fixed("30"));
        batch_changes: NonZeroUsize = at_least_one(4_096, "changes"),
            row("Changes in one transaction, which share its fsync; further ones wait for the next", Fixed("256"));
    }

    /// The quotas of projects that have none of their own, by the names of Barbican's API.
    quotas: QuotaKeys => ProjectQuotas, "quotas" {
        secrets: i64 = quota(),
            row("Secrets that have not expired, with ephemeral ones and those that libvirt defined", Fixed("-1"));
        orders: i64 = quota(), row("Orders", Fixed("-1"));
        containers: i64 = quota(), row("Containers", Fixed("-1"));
        consumers: i64 = quota(),
            row("Consumers of secrets, and apart from them of containers, that were registered from the project", Fixed("-1"));
        cas: i64 = quota(), row("Certificate authorities, which Barbican shows and Donjon does not have", Fixed("-1"));
    }

    /// When the server deletes expired and spent things.
    upkeep: UpkeepKeys => Upkeep, "upkeep" {
        every_seconds: Duration = seconds(1, 24 * 3600),
            row("Time between two rounds, and from the start to the first", Fixed("60"));
        expired_seconds: Duration = seconds(0, 10 * YEAR_SECONDS),
            row("Time after which an expired secret is deleted; the libvirt door sends an event for it", Fixed("86400"));
        orders_seconds: Duration = seconds(0, 10 * YEAR_SECONDS),
            row("Age at which an order is deleted that failed, or whose secret or container is gone", Fixed("604800"));
    }

    /// Keystone, for `auth = "keystone"`. The keys are those of `[keystone_authtoken]` of OpenStack's services, so that one
    /// can be written from the other. There are no flags: everybody on a machine can read command lines.
    keystone: KeystoneKeys => KeystoneTable, "keystone" {
        auth_url [optional]: AuthUrl = Text(keystone::auth_url),
            row("Where Keystone is, with `/v3` or without; `http://` sends tokens in clear, and the log warns", Absent {
                words: "none: needed",
                example: r#""https://keystone.example:5000/v3""#,
            }).secret();
        www_authenticate_uri [optional]: String = Text(keystone::public_url),
            row("Where a 401 tells clients to get tokens", Absent {
                words: "`auth_url`",
                example: r#""https://keystone.example/identity/v3""#,
            }).secret();
        username [optional]: String = Text(keystone::name),
            row("The service's user", Absent {
                words: "none: needed, or `user_id`, unless there is an application credential's id",
                example: r#""barbican""#,
            });
        user_id [optional]: String = Text(keystone::name),
            row("The id of the user, instead of its name", Absent { words: "none", example: r#""2f80…""# });
        user_domain_name [optional]: String = Text(keystone::name),
            row("The user's domain", Absent {
                words: "none: needed with `username`, or `user_domain_id`",
                example: r#""Default""#,
            });
        user_domain_id [optional]: String = Text(keystone::name),
            row("The id of that domain, instead of its name", Absent { words: "none", example: r#""default""# });
        password [optional]: WrittenSecret = Text(keystone::written_secret),
            row("The password itself; the log warns if everybody can read the file", Absent {
                words: "none: needed, or `password_file`",
                example: r#""…""#,
            }).secret();
        password_file [optional]: SecretFile = Text(FromStr::from_str),
            row("A file whose first line is the password, or `credential:NAME` as systemd's LoadCredential= passes it", Absent {
                words: "none: needed, or `password`",
                example: r#""/etc/donjon/keystone.password""#,
            }).secret()
            .more("It is read whenever the service logs in, so a new password needs no restart.");
        project_name [optional]: String = Text(keystone::name),
            row("The project in which the user has its role", Absent {
                words: "none: needed, or `project_id`",
                example: r#""service""#,
            });
        project_id [optional]: String = Text(keystone::name),
            row("The id of the project, instead of its name", Absent { words: "none", example: r#""8f0a…""# });
        project_domain_name [optional]: String = Text(keystone::name),
            row("The project's domain", Absent {
                words: "none: needed with `project_name`, or `project_domain_id`",
                example: r#""Default""#,
            });
        project_domain_id [optional]: String = Text(keystone::name),
            row("The id of that domain, instead of its name", Absent { words: "none", example: r#""default""# });
        application_credential_id [optional]: String = Text(keystone::name),
            row("An application credential, instead of user, password and project", Absent {
                words: "none",
                example: r#""5a1c…""#,
            });
        application_credential_name [optional]: String = Text(keystone::name),
            row("Its name, with the user, instead of its id", Absent { words: "none", example: r#""donjon""# });
        application_credential_secret [optional]: WrittenSecret = Text(keystone::written_secret),
            row("Its secret, as `password`", Absent { words: "none", example: r#""…""# }).secret();
        application_credential_secret_file [optional]: SecretFile = Text(FromStr::from_str),
            row("Its secret, as `password_file`", Absent { words: "none", example: r#""/etc/donjon/keystone.secret""# }).secret();
        cafile [optional]: PathBuf = Text(values::path),
            row("Certificates (PEM) of the authorities that sign Keystone's certificate", Absent {
                words: "the system's",
                example: r#""/etc/ssl/certs/keystone-ca.pem""#,
            });
        insecure: bool = Switch,
            row("Believe any certificate; then everybody between here and Keystone can say who a caller is", Fixed("false"));
        http_connect_timeout: Duration = seconds(1, 60), row("Time to connect", Fixed("3"));
        http_request_timeout: Duration = seconds(1, 120),
            row("Time to learn whether a token is valid, with repeated attempts and waiting; then 503", Fixed("10"));
        token_cache_time: Duration = seconds(0, 3_600),
            row("Time for which an answer of Keystone about a token is believed; 0 asks for every request", Fixed("300"))
            .more("A token that was revoked, or whose user or project was disabled, may be good for that long.");
        service_token_roles: Vec<Role> =
            List { parse: keystone::role, length: 1..=SERVICE_ROLES_MAX, allowed: r#"names of roles, such as ["service"]"# },
            row("A service token with one of these roles lets the user's token have expired", Fixed(r#"["service"]"#));
        service_token_roles_required: bool = Switch,
            row("Refuse other service tokens (401) instead of passing over them", Fixed("true"));
    }
}

/// The tables of the file, each with a sentence that introduces it.
pub(crate) const SECTIONS: [(&str, &str); 6] = [
    ("", ""),
    ("cors", "Pages of other sites."),
    ("limits", "Limits; the operator's guide has those that cannot be moved."),
    (
        "quotas",
        "What a project may have if it has no quotas of its own (`/v1/project-quotas`). -1 is no limit, 0 is nothing at all.",
    ),
    ("upkeep", "The server deletes expired and spent things in the background."),
    ("keystone", "Keystone, for auth = \"keystone\": the guide's \"In the cloud: Keystone\" has an example."),
];
