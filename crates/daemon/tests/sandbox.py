"""Namespaces of a test's own, and what scenarios in them have in common.

A script that uses this runs itself twice: outside, to make the namespaces, and inside, as their first process. The
folders it names are empty there and none of the machine's change, no matter what runs beside it; all processes end
with the first. Root's rights are needed for that.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

# No step takes longer, nor do all of them together, even on a busy machine.
STEP_SECONDS, ALL_SECONDS = 60, 300


def run(parser, given, programs, scenario):
    """Runs a scenario, which is called with a folder, in namespaces of its own. Does not return."""
    if given.inside:
        sys.exit(inside(scenario, given.inside))
    if bool(given.command) == given.real:
        parser.error("either COMMAND or --real")
    if os.geteuid() != 0:
        parser.exit(2, "only root may make the namespaces that this runs in\n")
    missing = [program for program in programs if not (shutil.which(program) or os.path.exists(program))]
    if missing:
        parser.exit(2, f"not installed: {', '.join(missing)}; run `cargo xtask test`, which installs what is missing\n")
    sys.exit(outside())


def outside():
    """Makes the namespaces. All that runs in there ends with their first process, whatever ends that."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        first = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                 sys.executable, sys.argv[0], "--inside", folder, *sys.argv[1:]]
        try:
            return subprocess.run(first, timeout=ALL_SECONDS).returncode
        except subprocess.TimeoutExpired:
            return f"not done within {ALL_SECONDS} s"


def inside(scenario, folder):
    """As the first process: works in another and buries the dead, whom nobody else would."""
    worker = os.fork()
    if worker == 0:
        return work(scenario, folder)
    while (ended := os.wait())[0] != worker:
        pass
    return os.waitstatus_to_exitcode(ended[1])


def work(scenario, folder):
    try:
        scenario(folder)
    except BaseException:
        for log in (*folder.glob("*.log"), *pathlib.Path("/var/log/libvirt/qemu").glob("*.log")):
            print(f"--- {log.name}", log.read_text(errors="replace")[-4000:], sep="\n", flush=True)
        raise


def make_empty(paths):
    """Folders that are empty here. Those that are missing on the machine are made there, and left behind empty."""
    for path in paths:
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path], check=True)


def replace(folder, path, text=None, append="", mode=0o644):
    """Puts another file in the place of one of the machine's, in this namespace."""
    other = folder / os.path.basename(path)
    other.write_text((pathlib.Path(path).read_text() if text is None else text) + append)
    other.chmod(mode)
    subprocess.run(["mount", "--bind", other, path], check=True)


def check(what, holds):
    print("ok  " if holds else "FAILED  ", what, sep="", flush=True)
    if not holds:
        raise SystemExit(1)


def wait(until, what):
    end = time.monotonic() + STEP_SECONDS
    while not until():
        if time.monotonic() > end:
            check(f"{what} within {STEP_SECONDS} s", False)
        time.sleep(0.01)


def spawn(command, log):
    with log.open("ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def accepts(path):
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0
