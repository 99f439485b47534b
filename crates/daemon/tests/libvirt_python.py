"""libvirt-python, as it comes with the system: every function that it has for secrets.

usage: libvirt_python.py SECRET-URI
"""
import sys
import threading
import time
import unittest
import uuid

import libvirt

URI = sys.argv.pop(1)
PATIENCE_SECONDS = 60
ALL_FUNCTIONS = {
    "listAllSecrets", "listSecrets", "numOfSecrets", "secretDefineXML", "secretEventDeregisterAny",
    "secretEventRegisterAny", "secretLookupByUUID", "secretLookupByUUIDString", "secretLookupByUsage"}

libvirt.registerErrorHandler(lambda *_: None, None)  # They are raised; it would print them as well.
libvirt.virEventRegisterDefaultImpl()


def run_events():
    while True:
        libvirt.virEventRunDefaultImpl()


threading.Thread(target=run_events, daemon=True).start()


def xml(identity, attributes="", rest=""):
    return f"<secret {attributes}><uuid>{identity}</uuid>{rest}</secret>"


class Case(unittest.TestCase):
    def setUp(self):
        self.connection = libvirt.open(URI)
        self.addCleanup(self.connection.close)
        self.identity = str(uuid.uuid4())

    def define(self, attributes="", rest=""):
        return self.connection.secretDefineXML(xml(self.identity, attributes, rest))

    def assert_refused(self, code, function, *arguments):
        with self.assertRaises(libvirt.libvirtError) as raised:
            function(*arguments)
        self.assertEqual(code, raised.exception.get_error_code(), raised.exception)
        return raised.exception


class Connections(Case):
    def test_what_a_connection_says_of_itself(self):
        connection = self.connection
        self.assertEqual(("secret", 1, 1), (connection.getType(), connection.isSecure(), connection.isAlive()))
        self.assertEqual(0, connection.isEncrypted())  # A UNIX socket needs no encryption to be secure.
        self.assertTrue(connection.getURI().startswith("secret:///system"))
        self.assertEqual(12_008_000, connection.getLibVersion())
        self.assertEqual(0, connection.setKeepAlive(5, 3))

    def test_what_is_not_a_secret_daemons_is_refused(self):
        for function in (self.connection.getVersion, self.connection.getHostname, self.connection.getCapabilities,
                         self.connection.getInfo, self.connection.listAllDomains):
            self.assert_refused(libvirt.VIR_ERR_NO_SUPPORT, function)

    def test_a_read_only_connection_only_reads(self):
        secret = self.define()
        secret.setValue(b"hunter2")
        with libvirt.openReadOnly(URI) as reader:
            found = reader.secretLookupByUUIDString(self.identity)
            self.assertEqual(secret.XMLDesc(), found.XMLDesc())
            for function, *arguments in ((found.value,), (found.setValue, b"x"), (found.undefine,),
                                         (reader.secretDefineXML, xml(self.identity))):
                self.assert_refused(libvirt.VIR_ERR_OPERATION_DENIED, function, *arguments)


