//! The Keystone of the tests: it is real, starts quickly, and has the accounts of the tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic")]

mod support;

use support::keystone::Keystone;

#[test]
fn a_keystone_has_an_account_for_each_role_and_its_own_catalog() {
    let keystone = Keystone::start();
    keystone.register("http://127.0.0.1:9311");
    for (user, project, role) in [
        ("admin", "admin", "admin"),
        ("donjond", "service", "service"),
        ("service-admin", "service", "key-manager:service-admin"),
        ("project_a_auditor", "project_a", "audit"),
        ("project_c_member_2", "project_c", "member"),
        ("project_d_service-admin", "project_d", "key-manager:service-admin"),
    ] {
        let token = keystone.token(user, project);
        let path = "/auth/tokens";
        let mut client = support::Client::connect(keystone.address).unwrap();
        let head =
            format!("GET /v3{path} HTTP/1.1\r\nHost: k\r\nX-Auth-Token: {token}\r\nX-Subject-Token: {token}");
        client.send(format!("{head}\r\n\r\n").as_bytes()).unwrap();
        let answer = client.answer().unwrap().json();
        let roles: Vec<&str> = answer["token"]["roles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|role| role["name"].as_str().unwrap())
            .collect();
        assert!(roles.contains(&role), "{user}: {roles:?}");
        let catalog = answer["token"]["catalog"].to_string();
        for url in [keystone.url(), "http://127.0.0.1:9311".to_owned()] {
            assert!(catalog.contains(&format!("\"{url}\"")), "{url} is not in {catalog}");
        }
    }
    assert_eq!(keystone.log_in("admin", "wrong", "admin").unwrap_err().status, 401);
}
