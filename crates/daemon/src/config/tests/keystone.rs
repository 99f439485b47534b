//! The table `[keystone]` of the file, and what operators are told about it.

use std::path::Path;

use expect_test::{Expect, expect};

use super::{listen_of, load, wrong};
use crate::config::keystone::Keystone;
use crate::config::{AuthBy, ConfigError, file};

/// A table that is whole; each test takes from it or adds to it.
pub(super) const KEYSTONE: &str = "auth = \"keystone\"
[keystone]
auth_url = \"https://keystone.example:5000\"
username = \"barbican\"
user_domain_name = \"Default\"
project_name = \"service\"
project_domain_id = \"default\"
";

fn keystone(more: &str) -> Result<Keystone, ConfigError> {
    match load(&format!("{KEYSTONE}{more}"))?.derived.auth {
        AuthBy::Keystone(keystone) => Ok(*keystone),
        AuthBy::ProjectHeader => panic!("the file says keystone"),
    }
}

#[track_caller]
fn wrong_keystone(more: &str, expect: Expect) {
    expect.assert_eq(&keystone(more).expect_err("must be refused").to_string());
}

#[test]
fn keystone_is_asked_by_a_user_with_a_password() {
    expect![[r#"
        KeystoneConfig {
            auth_url: AuthUrl(
                "https://keystone.example:5000/v3",
            ),
            www_authenticate_uri: None,
            credentials: Password {
                user: Name(
                    "barbican",
                    Name(
                        "Default",
                    ),
                ),
                project: Name(
                    "service",
                    Id(
                        "default",
                    ),
                ),
                password: Given([redacted]),
            },
            cafile: None,
            insecure: false,
            connect_time_max: 3s,
            request_time_max: 10s,
            cache_time: 300s,
            service_roles: [
                Role(
                    "service",
                ),
            ],
            service_roles_required: true,
        }
    "#]]
    .assert_debug_eq(&keystone("password = \"hunter2\"").unwrap().config);
}

#[test]
fn keystone_is_asked_by_an_application_credential() {
    let credentials = |text: &str| {
        let AuthBy::Keystone(keystone) = load(text).unwrap().derived.auth else {
            panic!("the file says keystone")
        };
        format!("{:?}", keystone.config.credentials)
    };
    let head = "auth = \"keystone\"\n[keystone]\nauth_url = \"http://k\"\n";
    assert_eq!(
        credentials(&format!(
            "{head}application_credential_id = \"a\"\napplication_credential_secret = \"s\""
        )),
        r#"Application { id: "a", secret: Given([redacted]) }"#
    );
    let named =
        "application_credential_name = \"n\"\nuser_id = \"u\"\napplication_credential_secret_file = \"/s\"";
    assert_eq!(
        credentials(&format!("{head}{named}")),
        r#"NamedApplication { name: "n", user: Id("u"), secret: File("/s") }"#
    );
}

#[test]
fn no_output_about_the_configuration_has_the_password() {
    let settings = file::parse(Path::new("f"), &format!("{KEYSTONE}password = \"hunter2\"")).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    for more in ["password = [\"hunter2\"]", "password_file = { x = \"hunter2\" }", "pasword = \"hunter2\""] {
        let told = keystone(more).unwrap_err().to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn keystone_needs_its_address() {
    wrong(
        "auth = \"keystone\"",
        expect![[r#"
            auth = "keystone" needs auth_url in the table [keystone] of the configuration file
            The operator's guide has a whole example: "In the cloud: Keystone"."#]],
    );
}

#[test]
fn keystone_needs_a_secret_and_one_is_enough() {
    wrong_keystone(
        "",
        expect![[r#"
            auth = "keystone" needs password_file or password in the table [keystone] of the configuration file
            The operator's guide has a whole example: "In the cloud: Keystone"."#]],
    );
    wrong_keystone(
        "password = \"hunter2\"\npassword_file = \"/x\"",
        expect![[r#"
            keystone.password and keystone.password_file exclude each other
            Leave one of them."#]],
    );
    for (more, expect) in [
        ("application_credential_secret = \"hunter2\"\npassword = \"hunter2\"", ["secret", "password"]),
        ("application_credential_secret_file = \"/x\"", ["secret_file", "project_name"]),
        (
            "application_credential_name = \"n\"\napplication_credential_secret = \"x\"",
            ["name", "project_name"],
        ),
    ] {
        let told = keystone(more).unwrap_err().to_string();
        let [application, other] = expect;
        let expect =
            format!("keystone.application_credential_{application} and keystone.{other} exclude each other");
        assert!(told.starts_with(&expect) && !told.contains("hunter2"), "{more}: {told}");
    }
    let with_user = "auth = \"keystone\"\n[keystone]\nauth_url = \"http://k\"\napplication_credential_id = \"1\"\n\
                     application_credential_secret = \"x\"\nusername = \"u\"";
    let told = load(with_user).unwrap_err().to_string();
    assert!(told.starts_with("keystone.application_credential_id and keystone.username exclude"), "{told}");
    wrong_keystone(
        "password_file = \"credential:keystone.password\"",
        expect![[r#"
            no credential keystone.password: systemd has passed this process none
            Give the unit LoadCredential=keystone.password:FILE, or name a file with keystone.password_file."#]],
    );
}

#[test]
fn a_wrong_value_for_keystone_is_reported_with_its_place() {
    wrong_keystone(
        "insecure = 1\ntoken_cache_time = 7200\nservice_token_roles = \"service\"\nregion_name = \"x\"\npassword = \"\"\n",
        expect![[r#"
            donjon.toml:8:12: keystone.insecure = 1: not a switch; allowed: true, false (without quotes)
            donjon.toml:9:20: keystone.token_cache_time = 7200: allowed: a whole number of seconds from 0 to 3600
            donjon.toml:10:23: keystone.service_token_roles = "service": not a list; allowed: names of roles, such as ["service"]
            donjon.toml:11:1: unknown key "keystone.region_name"; allowed: auth_url, www_authenticate_uri, username, user_id, user_domain_name, user_domain_id, password, password_file, project_name, project_id, project_domain_name, project_domain_id, application_credential_id, application_credential_name, application_credential_secret, application_credential_secret_file, cafile, insecure, http_connect_timeout, http_request_timeout, token_cache_time, service_token_roles, service_token_roles_required
            donjon.toml:12:12: keystone.password: empty, or longer than anything in Keystone; allowed: from 1 to 255 characters"#]],
    );
}

#[test]
fn with_keystone_any_address_is_allowed() {
    let config = load(&format!("listen = \"0.0.0.0:9311\"\n{KEYSTONE}password = \"p\"")).unwrap();
    assert!(config.allow_listening_at(listen_of(&config)).is_ok());
}