class Secrets(Case):
    def test_every_function_is_tested_here(self):
        functions = {name for name in dir(libvirt.virConnect) if "ecret" in name and not name.startswith("_")}
        self.assertEqual(ALL_FUNCTIONS, functions)

    def test_from_define_to_undefine(self):
        before = self.connection.numOfSecrets()
        secret = self.define(rest="<description>d</description><usage type='ceph'><name>client.p</name></usage>")
        self.assertEqual((self.identity, uuid.UUID(self.identity).bytes), (secret.UUIDString(), secret.UUID()))
        self.assertEqual((libvirt.VIR_SECRET_USAGE_TYPE_CEPH, "client.p"), (secret.usageType(), secret.usageID()))
        self.assertIn("<description>d</description>", secret.XMLDesc())
        self.assertEqual(before + 1, self.connection.numOfSecrets())
        self.assertIn(self.identity, self.connection.listSecrets())

        self.assert_refused(libvirt.VIR_ERR_NO_SECRET, secret.value)
        for value in (b"hunter2", b"\x00\xff", bytes(65_536)):
            self.assertEqual(0, secret.setValue(value))
            self.assertEqual(value, secret.value())
        self.assert_refused(libvirt.VIR_ERR_RPC, secret.setValue, bytes(65_537))
        self.assertEqual(0, secret.undefine())
        self.assert_refused(libvirt.VIR_ERR_NO_SECRET, secret.value)
        self.assertEqual(before, self.connection.numOfSecrets())

    def test_lookups(self):
        usages = {libvirt.VIR_SECRET_USAGE_TYPE_VOLUME: ("volume", "volume"),
                  libvirt.VIR_SECRET_USAGE_TYPE_CEPH: ("ceph", "name"),
                  libvirt.VIR_SECRET_USAGE_TYPE_ISCSI: ("iscsi", "target"),
                  libvirt.VIR_SECRET_USAGE_TYPE_TLS: ("tls", "name"),
                  libvirt.VIR_SECRET_USAGE_TYPE_VTPM: ("vtpm", "name")}
        for number, (name, element) in usages.items():
            identity = str(uuid.uuid4())
            usage = f"<usage type='{name}'><{element}>/the same</{element}></usage>"
            self.connection.secretDefineXML(xml(identity, rest=usage))
            found = self.connection.secretLookupByUsage(number, "/the same")
            self.assertEqual((identity, number), (found.UUIDString(), found.usageType()))
            self.assertEqual(identity, self.connection.secretLookupByUUIDString(identity).UUIDString())
            self.assertEqual(identity, self.connection.secretLookupByUUID(uuid.UUID(identity).bytes).UUIDString())
        self.assert_refused(libvirt.VIR_ERR_NO_SECRET, self.connection.secretLookupByUUIDString, self.identity)
        self.assert_refused(libvirt.VIR_ERR_NO_SECRET, self.connection.secretLookupByUsage, 1, "/another")

    def test_lists_by_flag(self):
        kinds = {("no", "no"), ("no", "yes"), ("yes", "no"), ("yes", "yes")}
        identities = {}
        for ephemeral, private in kinds:
            identities[ephemeral, private] = str(uuid.uuid4())
            attributes = f"ephemeral='{ephemeral}' private='{private}'"
            self.connection.secretDefineXML(xml(identities[ephemeral, private], attributes))
        ours = set(identities.values())
        for flags in range(16):
            def is_listed(ephemeral, private):
                by_ephemeral, by_private = flags & 3, flags >> 2 & 3
                return (by_ephemeral in (0, 3) or by_ephemeral == (1 if ephemeral == "yes" else 2)) and \
                       (by_private in (0, 3) or by_private == (1 if private == "yes" else 2))
            expected = {identity for kind, identity in identities.items() if is_listed(*kind)}
            found = {secret.UUIDString() for secret in self.connection.listAllSecrets(flags)}
            self.assertEqual(expected, found & ours, flags)
        self.assert_refused(libvirt.VIR_ERR_INVALID_ARG, self.connection.listAllSecrets, 16)

    def test_a_definition_is_checked(self):
        for wrong in ("", "<secret>", "<domain/>", "<secret><uuid>x</uuid></secret>",
                      "<secret><usage type='ceph'/></secret>", "<secret ephemeral='maybe'/>"):
            with self.assertRaises(libvirt.libvirtError):
                self.connection.secretDefineXML(wrong)
        with self.assertRaises(libvirt.libvirtError):
            self.connection.secretDefineXML("<secret><unknown/></secret>", libvirt.VIR_SECRET_DEFINE_VALIDATE)
        self.connection.secretDefineXML("<secret><unknown/></secret>").undefine()


class Events(Case):
    def test_events_come_to_whoever_asked_for_them(self):
        told = []
        note = lambda *words: told.append(words)
        lifecycle = lambda _, secret, event, detail, who: note(who, secret.UUIDString(), event, detail)
        changed = lambda _, secret, who: note(who, secret.UUIDString())
        other = self.connection.secretDefineXML(xml(uuid.uuid4()))
        secret = self.define()
        register = self.connection.secretEventRegisterAny
        callbacks = [
            register(None, libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE, lifecycle, "all"),
            register(secret, libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE, lifecycle, "one"),
            register(secret, libvirt.VIR_SECRET_EVENT_ID_VALUE_CHANGED, changed, "value")]
        with libvirt.open(URI) as elsewhere:
            for identity in (other.UUIDString(), self.identity):
                elsewhere.secretLookupByUUIDString(identity).setValue(b"hunter2")
                elsewhere.secretLookupByUUIDString(identity).undefine()
        defined = self.define()
        mine = lambda who: [words[1:] for words in told if words[0] == who and words[1] == self.identity]
        self.eventually(lambda: len(mine("all")) == 2 and len(mine("one")) == 2 and mine("value"))
        expected = [(self.identity, libvirt.VIR_SECRET_EVENT_UNDEFINED, 0),
                    (self.identity, libvirt.VIR_SECRET_EVENT_DEFINED, 0)]
        self.assertEqual((expected, expected, [(self.identity,)]), (mine("all"), mine("one"), mine("value")))
        self.assertIn(("all", other.UUIDString(), libvirt.VIR_SECRET_EVENT_UNDEFINED, 0), told)
        self.assertNotIn(("value", other.UUIDString()), told)

        for callback in callbacks:
            self.connection.secretEventDeregisterAny(callback)
        so_far = len(told)
        defined.undefine()
        self.connection.numOfSecrets()
        time.sleep(0.2)
        self.assertEqual(so_far, len(told))

    def test_a_close_callback_may_be_registered(self):
        self.assertEqual(0, self.connection.registerCloseCallback(lambda *_: None, None))
        self.connection.unregisterCloseCallback()

    def eventually(self, holds):
        until = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            self.assertLess(time.monotonic(), until, "it takes too long")
            time.sleep(0.01)


unittest.main(verbosity=2)
