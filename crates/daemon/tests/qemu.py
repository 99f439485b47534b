"""Guests of libvirt's QEMU driver, whose encrypted disks only private secrets of the secret daemon open.

usage: qemu.py [--emulator PATH] -- COMMAND…     COMMAND serves /run/libvirt/virtsecretd-sock, anew after SIGTERM
       qemu.py [--emulator PATH] --real          libvirt's own secret driver does

The QEMU driver is libvirt's, in a daemon without a secret driver. It asks for every passphrase at that socket, by the
secret's UUID or usage, and shows the token of /run/libvirt/common/system.token to be given private ones. The guests
are emulated, need no kernel and no KVM, and say on their serial line that they have booted from their disks.

Everything happens in namespaces of its own: libvirt's folders are empty there and none of the machine's change, no
matter what runs beside it; all processes end with the first. Root's rights are needed for that. Not tried here: the
secrets of Ceph and iSCSI disks and of TPMs, which the QEMU driver gets by the same calls.
"""
import argparse
import contextlib
import glob
import os
import pathlib
import shutil
import subprocess
import uuid

import libvirt

from sandbox import STEP_SECONDS, accepts, check, make_empty, replace, run, spawn, wait

SECRET_SOCKET, QEMU_SOCKET = "/run/libvirt/virtsecretd-sock", "/run/libvirt/libvirt-sock"
# libvirt has these paths built in. Those that are missing are made, as its daemons would, and left behind empty.
PRIVATE = [f"{parent}/libvirt" for parent in ("/etc", "/run", "/var/cache", "/var/lib", "/var/log")]
PROGRAMS = ["libvirtd", "qemu-img", "cc", "unshare", "mount"]
DRIVER = "/usr/lib/*/libvirt/connection-driver/libvirt_driver_{}.so"

# What the guest says once the firmware has run its first sector, which is this program for a PC in real mode.
BOOTED = b"booted from the encrypted disk\r\n"
BOOT_SECTOR = (
    b"\x31\xc0\x8e\xd8"  # ds = ax = 0
    b"\xbe\x15\x7c"      # si = 0x7c15, where the text lies: the sector is loaded at 0x7c00
    b"\xba\xf8\x03"      # dx = 0x3f8, the serial line
    b"\xac\x84\xc0"      # next: al = *si++; is it 0?
    b"\x74\x03"          # then on to the end
    b"\xee\xeb\xf8"      # send al, back to next
    b"\xf4\xeb\xfd"      # end: halt, for ever
    + BOOTED + b"\0"
).ljust(510, b"\0") + b"\x55\xaa"

PASSPHRASE = "hunter2 für Gäste".encode()
SECRET = """
<secret ephemeral='no' private='yes'>
  <uuid>{uuid}</uuid>
  <usage type='volume'><volume>{usage}</volume></usage>
</secret>"""
GUEST = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{disk}'>
        <encryption format='luks'><secret type='passphrase' {secret}/></encryption>
      </source>
      <target dev='vda' bus='virtio'/>
    </disk>
    <serial type='file'><source path='{serial}'/></serial>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>"""

# Nothing of the machine is needed or changed: no other users, labels, control groups, devices, no virtlogd.
QEMU_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""
# The QEMU driver does not start without the account that is its default, used or not.
ACCOUNTS = {"passwd": "libvirt-qemu:x:64055:64055::/:/bin/false\n", "group": "libvirt-qemu:x:64055:\n"}
# Makes libvirtd do as virtqemud, which Debian 12 does not ship. The two are built from one source and differ in the
# drivers that they load and in this flag: libvirtd never asks another daemon for what its own drivers do not offer.
# (libvirt 9.0.0, src/remote/remote_daemon.c, daemonRunStateInit; src/remote/remote_driver.c, remoteConnectOpen)
VIRTQEMUD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>

int virStateInitialize(bool privileged, bool mandatory, const char *root, bool monolithic, void *inhibit, void *opaque)
{
    int (*real)(bool, bool, const char *, bool, void *, void *) = dlsym(RTLD_NEXT, "virStateInitialize");
    return real(privileged, mandatory, root, false, inhibit, opaque);
}
"""


def scenario(secret_command, emulator, folder):
    secret_log = folder / "secret daemon.log"
    secret_daemon = start(secret_command, SECRET_SOCKET, secret_log)
    start(virtqemud(folder), QEMU_SOCKET, folder / "virtqemud.log")
    disks = make_disks(folder / "uuid.luks", folder / "usage.luks")
    guests = [Guest(lookup, disk, emulator) for lookup, disk in zip(("uuid", "usage"), disks)]
    with connection("qemu:///system") as hypervisor:
        for guest in guests:
            guest.check_starts(hypervisor)
        stop(secret_daemon)
        check("no start while the secret daemon is away",
              refused(hypervisor.lookupByName("uuid").create, libvirt.VIR_ERR_SYSTEM_ERROR, "virtsecretd-sock"))
        secret_daemon = start(secret_command, SECRET_SOCKET, secret_log)
        for guest in guests:
            guest.check_starts_again(hypervisor)
    stop(secret_daemon)
    check("no passphrase is in the secret daemon's log", b"hunter2" not in secret_log.read_bytes())


