"""Daemons elsewhere: real libvirtds by TCP, TLS and ssh, asked by libvirt's own library and by ours in its place.

usage: remote.py --stage PREFIX --life PROGRAM --donjon PROGRAM

PREFIX is where our library is installed under the name of libvirt too, PROGRAM life.c linked to ours. What our library
answers is what libvirt's does, but for what is listed here: what libvirt 12.8.0 answers, where the one of this machine is
older, and what docs/c-library.md says.

Everything happens in namespaces of its own, the network's too, so that no port is anybody else's; with an sshd of its own.
"""
import argparse
import ctypes
import fcntl
import json
import os
import pathlib
import pwd
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading

from sandbox import check, make_empty, run, spawn, wait

SSHD = "/usr/sbin/sshd"
PROGRAMS = ["libvirtd", "virt-ssh-helper", "openssl", "ssh", SSHD, "unshare", "mount"]
HERE = pathlib.Path(__file__).parent
# No client takes longer, even on a busy machine.
CLIENT_SECONDS = 120
EXPIRED = "-1"


class Authority:
    """Keys and certificates, by openssl."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, use, subject=None, names="", days="30", key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        at = self.folder / name
        openssl("req", "-newkey", *key, "-nodes", "-subj", f"/CN={subject or name}", "-keyout", f"{at}.key",
                "-out", f"{at}.csr")
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment",
                      f"extendedKeyUsage={use}", *([f"subjectAltName={names}"] if names else [])]
        at.with_suffix(".ext").write_text("\n".join(extensions))
        openssl("x509", "-req", "-in", f"{at}.csr", "-days", days, "-CA", self.folder / f"{self.name}.pem",
                "-CAkey", self.folder / f"{self.name}.key", "-CAcreateserial", "-out", f"{at}.pem",
                "-extfile", f"{at}.ext")


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_certificates(folder):
    ours, others = Authority(folder, "ca"), Authority(folder, "other-ca")
    ours.issue("localhost", "serverAuth", names="DNS:localhost,IP:127.0.0.1", key=("rsa:2048",))
    ours.issue("elsewhere", "serverAuth", names="DNS:elsewhere.example")
    ours.issue("nameless", "serverAuth", subject="localhost")
    ours.issue("client", "clientAuth")
    ours.issue("rsa", "clientAuth", key=("rsa:2048",))
    ours.issue("expired", "clientAuth", days=EXPIRED)
    others.issue("stranger", "clientAuth")


def make_pki(folder):
    """Folders for ?pkipath=, each with what is wrong in its name."""
    def put(name, authority=None, client=None):
        (folder / name).mkdir()
        for source, target in [(authority, "cacert")] + [(client, "clientcert")]:
            if source:
                shutil.copy(folder / f"{source}.pem", folder / name / f"{target}.pem")
        if client:
            shutil.copy(folder / f"{client}.key", folder / name / "clientkey.pem")
        return folder / name

    put("good", "ca", "client")
    put("good-rsa", "ca", "rsa")
    put("empty")
    put("no-certificate", "ca")
    put("others", "other-ca", "stranger")
    put("others-authority", "other-ca")
    put("others-certificate", "ca", "stranger")
    put("has-expired", "ca", "expired")
    (put("no-key", "ca", "client") / "clientkey.pem").unlink()
    (put("key-alone", "ca", "client") / "clientcert.pem").unlink()
    (put("bad-authority", "ca", "client") / "cacert.pem").write_text("garbage\n")
    (put("bad-certificate", "ca", "client") / "clientcert.pem").write_text("garbage\n")
    (put("bad-key", "ca", "client") / "clientkey.pem").write_text("garbage\n")
    shutil.copy(folder / "stranger.key", put("other-key", "ca", "client") / "clientkey.pem")
    shutil.copy(folder / "ca.pem", put("authority-as-client", "ca", "client") / "clientcert.pem")
    shutil.copy(folder / "ca.key", folder / "authority-as-client/clientkey.pem")
    (put("bad-revocations", "ca", "client") / "cacrl.pem").write_text("garbage\n")
    (folder / "index.txt").write_text("")
    (folder / "crlnumber").write_text("01")
    for version, more in (1, ""), (2, f"crlnumber={folder}/crlnumber\ncrl_extensions=more\n[more]\n"
                                      "authorityKeyIdentifier=keyid\n"):
        (folder / f"ca{version}.cnf").write_text(
            f"[ca]\ndefault_ca=it\n[it]\ndatabase={folder}/index.txt\ncertificate={folder}/ca.pem\n"
            f"private_key={folder}/ca.key\ndefault_md=sha256\ndefault_crl_days=30\n{more}")

    def revoke(name, version, *names):
        for each in names:
            openssl("ca", "-config", folder / f"ca{version}.cnf", "-revoke", folder / f"{each}.pem")
        openssl("ca", "-config", folder / f"ca{version}.cnf", "-gencrl", "-out", put(name, "ca", "client") / "cacrl.pem")

    revoke("others-revoked-v1", 1, "elsewhere")
    revoke("others-revoked", 2)
    revoke("revoked", 2, "localhost")


def be_alone_on_the_network():
    """Nothing but a loopback of our own: SIOCSIFFLAGS, IFF_UP."""
    clone_newnet, siocsifflags, iff_up = 0x40000000, 0x8914, 1
    check("a network of its own", ctypes.CDLL(None, use_errno=True).unshare(clone_newnet) == 0)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sh14x", b"lo", iff_up))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def libvirtd(folder, name, certificate, *more):
    """One with folders of its own, and its ports: TLS, TCP."""
    ports = free_port(), free_port()
    config = folder / f"{name}.conf"
    config.write_text("\n".join([
        "listen_tls=1", "listen_tcp=1", 'listen_addr="127.0.0.1"', f'tls_port="{ports[0]}"', f'tcp_port="{ports[1]}"',
        'auth_tcp="none"', 'auth_unix_rw="none"', 'auth_unix_ro="none"', 'unix_sock_dir="/run/libvirt"',
        f'key_file="{folder}/{certificate}.key"', f'cert_file="{folder}/{certificate}.pem"', f'ca_file="{folder}/ca.pem"',
        *more]) + "\n")
    command = ["env", f"LIBVIRT_DRIVER_DIR={folder}/drivers", "libvirtd", "-l", "-f", config, "-p", folder / f"{name}.pid"]
    if name != "main":
        mounts = " && ".join(f"mount -t tmpfs -o mode=755 tmpfs {path}"
                             for path in ("/run/libvirt", "/var/lib/libvirt", "/etc/libvirt"))
        command = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", *command]
    spawn(command, folder / f"{name}.log")
    wait(lambda: all(map(accepts, ports)), f"libvirtd {name} serves")
    return ports


def sshd(folder):
    port, home = free_port(), pathlib.Path(pwd.getpwuid(0).pw_dir) / ".ssh"
    make_empty([str(home), "/run/sshd"])
    for name in "host", "user":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / f"{name}_key"], check=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    config = folder / "sshd.conf"
    config.write_text("\n".join([
        f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host_key", f"PidFile {folder}/sshd.pid",
        f"AuthorizedKeysFile {folder}/authorized_keys", "StrictModes no", "UsePAM no", "PermitRootLogin yes",
        "PasswordAuthentication no"]) + "\n")
    spawn([SSHD, "-D", "-e", "-f", config], folder / "sshd.log")
    wait(lambda: accepts(port), "sshd serves")
    return port


def stub(serve):
    """A daemon that is none: what it does with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run_stub():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=quiet, args=[client], daemon=True).start()

    def quiet(client):
        try:
            client.settimeout(CLIENT_SECONDS)
            serve(client)
        except OSError:
            pass
        finally:
            client.close()
    threading.Thread(target=run_stub, daemon=True).start()
    return listener.getsockname()[1]


