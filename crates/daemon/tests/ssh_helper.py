"""libvirt's own virsh, over a real sshd, at a host that has Donjon and nothing of libvirt's but the client.

usage: ssh_helper.py -- DONJOND DONJON

Both run in namespaces of their own, with folders of their own. libvirt's helper is covered, so that only ours is there.
"""
import argparse
import base64
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys

from sandbox import check, make_empty, run, spawn, wait

SSHD = "/usr/sbin/sshd"
PROGRAMS = ["virsh", "ssh", SSHD, "unshare", "mount"]


def accepts(address):
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as other:
        return other.connect_ex(address) == 0


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def start_sshd(folder, path):
    port = free_port()
    for name in "host", "user":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / f"{name}_key"], check=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    config = folder / f"sshd-{port}.conf"
    config.write_text("\n".join([
        f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host_key", f"PidFile {folder}/sshd.pid",
        f"AuthorizedKeysFile {folder}/authorized_keys", "StrictModes no", "UsePAM no", "PermitRootLogin yes",
        "PasswordAuthentication no", f"SetEnv PATH={path}"]) + "\n")
    spawn([SSHD, "-D", "-e", "-f", config], folder / f"sshd-{port}.log")
    wait(lambda: accepts(("127.0.0.1", port)), "sshd serves")
    return port


def scenario(folder):
    folder = pathlib.Path(folder)
    donjond, donjon = map(os.path.abspath, given.command)
    make_empty([str(pathlib.Path(pwd.getpwuid(0).pw_dir) / ".ssh"), "/run/sshd", "/run/donjon", "/run/libvirt"])
    own = folder / "libexec"
    own.mkdir()
    (own / "virt-ssh-helper").symlink_to(donjon)
    theirs = shutil.which("virt-ssh-helper")
    if theirs:
        nobodys = folder / "nobodys"
        nobodys.write_text("#!/bin/sh\nexit 77\n")
        nobodys.chmod(0o755)
        subprocess.run(["mount", "--bind", nobodys, theirs], check=True)
    spawn([donjond, "serve", "--listen", "off", "--metrics-listen", "off", "--data-dir", folder / "data",
           "--libvirt-socket", "/run/donjon/virtsecretd-sock"], folder / "donjond.log")
    wait(lambda: accepts("/run/donjon/virtsecretd-sock"), "donjond serves")
    port = start_sshd(folder, f"{own}:/usr/bin:/bin")
    more = f"keyfile={folder}/user_key&no_verify=1&no_tty=1"

    def virsh(*arguments, uri=f"secret+ssh://root@localhost:{port}/system?{more}", good=True):
        ran = subprocess.run(["virsh", "-q", "-c", uri, *arguments], capture_output=True, text=True, timeout=60,
                             stdin=subprocess.DEVNULL)
        check(f"virsh {' '.join(map(str, arguments))}: {ran.stdout}{ran.stderr}", (ran.returncode == 0) == good)
        return ran.stdout

    definition = folder / "secret.xml"
    definition.write_text("<secret><uuid>5ec2e700-0000-4000-8000-000000000001</uuid></secret>")
    virsh("secret-define", definition)
    value = folder / "value"
    value.write_bytes(os.urandom(1000))
    virsh("secret-set-value", "5ec2e700-0000-4000-8000-000000000001", "--plain", "--file", value)
    got = virsh("secret-get-value", "5ec2e700-0000-4000-8000-000000000001")
    check("the value comes back", base64.b64decode(got) == value.read_bytes())
    check("it is listed", "5ec2e700" in virsh("-r", "secret-list"))
    virsh("-r", "secret-get-value", "5ec2e700-0000-4000-8000-000000000001", good=False)
    if shutil.which("nc"):
        by_nc = f"secret+ssh://root@localhost:{port}/system?{more}&proxy=netcat&socket=/run/donjon/virtsecretd-sock"
        check("nc does too", "5ec2e700" in virsh("secret-list", uri=by_nc))


parser = argparse.ArgumentParser()
parser.add_argument("--inside", type=pathlib.Path)
parser.add_argument("--real", action="store_true")
parser.add_argument("command", nargs="*")
given = parser.parse_args()
run(parser, given, PROGRAMS, scenario)
