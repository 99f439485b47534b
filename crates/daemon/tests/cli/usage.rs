//! Usage and configuration. A mistake there is exit code 2, and nothing is made.

use expect_test::expect;

use crate::{Folder, donjond, refused, succeeds};

#[test]
fn help_and_version_succeed() {
    assert_eq!(succeeds(&["--version"]), format!("donjond {}\n", env!("CARGO_PKG_VERSION")));
    for command in ["serve", "init", "check"] {
        assert!(succeeds(&[command, "--help"]).contains("\n  donjond "), "{command} has an example");
    }
}

#[test]
fn wrong_usage_is_2() {
    for args in
        [&[][..], &["sevre"], &["serve", "--lissten", "x"], &["serve", "now"], &["init", "--auth", "x"]]
    {
        assert_eq!(donjond(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_wrong_flag_is_told_the_allowed_values() {
    let folder = Folder::new();
    refused(
        folder.dir(),
        &["serve", "--store", "mysql://db/donjon"],
        2,
        expect![[r#"
        error: invalid value 'mysql://db/donjon' for '--store <URL>': mysql is not in this build; allowed: sqlite:PATH

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn every_wrong_line_of_the_file_is_reported() {
    let folder = Folder::new();
    let file = folder.write("donjon.toml", "lissten = \"127.0.0.1:9311\"\n\n[limits]\nconnections = 0\n");
    let keys = "allowed: admin_socket, audit, audit_sync, auth, cors, data_dir, host_href, hosts, insecure_listen, keystone, libvirt_auth, \
                libvirt_project, libvirt_socket, libvirt_socket_group, libvirt_socket_mode, libvirt_socket_ro_mode, \
                libvirt_token, limits, listen, log, log_format, master_key, metrics_listen, policy, policy_file, quotas, \
                store, upkeep";
    for command in ["serve", "init", "check"] {
        let output = donjond(&[command, "--config", &file]);
        let expected = format!(
            "donjond: {file}:1:1: unknown key \"lissten\": did you mean \"listen\"?; {keys}\n\
             {file}:4:15: limits.connections = 0: allowed: a whole number of connections from 1 to 1000000\n"
        );
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn a_missing_file_is_reported() {
    let folder = Folder::new();
    let file = folder.path("absent.toml").display().to_string();
    refused(
        folder.dir(),
        &["serve", "--config", &file],
        2,
        expect![[r#"
        donjond: cannot read the configuration file DIR/absent.toml: No such file or directory (os error 2)
    "#]],
    );
}

#[test]
fn everybodys_network_needs_a_word() {
    let folder = Folder::new();
    let args = ["serve", "--data-dir", &folder.data(), "--listen", "0.0.0.0:0"];
    refused(
        folder.dir(),
        &args,
        2,
        expect![[r#"
        donjond: 0.0.0.0:0 is not a loopback address, and with auth project-header whoever reaches it reads and writes the secrets of every project
        Choose auth keystone, listen on 127.0.0.1 behind a proxy that authenticates, or give --insecure-listen if this network is trusted.
    "#]],
    );
    assert!(!folder.path("data").exists(), "nothing is made before the configuration is right");
}

#[test]
fn refused_addresses_matter_only_to_commands_that_listen() {
    let folder = Folder::new();
    let file = folder.write("donjon.toml", "listen = \"0.0.0.0:9311\"\n");
    for command in ["init", "check"] {
        succeeds(&[command, "--config", &file, "--data-dir", &folder.data()]);
    }
    assert_eq!(
        donjond(&["serve", "--config", &file, "--data-dir", &folder.data()]).status.code(),
        Some(2),
        "the same file"
    );
}

#[test]
fn a_database_in_memory_is_refused() {
    let folder = Folder::new();
    for store in ["sqlite::memory:", "sqlite:"] {
        let output = donjond(&["serve", "--data-dir", &folder.data(), "--store", store]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("allowed: sqlite:PATH, where PATH is not empty"), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
    assert!(!folder.path("data").exists());
}