def speaks_http(client):
    client.recv(1)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client.recv(65536)


def hangs_up(client):
    client.recv(65536)


def refuses(folder, say, **limits):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # At a ticket libvirt 9.0.0 gives up, "Resource temporarily unavailable"; GnuTLS sends it later.
    context.load_cert_chain(folder / "localhost.pem", folder / "localhost.key")
    for name, value in limits.items():
        setattr(context, name, value)

    def serve(client):
        with context.wrap_socket(client, server_side=True) as session:
            session.sendall(say)
            session.recv(1)
    return serve


class Client:
    """The same program with the one library or the other."""

    def __init__(self, folder, libdir=None):
        self.libdir, self.log = libdir, folder / f"client-{'ours' if libdir else 'libvirts'}.log"
        self.environment = {**os.environ, "LD_LIBRARY_PATH": libdir or ""}
        if not libdir:
            del self.environment["LD_LIBRARY_PATH"]

    def ask(self, *arguments):
        command = [sys.executable, HERE / "remote_client.py", *map(str, arguments)]
        with self.log.open("ab") as log:
            ran = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True,
                                 timeout=CLIENT_SECONDS, check=False)
        check(f"{self.log.stem} ends well: {ran.returncode} {ran.stdout[-1000:] if ran.returncode else ''}",
              ran.returncode == 0)
        library, *said = map(json.loads, ran.stdout.splitlines())
        check(f"{self.log.stem} has {library['library']}",
              library["library"].startswith(str(self.libdir or "/usr/lib")))
        return said


