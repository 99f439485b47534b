"""libvirt-python on whatever libvirt.so.0 it finds: all it has for secrets works, and the rest says that it does not.

usage: [LD_LIBRARY_PATH=LIBDIR LIBDIR=LIBDIR] [STANDIN=1] libvirt_python.py SECRET-URI

The URI names a socket, as `secret:///system?socket=PATH`. With LIBDIR, only a libvirt.so.0 in there will do. With
STANDIN=1, every other function of the binding must raise error 3, which the real library does for most alone. Prints
`ok NAME` for each part, stops at the first that fails, and never takes longer than two minutes.
"""
import asyncio
import contextlib
import faulthandler
import inspect
import os
import subprocess
import sys
import threading
import time
import uuid

import libvirt
import libvirtaio

from witness import STEP_SECONDS, check_library, equal, eventually, ok, relay

ALL_SECONDS = 120
THREADS, VALUES_PER_THREAD = 8, 500
USAGES = {libvirt.VIR_SECRET_USAGE_TYPE_VOLUME: ("volume", "volume"),
          libvirt.VIR_SECRET_USAGE_TYPE_CEPH: ("ceph", "name"),
          libvirt.VIR_SECRET_USAGE_TYPE_ISCSI: ("iscsi", "target"),
          libvirt.VIR_SECRET_USAGE_TYPE_TLS: ("tls", "name"),
          libvirt.VIR_SECRET_USAGE_TYPE_VTPM: ("vtpm", "name")}
LIFECYCLE, VALUE_CHANGED = libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE, libvirt.VIR_SECRET_EVENT_ID_VALUE_CHANGED
DEFINED, UNDEFINED = libvirt.VIR_SECRET_EVENT_DEFINED, libvirt.VIR_SECRET_EVENT_UNDEFINED

# What a connection can do; whatever else a binding has, now or later, it must refuse.
WORKING = {
    "close", "c_pointer", "getLibVersion", "getType", "getURI", "isAlive", "isEncrypted", "isSecure",
    "registerCloseCallback", "unregisterCloseCallback", "setIdentity", "setKeepAlive", "virConnGetLastError",
    "virConnResetLastError", "listAllSecrets", "listSecrets", "numOfSecrets", "secretDefineXML",
    "secretEventDeregisterAny", "secretEventRegisterAny", "secretLookupByUUID", "secretLookupByUUIDString",
    "secretLookupByUsage"}
# Python answers these itself as long as nothing was registered, and nothing can be.
ANSWERED_BY_PYTHON = {"domainEventDeregister", "domainEventDeregisterAny", "networkEventDeregisterAny",
                      "nodeDeviceEventDeregisterAny", "storagePoolEventDeregisterAny"}
# What passes the binding's own checks; for every other argument a text does.
ARGUMENTS = {
    "uuid": bytes(16), "xmlCPUs": ["<cpu/>"], "params": {"shm_pages_to_scan": 1}, "files": [], "doms": [], "dom": None,
    "net": None, "pool": None, "dev": None, "cb": lambda *_: None, "pages": [4], ("allocPages", "pages"): {4: 1},
    "startCell": 0, "maxCells": 1, "cellNum": 0, "cpuNum": 0, "id": 1, "eventID": 0, "target": 0, "duration": 60}


def xml(identity, attributes="", rest=""):
    return f"<secret {attributes}><uuid>{identity}</uuid>{rest}</secret>"


@contextlib.contextmanager
def defined(connection, attributes="", rest="", value=None):
    """A secret for a while."""
    secret = connection.secretDefineXML(xml(uuid.uuid4(), attributes, rest))
    if value is not None:
        secret.setValue(value)
    try:
        yield secret
    finally:
        secret.undefine()


def refused(code, function, *arguments):
    """The error that a function raises."""
    try:
        answer = function(*arguments)
    except libvirt.libvirtError as error:
        equal(code, error.get_error_code(), f"{function.__name__}: {error}")
        return error
    raise AssertionError(f"{function.__name__} is not refused but answers {answer!r}")


# The parts. Each is called with a connection of its own.

def connection(it):
    equal("secret", it.getType(), "type")
    equal((1, 0, 1), (it.isSecure(), it.isEncrypted(), it.isAlive()), "secure, encrypted, alive")
    equal(URI, it.getURI(), "URI")
    version = it.getLibVersion()
    assert version > 1_000_000, f"the daemon's version is {version}"
    assert libvirt.getVersion() > 1_000_000, "the library's version"
    for function in (it.getVersion, it.getHostname, it.getCapabilities, it.getInfo):
        refused(libvirt.VIR_ERR_NO_SUPPORT, function)
    equal(0, it.setIdentity({libvirt.VIR_CONNECT_IDENTITY_USER_NAME: "somebody"}), "setIdentity")


