"""Ordinary users at the system's secret daemon: polkit says who may use it, as rules and passwords have it.

usage: polkit.py [--read-only PATH] -- COMMAND…     COMMAND serves /run/libvirt/virtsecretd-sock, anew after SIGTERM
       polkit.py --real                             libvirt's own secret driver does

COMMAND must let everybody connect and ask polkit who may stay; PATH is its socket for those who only look, if it has
one. polkit, its agent, the system bus and virsh are the real ones, and root's password is typed.

Everything happens in namespaces of its own: polkit's rules and actions, the system bus, the accounts and passwords are
others there and none of the machine's change; all processes end with the first. Root's rights are needed for that. Not
tried here: sessions (`subject.active`), which only a machine with logind has, and an agent with a window.
"""
import argparse
import os
import pathlib
import pickle
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time

from sandbox import STEP_SECONDS, accepts, check, make_empty, replace, run, spawn, wait

SOCKET = "/run/libvirt/virtsecretd-sock"
BUS = "/run/dbus/system_bus_socket"
POLKITD = "/usr/lib/polkit-1/polkitd"
PROGRAMS = ["virsh", "dbus-daemon", "dbus-send", "pkttyagent", POLKITD, "unshare", "mount"]
# Empty in there. Without the services nothing is started because somebody asks for it.
PRIVATE = ["/run/libvirt", "/run/dbus", "/etc/polkit-1/rules.d", "/usr/share/polkit-1/rules.d",
           "/usr/share/dbus-1/system-services", "/var/lib/polkit-1"]
ACTIONS = pathlib.Path("/usr/share/polkit-1/actions")

# Accounts that are there only in here, and one that has a password only in here.
USERS = {"donjon-allowed": 64101, "donjon-denied": 64102, "donjon-challenged": 64103}
ALLOWED, DENIED, CHALLENGED = USERS
PASSWORD = "right for root"
PASSWORD_HASH = "$6$donjon$7flGcBHxYljCJw3BF8sC3quZbpLk.utl2S/vofo046NAqJ.yMy520ypXri532EVBe3/Hzq4/.qomAHvzEKrnQ."
MANAGE, MONITOR = "org.libvirt.unix.manage", "org.libvirt.unix.monitor"
RULES = f"""
polkit.addRule(function(action, subject) {{
    if (action.id == "{MANAGE}") {{
        if (subject.user == "{ALLOWED}") return polkit.Result.YES;
        if (subject.user == "{DENIED}") return polkit.Result.NO;
    }}
    if (action.id == "{MONITOR}" && subject.user == "{CHALLENGED}") return polkit.Result.NO;
}});
"""
# For a machine without libvirt's own: its names and its defaults.
POLICY = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/PolicyKit/1.0/policyconfig.dtd">
<policyconfig>
  <action id="{MONITOR}">
    <description>See which secrets this machine keeps</description>
    <message>Policy forbids to see which secrets this machine keeps</message>
    <defaults><allow_any>yes</allow_any><allow_inactive>yes</allow_inactive><allow_active>yes</allow_active></defaults>
  </action>
  <action id="{MANAGE}">
    <description>Use the secrets that this machine keeps</description>
    <message>Policy forbids to use the secrets that this machine keeps</message>
    <defaults>
      <allow_any>auth_admin_keep</allow_any>
      <allow_inactive>auth_admin_keep</allow_inactive>
      <allow_active>auth_admin_keep</allow_active>
    </defaults>
  </action>