def error(code, domain, text, number=-1):
    """An error as the client shows it, without the level and the parts that follow from the text."""
    return [code, domain, text, number]


def cases(folder, main, opened, nameless, ssh, stubs):
    """URIs, with what ours answers where libvirt 9.0.0 answers something else."""
    system = 38
    absent = "No such file or directory"

    def at(port, pki, more="", host="localhost", scheme="secret+tls"):
        return f"{scheme}://{host}:{port}/system?pkipath={folder}/{pki}{more}"

    def pki(name):
        return f"{folder}/{name}"

    tls, tcp = main
    unissued = (f"Our own certificate {{0}}/clientcert.pem failed validation against {{0}}/cacert.pem: "
                "The certificate hasn't got a known issuer.")
    no_ca = "CA certificate '{}/cacert.pem' does not exist: " + absent
    unwanted = error(system, 7, "Failed to set TLS session priority to SECURE256: The request is invalid.")
    return {
        f"secret+tcp://localhost:{tcp}/system": None,
        f"secret+tcp://127.0.0.1:{tcp}/system": None,
        f"secret+tcp://localhost:{free_port()}/system": None,
        f"secret+ssh://root@localhost:{ssh}/system?keyfile={folder}/user_key&no_verify=1&no_tty=1": None,
        f"secret+ssh://root@localhost:{ssh}/system?keyfile={folder}/user_key&netcat=nc&no_verify=1&no_tty=1": None,
        **{f"secret+ssh://root@localhost:{ssh}/system?keyfile={folder}/user_key&no_verify=1&no_tty=1&{more}": None
           for more in ("proxy=auto", "proxy=native", "proxy=netcat", "proxy=bogus", "mode=legacy", "mode=direct",
                        "proxy=native&netcat=/bin/false", "proxy=netcat&netcat=nc", "mode=direct&proxy=native")},
        f"secret+tcp://localhost:{tcp}/system?mode=direct": None,
        # Who may, and who is there.
        at(tls, "good"): None,
        at(tls, "good-rsa"): None,
        at(tls, "good", host="127.0.0.1"): None,
        at(tls, "good", scheme="secret"): None,
        at(tls, "good", "&tls_priority=NORMAL"): None,
        at(opened[0], "good", host="elsewhere.example"): None,
        at(opened[0], "no-certificate", host="elsewhere.example"): None,
        at(tls, "no-certificate"): None,
        at(tls, "others-certificate", "&no_sanity=1"): None,
        at(tls, "has-expired", "&no_sanity=1"): None,
        # Whom to trust.
        at(opened[0], "good"): None,
        at(opened[0], "good", "&no_verify=1"): None,
        at(opened[0], "others-authority", host="elsewhere.example"): None,
        at(opened[0], "others-authority", "&no_verify=1"): None,
        at(tls, "others-authority", "&no_verify=1"): None,
        at(tls, "others", "&no_sanity=1"): None,
        at(tls, "others", "&no_sanity=1&no_verify=1"): None,
        at(tls, "others"): None,
        at(tls, "others-revoked"): None,
        at(tls, "others-revoked-v1"):
            error(system, 7, f"Unable to set x509 certificate revocation list: {pki('others-revoked-v1')}/cacrl.pem: "
                             "it is not of version 2."),
        at(tls, "others-revoked-v1", "&no_verify=1"): None,
        at(tls, "bad-revocations"): None,
        at(tls, "revoked"): None,
        at(tls, "revoked", "&no_verify=1"): None,
        at(nameless[0], "good"): error(45, 7, "authentication failed: Failed to verify peer's certificate"),
        # Files.
        f"secret+tls://localhost:{tls}/system":
            error(system, 7, no_ca.format("/etc/pki/CA"), 2),
        at(tls, "empty"): error(system, 7, no_ca.format(pki("empty")), 2),
        at(tls, "empty", "&no_verify=1"): error(system, 7, no_ca.format(pki("empty")), 2),
        at(tls, "nowhere"): error(system, 7, no_ca.format(pki("nowhere")), 2),
        at(tls, "no-key"): error(system, 7, f"Key '{pki('no-key')}/clientkey.pem' does not exist, but certificate "
                                            f"'{pki('no-key')}/clientcert.pem' does: {absent}", 2),
        at(tls, "key-alone"): error(system, 7, f"Certificate '{pki('key-alone')}/clientcert.pem' does not exist, but key "
                                               f"'{pki('key-alone')}/clientkey.pem' does: {absent}", 2),
        at(tls, "bad-authority"):
            error(system, 0, f"Unable to import CA certificate list {pki('bad-authority')}/cacert.pem"),
        at(tls, "bad-certificate"):
            error(system, 0, f"Unable to import client certificate {pki('bad-certificate')}/clientcert.pem"),
        at(tls, "bad-key"): None,
        at(tls, "other-key"): None,
        at(tls, "others-certificate"): error(system, 0, unissued.format(pki("others-certificate"))),
        at(tls, "has-expired"):
            error(system, 0, f"The client certificate {pki('has-expired')}/clientcert.pem has expired"),
        at(tls, "authority-as-client"):
            error(system, 0, f"The certificate {pki('authority-as-client')}/clientcert.pem basic constraints show a CA, "
                             "but we need one for a client"),
        # What is said there.
        at(tcp, "good"): None,
        at(stubs["http"], "good"): None,
        at(stubs["end"], "good"): None,
        at(stubs["no"], "good"): None,
        at(stubs["tls12"], "good"): None,
        at(free_port(), "good"): None,
        at(tls, "good", "&tls_priority=BOGUS"): None,
        at(tls, "good", "&tls_priority=SECURE256"): unwanted,
        at(tls, "good", "&no_verify=x"): None,
        at(tls, "good", "&no_sanity=x"): None,
    }