def open_auth(_):
    types = [libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE]
    asked = []
    with libvirt.openAuth(URI, [types, lambda credentials, _: asked.append(credentials) or 0, None], 0) as it:
        equal("secret", it.getType(), "type")
        equal([], asked, "credentials that a UNIX socket needs")
    with libvirt.openAuth(URI, [types, lambda *_: 0, None], libvirt.VIR_CONNECT_RO) as it:
        refused(libvirt.VIR_ERR_OPERATION_DENIED, it.secretDefineXML, "<secret/>")
    for wrong in ("secret:///system?socket=/nowhere", "nonsense:///", "secret:///wrong"):
        try:
            libvirt.open(wrong)
        except libvirt.libvirtError as error:
            assert error.get_error_code() and error.get_error_message(), f"{wrong}: {error.err}"
        else:
            raise AssertionError(f"{wrong} is opened")


def open_read_only(it):
    with defined(it, value=b"hunter2") as secret, libvirt.openReadOnly(URI) as reader:
        found = reader.secretLookupByUUIDString(secret.UUIDString())
        equal(secret.XMLDesc(), found.XMLDesc(), "XML")
        assert secret.UUIDString() in reader.listSecrets(), "it is listed"
        for name, function, *arguments in (
                ("virSecretDefineXML", reader.secretDefineXML, "<secret/>"), ("virSecretGetValue", found.value),
                ("virSecretSetValue", found.setValue, b"x"), ("virSecretUndefine", found.undefine)):
            error = refused(libvirt.VIR_ERR_OPERATION_DENIED, function, *arguments)
            equal(f"operation forbidden: read only access prevents {name}", str(error))


def define_value_undefine(it):
    before = it.numOfSecrets()
    identity = uuid.uuid4()
    description = "<description>ä &lt;text&gt; &amp; more</description>"
    usage = "<usage type='ceph'><name>client.&lt;p&gt; é</name></usage>"
    secret = it.secretDefineXML(xml(identity, "ephemeral='no' private='no'", description + usage))
    equal((str(identity), identity.bytes), (secret.UUIDString(), secret.UUID()), "UUID")
    equal((libvirt.VIR_SECRET_USAGE_TYPE_CEPH, "client.<p> é"), (secret.usageType(), secret.usageID()), "usage")
    for part in ("<secret ephemeral='no' private='no'>", f"<uuid>{identity}</uuid>", description, usage[:19],
                 "<name>client.&lt;p&gt; é</name>"):
        assert part in secret.XMLDesc(0), f"{part} is missing in {secret.XMLDesc()}"
    refused(libvirt.VIR_ERR_INVALID_ARG, secret.XMLDesc, 4)
    equal(before + 1, it.numOfSecrets(), "number")

    refused(libvirt.VIR_ERR_NO_SECRET, secret.value)
    for value in (b"hunter2", b"\0", b"\xff\xfe\0x\0", bytes(range(256)), os.urandom(65_536)):
        equal(0, secret.setValue(value), "setValue")
        assert secret.value() == value, f"another value than that of {len(value)} bytes that was set"
    equal(0, secret.setValue("ünï 密"), "setValue with a text, as Nova does")
    equal("ünï 密".encode(), secret.value(), "value")
    for wrong in (b"", bytes(65_537)):
        try:
            secret.setValue(wrong)
        except libvirt.libvirtError:
            equal("ünï 密".encode(), secret.value(), "value after one that was refused")
        else:
            raise AssertionError(f"a value of {len(wrong)} bytes is taken")

    again = it.secretDefineXML(xml(identity, rest=usage))
    assert "description" not in again.XMLDesc(), again.XMLDesc()
    equal(secret.value(), again.value(), "value after the definition was replaced")
    equal(0, secret.undefine(), "undefine")
    for function in (secret.value, again.undefine, secret.XMLDesc):
        refused(libvirt.VIR_ERR_NO_SECRET, function)
    equal(before, it.numOfSecrets(), "number")
    for wrong in ("", "<secret>", "<domain/>", xml("x"), "<secret ephemeral='maybe'/>"):
        try:
            it.secretDefineXML(wrong)
        except libvirt.libvirtError as error:
            assert error.get_error_code(), error
        else:
            raise AssertionError(f"{wrong!r} is defined")
    it.secretDefineXML("<secret><unknown/></secret>").undefine()
    refused(libvirt.VIR_ERR_XML_INVALID_SCHEMA, it.secretDefineXML, "<secret><unknown/></secret>",
            libvirt.VIR_SECRET_DEFINE_VALIDATE)