</policyconfig>
"""

# What libvirtd 9.0.0 answers, seen with --real: code, domain, message. Texts of D-Bus follow the colons.
DENIES = (45, 60, "authentication failed: access denied by policy")
HAS_NO_AGENT = (94, 60, f"authentication unavailable: no polkit agent available to authenticate action '{MANAGE}'")
HAS_NO_BUS = (1, 47, "internal error: Unable to get system bus connection: ")
HAS_NO_POLKIT = (89, 47, "error from service: ")
DOES_NOT_KNOW_YOU = (39, 7, "authentication required")
FAILS = (45, 7, "authentication failed: authentication failed")

REMOTE_PROGRAM = 0x20008086
OPEN, AUTH_LIST, SASL_INIT, SASL_START, SASL_STEP, AUTH_POLKIT = 1, 66, 67, 68, 69, 70
ARGUMENTS = {OPEN: struct.pack(">II16sI", 1, 16, b"secret:///system", 0),
             SASL_START: struct.pack(">I8siI", 5, b"PLAIN", 0, 0), SASL_STEP: struct.pack(">iI", 0, 0)}
# All that a secret daemon does or declines to do for a client: 1-7 of connections, 51-101 and 203 of other drivers,
# 139-147 and 287 of secrets, 360-381 of events.
PROCEDURES = [*range(1, 8), 51, 59, 60, 71, 101, 110, *range(139, 148), 149, 157, 203, 281, 287, 360, 361, 380, 381,
              419]


def scenario(daemon, read_only):
    daemon.start()
    check("root needs no system bus", virsh("root").ok)
    check("others do", raw(ALLOWED, AUTH_POLKIT).is_error(HAS_NO_BUS))
    daemon.restart(before=start_bus)
    check("others need polkit", raw(ALLOWED, AUTH_POLKIT).is_error(HAS_NO_POLKIT))
    start_polkitd()
    without_authentication()
    by_rules()
    if read_only:
        looking_on(read_only)
    by_password()
    daemon.stop()


def without_authentication():
    check("root is never asked", raw("root", AUTH_LIST).authentications() == [0])
    check("others are to ask polkit", raw(DENIED, AUTH_LIST).authentications() == [2])
    for user in (ALLOWED, DENIED):
        answers = raw(user, *PROCEDURES)
        check(f"{user} can do nothing before", all(a.is_error(DOES_NOT_KNOW_YOU) for a in answers))
    answers = raw(DENIED, SASL_INIT, SASL_START, SASL_STEP)
    check("SASL is no other way", all(a.is_error(FAILS) for a in answers))


def by_rules():
    check(f"{ALLOWED}: virsh works", virsh(ALLOWED).ok)
    check(f"{DENIED}: virsh is denied", virsh(DENIED).fails(DENIES))
    check(f"{CHALLENGED}: virsh has no agent", virsh(CHALLENGED).fails(HAS_NO_AGENT))
    check("root: virsh works", virsh("root").ok)
    passed, opened = raw(ALLOWED, AUTH_POLKIT, OPEN)
    check(f"{ALLOWED}: is authenticated and goes on", passed.result == b"\0\0\0\1" and opened.result == b"")
    for user, refusal in ((DENIED, DENIES), (CHALLENGED, HAS_NO_AGENT)):
        refused, opened, again = raw(user, AUTH_POLKIT, OPEN, AUTH_POLKIT)
        check(f"{user}: is refused", refused.is_error(refusal))
        check(f"{user}: stays outside", opened.is_error(DOES_NOT_KNOW_YOU))
        check(f"{user}: may ask again and is refused", again.is_error(refusal))


def looking_on(path):
    """The other action: nobody needs a rule for it, and one user has one against it."""
    for user in (ALLOWED, DENIED):
        check(f"{user}: may look on", virsh(user, "--readonly", path=path).ok)
    check(f"{CHALLENGED}: may not look on", virsh(CHALLENGED, "--readonly", path=path).fails(DENIES))


def by_password():
    """A right one is kept, but for the process alone, as there are no sessions."""
    for turn in ("first", "second"):
        check(f"{CHALLENGED}: is asked for a password and works the {turn} time", typing(PASSWORD).ok)
    check(f"{CHALLENGED}: a wrong password is denied", typing("wrong").fails(DENIES))
    check(f"{CHALLENGED}: the right one was kept for nobody else", virsh(CHALLENGED).fails(HAS_NO_AGENT))


class Daemon:
    def __init__(self, command, path, log):
        self.command, self.path, self.log = command, path, log

    def start(self):
        self.process = spawn(self.command, self.log)
        wait(lambda: accepts(self.path) or self.process.poll() is not None, f"{self.path} answers")
        check(f"{self.path} answers", self.process.poll() is None)

    def stop(self):
        self.process.terminate()
        self.process.wait(STEP_SECONDS)

    def restart(self, before):
        """libvirtd looks for the bus once, in all its life."""
        self.stop()
        before()
        self.start()


def libvirtd(folder):
    """libvirt's own daemon with the secret driver and no other. Debian 12 ships no virtsecretd."""
    (library,) = pathlib.Path("/usr/lib").glob("*/libvirt/connection-driver/libvirt_driver_secret.so")
    drivers, settings, sockets = folder / "drivers", folder / "libvirtd.conf", folder / "sockets"
    drivers.mkdir()
    sockets.mkdir()
    (drivers / library.name).symlink_to(library)
    os.symlink(sockets / "libvirt-sock", SOCKET)
    os.symlink(sockets / "libvirt-sock-ro", f"{SOCKET}-ro")
    settings.write_text("".join(f'{name} = "{value}"\n' for name, value in {
        "unix_sock_dir": sockets, "unix_sock_rw_perms": "0777", "unix_sock_ro_perms": "0777",
        "auth_unix_rw": "polkit", "auth_unix_ro": "polkit"}.items()))
    return ["env", f"LIBVIRT_DRIVER_DIR={drivers}", "libvirtd", "-f", settings, "-p", folder / "libvirtd.pid"]


