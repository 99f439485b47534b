//! The policy beside the real one: the permissions that were measured of Barbican 23.0.0, the verdicts of its rules in
//! every situation, and the messages about operators' files.

use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::{Expect, expect};
use model::{Caller, Door, RequestId, Role, Timestamp};
use proptest::prelude::*;

use super::language::SyntaxError;
use super::*;

/// Tables of the actions that Barbican 23.0.0 with Keystone allowed, for all roles and both sets.
const MEASURED: &str = include_str!("measured-23.0.0.md");
/// The verdicts of its rules, collected by `tests/barbican_policy.py`.
const RECORDED: &str = include_str!("barbican-23.0.0.txt");
/// The policy file that is shipped.
const PROJECT_ADMIN: &str = include_str!("../../../../packaging/policy-project-admin.yaml");

fn call(project: &str, user: &str, roles: impl IntoIterator<Item = impl AsRef<str>>) -> Call {
    Call {
        caller: Caller {
            project: ProjectId::try_from(project).unwrap(),
            user: UserId::try_from(user).ok(),
            roles: roles.into_iter().map(|role| Role::from(role.as_ref())).collect(),
        },
        time: Timestamp::from_micros(0),
        request: RequestId::random(),
        door: Door::Rest,
    }
}

/// Something that was made in a project by a user.
struct Thing {
    project: ProjectId,
    creator: Option<UserId>,
    project_access: bool,
}

impl Thing {
    fn new(project: &str, creator: &str, project_access: bool) -> Self {
        Self {
            project: ProjectId::try_from(project).unwrap(),
            creator: UserId::try_from(creator).ok(),
            project_access,
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            project: &self.project,
            creator: self.creator.as_ref(),
            project_access: self.project_access,
        }
    }
}

/// The verdict once the ACL was read.
fn allows(policy: &Policy, action: Action, call: &Call, thing: &Thing, is_named: bool) -> bool {
    match policy.verdict(action, call, Some(thing.subject())) {
        Verdict::Allowed => true,
        Verdict::Denied => false,
        Verdict::AskAcl => is_named,
        Verdict::AskAclNot => !is_named,
    }
}

/// Rules of Barbican, and the actions on one kind of thing that use them.
fn actions(rule: &str, kind: &str) -> Vec<Action> {
    let is_of = |of: Kind| match kind {
        "secret" => of == Kind::Secret,
        "container" => of == Kind::Container,
        "order" => of == Kind::Order,
        _ => of == Kind::Nothing,
    };
    ROWS.iter().filter(|row| row.name == rule && is_of(row.kind)).map(|row| row.action).collect()
}

#[test]
fn the_table_is_in_the_order_of_the_actions_and_both_sets_are_sound() {
    for (number, row) in ROWS.iter().enumerate() {
        assert_eq!((row.action as usize, row.action.as_str()), (number, row.name));
    }
    for set in [PolicySet::SecureRbac, PolicySet::Legacy] {
        let policy = Policy::new(set);
        let review = Review::of(&policy.rules, &policy.overridden);
        assert!(review.faults.is_empty() && review.oddities.is_empty(), "{:?}", review.faults);
    }
}