def lookups(it):
    for number, (name, element) in USAGES.items():
        usage = f"<usage type='{name}'><{element}>/for all</{element}></usage>"
        with defined(it, rest=usage, value=name.encode()) as secret:
            for found in (it.secretLookupByUUIDString(secret.UUIDString()), it.secretLookupByUUID(secret.UUID()),
                          it.secretLookupByUsage(number, "/for all")):
                equal((secret.UUID(), number, "/for all", name.encode()),
                      (found.UUID(), found.usageType(), found.usageID(), found.value()), name)
            refused(libvirt.VIR_ERR_NO_SECRET, it.secretLookupByUsage, number, "/for none")
    with defined(it) as secret:
        equal((libvirt.VIR_SECRET_USAGE_TYPE_NONE, ""), (secret.usageType(), secret.usageID()), "no usage")
    refused(libvirt.VIR_ERR_NO_SECRET, it.secretLookupByUUIDString, str(uuid.uuid4()))
    refused(libvirt.VIR_ERR_NO_SECRET, it.secretLookupByUUID, bytes(16))
    refused(libvirt.VIR_ERR_INVALID_ARG, it.secretLookupByUUIDString, "nonsense")


def lists(it):
    kinds = [(ephemeral, private) for ephemeral in ("no", "yes") for private in ("no", "yes")]
    with contextlib.ExitStack() as stack:
        ours = {}
        for kind in kinds:
            secret = stack.enter_context(defined(it, "ephemeral='{}' private='{}'".format(*kind)))
            ours[secret.UUIDString()] = kind
        for flags in range(16):
            def passes(yes, of_yes, of_no):
                return not flags & (of_yes | of_no) or bool(flags & (of_yes if yes == "yes" else of_no))
            expected = {identity for identity, (ephemeral, private) in ours.items()
                        if passes(ephemeral, libvirt.VIR_CONNECT_LIST_SECRETS_EPHEMERAL,
                                  libvirt.VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL)
                        and passes(private, libvirt.VIR_CONNECT_LIST_SECRETS_PRIVATE,
                                   libvirt.VIR_CONNECT_LIST_SECRETS_NO_PRIVATE)}
            found = {secret.UUIDString() for secret in it.listAllSecrets(flags)}
            equal(expected, found & set(ours), f"those listed by flags {flags}")
        assert set(ours) <= set(it.listSecrets()), "all are listed"
        equal(len(it.listSecrets()), it.numOfSecrets(), "number")
        refused(libvirt.VIR_ERR_INVALID_ARG, it.listAllSecrets, 16)


def errors(it):
    told = []
    libvirt.registerErrorHandler(lambda context, error: told.append((context, error)), "context")
    identity = str(uuid.uuid4())
    error = refused(libvirt.VIR_ERR_NO_SECRET, it.secretLookupByUUIDString, identity)
    detail = f"no secret with matching uuid '{identity}'"
    equal((libvirt.VIR_FROM_SECRET, f"Secret not found: {detail}", libvirt.VIR_ERR_ERROR),
          (error.get_error_domain(), error.get_error_message(), error.get_error_level()), "domain, message, level")
    equal((detail, None, -1, -1), (error.get_str2(), error.get_str3(), error.get_int1(), error.get_int2()), "rest")
    assert error.get_str1().startswith("Secret not found: %"), error.get_str1()
    equal(f"Secret not found: {detail}", str(error), "text")
    equal([("context", error.err)], told, "what the handler is told")
    equal(error.err, libvirt.virGetLastError(), "last error")
    equal(error.get_error_message(), libvirt.virGetLastErrorMessage(), "last message")
    it.numOfSecrets()
    equal(None, libvirt.virGetLastError(), "last error after a success")
    refused(libvirt.VIR_ERR_NO_SECRET, it.secretLookupByUUIDString, identity)
    libvirt.virResetLastError()
    equal(None, libvirt.virGetLastError(), "last error after a reset")
    libvirt.registerErrorHandler(lambda *_: None, None)  # They are raised; it would print them as well.


def references(it):
    with defined(it, value=b"hunter2") as kept:
        other = libvirt.open(URI)
        secret = other.secretLookupByUUIDString(kept.UUIDString())
        assert secret.connect() is other, "its connection"
        equal(1, other.close(), "references that are left")
        equal(b"hunter2", secret.value(), "value over the connection that the secret keeps")
        refused(libvirt.VIR_ERR_INVALID_CONN, other.numOfSecrets)
        del secret