def start_bus():
    log = pathlib.Path("/run/dbus/dbus-daemon.log")
    spawn(["dbus-daemon", "--system", "--nofork", "--nopidfile", "--nosyslog"], log)
    wait(lambda: accepts(BUS), f"{BUS} answers")


def start_polkitd():
    process = spawn([POLKITD, "--no-debug"], pathlib.Path("/run/dbus/polkitd.log"))
    question = ["dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/",
                "org.freedesktop.DBus.GetNameOwner", "string:org.freedesktop.PolicyKit1"]
    answers = lambda: subprocess.run(question, capture_output=True, timeout=STEP_SECONDS).returncode == 0
    wait(answers, "polkitd answers")
    return process


class Run:
    """A run of virsh that has ended."""

    def __init__(self, status, output):
        self.status, self.output = status, output

    @property
    def ok(self):
        return self.explain(self.status == 0)

    def fails(self, error):
        return self.explain(self.status == 1 and f"error: {error[2]}" in self.output)

    def explain(self, holds):
        if not holds:
            print(f"virsh ended with {self.status} and said: {self.output}")
        return holds


def virsh_command(path, *options):
    return ["virsh", "--connect", f"secret:///system?socket={path}", *options, "secret-list"]


def virsh(user, *options, path=SOCKET):
    """Without a terminal, so that it has no agent."""
    uid = USERS.get(user, 0)
    done = subprocess.run(virsh_command(path, *options), user=uid, group=uid, extra_groups=[], env=environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True, timeout=STEP_SECONDS)
    return Run(done.returncode, done.stdout.decode(errors="replace"))


def typing(password):
    """The challenged user's virsh with a terminal, and a person who knows one password.

    virsh starts polkit's agent itself if it has a terminal, but as a fallback for the session's, and those polkit only
    uses in sessions. (polkit 122, get_authentication_agent_for_subject)
    """
    process, terminal = pty.fork()
    if process == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # By which the agent ends with virsh; nohup has it ignored.
        become(CHALLENGED)
        start_agent()
        os.execvpe("virsh", virsh_command(SOCKET), environment())
    said, asked, end = b"", 0, time.monotonic() + STEP_SECONDS
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            said += os.read(terminal, 4096)
        except OSError:  # All have closed it.
            break
        if said.count(b"Password: ") > asked:
            asked += 1
            # What is typed before the agent has switched the echo off is thrown away.
            wait(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO, "the agent is ready for a password")
            os.write(terminal, password.encode() + b"\n")
    else:
        os.kill(process, signal.SIGKILL)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    return Run(os.waitstatus_to_exitcode(status) if asked else "no question", said.decode(errors="replace"))


