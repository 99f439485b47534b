"""The packaged units run by systemd: used at both doors, probed, reloaded, killed, attacked, activated by sockets.

usage: unit.py --config FILE --packaging FOLDER -- DONJOND

FILE is the configuration, but for what it listens on. When it is to be attacked, this says `attack ADDRESS` and waits
for a line. systemd is the machine's own as the first process of a container whose /usr is the machine's with DONJOND in
it: nothing of the machine's is changed. Says `skipped` where the machine cannot run it.
"""
import argparse
import pathlib
import shutil
import socket
import subprocess
import sys

from sandbox import STEP_SECONDS, check, run, wait

SYSTEMD = "/usr/lib/systemd/systemd"
PROGRAMS = ["systemd-nspawn", SYSTEMD, "dbus-daemon", "nsenter", "mount", "curl", "virsh"]
TOKEN = "honest-tokmark7f3a"
UNIT = "donjond.service"
SOCKETS = "donjond.socket donjond-libvirt.socket donjond-libvirt-ro.socket"
# What `systemd-analyze security` says at most: 0.0 would be a service that can do nothing.
EXPOSURE_MAX = 1.6

# Run with the unit's own settings in the place of donjond: what somebody could do who had taken it over.
PROBE = r'''
import ctypes, mmap, os, resource, socket
def may(what, do):
    try:
        do()
        print("MAY", what)
    except Exception:
        print("no", what)
def write(folder):
    with open(folder + "/probe", "w"): pass
    os.unlink(folder + "/probe")
libc = ctypes.CDLL(None)
def call(result):
    if result == -1: raise OSError
for folder in ["/var/lib/donjon", "/etc", "/etc/donjon", "/usr/bin", "/var/lib", "/var/log", "/run", "/root", "/home",
               "/dev", "/dev/shm", "/sys", "/proc/sys/kernel"]:
    may("write " + folder, lambda: write(folder))
def others():
    if not [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]: raise OSError
may("see other processes", others)
may("open netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
may("open packet sockets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
may("make namespaces", lambda: call(libc.unshare(0x10000000)))
may("mount", lambda: call(libc.mount(b"x", b"/tmp", b"tmpfs", 0, None)))
may("trace", lambda: call(libc.ptrace(16, 1, 0, 0)))
may("change its personality", lambda: call(libc.personality(0x40000)))
may("make memory that is written and run", lambda: mmap.mmap(-1, 4096, prot=7))
may("become root", lambda: os.setuid(0))
may("allow core dumps", lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))
may("dump core", lambda: 1 / max(resource.getrlimit(resource.RLIMIT_CORE)))
may("name the host", lambda: socket.sethostname("x"))
may("set user ids on files", lambda: (open("/var/lib/donjon/s", "w").close(), os.chmod("/var/lib/donjon/s", 0o4755)))
may("go before others", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
may("signal the first process", lambda: os.kill(1, 0))
'''


