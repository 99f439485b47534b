//! Configuration as operators write it, and what they are told.

mod keystone;
mod rows;

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};

use super::values::ListenAt;
use super::*;
use keystone::KEYSTONE;

fn root() -> Surroundings {
    Surroundings { root: true, ..Surroundings::default() }
}

/// What `donjon.toml` with this text comes to, or what the operator is told.
fn load(text: &str) -> Result<Config, ConfigError> {
    Config::resolve(file::parse(Path::new("donjon.toml"), text)?, None, &root())
}

fn listen_of(config: &Config) -> SocketAddr {
    let ListenAt::At(address) = config.general.listen else { panic!("off") };
    address
}

#[track_caller]
fn wrong(text: &str, expect: Expect) {
    expect.assert_eq(&load(text).expect_err("must be refused").to_string());
}

#[test]
fn a_misspelt_key_is_guessed() {
    wrong(
        "# Donjon\n\nlissten = \"127.0.0.1:9311\"\n",
        expect![[
            r#"donjon.toml:3:1: unknown key "lissten": did you mean "listen"?; allowed: admin_socket, audit, audit_sync, auth, cors, data_dir, host_href, hosts, insecure_listen, keystone, libvirt_auth, libvirt_project, libvirt_socket, libvirt_socket_group, libvirt_socket_mode, libvirt_socket_ro_mode, libvirt_token, limits, listen, log, log_format, master_key, metrics_listen, policy, policy_file, quotas, store, upkeep"#
        ]],
    );
}

#[test]
fn a_key_spelt_as_its_flag_is_guessed() {
    wrong(
        "data-dir = \"/srv\"",
        expect![[
            r#"donjon.toml:1:1: unknown key "data-dir": did you mean "data_dir"?; allowed: admin_socket, audit, audit_sync, auth, cors, data_dir, host_href, hosts, insecure_listen, keystone, libvirt_auth, libvirt_project, libvirt_socket, libvirt_socket_group, libvirt_socket_mode, libvirt_socket_ro_mode, libvirt_token, limits, listen, log, log_format, master_key, metrics_listen, policy, policy_file, quotas, store, upkeep"#
        ]],
    );
}

#[test]
fn a_key_like_nothing_is_not_guessed() {
    wrong(
        "colour = \"red\"",
        expect![[
            r#"donjon.toml:1:1: unknown key "colour"; allowed: admin_socket, audit, audit_sync, auth, cors, data_dir, host_href, hosts, insecure_listen, keystone, libvirt_auth, libvirt_project, libvirt_socket, libvirt_socket_group, libvirt_socket_mode, libvirt_socket_ro_mode, libvirt_token, limits, listen, log, log_format, master_key, metrics_listen, policy, policy_file, quotas, store, upkeep"#
        ]],
    );
}

#[test]
fn an_unknown_limit() {
    wrong(
        "[limits]\nconections = 5",
        expect![[
            r#"donjon.toml:2:1: unknown key "limits.conections": did you mean "connections"?; allowed: header_bytes, header_fields, header_seconds, body_bytes, body_seconds, discarded_bytes, connections, libvirt_connections, drain_seconds, batch_changes"#
        ]],
    );
}