def start_agent():
    """Polkit's, for this process. It closes the pipe when it is ready."""
    reader, writer = os.pipe()
    subprocess.Popen(["pkttyagent", "--process", str(os.getpid()), "--notify-fd", str(writer)],
                     pass_fds=[writer], env=environment())
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)


class Answer:
    """A reply of the RPC: a result or an error."""

    def __init__(self, message):
        *_, status = struct.unpack_from(">IIiIII", message)
        self.result, self.error = (message[24:], None) if status == 0 else (None, self.read_error(message[24:]))

    @staticmethod
    def read_error(body):
        code, domain, has_message, length = struct.unpack_from(">iiII", body)
        return code, domain, body[16:16 + length].decode() if has_message else None

    def is_error(self, expected):
        """By its code and domain, and as the message begins: what follows a colon at the end is not libvirt's."""
        *numbers, text = expected
        holds = self.error is not None and [*numbers] == [*self.error[:2]] and (
            self.error[2].startswith(text) if text.endswith(": ") else self.error[2] == text)
        if not holds:
            print(f"expected {expected}, got {self.error or self.result}")
        return holds

    def authentications(self):
        count, *kinds = struct.unpack(f">{len(self.result) // 4}i", self.result)
        return kinds if count == len(kinds) else None


def raw(user, *procedures):
    """What a process of this user is answered on one connection, without the client's part of libvirt."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            become(user)
            with os.fdopen(writer, "wb") as answers:
                pickle.dump(call_all(procedures), answers)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        messages = answers.read()
    os.waitpid(process, 0)
    if not messages:
        check(f"{user} is answered", False)
    answers = [Answer(message) for message in pickle.loads(messages)]
    return answers if len(procedures) > 1 else answers[0]


def call_all(procedures):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(STEP_SECONDS)
        client.connect(SOCKET)
        return [call(client, serial, procedure) for serial, procedure in enumerate(procedures)]


def call(client, serial, procedure):
    arguments = ARGUMENTS.get(procedure, b"")
    header = struct.pack(">IIIiIII", 28 + len(arguments), REMOTE_PROGRAM, 1, procedure, 0, serial, 0)
    client.sendall(header + arguments)
    (length,) = struct.unpack(">I", receive(client, 4))
    return receive(client, length - 4)


def receive(client, count):
    received = client.recv(count, socket.MSG_WAITALL)
    if len(received) < count:
        raise EOFError
    return received


def become(user):
    uid = USERS.get(user, 0)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def environment():
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def make_private(folder):
    folder.chmod(0o755)
    make_empty(PRIVATE)
    pathlib.Path("/etc/polkit-1/rules.d/10-test.rules").write_text(RULES)
    replace(folder, "/etc/passwd", append="".join(f"{user}:x:{i}:{i}::/:/bin/false\n" for user, i in USERS.items()))
    replace(folder, "/etc/group", append="".join(f"{user}:x:{i}:\n" for user, i in USERS.items()))
    replace(folder, "/etc/shadow", text=f"root:{PASSWORD_HASH}:19000:0:99999:7:::\n", mode=0o600)
    if not (ACTIONS / "org.libvirt.unix.policy").exists():
        actions = folder / "actions"
        shutil.copytree(ACTIONS, actions)
        (actions / "org.libvirt.unix.policy").write_text(POLICY)
        subprocess.run(["mount", "--bind", actions, ACTIONS], check=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--read-only")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--inside", type=pathlib.Path, help=argparse.SUPPRESS)  # A folder, in the namespaces.
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()

    def work(folder):
        make_private(folder)
        command, read_only = (libvirtd(folder), f"{SOCKET}-ro") if given.real else (given.command, given.read_only)
        scenario(Daemon(command, SOCKET, folder / "secret daemon.log"), read_only)

    run(parser, given, [*PROGRAMS, *["libvirtd"] * given.real], work)


if __name__ == "__main__":
    main()
