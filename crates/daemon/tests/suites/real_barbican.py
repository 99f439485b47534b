"""The real Barbican 23.0.0 on a port of the loopback: what the suites' results were recorded on, and what the benchmark
measures beside Donjon.

usage: real_barbican.py FOLDER PORT KEYSTONE_V3_URL [--new-policy] [--database URL] [--uwsgi WORKERS]

Without --uwsgi it is served by waitress in this process, and without --database it keeps its secrets in SQLite in
FOLDER. The roles are those from before secure RBAC, unless --new-policy.
"""
import argparse
import base64
import os
import pathlib
import shutil
import subprocess
import sys

PASSWORD = "hunter22"  # The service's own in ../keystone/serve.py.
THREADS = 4


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=lambda name: pathlib.Path(name).absolute())
    parser.add_argument("port", type=int)
    parser.add_argument("keystone")
    parser.add_argument("--new-policy", action="store_true")
    parser.add_argument("--database")
    parser.add_argument("--uwsgi", type=int)
    asked = parser.parse_args()
    del sys.argv[1:]  # Barbican would read them.
    return asked


def configure(asked):
    folder = asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    new = str(asked.new_policy)
    (folder / "barbican.conf").write_text(f"""
[DEFAULT]
host_href =
log_file = {folder}/barbican.log
[database]
connection = {asked.database or f'sqlite:///{folder}/barbican.db'}
[oslo_policy]
enforce_scope = {new}
enforce_new_defaults = {new}
[simple_crypto_plugin]
kek = {base64.urlsafe_b64encode(bytes(32)).decode()}
[keystone_authtoken]
auth_type = password
auth_url = {asked.keystone}
www_authenticate_uri = {asked.keystone}
username = donjond
password = {PASSWORD}
user_domain_name = Default
project_name = service
project_domain_name = Default
""")
    # It comes with the package, for keystone.
    shutil.copy(pathlib.Path(sys.prefix) / "etc/barbican/barbican-api-paste.ini", folder)
    (folder / "application.py").write_text(f"""
from paste import deploy
application = deploy.loadapp("config:{folder}/barbican-api-paste.ini")
""")
    os.environ["HOME"] = str(folder)  # Where it looks for barbican.conf.
    os.environ["PYTHONPATH"] = str(folder)
    sys.path.insert(0, str(folder))


def main():
    asked = parse()
    configure(asked)
    programs = pathlib.Path(sys.executable).parent
    subprocess.run([programs / "barbican-manage", "db", "upgrade"], check=True, stdout=subprocess.DEVNULL)
    if asked.uwsgi:
        os.execv(programs / "uwsgi", ["uwsgi", "--http-socket", f"127.0.0.1:{asked.port}", "--module", "application",
                                      "--master", "--die-on-term", "--processes", str(asked.uwsgi),
                                      "--virtualenv", sys.prefix, "--buffer-size", "65535", "--disable-logging",
                                      "--need-app", "--enable-threads",
                                      # It closes every connection, and clients that are not told take it for a fault.
                                      "--add-header", "Connection: close"])
    import application
    import waitress
    waitress.serve(application.application, host="127.0.0.1", port=asked.port, threads=THREADS,
                   connection_limit=10000, asyncore_use_poll=True)


main()