def compare_openings(table, theirs, ours):
    differing = 0
    for (uri, listed), expected, got in zip(table.items(), theirs, ours):
        if listed is None:
            check(f"{uri}\n    {got.get('error') or 'opens'}" + ("" if got == expected else f"\n    not {expected}"),
                  got == expected)
            continue
        differing += 1
        code, domain, level, text, _, _, number = got.get("error", [None] * 7)
        check(f"{uri}\n    {text}" + ("" if [code, domain, text, number] == listed else f"\n    not {listed}, {got}"),
              [code, domain, text, number] == listed and level == 2)
        check("    and libvirt's differs", got != expected)
    print(f"{len(table)} openings, {differing} as listed", flush=True)


def command_line(donjon, uri, wrong):
    """donjon has the same ways."""
    def donjon_says(*arguments, value=b""):
        ran = subprocess.run([donjon, "-c", uri, *arguments], input=value, capture_output=True, timeout=CLIENT_SECONDS)
        check(f"donjon {arguments[0]} {ran.stderr.decode()}", ran.returncode == 0)
        return ran.stdout
    donjon_says("define", "--usage", "ceph:remote", "--uuid", "7e570000-0000-4000-8000-00000000d017")
    donjon_says("set-value", "ceph:remote", value=b"by tls")
    check("donjon reads what it wrote", donjon_says("get-value", "ceph:remote").strip() == b"by tls")
    check("donjon lists it", b"ceph:remote" in donjon_says("list"))
    donjon_says("undefine", "ceph:remote")
    ran = subprocess.run([donjon, "-c", wrong, "list"], capture_output=True, timeout=CLIENT_SECONDS, text=True)
    check(f"donjon trusts nobody else: {ran.stderr}", ran.returncode == 1 and "not to be trusted" in ran.stderr
          and "?no_verify=1" in ran.stderr)


