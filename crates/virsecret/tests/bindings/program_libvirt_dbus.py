"""libvirt-dbus, as Debian builds it, offers the secrets of a secret daemon on a bus: calls, properties and signals.

usage: [LD_LIBRARY_PATH=LIBDIR LIBDIR=LIBDIR] program_libvirt_dbus.py SECRET-URI [REST-URL]

It is a program in C that calls libvirt's library in a pool of threads, with GLib's event loop in the place of
libvirt's own. The Python that runs this is the one of the folder that install.sh makes, and has jeepney, which talks to
it.

It knows hypervisors only, and opens `qemu:///system`. A monolithic libvirtd would answer that at its socket and have
secrets besides; here a go-between does, which opens the URI of the secret daemon instead and passes on all else as it
is. The bus and that socket are in namespaces of the test's own, for which root's rights are needed.
"""
import contextlib
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import uuid

from jeepney import DBusAddress, DBusErrorResponse, MatchRule, Properties, message_bus, new_method_call
from jeepney.io.blocking import open_dbus_connection

from witness import STEP_SECONDS, Witness, check_library, equal, eventually, ok

ALL_SECONDS = 120
DOOR = "/run/libvirt/libvirt-sock"
PROGRAM = pathlib.Path(sys.executable).parents[1] / "libvirt-dbus"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
DEFINED, UNDEFINED = 0, 1
CEPH = 2
HEADER_BYTES, OPEN = 28, 1  # Of a message of libvirt's RPC, with its length; the call that names the URI.


class GoBetween:
    """Listens at libvirtd's socket and leads to a secret daemon."""

    def __init__(self, uri):
        parts = urllib.parse.urlsplit(uri)
        self.name = f"{parts.scheme}://{parts.path}".encode()
        self.path = urllib.parse.parse_qs(parts.query)["socket"][0]
        self.ends = []
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(DOOR)
        self.door.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, daemon = self.door.accept()[0], socket.socket(socket.AF_UNIX)
            daemon.connect(self.path)
            self.ends += client, daemon
            threading.Thread(target=self.calls, args=(client, daemon), daemon=True).start()
            threading.Thread(target=self.answers, args=(daemon, client), daemon=True).start()

    def calls(self, client, daemon):
        with contextlib.suppress(OSError):
            while len(head := client.recv(HEADER_BYTES, socket.MSG_WAITALL)) == HEADER_BYTES:
                length, _, _, procedure = struct.unpack(">4I", head[:16])
                body = client.recv(length - HEADER_BYTES, socket.MSG_WAITALL) if length > HEADER_BYTES else b""
                if procedure == OPEN:
                    padding = bytes(-len(self.name) % 4)
                    body = struct.pack(">2I", 1, len(self.name)) + self.name + padding + body[-4:]
                daemon.sendall(struct.pack(">I", HEADER_BYTES + len(body)) + head[4:] + body)
        self.cut()

    def answers(self, daemon, client):
        with contextlib.suppress(OSError):
            while data := daemon.recv(65_536):
                client.sendall(data)
        self.cut()

    def cut(self):
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Bus:
    """The connection to the bus: calls of libvirt-dbus, and what it tells."""

    CONNECT = "/org/libvirt/QEMU"

    def __init__(self):
        self.calls, self.listener = open_dbus_connection(), open_dbus_connection()
        rule = MatchRule(type="signal", interface="org.libvirt.Connect", member="SecretEvent", path=self.CONNECT)
        self.listener.send_and_get_reply(message_bus.AddMatch(rule), timeout=STEP_SECONDS)
        self.told = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            message = self.listener.receive()
            if message.header.fields.get(3) == "SecretEvent":
                self.told.append(message.body)

    def connect(self, method, signature="", *arguments):
        return self.call(self.CONNECT, "Connect", method, signature, *arguments)

    def call(self, path, interface, method, signature="", *arguments):
        at = DBusAddress(path, "org.libvirt", f"org.libvirt.{interface}")
        return self.ask(new_method_call(at, method, signature or None, arguments))

    def property(self, path, interface, name):
        at = DBusAddress(path, "org.libvirt", f"org.libvirt.{interface}")
        return self.ask(Properties(at).get(name))[1]

    def ask(self, message):
        answer = self.calls.send_and_get_reply(message, timeout=STEP_SECONDS)
        if answer.header.message_type.name == "error":
            raise DBusErrorResponse(answer)
        return answer.body[0] if answer.body else None

    def refused(self, text, function, *arguments):
        try:
            answer = function(*arguments)
        except DBusErrorResponse as error:
            equal("org.libvirt.Error", error.name, "name of the error")
            assert text in error.data[0], f"{text!r} is not in {error.data[0]!r}"
        else:
            raise AssertionError(f"{arguments} is not refused but answered {answer!r}")


def path(identity):
    return f"{Bus.CONNECT}/secret/_{identity.replace('-', '_')}"