#[test]
fn every_rule_says_what_barbicans_says_in_every_situation() {
    const ROLES: [&str; 10] = [
        "",
        "admin",
        "manager",
        "member",
        "reader",
        "creator",
        "observer",
        "audit",
        "key-manager:service-admin",
        "other",
    ];
    let mut compared = 0;
    for line in RECORDED.lines() {
        let [set, rule, kind, bits] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let policy = if set == "legacy" { Policy::legacy() } else { Policy::secure_rbac() };
        let [action] = actions(rule, kind).try_into().unwrap();
        let bits: Vec<u32> = bits.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
        for (place, (role, situation)) in
            ROLES.iter().flat_map(|role| (0..16_u32).map(move |number| (role, 15 - number))).enumerate()
        {
            let says = bits[place / 4] >> (3 - place % 4) & 1 == 1;
            let is = |bit: u32| situation >> bit & 1 == 1;
            let thing = Thing::new(if is(3) { "p" } else { "q" }, if is(2) { "u" } else { "v" }, is(1));
            let call = call("p", "u", (!role.is_empty()).then_some(role));
            assert_eq!(
                allows(&policy, action, &call, &thing, is(0)),
                says,
                "{set} {rule} {kind} by {role:?}, named {}, {:?}",
                is(0),
                thing.subject()
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 98 * 160);
}

// The measured tables.

/// Keystone adds the roles that a role implies.
fn with_implied(role: &str) -> &[&str] {
    match role {
        "admin" | "project-admin" | "d-admin" => &["admin", "manager", "member", "reader"],
        "manager" => &["manager", "member", "reader"],
        "member" | "d-member" => &["member", "reader"],
        "reader" => &["reader"],
        "creator" | "d-creator" => &["creator"],
        "observer" => &["observer"],
        "audit" => &["audit"],
        "svcadmin" => &["key-manager:service-admin"],
        "norole" | "d-norole" => &[],
        other => panic!("{other}"),
    }
}

fn action_of(operation: &str) -> Action {
    match operation {
        "secrets.list" => Action::ListSecrets,
        "secrets.post" => Action::CreateSecret,
        "secret.get" | "secret GET" => Action::ReadSecret,
        "secret.payload" | "payload" => Action::ReadPayload,
        "secret.put" => Action::FillPayload,
        "acl.get" | "acl GET" => Action::ReadAcl,
        "acl.put" | "acl PUT" => Action::ChangeAcl,
        "acl.delete" => Action::DeleteAcl,
        "meta.get" | "metadata GET" => Action::ReadMetadata,
        "meta.put" => Action::ReplaceMetadata,
        "meta.post" => Action::AddMetadatum,
        "meta.delete-key" => Action::RemoveMetadatum,
        "consumers.get" => Action::ReadConsumers,
        "consumers.post" | "consumers POST" => Action::AddConsumer,
        "consumers.delete" => Action::RemoveConsumer,
        "containers.list" => Action::ListContainers,
        "containers.post" => Action::CreateContainer,
        "container.get" => Action::ReadContainer,
        "container.consumers.get" => Action::ReadContainerConsumers,
        "container.consumers.post" => Action::AddContainerConsumer,
        "container.secrets.post" => Action::AddContainerSecret,
        "container.acl.get" => Action::ReadContainerAcl,
        "orders.list" => Action::ListOrders,
        "orders.post" => Action::CreateOrder,
        "order.get" => Action::ReadOrder,
        "quotas.get" => Action::ReadQuotas,
        "project-quotas.list" | "project-quotas.get" => Action::ReadProjectQuotas,
        "project-quotas.put" => Action::SetProjectQuotas,
        "project-quotas.delete" => Action::DeleteProjectQuotas,
        "secret-stores.list" => Action::ListSecretStores,
        "tk.list" => Action::ListTransportKeys,
        "tk.post" => Action::CreateTransportKey,
        "secret.delete-others" | "secret.delete-own" => Action::DeleteSecret,
        "container.delete-others" => Action::DeleteContainer,
        other => panic!("{other}"),
    }
}

/// A table of the document: the text above it, its head, and its rows.
struct Measured<'t> {
    above: &'t str,
    head: Vec<&'t str>,
    rows: Vec<Vec<&'t str>>,
}

fn measured() -> Vec<Measured<'static>> {
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let mut tables: Vec<Measured<'_>> = Vec::new();
    let mut above = "";
    let mut is_inside = false;
    for line in MEASURED.lines() {
        match (line.starts_with('|'), is_inside) {
            (true, false) => tables.push(Measured { above, head: cells(line), rows: Vec::new() }),
            (true, true) if line.starts_with("|---") => {}
            (true, true) => tables.last_mut().unwrap().rows.push(cells(line)),
            (false, _) if !line.is_empty() => above = line,
            (false, _) => {}
        }
        is_inside = line.starts_with('|');
    }
    tables
}

