"""The C library asked what real libvirt was asked: capi.c, built with its headers and with ours, against two daemons.

usage: c_library.py --stage PREFIX --suite FOLDER --differences FILE -- COMMAND…

PREFIX is where the library is installed, with its headers, under the name of libvirt too. FOLDER has capi.c, the tools
that run it, and the recorded answers. COMMAND serves /run/libvirt/virtsecretd-sock; the other daemon is libvirt's own,
with its secret driver alone. A case that differs from the recorded answer must be in FILE, and one in FILE must differ.

Everything happens in namespaces of its own, because one of the cases opens the socket of the system.
"""
import argparse
import os
import pathlib
import re
import subprocess

from sandbox import accepts, check, make_empty, run, spawn, wait

PROGRAMS = ["virsh", "gcc", "libvirtd", "unshare", "mount"]
DRIVERS = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver"
CASES = 38


def build(given, folder):
    """The program twice, each linked to our library: once with libvirt's headers, once with ours."""
    for name, include in ("theirs", []), ("ours", [f"-I{given.stage}/include"]):
        subprocess.run(["gcc", "-w", "-O1", *include, "-o", folder / name, f"{given.suite}/capi.c",
                        f"-L{given.stage}/lib", "-lvirsecret", "-lpthread"], check=True)
    return ["theirs", "ours"]


def donjond(given, folder):
    process = spawn(given.command, folder / "donjond.log")
    wait(lambda: accepts("/run/libvirt/virtsecretd-sock"), "donjond serves")
    return process, "recorded-12.8.0"


def libvirtd(_given, folder):
    drivers = folder / "drivers"
    drivers.mkdir()
    found = next(pathlib.Path("/usr/lib").glob("*/libvirt/connection-driver/libvirt_driver_secret.so"))
    (drivers / found.name).symlink_to(found)
    config = folder / "libvirtd.conf"
    config.write_text('auth_unix_rw="none"\nauth_unix_ro="none"\n')
    command = ["libvirtd", "-f", str(config), "-p", str(folder / "libvirtd.pid")]
    process = spawn(["env", f"LIBVIRT_DRIVER_DIR={drivers}", *command], folder / "libvirtd.log")
    wait(lambda: accepts("/run/libvirt/libvirt-sock"), "libvirtd serves")
    return process, "recorded-9.0.0"


def differing(given, folder, program, recorded, answers):
    """Which cases are not as they were recorded, with what is different."""
    environment = {**os.environ, "CAPI_BIN": str(folder / program), "CAPI_LIBDIR": f"{given.stage}/lib",
                   "PY": "/usr/bin/python3"}
    ran = subprocess.run(["bash", f"{given.suite}/run.sh", "secret:///system", answers, "capi"],
                         env=environment, capture_output=True, text=True)
    check(f"{program}: {CASES} cases" + ("" if f"capi: {CASES - 1} cases" in ran.stdout else f", not {ran}"),
          f"capi: {CASES - 1} cases rc=0" in ran.stdout)
    expected = answers.with_name(answers.name + "-expected")
    expected.mkdir()
    (expected / "capi.txt").write_text(pathlib.Path(f"{given.suite}/{recorded}/capi.txt").read_text())
    compared = subprocess.run(["bash", f"{given.suite}/diff.sh", expected, answers], capture_output=True, text=True,
                              env={**os.environ, "LOOSE": "1"})
    check(f"{compared.stdout}{compared.stderr}", f"{CASES} cases" in compared.stdout)
    return set(re.findall(r"^### (capi/\w+)", compared.stdout, re.M)), compared.stdout


def scenario(folder):
    folder = pathlib.Path(folder)
    make_empty(["/run/libvirt", "/var/lib/libvirt", "/etc/libvirt"])
    os.environ.pop("LD_LIBRARY_PATH", None)
    table = pathlib.Path(given.differences).read_text()
    listed = set(re.findall(r"^\| `(capi/\w+)`", table, re.M))
    programs = build(given, folder)
    for start in donjond, libvirtd:
        process, recorded = start(given, folder)
        seen = set()
        for program in programs:
            found, text = differing(given, folder, program, recorded, folder / f"{start.__name__}-{program}")
            check(f"{program}'s headers, {start.__name__}: only listed differences\n{text}", found <= listed)
            seen |= found
        process.terminate()
        process.wait()
        if start is donjond:
            outdated = listed - seen
            check(f"what is listed differs {sorted(outdated)}", not outdated)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--inside", type=pathlib.Path, help=argparse.SUPPRESS)
parser.add_argument("--stage", required=True)
parser.add_argument("--suite", required=True)
parser.add_argument("--differences", required=True)
parser.add_argument("command", nargs="*")
given = parser.parse_args()
given.real = False
run(parser, given, PROGRAMS, scenario)