def threads(it):
    def read(number, wrong):
        try:
            with defined(it, value=f"value {number}".encode()) as secret:
                for _ in range(VALUES_PER_THREAD):
                    equal(f"value {number}".encode(), secret.value(), f"thread {number}")
                    refused(libvirt.VIR_ERR_INVALID_ARG, it.secretLookupByUUIDString, f"{number}")
                    equal(libvirt.VIR_ERR_INVALID_ARG, libvirt.virGetLastError()[0], "the thread's own last error")
        except BaseException as error:
            wrong.append(error)

    wrong = []
    workers = [threading.Thread(target=read, args=(number, wrong)) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong, wrong


def listen(it, secret, told):
    """Notes what is told of all secrets and of one, and says how to stop that."""
    def lifecycle(connection, secret, event, detail, who):
        assert connection is it, "another connection's"
        told.append((who, secret.UUIDString(), event, detail))

    def changed(connection, secret, who):
        told.append((who, secret.UUIDString()))

    callbacks = [it.secretEventRegisterAny(None, LIFECYCLE, lifecycle, "all"),
                 it.secretEventRegisterAny(secret, LIFECYCLE, lifecycle, "one"),
                 it.secretEventRegisterAny(None, VALUE_CHANGED, changed, "values"),
                 it.secretEventRegisterAny(secret, VALUE_CHANGED, changed, "value")]
    equal(len(callbacks), len(set(callbacks)), "numbers of callbacks")
    return lambda: [it.secretEventDeregisterAny(callback) for callback in callbacks]


def cause_events(it, secret):
    """Changes one secret and another, and tells what everybody must hear of that."""
    ours, other = secret.UUIDString(), str(uuid.uuid4())
    secret.setValue(b"hunter2")
    it.secretDefineXML(xml(other)).setValue(b"x")
    it.secretLookupByUUIDString(other).undefine()
    it.secretDefineXML(xml(ours, rest="<description>changed</description>"))
    secret.undefine()
    return {"all": [("all", other, DEFINED, 0), ("all", other, UNDEFINED, 0), ("all", ours, DEFINED, 0),
                    ("all", ours, UNDEFINED, 0)],
            "one": [("one", ours, DEFINED, 0), ("one", ours, UNDEFINED, 0)],
            "values": [("values", ours), ("values", other)],
            "value": [("value", ours)]}


def heard(told, expected):
    """Whether it was told all of it, and nothing else."""
    return all(expected[who] == [words for words in told if words[0] == who] for who in expected)


def default_events(it):
    told = []
    secret = it.secretDefineXML(xml(uuid.uuid4()))
    stop = listen(it, secret, told)
    with libvirt.open(URI) as elsewhere:
        expected = cause_events(elsewhere, elsewhere.secretLookupByUUIDString(secret.UUIDString()))
        eventually(f"{expected}", lambda: heard(told, expected))
        stop()
        so_far = len(told)
        elsewhere.secretDefineXML(xml(uuid.uuid4())).undefine()
        it.numOfSecrets()
        time.sleep(0.2)
        equal(so_far, len(told), "what is told after the end")
    timer_of_the_default_loop()


def timer_of_the_default_loop():
    """The loop itself: timers, and handles on a pipe."""
    told = []
    timer = libvirt.virEventAddTimeout(10, lambda number, opaque: told.append(opaque), "tick")
    eventually("a timer ticks", lambda: told.count("tick") >= 3)
    libvirt.virEventUpdateTimeout(timer, -1)
    libvirt.virEventRemoveTimeout(timer)
    read, write = os.pipe()
    handle = libvirt.virEventAddHandle(read, libvirt.VIR_EVENT_HANDLE_READABLE,
                                       lambda number, fd, events, opaque: told.append(os.read(fd, 9)), None)
    os.write(write, b"tock")
    eventually("a pipe is readable", lambda: b"tock" in told)
    libvirt.virEventUpdateHandle(handle, 0)
    libvirt.virEventRemoveHandle(handle)
    os.close(read)
    os.close(write)


def python_events(_):
    """In another process, as an event loop is chosen once."""
    subprocess.run([sys.executable, __file__, "--asyncio", URI], check=True, timeout=STEP_SECONDS)


async def asyncio_events():
    libvirtaio.virEventRegisterAsyncIOImpl()
    told, closed = [], []
    it, elsewhere = libvirt.open(URI), libvirt.open(URI)
    secret = it.secretDefineXML(xml(uuid.uuid4()))
    stop = listen(it, secret, told)
    expected = cause_events(elsewhere, secret)  # In the loop's thread: libvirtaio does not promise to work in others.
    await soon(f"{expected}", lambda: heard(told, expected))
    stop()
    equal(0, it.setKeepAlive(1, 5), "setKeepAlive")
    with relay(URI) as (uri, cut):
        through = note_close(uri, closed)
        cut()
        await soon("the close callback", lambda: closed)
        assert_closed(through, closed)
    await asyncio.sleep(1.5)
    equal(1, it.isAlive(), "alive after a while")


async def soon(what, holds):
    end = time.monotonic() + STEP_SECONDS
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        await asyncio.sleep(0.01)


def note_close(uri, closed):
    through = libvirt.open(uri)
    equal(1, through.isAlive(), "alive")
    through.registerCloseCallback(lambda connection, reason, opaque: closed.append((reason, opaque)), "gone")
    return through


def assert_closed(through, closed):
    """With a reason that depends on what the loop says first: that the other side hung up, or that nothing is read."""
    (reason, opaque), = closed
    assert reason in (libvirt.VIR_CONNECT_CLOSE_REASON_EOF, libvirt.VIR_CONNECT_CLOSE_REASON_ERROR), f"reason {reason}"
    equal(("gone", 0), (opaque, through.isAlive()), "what was registered, and alive")
    for function in (through.numOfSecrets, through.getLibVersion):
        try:
            function()
        except libvirt.libvirtError as error:  # By these Nova knows that it must connect anew.
            assert error.get_error_code() in (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_INTERNAL_ERROR), error.err
            assert error.get_error_domain() in (libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_RPC), error.err
        else:
            raise AssertionError("a connection that was cut still answers")


def close_callback(it):
    equal(0, it.registerCloseCallback(lambda *_: None, None), "registerCloseCallback")
    it.unregisterCloseCallback()
    closed = []
    with relay(URI) as (uri, cut):
        through = note_close(uri, closed)
        cut()
        eventually("the close callback", lambda: closed)
        assert_closed(through, closed)


def keep_alive(it):
    equal(0, it.setKeepAlive(1, 2), "setKeepAlive")
    time.sleep(3.5)
    equal(1, it.isAlive(), "alive after pings and nothing else")
    it.numOfSecrets()
    equal(0, it.setKeepAlive(0, 0), "setKeepAlive off")


def everything_else(it):
    """By introspection: every other method of a connection."""
    names = {name for name, _ in inspect.getmembers(libvirt.virConnect, inspect.isfunction) if not name.startswith("_")}
    assert WORKING | ANSWERED_BY_PYTHON <= names, "they have other names"
    names -= WORKING | ANSWERED_BY_PYTHON
    assert len(names) > 100, f"only {len(names)} methods"
    for name in sorted(names):
        code, text = call(it, name)
        equal(libvirt.VIR_ERR_NO_SUPPORT, code, f"{name}: {text}")
        assert text.startswith("this function is not supported by the connection driver: vir"), f"{name}: {text}"
    equal((1, "secret"), (it.isAlive(), it.getType()), "alive after all that, and type")


def call(of, name):
    """Calls a method with the fewest arguments that will do, and tells the error that it raises, or only leaves."""
    function = getattr(of, name)
    needed = [parameter.name for parameter in inspect.signature(function).parameters.values()
              if parameter.default is parameter.empty]
    try:
        answer = function(*[ARGUMENTS.get((name, it), ARGUMENTS.get(it, "x")) for it in needed])
    except libvirt.libvirtError as error:
        return error.get_error_code(), error.get_error_message()
    assert (name, answer) == ("getFreeMemory", 0), f"{name} is not refused but answers {answer!r}"
    return libvirt.virGetLastError()[0], libvirt.virGetLastErrorMessage()  # Where the binding does not look for errors.


def library(_):
    check_library()
    print("    ", libvirt.getVersion(), "by", libvirt.__file__, flush=True)


def main():
    faulthandler.enable()
    faulthandler.dump_traceback_later(ALL_SECONDS, exit=True)
    libvirt.registerErrorHandler(lambda *_: None, None)
    if "--asyncio" in sys.argv:
        asyncio.run(asyncio_events())
        return
    libvirt.virEventRegisterDefaultImpl()

    def run_events():
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=run_events, daemon=True).start()
    parts = [library, connection, open_auth, open_read_only, define_value_undefine, lookups, lists, errors, references,
             threads, default_events, python_events, close_callback, keep_alive]
    if os.environ.get("STANDIN"):
        parts.append(everything_else)
    for part in parts:
        with libvirt.open(URI) as it:
            part(it)
        ok(part.__name__)


URI = sys.argv[-1]
main()