def users_own_certificates(folder, ours, theirs, port):
    """An ordinary user's home comes before the system, file by file; certificate and key go together."""
    home = folder / "home"
    shutil.copytree(folder / "good", home / ".pki/libvirt")
    for path in [*folder.parents, folder, *home.rglob("*"), home]:
        if path.is_relative_to(folder):
            path.chmod(0o755 if path.is_dir() else 0o644)
    os.makedirs("/etc/pki/CA")
    shutil.copy(folder / "other-ca.pem", "/etc/pki/CA/cacert.pem")
    uri = f"secret+tls://localhost:{port}/system"
    for client in ours, theirs:
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", f"HOME={home}",
                   "/usr/bin/python3", "-B", HERE / "remote_client.py", "open", uri]
        ran = subprocess.run(command, env=client.environment, capture_output=True, text=True, timeout=CLIENT_SECONDS)
        said = [json.loads(line) for line in ran.stdout.splitlines()]
        check(f"a user's own certificates are used by {client.log.stem}: {said} {ran.stderr}",
              len(said) == 2 and said[1].get("encrypted") == 1)
    # As root, whose home is not looked at.
    check("root's are the system's", [each["error"][3] for each in ours.ask("open", uri)]
          == ["authentication failed: Failed to verify peer's certificate"])


def scenario(folder):
    folder = pathlib.Path(folder)
    folder.chmod(0o755)
    be_alone_on_the_network()
    make_empty(["/run/libvirt", "/var/lib/libvirt", "/etc/libvirt", "/etc/pki"])
    os.environ.pop("LD_LIBRARY_PATH", None)
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost elsewhere.example\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    (folder / "drivers").mkdir()
    driver = next(pathlib.Path("/usr/lib").glob("*/libvirt/connection-driver/libvirt_driver_secret.so"))
    (folder / "drivers" / driver.name).symlink_to(driver)
    make_certificates(folder)
    make_pki(folder)
    main = libvirtd(folder, "main", "localhost")
    opened = libvirtd(folder, "open", "elsewhere", "tls_no_verify_certificate=1")
    nameless = libvirtd(folder, "nameless", "nameless")
    ssh = sshd(folder)
    stubs = {"http": stub(speaks_http), "end": stub(hangs_up), "no": stub(refuses(folder, b"\0")),
             "tls12": stub(refuses(folder, b"\0", maximum_version=ssl.TLSVersion.TLSv1_2))}
    theirs, ours = Client(folder), Client(folder, f"{given.stage}/lib")

    table = cases(folder, main, opened, nameless, ssh, stubs)
    compare_openings(table, theirs.ask("open", *table), ours.ask("open", *table))

    good = f"secret+tls://localhost:{main[0]}/system?pkipath={folder}/good"
    ways = [good, f"secret+tcp://localhost:{main[1]}/system",
            f"secret+ssh://root@localhost:{ssh}/system?keyfile={folder}/user_key&no_verify=1&no_tty=1"]
    for uri in ways:
        expected, got = theirs.ask("use", uri), ours.ask("use", uri)
        for one, other in zip(expected, got):
            check(f"{str(other)[:300]}" + ("" if one == other else f"\n    not {str(one)[:300]}"), one == other)
        check(f"all of it, by {uri.split(':')[0]}", len(expected) == len(got) > 8 and got[-1]["undefined"])
        check("no thread failed", next(said["threads"] for said in got if "threads" in said) == [])
        check("all events came", all(said["events"][0] for said in got if "events" in said))

    # The same that the UNIX socket is put through: sixteen threads, events, connections that leave nothing behind.
    for watched, mode, count in [([], "threads", 30), ([], "events", 100), ([], "cycles", 1200),
                                 (["valgrind", "-q", "--leak-check=full", "--error-exitcode=9",
                                   "--errors-for-leak-kinds=definite,indirect"], "threads", 3)]:
        ran = subprocess.run([*watched, given.life, good, mode, str(count)], env=ours.environment, capture_output=True,
                             text=True, timeout=CLIENT_SECONDS)
        check(f"life {mode} {watched[:1]} {ran.stdout}{ran.stderr}", ran.returncode == 0)
    command_line(given.donjon, good, good.replace("/good", "/others-authority"))
    users_own_certificates(folder, ours, theirs, main[0])


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--inside", type=pathlib.Path, help=argparse.SUPPRESS)
parser.add_argument("--stage", required=True)
parser.add_argument("--life", required=True)
parser.add_argument("--donjon", required=True)
given = parser.parse_args()
given.command, given.real = [given.life], False
run(parser, given, PROGRAMS, scenario)