def secret(bus, see, _):
    identity = str(uuid.uuid4())
    usage = f"<description>of the bus</description><usage type='ceph'><name>{identity}</name></usage>"
    at = bus.connect("SecretDefineXML", "su", f"<secret private='no'><uuid>{identity}</uuid>{usage}</secret>", 0)
    equal(path(identity), at, "path")
    assert "<description>of the bus</description>" in see.xml(identity), see.xml(identity)
    for value in (b"hunter2", b"\0\xff", os.urandom(65_536)):
        bus.call(at, "Secret", "SetValue", "ayu", value, 0)
        equal(value, see.value(identity), "value")
        equal(value, bytes(bus.call(at, "Secret", "GetValue", "u", 0)), "value on the bus")
    for name, expected in (("UUID", identity), ("UsageType", CEPH), ("UsageID", identity)):
        equal(expected, bus.property(at, "Secret", name), name)
    assert f"<uuid>{identity}</uuid>" in bus.call(at, "Secret", "GetXMLDesc", "u", 0), "XML"
    equal(at, bus.connect("SecretLookupByUUID", "s", identity), "found by UUID")
    equal(at, bus.connect("SecretLookupByUsage", "is", CEPH, identity), "found by usage")
    assert at in bus.connect("ListSecrets", "u", 0), "it is listed"
    bus.call(at, "Secret", "Undefine")
    assert identity not in see.listed(), "it is gone"
    bus.refused(f"no secret with matching uuid '{identity}'", bus.call, at, "Secret", "GetValue", "u", 0)
    eventually("signals", lambda: [(at, DEFINED, 0), (at, UNDEFINED, 0)] == [it for it in bus.told if it[0] == at])


def signals_of_others(bus, see, _):
    identity = str(uuid.uuid4())
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(f"<secret><uuid>{identity}</uuid></secret>")
        file.flush()
        see.virsh("secret-define", file.name)
    see.virsh("secret-undefine", identity)
    expected = [(path(identity), DEFINED, 0), (path(identity), UNDEFINED, 0)]
    eventually("signals", lambda: expected == [it for it in bus.told if it[0] == path(identity)])


def reconnect(bus, see, door):
    """As after a restart of the daemon: the next call opens another connection, and signals come by that."""
    for _ in range(3):
        door.cut()
        eventually("it connects anew", lambda: not isinstance(answer(bus, "ListSecrets", "u", 0), Exception))
        signals_of_others(bus, see, door)


def answer(bus, *call):
    try:
        return bus.connect(*call)
    except DBusErrorResponse as error:
        return error


def unsupported(bus, *_):
    text = "this function is not supported by the connection driver: vir"
    for call in (("ListDomains", "u", 0), ("ListNetworks", "u", 0), ("DomainLookupByName", "s", "x"),
                 ("GetCapabilities",), ("StoragePoolLookupByName", "s", "x"), ("NodeGetCPUMap", "u", 0)):
        bus.refused(text, bus.connect, *call)
    bus.refused(text, bus.property, bus.CONNECT, "Connect", "Hostname")
    assert bus.property(bus.CONNECT, "Connect", "LibVersion") > 1_000_000, "version"
    equal(False, bus.property(bus.CONNECT, "Connect", "Encrypted"), "encrypted")


def inside(uri, *url):
    """In the namespaces."""
    see = Witness(uri, *url)
    os.makedirs(os.path.dirname(DOOR), exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", os.path.dirname(DOOR)], check=True)
    door = GoBetween(uri)
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix:path={folder}/bus"
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = address
        subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"],
                         stderr=subprocess.DEVNULL)  # It would like more open files.
        eventually("the bus", lambda: os.path.exists(f"{folder}/bus"))
        libraries = [*filter(None, [os.environ.get("LD_LIBRARY_PATH")]), f"{PROGRAM}/{LIBRARIES}"]
        program = subprocess.Popen([f"{PROGRAM}/usr/sbin/libvirt-dbus", "--system"], env=os.environ | {
            "LD_LIBRARY_PATH": ":".join(libraries),
            "VIRT_DBUS_INTERFACES_DIR": f"{PROGRAM}/usr/share/dbus-1/interfaces"})
        bus = Bus()
        has_owner = message_bus.NameHasOwner("org.libvirt")
        eventually("its name", lambda: bus.calls.send_and_get_reply(has_owner, timeout=STEP_SECONDS).body[0])
        for part in (secret, signals_of_others, reconnect, unsupported):
            part(bus, see, door)
            ok(part.__name__)
        check_library(program.pid)
        equal(None, program.poll(), "its end")


def main():
    if sys.argv[1] == "--inside":
        return inside(*sys.argv[2:])
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*namespaces, sys.executable, __file__, "--inside", *sys.argv[1:]]
    sys.exit(subprocess.run(command, timeout=ALL_SECONDS).returncode)


main()