#[test]
fn roles_may_what_they_were_measured_to() {
    let mut compared = 0;
    for (number, table) in measured().iter().filter(|table| table.head[0] == "operation").enumerate() {
        let (policy, set) =
            if number < 2 { (Policy::secure_rbac(), "new") } else { (Policy::legacy(), "legacy") };
        let project = if table.above.starts_with("project_d") { "d" } else { "c" };
        for row in &table.rows {
            let operation = row[0];
            // Orders of other projects are not found, so the policy is never asked about them.
            if operation == "order.get" && project == "d" {
                continue;
            }
            for (role, measured) in table.head.iter().zip(row).skip(1).filter(|(_, cell)| **cell != "n/a") {
                let call = call(project, role, with_implied(role));
                let thing = match operation {
                    "secret.delete-own" => Thing::new(project, role, true),
                    _ => Thing::new("c", "c-admin", true),
                };
                assert_eq!(
                    allows(&policy, action_of(operation), &call, &thing, false),
                    *measured == "Y",
                    "{set}: {operation} by {role} of {project}"
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 979);
}

#[test]
fn acls_give_and_take_what_they_were_measured_to() {
    let mut compared = 0;
    for table in measured().iter().filter(|table| table.head[0] == "family") {
        for row in &table.rows {
            let [family, acl, who] = [row[0], row[1], row[2]];
            let (policy, own_role, reader) = match family {
                "new" => (Policy::secure_rbac(), "member", "reader"),
                _ => (Policy::legacy(), "creator", "observer"),
            };
            let role = match who {
                "owner" | "peer" => own_role,
                "project-reader" => reader,
                other => other,
            };
            let project = if who.starts_with("d-") { "d" } else { "c" };
            let call = call(project, who, with_implied(role));
            let thing = Thing::new("c", "owner", acl == "default");
            let is_named = acl == "private+users" && ["audit", "d-member", "d-norole"].contains(&who);
            for (operation, measured) in table.head.iter().zip(row).skip(3) {
                assert_eq!(
                    allows(&policy, action_of(operation), &call, &thing, is_named),
                    *measured == "Y",
                    "{family}, {acl}: {operation} by {who}"
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 2 * 27 * 6);
}

// Rules that differ from Barbican's.

#[test]
fn a_secret_without_a_creator_has_no_owner() {
    for (policy, role) in [(Policy::secure_rbac(), "member"), (Policy::legacy(), "creator")] {
        let thing = Thing::new("p", "", false);
        assert!(!allows(&policy, Action::ReadPayload, &call("p", "", [role]), &thing, true));
    }
}

#[test]
fn at_doors_without_roles_who_was_let_in_has_the_project_whatever_the_rules_say() {
    let nobody = ROWS.iter().filter(|row| row.kind != Kind::DoorOnly);
    let nobody: String = nobody.map(|row| format!("{:?}: \"!\"\n", row.name)).collect();
    let nobody = nobody.replacen("\"consumer:get\": \"!\"\n", "", 1);
    let policy = Policy::secure_rbac().overridden_by(&nobody, "policy.yaml").unwrap();
    let mut call = call("p", "", [""; 0]);
    let (own, other) = (Thing::new("p", "someone", false), Thing::new("q", "someone", true));
    for Row { action, .. } in ROWS {
        call.door = Door::Rest;
        assert_eq!(policy.verdict(*action, &call, Some(own.subject())), Verdict::Denied);
        for door in [Door::Libvirt, Door::LibvirtSystem] {
            call.door = door;
            assert_eq!(policy.verdict(*action, &call, Some(own.subject())), Verdict::Allowed);
            assert_eq!(policy.verdict(*action, &call, Some(other.subject())), Verdict::Denied);
        }
    }
}

#[test]
fn the_acl_is_asked_only_where_it_decides() {
    let thing = Thing::new("p", "owner", false);
    let ask = |policy: &Policy, call: &Call| policy.verdict(Action::ReadPayload, call, Some(thing.subject()));
    for policy in [Policy::secure_rbac(), Policy::legacy()] {
        assert_eq!(ask(&policy, &call("p", "u", ["admin"])), Verdict::Allowed);
        assert_eq!(ask(&policy, &call("q", "u", ["admin"])), Verdict::AskAcl);
        assert_eq!(ask(&policy, &call("q", "", ["admin"])), Verdict::Denied);
        let text = r#""secret:decrypt": "not rule:secret_acl_read and user_id:u""#;
        let policy = policy.overridden_by(text, "f").unwrap();
        assert_eq!(ask(&policy, &call("q", "u", ["admin"])), Verdict::AskAclNot);
        let text = r#""secret:decrypt": "not rule:secret_acl_read or rule:secret_acl_read""#;
        assert_eq!(
            ask(&policy.overridden_by(text, "f").unwrap(), &call("q", "u", [""; 0])),
            Verdict::Allowed
        );
    }
}

#[test]
fn the_shipped_file_keeps_admins_in_their_projects() {
    let shipped = Policy::secure_rbac().overridden_by(PROJECT_ADMIN, "policy-project-admin.yaml").unwrap();
    assert!(shipped.warnings().is_empty());
    let thing = Thing::new("p", "owner", true);
    let (own, other) = (call("p", "a", ["admin"]), call("q", "a", with_implied("admin")));
    for row in ROWS.iter().filter(|row| !matches!(row.kind, Kind::Nothing | Kind::DoorOnly)) {
        assert!(!allows(&shipped, row.action, &other, &thing, false), "{} of another project", row.name);
        let defaults = allows(&Policy::secure_rbac(), row.action, &own, &thing, false);
        assert_eq!(allows(&shipped, row.action, &own, &thing, false), defaults, "{}", row.name);
    }
    // The other rules stay, and callers who are no admins may do the same as before.
    for role in ["member", "reader"] {
        for (named, thing) in [(true, &thing), (false, &Thing::new("p", "a", false))] {
            for Row { action, name, .. } in ROWS {
                for project in ["p", "q"] {
                    let call = call(project, "a", with_implied(role));
                    let defaults = allows(&Policy::secure_rbac(), *action, &call, thing, named);
                    assert_eq!(allows(&shipped, *action, &call, thing, named), defaults, "{name} by {role}");
                }
            }
        }
    }
}

// Files.

/// The error of a policy file, or else its warnings.
#[track_caller]
fn told(text: &str, expect: Expect) {
    let told = match Policy::secure_rbac().overridden_by(text, "policy.yaml") {
        Err(error) => error.to_string(),
        Ok(policy) => policy.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    expect.assert_eq(&told);
}

#[test]
fn everything_wrong_is_told_with_its_line() {
    told(
        "# ours\n\"secret:delte\": role:admin\n\"secret:get\": \"role:admin or\"\nsecrets:post: rule:membr\n\nmembr2: '!'\n\
         secret:get: \"@\"\n",
        expect![[r#"
            policy.yaml:3: "secret:get": it ends where a check should follow; write one, or take the last word away
            policy.yaml:7: "secret:get" is there already, in line 3; keep one of them"#]],
    );
    told(
        "# ours\n\"secret:delte\": role:admin\nsecrets:post: rule:secret_project_membr\n\nmine: '!'\n",
        expect![[r#"
            policy.yaml:2: "secret:delte" is no rule of Barbican's, and nothing refers to it; did you mean "secret:delete"?
            policy.yaml:3: "secrets:post" refers to the rule "secret_project_membr", which is not defined; did you mean "secret_project_member"?
            policy.yaml:5: "mine" is no rule of Barbican's, and nothing refers to it; the operator's guide says where all names are"#]],
    );
    told(
        "admin: 'rule:all_users'\nmine: not rule:mine\n",
        expect![[r#"
            policy.yaml:1: "admin" refers to itself (admin → all_users → admin); let one of them say what has to hold
            policy.yaml:2: "mine" refers to itself (mine → mine); let one of them say what has to hold"#]],
    );
}

#[test]
fn what_is_no_policy_file_is_told() {
    for (text, expect) in [
        (
            "secret:get: @\n",
            expect![[
                r#"policy.yaml:1: not YAML: unexpected character: `@'; put names and checks in "quotes""#
            ]],
        ),
        (
            "secret:get: !\n",
            expect![[
                r#"policy.yaml:1: "secret:get" has no check; write "@" for everybody or "!" for nobody, in quotes"#
            ]],
        ),
        (
            "\nsecret:get:\n",
            expect![[
                r#"policy.yaml:2: "secret:get" has no check; write "@" for everybody or "!" for nobody, in quotes"#
            ]],
        ),
        ("- secret:get\n", expect![[r#"policy.yaml:1: not a mapping; write "NAME": "CHECK" on each line"#]]),
        ("secret:get", expect![[r#"policy.yaml:1: not a mapping; write "NAME": "CHECK" on each line"#]]),
        (
            "secret:get: {a: b}\n",
            expect![[r#"policy.yaml:1: "secret:get" has a mapping for a check; write one text"#]],
        ),
        (
            "secret:get: [[[role:a]]]\n",
            expect![
                "policy.yaml:1: a list of a check holds something other than texts and lists of texts; write the check as one text"
            ],
        ),
        (
            "secret:get: &a role:a\nsecret:put: *a\n",
            expect![
                "policy.yaml:2: an alias stands for a check; write the check itself, or refer to a rule with rule:NAME"
            ],
        ),
        (
            "secret:get: '!'\n---\nsecret:put: '!'\n",
            expect!["policy.yaml:2: a second document begins here; a policy file is one: remove the ---"],
        ),
        (
            "secret:get: \"role:a\nb\": x",
            expect![[
                r#"policy.yaml:1: not YAML: invalid indentation in quoted scalar; put names and checks in "quotes""#
            ]],
        ),
        ("[a]: '!'\n", expect![[r#"policy.yaml:1: a name that is not text; write "NAME": "CHECK""#]]),
    ] {
        told(text, expect);
    }
    let long = "#".repeat(2 << 20);
    told(
        &long,
        expect![
            "policy.yaml:1: the file is longer than 1048576 bytes; leave out what is as it is by default"
        ],
    );
}

#[test]
fn what_cannot_be_known_is_odd_and_wrong_with_not_before_it() {
    told(
        "admin: role:admin and is_admin_project:True\nsecret:get: project_id:%(target.secret.projct_id)s\n\
         version:get: rule:nothing\n",
        expect![[r#"
            policy.yaml:1: "admin" asks for "is_admin_project", which is not known here, so this check never holds
            policy.yaml:2: "secret:get" asks for "target.secret.projct_id", which is not known here, so this check never holds
            policy.yaml:3: "version:get" is a rule of earlier releases of Barbican; nothing asks for it"#]],
    );
    told(
        "secret_private_read: \"'False':%(target.secret.read_projct_access)s\"\n",
        expect![[
            r#"policy.yaml:1: "secret_private_read" asks with `not` for "target.secret.read_projct_access", which is not known here, so that it would always hold; say what has to hold instead"#
        ]],
    );
    told(
        "secret:get: not not domain_id:x\n",
        expect![[
            r#"policy.yaml:1: "secret:get" asks for "domain_id", which is not known here, so this check never holds"#
        ]],
    );
}

#[test]
fn a_rule_that_costs_too_much_is_refused() {
    let mut text = "r0: role:a\n".to_owned();
    for number in 1..30 {
        text += &format!("r{number}: rule:r{0} and rule:r{0}\n", number - 1);
    }
    text += "secret:get: rule:r29\n";
    let error = Policy::legacy().overridden_by(&text, "f").unwrap_err().to_string();
    assert!(error.contains("f:11: \"r10\" comes to more than 1000 checks"), "{error}");
    let wide = format!("secret:get: \"{}role:b\"\n", "role:a or ".repeat(2000));
    assert!(Policy::legacy().overridden_by(&wide, "f").is_err());
}

#[test]
fn files_say_what_they_say() {
    let denied = |policy: &Policy, rule: &str| {
        let [action] = actions(rule, "nothing").try_into().unwrap();
        let call = call("p", "u", ["auditor"]);
        policy.verdict(action, &call, None) == Verdict::Denied
    };
    for (text, is_denied) in [
        ("", true),
        ("# nothing\n", true),
        ("---\n~\n", true),
        ("{}", true),
        ("\"secrets:get\": \"role:auditor\"\n", false),
        ("secrets:get: role:Auditor # whatever case\n", false),
        ("{\"secrets:get\": [[\"role:admin\"], [\"role:auditor\", \"project_id:p\"]]}", false),
        ("secrets:get: []\n", false),
        ("secrets:get: [[]]\n", true),
        ("secrets:get: ''\n", false),
        ("secrets:get: >-\n  role:admin or\n  rule:theirs\ntheirs: roles:auditor\n", false),
        ("secrets:get: True:%(enforce_new_defaults)s\n", true),
        ("secrets:get: False:%(enforce_new_defaults)s\n", false),
    ] {
        let policy = Policy::legacy().overridden_by(text, "f").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(denied(&policy, "secrets:get"), is_denied, "{text}");
    }
}

#[test]
fn a_printed_policy_is_a_file_that_says_the_same() {
    let odd = "secret:get: 'role:\"x\\y'\n'secrets:get': \"roles:%%é or rule:mine\"\nmine: '!'\n";
    for (policy, other) in [
        (Policy::legacy(), Policy::secure_rbac()),
        (Policy::secure_rbac().overridden_by(odd, "odd.yaml").unwrap(), Policy::legacy()),
    ] {
        let printed = policy.to_string();
        let read = other
            .overridden_by(&printed, "printed.yaml")
            .unwrap_or_else(|error| panic!("{error}\n{printed}"));
        assert_eq!(read.compiled, policy.compiled);
    }
    let printed =
        Policy::legacy().overridden_by("secrets:post: role:writer\n", "policy.yaml").unwrap().to_string();
    let beginning: String = printed.lines().take(5).map(|line| format!("{line}\n")).collect();
    expect![[r#"
        # Create a secret.
        # policy.yaml:1
        "secrets:post": "role:writer"
        # List the secrets of the project.
        "secrets:get": "rule:all_but_audit"
    "#]]
    .assert_eq(&beginning);
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "(([a-z:_]{0,12}|secret:get|admin)[:?] *[-\\[{\"'!@&*>|]?[a-z:()%._ ]*[]}\"']?\n){0,4}|\\PC*") {
        if let Ok(policy) = Policy::legacy().overridden_by(&text, "f") {
            let read = Policy::legacy().overridden_by(&policy.to_string(), "f").unwrap();
            prop_assert_eq!(read.compiled, policy.compiled);
        }
    }
}

#[test]
fn a_blank_check_is_no_slip_of_the_pen() {
    assert_eq!(Check::parse("\t"), Err(SyntaxError::Blank));
}

/// Compares verdicts with real oslo.policy over the real rules, for random policy files in random situations.
/// DONJON_TEST_SEED sets another seed, DONJON_TEST_FILES the number of files.
#[test]
fn real_oslo_policy_says_the_same() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/barbican_policy.py");
    let python = python_with_barbican();
    let seed = std::env::var("DONJON_TEST_SEED").unwrap_or_else(|_| "1".to_owned());
    let files = std::env::var("DONJON_TEST_FILES").unwrap_or_else(|_| "40".to_owned());
    let output = Command::new(python).args([script, "random", &seed, &files]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut compared, mut yes) = (0_u64, 0_u64);
    for line in std::str::from_utf8(&output.stdout).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let built_in = if line["set"] == "legacy" { Policy::legacy() } else { Policy::secure_rbac() };
        let file = line["file"].as_str().unwrap();
        let policy = built_in.overridden_by(file, "f").unwrap_or_else(|error| panic!("{error}\n{file}"));
        for case in line["cases"].as_array().unwrap() {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let roles = case["caller"]["roles"].as_array().unwrap().iter().map(text);
            let call = call(&text(&case["caller"]["project"]), &text(&case["caller"]["user"]), roles);
            let subject = &case["subject"];
            let project_access = subject[2].as_bool().unwrap();
            let thing = Thing::new(&text(&subject[0]), &text(&subject[1]), project_access);
            let [action] = actions(&text(&case["rule"]), &text(&case["kind"])).try_into().unwrap();
            let is_named = subject[3].as_bool().unwrap();
            let allowed = allows(&policy, action, &call, &thing, is_named);
            assert_eq!(Some(allowed), case["expect"].as_bool(), "{case}\n{}\n{file}", line["set"]);
            compared += 1;
            yes += u64::from(allowed);
        }
    }
    assert!(compared > 1000 && yes > 100, "{compared} comparisons, {yes} allowed");
}

/// The Python of Barbican's functional tests, which `cargo xtask test` installs.
fn python_with_barbican() -> PathBuf {
    let folder = std::env::var_os("DONJON_TEST_SUITES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients-suites"),
        PathBuf::from,
    );
    assert!(folder.exists(), "Barbican is not installed: run `cargo xtask test`, which installs it");
    folder.join("bin/python")
}