class Guest:
    """A guest, its disk, and the secret that opens it: its uuid or its usage is what the QEMU driver asks for."""

    def __init__(self, lookup, disk, emulator):
        self.lookup, self.serial = lookup, disk.with_suffix(".serial")
        self.uuid = str(uuid.uuid4())
        reference = {"uuid": self.uuid, "usage": disk}[lookup]
        self.secret_xml = SECRET.format(uuid=self.uuid, usage=disk)
        self.xml = GUEST.format(name=lookup, emulator=emulator, disk=disk, serial=self.serial,
                                secret=f"{lookup}='{reference}'")

    def check_starts(self, hypervisor):
        """Every start that must fail, then the one that must not."""
        domain = hypervisor.defineXML(self.xml)
        self.check("no start without the secret",
                   refused(domain.create, libvirt.VIR_ERR_NO_SECRET, f"no secret with matching {self.lookup} "))
        with connection("secret:///system") as secrets:
            secret = secrets.secretDefineXML(self.secret_xml)
            self.check("no start without a value",
                       refused(domain.create, libvirt.VIR_ERR_NO_SECRET, f"secret '{self.uuid}' does not have a value"))
            secret.setValue(b"hunter2, but wrong")
            self.check("no start with a wrong passphrase",
                       refused(domain.create, libvirt.VIR_ERR_INTERNAL_ERROR, "cannot unlock any keyslot"))
            secret.setValue(PASSPHRASE)
            self.check("it boots with the right passphrase", self.boots(domain))
            self.check("any other client is refused the value",
                       refused(secret.value, libvirt.VIR_ERR_INVALID_SECRET, "secret is private"))

    def check_starts_again(self, hypervisor):
        """With a secret daemon that is not the process the secret was given to."""
        domain = hypervisor.lookupByName(self.lookup)
        self.check("it boots after a restart of the secret daemon", self.boots(domain))
        with connection("secret:///system") as secrets:
            secrets.secretLookupByUUIDString(self.uuid).undefine()
        self.check("no start once the secret is gone",
                   refused(domain.create, libvirt.VIR_ERR_NO_SECRET, f"no secret with matching {self.lookup} "))

    def boots(self, domain):
        """Starts it, waits until its own program has run, and ends it."""
        self.serial.unlink(missing_ok=True)
        domain.create()
        wait(lambda: self.serial.exists() and BOOTED in self.serial.read_bytes(), "the guest boots")
        state, _ = domain.state()
        domain.destroy()
        return state == libvirt.VIR_DOMAIN_RUNNING

    def check(self, what, holds):
        check(f"by {self.lookup}: {what}", holds)


def make_disks(*paths):
    """Equal ones: qemu-img takes two seconds to measure how often this machine hashes a passphrase in 10 ms."""
    first, *others = paths
    plain, key = first.with_suffix(".raw"), first.with_suffix(".key")
    plain.write_bytes(BOOT_SECTOR.ljust(1 << 20, b"\0"))
    key.write_bytes(PASSPHRASE)
    subprocess.run(["qemu-img", "convert", "--object", f"secret,id=key,file={key}", "-O", "luks",
                    "-o", "key-secret=key,iter-time=10", plain, first], check=True, timeout=STEP_SECONDS)
    for path in others:
        shutil.copy(first, path)
    return paths


def refused(call, code, text):
    """Whether a call fails with this error."""
    try:
        call()
    except libvirt.libvirtError as error:
        if error.get_error_code() == code and text in error.get_error_message():
            return True
        print(f"expected error {code} {text!r}, got {error.get_error_code()} {error.get_error_message()!r}")
    return False


@contextlib.contextmanager
def connection(uri):
    opened = libvirt.open(uri)
    try:
        yield opened
    finally:
        opened.close()


def virtqemud(folder):
    preloaded = folder / "virtqemud.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", preloaded],
                   input=VIRTQEMUD.encode(), check=True, timeout=STEP_SECONDS)
    return libvirtd("qemu", os.path.dirname(QEMU_SOCKET), folder, f"LD_PRELOAD={preloaded}")


def virtsecretd(folder):
    """Debian 12 does not ship this either: libvirtd with the secret driver answers there, by a link to its socket."""
    sockets = folder / "sockets"
    sockets.mkdir()
    os.symlink(sockets / "libvirt-sock", SECRET_SOCKET)
    return libvirtd("secret", sockets, folder)


def libvirtd(driver, sockets, folder, *environment):
    """The command line of a libvirtd with this driver and no other."""
    drivers = folder / f"{driver} driver"
    drivers.mkdir()
    (library,) = glob.glob(DRIVER.format(driver))
    os.symlink(library, drivers / os.path.basename(library))
    settings = folder / f"{driver}.conf"
    settings.write_text(f'unix_sock_dir = "{sockets}"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n')
    return ["env", f"LIBVIRT_DRIVER_DIR={drivers}", *environment,
            "libvirtd", "-f", settings, "-p", folder / f"{driver}.pid"]


def start(command, path, log):
    """Starts a daemon and waits until it accepts a connection."""
    process = spawn(command, log)
    wait(lambda: accepts(path) or process.poll() is not None, f"{path} answers")
    check(f"{path} answers", process.poll() is None)
    return process


def stop(process):
    process.terminate()
    process.wait(STEP_SECONDS)


def make_private(folder):
    make_empty(PRIVATE)
    pathlib.Path("/etc/libvirt/qemu.conf").write_text(QEMU_CONF)
    for name, account in ACCOUNTS.items():
        replace(folder, f"/etc/{name}", append=account)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--emulator", default="qemu-system-x86_64")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--inside", type=pathlib.Path, help=argparse.SUPPRESS)  # A folder, in the namespaces.
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()

    def work(folder):
        make_private(folder)
        libvirt.registerErrorHandler(lambda *_: None, None)  # It would print every error, expected or not.
        scenario(given.command or virtsecretd(folder), os.path.abspath(shutil.which(given.emulator)), folder)

    drivers = [next(iter(glob.glob(pattern)), pattern) for pattern in map(DRIVER.format, ("qemu", "secret"))]
    run(parser, given, [*PROGRAMS, given.emulator, *drivers], work)


if __name__ == "__main__":
    main()
