"""A real Keystone on a port of the loopback, with the accounts that the tests use.

usage: serve.py TEMPLATE FOLDER PORT

With 0 the system chooses the port. FOLDER/port says which it is, once Keystone listens there.

Installing Keystone's database, keys and accounts takes far longer than starting it. So all of that is made once, in
TEMPLATE, and each server gets a copy of it in FOLDER. Two tests may begin at the same time: the first one makes the
template, the other waits for it. A template of another version of this file is made anew.

One process and many threads: every cache is the process's own, so what is revoked is revoked at once.
"""
import fcntl
import grp
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import warnings

# Everybody's, the bootstrapped admin's too: what Barbican's own tests and the recorded answers have for their users.
PASSWORD = "barbican"
# But for the service's own, which is a word that is nowhere by chance: it is looked for in logs.
SERVICE_PASSWORDS = {"donjond": "hunter22"}
ROLES = ("admin", "manager", "member", "reader", "service", "creator", "observer", "audit",
         "key-manager:service-admin", "norole")
# Who has which role where. All in the domain `default`.
ACCOUNTS = [
    ("donjond", "service", "service"),
    ("service-admin", "service", "key-manager:service-admin"),
    # Barbican's own tests have these, by the roles that it had before secure RBAC.
    *((f"project_{project}_{name}", f"project_{project}", role) for project in "ab"
      for name, role in (("admin", "admin"), ("creator", "creator"), ("observer", "observer"), ("auditor", "audit"))),
    ("project_a_creator_2", "project_a", "creator"),
    # One with each role, in two projects.
    *((f"project_{project}_{role.removeprefix('key-manager:')}", f"project_{project}", role) for project in "cd"
      for role in ROLES if role != "service"),
    *((f"project_{project}_{role}_2", f"project_{project}", role) for project in "cd" for role in ("member", "creator")),
    # Projects to count what is in them.
    *((f"suite_{number}_admin", f"suite_{number}", "admin") for number in range(1, 5)),
]
THREADS = 8
# Clients keep theirs open until they end, and waitress takes no more than a hundred.
CONNECTIONS = 10000


def configure(folder, port):
    """Points Keystone, which is configured by its environment, at a folder."""
    (folder / "keystone.conf").write_text(f"""
[DEFAULT]
log_file = {folder}/keystone.log
public_endpoint = http://127.0.0.1:{port}
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/receipts
[credential]
key_repository = {folder}/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = oslo_cache.dict
""")
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = f"{folder}/keystone.conf"
    more = folder / "more.conf"
    if more.exists():
        os.environ["OS_KEYSTONE_CONFIG_FILES"] += f";{more}"


def bind(port):
    """A socket at the port, and the port."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound, bound.getsockname()[1]


def server(bound):
    import logging
    import waitress.server
    from keystone.server import wsgi
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # It warns whenever a request waits.
    application = wsgi.initialize_public_application()
    return waitress.server.create_server(application, sockets=[bound], threads=THREADS,
                                         connection_limit=CONNECTIONS, asyncore_use_poll=True)


def install():
    """Makes the accounts."""
    bound, port = bind(0)
    threading.Thread(target=server(bound).run, daemon=True).start()
    seed(f"http://127.0.0.1:{port}/v3")


def seed(url):
    def call(method, path, body=None, token=None):
        headers = {"Content-Type": "application/json"} | ({"X-Auth-Token": token} if token else {})
        body = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url + path, method=method, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            read = answer.read()
            return answer.headers, json.loads(read) if read else None

    domain = {"id": "default"}
    headers, _ = call("POST", "/auth/tokens", {"auth": {
        "identity": {"methods": ["password"], "password": {
            "user": {"name": "admin", "domain": domain, "password": PASSWORD}}},
        "scope": {"project": {"name": "admin", "domain": domain}}}})
    token = headers["X-Subject-Token"]

    def create(kind, name, **more):
        return call("POST", f"/{kind}s", {kind: {"name": name, **more}}, token)[1][kind]["id"]

    there = {role["name"]: role["id"] for role in call("GET", "/roles", token=token)[1]["roles"]}
    roles = {role: there.get(role) or create("role", role) for role in ROLES}
    projects = {name: create("project", name, domain_id="default") for name in sorted({to for _, to, _ in ACCOUNTS})}
    for name, project, role in ACCOUNTS:
        user = create("user", name, domain_id="default", password=SERVICE_PASSWORDS.get(name, PASSWORD))
        call("PUT", f"/projects/{projects[project]}/users/{user}/roles/{roles[role]}", token=token)
    create("service", "barbican", type="key-manager")


def make_template(template):
    shutil.rmtree(template, ignore_errors=True)
    template.mkdir(parents=True)
    configure(template, 0)
    for name in ("fernet", "credential"):
        (template / name).mkdir(mode=0o700)

    def manage(*words):
        program = os.path.join(os.path.dirname(sys.executable), "keystone-manage")
        subprocess.run([program, "--config-file", template / "keystone.conf", *words], check=True)

    manage("db_sync")
    owner = ("--keystone-user", pwd.getpwuid(os.getuid()).pw_name, "--keystone-group", grp.getgrgid(os.getgid()).gr_name)
    manage("fernet_setup", *owner)
    manage("credential_setup", *owner)
    url = "$(public_endpoint)s/v3"  # So the copies are right too.
    manage("bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", "RegionOne",
           *(word for kind in ("admin", "internal", "public") for word in (f"--bootstrap-{kind}-url", url)))
    subprocess.run([sys.executable, __file__, "--install", template], check=True)


def main():
    warnings.simplefilter("ignore")
    arguments = sys.argv[1:]
    del sys.argv[1:]  # Keystone would read them.
    if arguments[0] == "--install":
        configure(pathlib.Path(arguments[1]), 0)
        install()
        return
    template, folder = (pathlib.Path(name).absolute() for name in arguments[:2])
    bound, port = bind(int(arguments[2]))
    template.parent.mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256(pathlib.Path(__file__).read_bytes() + sys.prefix.encode()).hexdigest()
    made = template / "made"
    with open(template.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists() or made.read_text() != wanted:
            make_template(template)
            made.write_text(wanted)
        shutil.copytree(template, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.log"))
    configure(folder, port)
    # Keystone writes down a user's first login of a day, and SQLite refuses one of two who do so at the same time.
    with sqlite3.connect(folder / "keystone.db") as database:
        database.execute("UPDATE user SET last_active_at = date('now')")
    listening = server(bound)
    (folder / "port.new").write_text(str(port))
    (folder / "port.new").rename(folder / "port")
    listening.run()


main()
