"""Asks the real Barbican's policy: oslo.policy over the rules that barbican 23.0.0 registers.

    python -m venv V && V/bin/pip install barbican==23.0.0

    V/bin/python barbican_policy.py table               what every rule says in every situation; recorded in
                                                        src/authorise/barbican-23.0.0.txt
    V/bin/python barbican_policy.py random SEED FILES   random policy files, and what they say in random situations,
                                                        as lines of JSON: for `cargo test -p vault real_oslo_policy`
"""

import itertools
import json
import os
import random
import re
import sys
import tempfile
import warnings

from barbican.common import policies
from oslo_config import cfg
from oslo_policy import policy

ROLES = ["", "admin", "manager", "member", "reader", "creator", "observer", "audit", "key-manager:service-admin",
         "other"]
# What each rule is asked of; consumer:get is asked of both.
SUBJECTS = {"secret": "secret", "secret_meta": "secret", "secret_acls": "secret", "secret_consumers": "secret",
            "container": "container", "container_secret": "container", "container_acls": "container",
            "container_consumers": "container", "order": "order"}
SETS = {"secure-rbac": True, "legacy": False}


def kinds(rule):
    group = rule.split(":")[0]
    return ["container", "secret"] if group == "consumer" else [SUBJECTS.get(group, "nothing")]


def enforcer(policy_set, path="/dev/null"):
    conf = cfg.ConfigOpts()
    conf([], project="barbican", default_config_files=[], default_config_dirs=[])
    made = policy.Enforcer(conf, policy_file=path)
    conf.set_override("enforce_new_defaults", SETS[policy_set], group="oslo_policy")
    made.suppress_deprecation_warnings = made.suppress_default_change_warnings = True
    made.register_defaults(policies.list_rules())
    made.load_rules()
    return made


def ask(made, policy_set, rule, kind, caller, subject):
    """As Barbican's controllers ask. `subject` is (project, creator, project_access, named)."""
    target = {"enforce_new_defaults": SETS[policy_set]}
    if kind != "nothing":
        project, creator, project_access, named = subject
        target[f"target.{kind}.project_id"] = project
        target[f"target.{kind}.creator_id"] = creator
        if kind != "order":
            target[f"target.{kind}.read_project_access"] = project_access
            if named:
                target[f"target.{kind}.read"] = "read"
    creds = {"user_id": caller["user"], "project_id": caller["project"], "roles": caller["roles"],
             "system_scope": None, "domain_id": None}
    return bool(made.enforce(rule, target, creds))


def api_rules():
    return [rule.name for rule in policies.list_rules() if ":" in rule.name]


def table():
    for policy_set in SETS:
        made = enforcer(policy_set)
        for rule in sorted(api_rules()):
            for kind in kinds(rule):
                bits = ""
                for role, own, owner, access, named in itertools.product(ROLES, *[[True, False]] * 4):
                    caller = {"user": "u", "project": "p", "roles": [role] if role else []}
                    subject = ("p" if own else "q", "u" if owner else "v", access, named)
                    bits += str(int(ask(made, policy_set, rule, kind, caller, subject)))
                print(policy_set, rule, kind, f"{int(bits, 2):0{len(bits) // 4}x}")


# Random files.

NAMES = [rule.name for rule in policies.list_rules()]
TARGETS = [f"target.{kind}.{field}" for kind in ["secret", "container"]
           for field in ["project_id", "creator_id", "read_project_access", "read"]] + [
    "target.order.project_id", "target.order.creator_id", "enforce_new_defaults"]


def one_check(r, extra):
    target = "%(" + r.choice(TARGETS) + ")s"
    return r.choice([
        lambda: "role:" + r.choice(ROLES[1:] + ["ADMIN", "Member"]),
        lambda: "rule:" + r.choice(NAMES + extra),
        lambda: "project_id:" + r.choice([target, "p", "q", "%(target.secret.project_id)s"]),
        lambda: "user_id:" + r.choice([target, "u", "v", "%(target.secret.creator_id)s", "100%%"]),
        lambda: r.choice(["True", "False", "'True'", "\"False\"", "'read'", "None", "7", "'p-read'"]) + ":" + r.choice(
            [target, "True", "read", "7", "p-" + target, "%(target.secret.project_id)s-%(target.secret.read)s"]),
        lambda: "roles:" + r.choice(ROLES[1:]),
        lambda: "role:" + target,
        lambda: r.choice(["@", "!"]),
    ])()


def check(r, extra, depth=0):
    shape = r.random()
    if shape < 0.35 or depth > 3:
        return one_check(r, extra)
    if shape < 0.5:
        inner = check(r, extra, depth + 1)
        return r.choice(["not ", "NOT "]) + (f"({inner})" if " " in inner else inner)
    word = r.choice([" and ", " or ", " AND ", "  or\t"])
    parts = []
    for _ in range(r.randint(2, 4)):
        part = check(r, extra, depth + 1)
        parts.append(r.choice(["({})", "( {} )"]).format(part) if r.random() < 0.4 else part)
    # Mixed words bind by themselves: no parentheses.
    return "".join(p if i == 0 else r.choice([word, word, " and ", " or "]) + p for i, p in enumerate(parts))


def lists(r, extra):
    return [[one_check(r, extra) for _ in range(r.randint(0, 3))] for _ in range(r.randint(0, 3))]


def random_file(r):
    extra = ["mine", "ours"][:r.randint(0, 2)]
    names = r.sample(NAMES, r.randint(0, 6)) + extra
    rules = {name: lists(r, extra) if r.random() < 0.1 else check(r, extra) for name in names}
    if extra:  # Somebody has to refer to them.
        rules["secret:get"] = " or ".join("rule:" + name for name in extra) + " or " + check(r, [])
        if isinstance(rules.get("admin"), list):
            del rules["admin"]
    return rules


def leads_back(made, file_rules):
    refers = {name: set(re.findall(r"rule:([\w:]+)", str(check))) for name, check in made.rules.items()}
    reached = {name: set(to) for name, to in refers.items()}
    for _ in range(len(reached)):
        for name, to in reached.items():
            for other in list(to):
                to |= refers.get(other, set())
    return any(name in to for name, to in reached.items())


def random_cases(seed, files):
    r = random.Random(seed)
    made_files = 0
    while made_files < files:
        policy_set, rules = r.choice(list(SETS)), random_file(r)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(rules, file)
            file.flush()
            made = enforcer(policy_set, file.name)
            if leads_back(made, rules):
                continue
            made_files += 1
            cases = []
            for rule in api_rules() + r.choices(api_rules(), k=150):
                kind = r.choice(kinds(rule))
                caller = {"user": r.choice(["u", "v", "admin"]), "project": r.choice(["p", "q"]),
                          "roles": r.sample(ROLES[1:], r.randint(0, 3))}
                subject = [r.choice(["p", "q", "member"]), r.choice(["u", "v", None]), r.random() < 0.5,
                           r.random() < 0.5]
                cases.append({"rule": rule, "kind": kind, "caller": caller, "subject": subject,
                              "expect": ask(made, policy_set, rule, kind, caller, subject)})
        print(json.dumps({"set": policy_set, "file": json.dumps(rules, indent=1), "cases": cases}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ.pop("OS_CONFIG", None)
    if sys.argv[1] == "table":
        table()
    else:
        random_cases(int(sys.argv[2]), int(sys.argv[3]))