#[test]
fn a_number_for_an_address() {
    wrong("listen = 9311", expect![[r#"donjon.toml:1:10: listen = 9311: not a string; put it in "quotes""#]]);
}

#[test]
fn a_name_for_an_address() {
    wrong(
        "listen = \"localhost:9311\"",
        expect![[
            r#"donjon.toml:1:10: listen = "localhost:9311": neither off nor an address and a port; allowed: off, or IP:PORT such as 127.0.0.1:9311 or [::1]:9311 (names are not looked up)"#
        ]],
    );
}

#[test]
fn a_store_of_another_build_and_its_password() {
    wrong(
        "store = \"postgres://donjon:hunter2@db/donjon\"",
        expect!["donjon.toml:1:9: store: postgres is not in this build; allowed: sqlite:PATH"],
    );
}

#[test]
fn a_key_in_place_of_its_source() {
    wrong(
        "master_key = \"c2VjcmV0IHNlY3JldCBzZWNyZXQ=\"",
        expect![
            "donjon.toml:1:14: master_key: unknown source of the master key; allowed: file:PATH, credential:NAME"
        ],
    );
}

#[test]
fn a_credential_that_is_a_path() {
    wrong(
        "master_key = \"credential:/run/key\"",
        expect![
            "donjon.toml:1:14: master_key: not the name of a credential; allowed: letters, digits and the characters . _ - (no path)"
        ],
    );
}

#[test]
fn a_switch_in_quotes() {
    wrong(
        "insecure_listen = \"yes\"",
        expect![[
            r#"donjon.toml:1:19: insecure_listen = "yes": not a switch; allowed: true, false (without quotes)"#
        ]],
    );
}

#[test]
fn a_limit_out_of_range() {
    wrong(
        "[limits]\nbody_bytes = 0x10",
        expect![
            "donjon.toml:2:14: limits.body_bytes = 0x10: allowed: a whole number of bytes from 1000 to 16777216"
        ],
    );
}

#[test]
fn a_quota_below_minus_one_and_a_misspelt_one() {
    wrong(
        "[quotas]\nsecrets = -2\nconsumer = 3",
        expect![[r#"
            donjon.toml:2:11: quotas.secrets = -2: allowed: a whole number from -1 to 9223372036854775807
            donjon.toml:3:1: unknown key "quotas.consumer": did you mean "consumers"?; allowed: secrets, orders, containers, consumers, cas"#]],
    );
    wrong(
        "quotas = 5",
        expect!["donjon.toml:1:10: quotas = 5: not a table; write [quotas] and the keys below it"],
    );
}

#[test]
fn quotas_and_upkeep_are_read() {
    let text = "[quotas]\nsecrets = 10\norders = 0\n[upkeep]\nevery_seconds = 5\nexpired_seconds = 0";
    let settings = file::parse(Path::new("donjon.toml"), text).unwrap();
    let Config { quotas, upkeep, .. } = Config::resolve(settings, None, &root()).unwrap();
    assert_eq!(Counted::ALL.map(|counted| quotas.of_projects().of(counted)), [10, 0, -1, -1, -1]);
    let seconds =
        (upkeep.every_seconds.as_secs(), upkeep.grace().expired.as_secs(), upkeep.grace().orders.as_secs());
    assert_eq!(seconds, (5, 0, 604_800));
}

#[test]
fn a_limit_below_zero() {
    wrong(
        "[limits]\nconnections = -1",
        expect![
            "donjon.toml:2:15: limits.connections = -1: allowed: a whole number of connections from 1 to 1000000"
        ],
    );
}

#[test]
fn a_limit_with_a_unit() {
    wrong(
        "[limits]\ndrain_seconds = \"30s\"",
        expect![[
            r#"donjon.toml:2:17: limits.drain_seconds = "30s": allowed: a whole number of seconds from 0 to 3600"#
        ]],
    );
}

#[test]
fn limits_that_are_not_a_table() {
    wrong(
        "limits = 5",
        expect!["donjon.toml:1:10: limits = 5: not a table; write [limits] and the keys below it"],
    );
}

#[test]
fn a_log_filter_with_a_misspelt_level() {
    wrong(
        "log = \"inof\"",
        expect![[
            r#"donjon.toml:1:7: log = "inof": not a log filter; allowed: LEVEL or TARGET=LEVEL, separated by commas, LEVEL one of off, error, warn, info, debug, trace"#
        ]],
    );
}

#[test]
fn an_unknown_log_format() {
    wrong(
        "log_format = \"xml\"",
        expect![[r#"donjon.toml:1:14: log_format = "xml": unknown; allowed: text, json"#]],
    );
}

#[test]
fn an_unknown_audit_sync() {
    wrong(
        "audit_sync = \"never\"",
        expect![[r#"donjon.toml:1:14: audit_sync = "never": unknown; allowed: batch, entry"#]],
    );
}

#[test]
fn a_wrong_metrics_address() {
    wrong(
        "metrics_listen = \"no\"",
        expect![[
            r#"donjon.toml:1:18: metrics_listen = "no": neither off nor an address and a port; allowed: off, or IP:PORT such as 127.0.0.1:9311 or [::1]:9311 (names are not looked up)"#
        ]],
    );
}

#[test]
fn a_host_href_without_a_scheme() {
    wrong(
        "host_href = \"keys.example:9311\"",
        expect![[
            r#"donjon.toml:1:13: host_href = "keys.example:9311": not the start of a URL; allowed: http:// or https://, a host, and maybe a port and a path"#
        ]],
    );
}

#[test]
fn names_of_this_server_and_pages_with_access_are_listed() {
    let config = load(
        "hosts = [\"Keys.example\", \"keys.internal\"]\n[cors]\nallowed_origins = [\"https://ui.example\"]",
    )
    .unwrap();
    let hosts: Vec<_> = config.general.hosts.iter().map(ToString::to_string).collect();
    let origins: Vec<_> = config.cors.allowed_origins.iter().map(ToString::to_string).collect();
    assert_eq!(
        (hosts, origins),
        (vec!["keys.example".into(), "keys.internal".into()], vec!["https://ui.example".into()])
    );
    let none = load("").unwrap();
    assert!(none.general.hosts.is_empty() && none.cors.allowed_origins.is_empty());
    assert_eq!(config.needs_restart(&none), ["hosts", "cors.allowed_origins"]);
}

#[test]
fn a_wrong_host_name() {
    wrong(
        "hosts = [\"keys.example\", \"keys.internal:9311\", 5]",
        expect![[r#"
            donjon.toml:1:26: hosts = "keys.internal:9311": not the name of a host; allowed: names without a port, such as ["keys.example"]"#]],
    );
    wrong(
        "hosts = \"keys.example\"",
        expect![[
            r#"donjon.toml:1:9: hosts = "keys.example": not a list; allowed: names without a port, such as ["keys.example"]"#
        ]],
    );
    let many = format!("hosts = [{}]", "\"h\", ".repeat(101));
    let told = load(&many).unwrap_err().to_string();
    assert!(told.contains("hosts = […]: more than 100; allowed"), "{told}");
}

#[test]
fn a_wrong_origin() {
    wrong(
        "[cors]\nallowed_origins = [\"*\"]\nallowed_origin = 1",
        expect![[r#"
            donjon.toml:2:20: cors.allowed_origins = "*": not the origin of a page; allowed: http:// or https://, a host and maybe a port, such as ["https://ui.example"] (no path, no *)
            donjon.toml:3:1: unknown key "cors.allowed_origin": did you mean "allowed_origins"?; allowed: allowed_origins"#]],
    );
    wrong("cors = 5", expect!["donjon.toml:1:8: cors = 5: not a table; write [cors] and the keys below it"]);
}

#[test]
fn an_empty_path() {
    wrong("audit = \"\"", expect![[r#"donjon.toml:1:9: audit = "": empty; allowed: a path"#]]);
}

#[test]
fn a_line_that_is_not_toml() {
    wrong(
        "listen = 127.0.0.1:9311",
        expect![[r#"donjon.toml:1:15: not TOML: invalid float, expected nothing; text goes in "quotes""#]],
    );
}

#[test]
fn a_key_twice() {
    wrong("log = \"info\"\nlog = \"debug\"", expect!["donjon.toml:2:1: not TOML: duplicate key"]);
}

#[test]
fn every_wrong_line_is_reported_in_the_order_of_the_file() {
    wrong(
        "store = 1\nmet = 2\nauth = 3",
        expect![[r#"
            donjon.toml:1:9: store: not a string; put it in "quotes"
            donjon.toml:2:1: unknown key "met"; allowed: admin_socket, audit, audit_sync, auth, cors, data_dir, host_href, hosts, insecure_listen, keystone, libvirt_auth, libvirt_project, libvirt_socket, libvirt_socket_group, libvirt_socket_mode, libvirt_socket_ro_mode, libvirt_token, limits, listen, log, log_format, master_key, metrics_listen, policy, policy_file, quotas, store, upkeep
            donjon.toml:3:8: auth = 3: not a string; put it in "quotes""#]],
    );
}

#[test]
fn an_address_that_others_reach() {
    let config = load("listen = \"0.0.0.0:9311\"").unwrap();
    let told = config.allow_listening_at(listen_of(&config)).unwrap_err().to_string();
    expect![[r#"
        0.0.0.0:9311 is not a loopback address, and with auth project-header whoever reaches it reads and writes the secrets of every project
        Choose auth keystone, listen on 127.0.0.1 behind a proxy that authenticates, or give --insecure-listen if this network is trusted."#]]
    .assert_eq(&told);
}

#[test]
fn loopback_is_loopback_in_every_spelling() {
    let allowed = |text: &str| {
        let config = load(text).unwrap();
        config.allow_listening_at(listen_of(&config)).is_ok()
    };
    for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(allowed(&format!("listen = \"{address}\"")), "{address}");
    }
    assert!(!allowed("listen = \"[::]:1\""));
    assert!(allowed("listen = \"[::]:1\"\ninsecure_listen = true"));
}

#[test]
fn a_configuration_without_settings_works() {
    expect![[r#"
        Config {
            general: General {
                data_dir: "/var/lib/donjon",
                store: Sqlite(
                    "/var/lib/donjon/donjon.db",
                ),
                master_key: File(
                    "/var/lib/donjon/master.key",
                ),
                admin_socket: At(
                    "/var/lib/donjon/admin-sock",
                ),
                listen: At(
                    127.0.0.1:9311,
                ),
                host_href: None,
                hosts: [],
                auth: ProjectHeader,
                insecure_listen: false,
                policy: None,
                policy_file: None,
                libvirt_socket: At(
                    "/run/donjon/virtsecretd-sock",
                ),
                libvirt_socket_group: None,
                libvirt_socket_mode: SocketMode(
                    384,
                ),
                libvirt_socket_ro_mode: SocketMode(
                    438,
                ),
                libvirt_project: ProjectId(
                    "default",
                ),
                libvirt_auth: None,
                libvirt_token: None,
                metrics_listen: At(
                    127.0.0.1:9312,
                ),
                audit: File(
                    "/var/lib/donjon/audit.log",
                ),
                audit_sync: Batch,
                log: LogFilter(
                    "info",
                ),
                log_format: Text,
            },
            cors: Cors {
                allowed_origins: [],
            },
            limits: Limits {
                header_bytes: 65536,
                header_fields: 100,
                header_seconds: 60s,
                body_bytes: 25000,
                body_seconds: 30s,
                discarded_bytes: 16777216,
                connections: 10000,
                libvirt_connections: 10000,
                drain_seconds: 30s,
                batch_changes: 256,
            },
            quotas: ProjectQuotas {
                secrets: -1,
                orders: -1,
                containers: -1,
                consumers: -1,
                cas: -1,
            },
            upkeep: Upkeep {
                every_seconds: 60s,
                expired_seconds: 86400s,
                orders_seconds: 604800s,
            },
            keystone: KeystoneTable {
                auth_url: None,
                www_authenticate_uri: None,
                username: None,
                user_id: None,
                user_domain_name: None,
                user_domain_id: None,
                password: None,
                password_file: None,
                project_name: None,
                project_id: None,
                project_domain_name: None,
                project_domain_id: None,
                application_credential_id: None,
                application_credential_name: None,
                application_credential_secret: None,
                application_credential_secret_file: None,
                cafile: None,
                insecure: false,
                http_connect_timeout: 3s,
                http_request_timeout: 10s,
                token_cache_time: 300s,
                service_token_roles: [
                    Role(
                        "service",
                    ),
                ],
                service_token_roles_required: true,
            },
            derived: Derived {
                auth: ProjectHeader,
                is_admin_socket_chosen: false,
                is_libvirt_socket_chosen: false,
            },
        }
    "#]]
    .assert_debug_eq(&load("").unwrap());
}

#[test]
fn the_defaults_are_those_of_the_parts() {
    let config = load("").unwrap();
    assert_eq!(config.limits.of_rest_door(), transport::Limits::default());
    assert_eq!(config.limits.batch_changes, store::sqlite::BATCH_DEFAULT);
    assert_eq!(
        (config.upkeep.grace(), config.quotas.of_projects()),
        (Grace::default(), Quotas::all(UNLIMITED))
    );
}

#[test]
fn everything_follows_the_data_directory_unless_chosen() {
    let config = load("data_dir = \"/srv/d\"\naudit = \"/var/log/donjon.log\"").unwrap();
    assert_eq!(config.general.store.path(), Path::new("/srv/d/donjon.db"));
    assert_eq!(config.general.master_key, KeySource::File(PathBuf::from("/srv/d/master.key")));
    assert_eq!(config.general.audit, AuditTarget::File("/var/log/donjon.log".into()));
    assert_eq!(load("audit = \"stdout\"").unwrap().general.audit, AuditTarget::Stdout);
}

#[test]
fn the_default_policy_depends_on_how_callers_are_identified() {
    let set = |text: &str| load(text).unwrap().load_policy(&AuthBy::ProjectHeader).unwrap().set().as_str();
    assert_eq!(set(""), "legacy");
    assert_eq!(set("policy = \"secure-rbac\""), "secure-rbac");
    assert_eq!(set("policy = \"legacy\""), "legacy");
    let config = load(&format!("{KEYSTONE}password = \"p\"")).unwrap();
    assert_eq!(config.load_policy(&config.derived.auth).unwrap().set().as_str(), "secure-rbac");
}

#[test]
fn an_unknown_set_of_rules() {
    wrong(
        "policy = \"new\"\n",
        expect![[r#"donjon.toml:1:10: policy = "new": unknown; allowed: secure-rbac, legacy"#]],
    );
}

#[test]
fn flags_win_over_the_file() {
    let file =
        file::parse(Path::new("donjon.toml"), "log = \"warn\"\naudit = \"/a\"\ninsecure_listen = true")
            .unwrap();
    let mut flags = Settings::default();
    (flags.general.log, flags.general.insecure_listen) = ("debug".parse().ok(), Some(false));
    let config = Config::resolve(flags.or(file), None, &root()).unwrap();
    assert_eq!((config.general.log.to_string().as_str(), config.general.insecure_listen), ("debug", false));
    assert_eq!(config.general.audit, AuditTarget::File("/a".into()));
}

#[test]
fn a_data_directory_for_everybody() {
    let user = |xdg: Option<&str>, home: Option<&str>| {
        let around = Surroundings {
            xdg_data_home: xdg.map(Into::into),
            home: home.map(Into::into),
            ..Surroundings::default()
        };
        around.data_dir().map(|dir| dir.display().to_string())
    };
    assert_eq!(user(Some("/data"), Some("/home/u")).as_deref(), Some("/data/donjon"));
    assert_eq!(user(None, Some("/home/u")).as_deref(), Some("/home/u/.local/share/donjon"));
    assert_eq!(user(Some("relative"), Some("/home/u")).as_deref(), Some("/home/u/.local/share/donjon"));
    assert_eq!(user(None, None), None);
    // `sudo -u donjon donjond check` looks where the service has its data, whatever sudo makes of HOME.
    let service =
        Surroundings { owns_system_data: true, home: Some("/home/u".into()), ..Surroundings::default() };
    assert_eq!(service.data_dir(), Some("/var/lib/donjon".into()));
}

#[test]
fn changes_that_need_a_restart_are_named() {
    let before = load("").unwrap();
    let after = load("log = \"debug\"\nlisten = \"127.0.0.1:1\"\n[limits]\nconnections = 5").unwrap();
    assert_eq!(before.needs_restart(&after), ["listen", "limits.connections"]);
}

#[test]
fn a_group_widens_the_mode_unless_one_is_given() {
    let mode = |text: &str| load(text).unwrap().general.libvirt_socket_mode;
    assert_eq!(mode(""), SocketMode(0o600));
    assert_eq!(mode("libvirt_socket_group = \"kvm\""), SocketMode(0o660));
    assert_eq!(mode("libvirt_socket_group = \"kvm\"\nlibvirt_socket_mode = \"0666\""), SocketMode(0o666));
}

#[test]
fn the_default_socket_depends_on_user_and_unit() {
    let socket = |around: &Surroundings| around.libvirt_socket(Path::new("/d"));
    let at = PathBuf::from;
    assert_eq!(socket(&root()), at("/run/donjon/virtsecretd-sock"));
    let user = Surroundings { xdg_runtime_dir: Some("/run/user/5".into()), ..Surroundings::default() };
    assert_eq!(socket(&user), at("/run/user/5/donjon/virtsecretd-sock"));
    let unit = |paths: &str| Surroundings {
        runtime_directory: Some(paths.into()),
        xdg_runtime_dir: Some("/run/user/5".into()),
        ..Surroundings::default()
    };
    assert_eq!(socket(&unit("/run/keys")), at("/run/keys/virtsecretd-sock"));
    assert_eq!(socket(&unit("/run/keys:/run/more")), at("/run/keys/virtsecretd-sock"));
    assert_eq!(socket(&unit("keys")), at("/run/user/5/donjon/virtsecretd-sock"));
    assert_eq!(socket(&unit("")), at("/run/user/5/donjon/virtsecretd-sock"));
    assert_eq!(socket(&Surroundings { root: true, ..unit("/run/keys") }), at("/run/donjon/virtsecretd-sock"));
    assert!(!load("").unwrap().derived.is_libvirt_socket_chosen, "nobody has named it");
    assert_eq!(socket(&Surroundings::default()), at("/d/virtsecretd-sock"));
}