class Container:
    """systemd in a container that shares the network."""

    def __init__(self, folder, given):
        self.root, self.log, self.process, self.leader = folder / "root", folder / "systemd.log", None, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        for name in "usr etc var run tmp proc sys dev root home".split():
            (self.root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            if pathlib.Path("/", name).is_symlink():
                (self.root / name).symlink_to(f"usr/{name}")
        self.write("etc/os-release", "ID=test\n")
        self.write("etc/machine-id", "")
        self.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\n")
        self.write("etc/group", "root:x:0:\nmessagebus:x:100:\n")
        shutil.copytree(given.packaging / "sysusers.d", self.root / "etc/sysusers.d")
        for unit in (given.packaging / "systemd").iterdir():
            self.write(f"etc/systemd/system/{unit.name}", unit.read_text().replace("127.0.0.1:9311", self.address))
        listens = f'metrics_listen = "off"\nlisten = "{self.address}"\n'
        self.write("etc/donjon/donjon.toml", listens + given.config.read_text())
        self.write("etc/probe.py", PROBE)
        self.write("etc/systemd/system/probe.service", probing((self.root / "etc/systemd/system" / UNIT).read_text()))
        self.usr = self.overlay(folder, pathlib.Path(given.command[0]))

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    @staticmethod
    def overlay(folder, donjond):
        """The machine's /usr with a program more in it."""
        usr, over = folder / "usr", folder / "over"
        usr.mkdir()
        over.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", over], check=True)
        (over / "upper/bin").mkdir(parents=True)
        (over / "work").mkdir()
        shutil.copy(donjond, over / "upper/bin/donjond")
        (over / "upper/bin/donjond").chmod(0o755)
        options = f"lowerdir=/usr,upperdir={over}/upper,workdir={over}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, usr], check=True)
        return usr

    def start(self):
        """Whether it runs. A machine's own container may not be allowed what this one needs."""
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--link-journal=no", "--console=pipe",
                   "--capability=CAP_IPC_LOCK,CAP_SYS_RESOURCE", "-D", self.root, f"--bind={self.usr}:/usr",
                   SYSTEMD, "systemd.unit=multi-user.target"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait(lambda: self.process.poll() is not None or self.is_up(), "systemd runs, or says that it cannot")
        return self.process.poll() is None

    def is_up(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.leader = next(iter(children.read_text().split()), None) if children.exists() else None
        return bool(self.leader) and self.run("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def run(self, command):
        enter = ["nsenter", "-t", self.leader, "-m", "-p", "-n", "-i", "-u", "-C", "--", "sh", "-c", command]
        return subprocess.run(enter, capture_output=True, text=True, errors="replace", timeout=STEP_SECONDS)

    def says(self, command):
        done = self.run(command)
        return (done.stdout + done.stderr).strip()

    def property(self, name):
        return self.says(f"systemctl show --property={name} --value {UNIT}")

    def journal(self):
        return self.says(f"journalctl --unit={UNIT} --output=cat --no-pager")

    def ask(self, path, *more):
        headers = ["-H", f"X-Auth-Token: {TOKEN}", "-H", "Content-Type: application/json"]
        command = ["curl", "-sS", "--max-time", "20", *headers, *more, f"http://{self.address}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_SECONDS)
        return done.stdout + done.stderr

    def expect(self, what, command, holds=lambda said: True):
        done = self.run(command)
        said = (done.stdout + done.stderr).strip()
        if done.returncode or not holds(said):
            print(f"{command}: {done.returncode}: {said[-3000:]}\n{self.journal()[-3000:]}")
            check(what, False)
        check(what, True)
        return said


def probing(unit):
    """The same unit with another program."""
    kept = [line for line in unit.split("[Install]")[0].splitlines()
            if not line.startswith(("ExecStart", "ExecReload", "Restart", "Type=", "RuntimeDirectory="))]
    text = "\n".join(kept)
    return text.replace("[Service]", "[Service]\nType=oneshot\nExecStart=/usr/bin/python3 /etc/probe.py", 1) + "\n"


def scenario(place):
    place.expect("the user is made", "systemd-sysusers && chown donjon /etc/donjon/donjon.toml && "
                 "chmod 600 /etc/donjon/donjon.toml && mkdir -p /run/libvirt")
    place.expect("it starts, and says when it is ready", f"systemctl start {UNIT}")
    check("its keys are in locked memory", "not fully protected" not in place.journal())
    doors(place, "/run/donjon/virtsecretd-sock")
    hardening(place)
    place.expect("it reads its configuration again", f"systemctl reload {UNIT} && systemctl is-active {UNIT}")
    ends(place, "KILL", restarts=1)
    print(f"attack {place.address}", flush=True)
    sys.stdin.readline()
    check("the attacks did not end it", place.property("NRestarts") == "1")
    check("nothing ended in a panic", "panic" not in place.journal())
    check("no token is in the journal", "tokmark7f3a" not in place.journal())
    ends(place, "ABRT", restarts=2)
    place.expect("no core is left", "find / -xdev -name 'core*' -type f -newer /etc/machine-id -size +64k",
                 lambda said: not said)
    config = place.root / "etc/donjon/donjon.toml"
    right = config.read_text()
    config.write_text(f"nonsense = 1\n{right}")
    place.run(f"systemctl restart {UNIT}")
    wait(lambda: place.property("ActiveState") == "failed", "a wrong configuration fails")
    check("with 2, and is not tried again", place.property("ExecMainStatus") == "2")
    config.write_text(right)
    place.expect("it starts with the right one", f"systemctl reset-failed {UNIT} && systemctl start {UNIT}")
    place.expect("it stops in good order", f"systemctl stop {UNIT}")
    check("with success", place.property("Result") == "success")
    place.expect("its sockets open without it", f"systemctl start {SOCKETS}")
    check("it is not there", place.property("ActiveState") == "inactive")
    doors(place, "/run/libvirt/virtsecretd-sock")
    check("the first client started it", place.property("ActiveState") == "active")
    place.expect("all stop", f"systemctl stop {SOCKETS} {UNIT}")


def doors(place, libvirt):
    secret = '{"name": "n", "payload": "paymark", "payload_content_type": "text/plain"}'
    made = place.ask("/v1/secrets", "-d", secret)
    check("a secret is stored", "/v1/secrets/" in made)
    listed = place.ask("/v1/secrets")
    check("and listed", '"name": "n"' in listed)
    place.expect("virsh works", f"virsh -c 'secret:///system?socket={libvirt}' secret-list",
                 lambda said: "UUID" in said)


def hardening(place):
    score = place.expect("it is hardened", f"systemd-analyze security --no-pager {UNIT} | tail -1",
                         lambda said: float(said.split(":")[1].split()[0]) <= EXPOSURE_MAX)
    print(score)
    said = place.expect("it can be taken over for a trial",
                        "systemctl start probe && journalctl --sync && journalctl --unit=probe --output=cat",
                        lambda said: "no become root" in said and "signal the first process" in said)
    may = sorted(line.removeprefix("MAY ") for line in said.splitlines() if line.startswith("MAY "))
    print(may)
    check("it could only write its own data then", may == ["write /var/lib/donjon"])
    pid = place.property("MainPID")
    place.expect("it has no capabilities", f"grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb):' /proc/{pid}/status",
                 lambda said: all(int(line.split()[1], 16) == 0 for line in said.splitlines()))


def ends(place, name, restarts):
    """By a signal, and is there again."""
    place.run(f"kill -{name} {place.property('MainPID')}")
    wait(lambda: place.property("NRestarts") == str(restarts) and place.property("ActiveState") == "active",
         f"it is there again after {name}")
    check(f"with all that it had after {name}", '"name": "n"' in place.ask("/v1/secrets"))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--inside", type=pathlib.Path, help=argparse.SUPPRESS)  # A folder, in the namespaces.
    parser.add_argument("--config", type=pathlib.Path, required=True)
    parser.add_argument("--packaging", type=pathlib.Path, required=True)
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()
    given.real = False

    def work(folder):
        folder.chmod(0o755)
        try:
            place = Container(folder, given)
        except subprocess.CalledProcessError as error:
            return print(f"skipped: this machine mounts no overlay: {error}", flush=True)
        if not place.start():
            said = place.log.read_text(errors="replace")[-500:]
            return print(f"skipped: systemd-nspawn cannot run here: {said}", flush=True)
        scenario(place)
        place.run("systemctl poweroff")
        place.process.wait(STEP_SECONDS)

    run(parser, given, PROGRAMS, work)


if __name__ == "__main__":
    main()
