"""python-barbicanclient, as it comes from PyPI, and virsh, as it comes with the system, at one server.

usage: two_doors.py http://127.0.0.1:PORT SECRET-URI
"""
import base64
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
import uuid

from barbicanclient import client, exceptions

URL, URI = sys.argv.pop(1), sys.argv.pop(1)
PROJECT = "default"
PATIENCE_SECONDS = 60


def virsh(*words):
    """What it prints."""
    result = subprocess.run(["virsh", "-q", "-c", URI, *words], capture_output=True, text=True)
    if result.returncode != 0:
        raise Refused(result.stderr)
    return result.stdout.strip()


class Refused(Exception):
    """virsh says no."""


def define(identity, attributes="", rest=""):
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(f"<secret {attributes}><uuid>{identity}</uuid>{rest}</secret>")
        file.flush()
        virsh("secret-define", file.name)
    return identity


def usage(kind, name):
    element = {"volume": "volume", "ceph": "name", "iscsi": "target", "tls": "name", "vtpm": "name"}[kind]
    return f"<usage type='{kind}'><{element}>{name}</{element}></usage>"


def set_value(identity, value):
    virsh("secret-set-value", identity, base64.b64encode(value).decode())


def value(identity):
    return base64.b64decode(virsh("secret-get-value", identity))


def listed():
    """Ids and usages."""
    return dict((line.split(maxsplit=1) + [""])[:2] for line in virsh("secret-list").splitlines())


def rest(method, path, body=None):
    """Status and body of one request: python-barbicanclient has no functions for metadata."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Project-Id": PROJECT, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{URL}/v1/secrets/{path}", data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def set_metadata(identity, **pairs):
    status, answer = rest("PUT", f"{identity}/metadata", {"metadata": pairs})
    assert status == 201, answer


def eventually(holds):
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.02)


class TwoDoors(unittest.TestCase):
    def setUp(self):
        self.barbican = client.Client(endpoint=URL, project_id=PROJECT)

    def store(self, payload="hunter2", **more):
        ref = self.barbican.secrets.create(name=self.id(), payload=payload, **more).store()
        return ref.rsplit("/", 1)[1]

    def get(self, identity):
        return self.barbican.secrets.get(f"{URL}/v1/secrets/{identity}")

    def assert_absent(self, identity):
        self.assertNotIn(identity, listed())
        with self.assertRaisesRegex(Refused, f"no secret with matching uuid '{identity}'"):
            virsh("secret-dumpxml", identity)
        with self.assertRaises(exceptions.HTTPClientError) as raised:
            self.get(identity).status
        self.assertEqual(404, raised.exception.status_code)

    def assert_status(self, status, function):
        with self.assertRaises(exceptions.HTTPClientError) as raised:
            function()
        self.assertEqual(status, raised.exception.status_code)

    # Stored with python-barbicanclient.

    def test_what_is_stored_over_rest_is_read_by_virsh(self):
        for payload in ("hunter2", "ünï 密", os.urandom(48)):
            identity = self.store(payload)
            self.assertEqual("Unused", listed()[identity])
            self.assertEqual(payload if isinstance(payload, bytes) else payload.encode(), value(identity))
            self.assertIn(f"<uuid>{identity}</uuid>", virsh("secret-dumpxml", identity))
            self.assertIn("<secret ephemeral='no' private='no'>", virsh("secret-dumpxml", identity))

    def test_one_without_a_payload_has_no_value_yet(self):
        identity = self.store(None)
        with self.assertRaisesRegex(Refused, f"secret '{identity}' does not have a value"):
            value(identity)
        self.barbican.secrets.update(f"{URL}/v1/secrets/{identity}", payload="hunter2")
        self.assertEqual(b"hunter2", value(identity))

    def test_metadata_is_what_libvirt_knows_of_it(self):
        identity = self.store()
        set_metadata(identity, mine="stays", libvirt_usage_type="ceph", libvirt_usage_id="client.<x> & y",
                     libvirt_description="a <text> & more")
        xml = virsh("secret-dumpxml", identity)
        self.assertIn("<description>a &lt;text&gt; &amp; more</description>", xml)
        self.assertIn("<usage type='ceph'>\n    <name>client.&lt;x&gt; &amp; y</name>", xml)
        self.assertEqual(["ceph", "client.<x>", "&", "y"], listed()[identity].split())
        self.assertEqual((200, {"metadata": {
            "mine": "stays", "libvirt_usage_type": "ceph", "libvirt_usage_id": "client.<x> & y",
            "libvirt_description": "a <text> & more"}}), rest("GET", f"{identity}/metadata"))

    def test_an_encoding_renders_the_key_as_nova_does(self):
        key = os.urandom(32)
        identity = self.store(key)
        for encoding, rendered in (("hex", key.hex().encode()), ("base64", base64.b64encode(key)), ("raw", key)):
            set_metadata(identity, libvirt_encoding=encoding)
            self.assertEqual(rendered, value(identity))
            self.assertEqual(key, self.get(identity).payload)
        set_metadata(identity, libvirt_encoding="hex")
        other = os.urandom(32)
        set_value(identity, other.hex().encode())
        self.assertEqual((other, other.hex().encode()), (self.get(identity).payload, value(identity)))

    def test_what_has_expired_is_at_neither_door(self):
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
        identity = self.store(expiration=soon.isoformat())
        name = str(uuid.uuid4())
        set_metadata(identity, libvirt_usage_type="tls", libvirt_usage_id=name)
        self.assertIn(identity, listed())
        eventually(lambda: identity not in listed())
        self.assert_absent(identity)
        with self.assertRaisesRegex(Refused, "no secret with matching uuid"):
            value(identity)
        define(str(uuid.uuid4()), rest=usage("tls", name))  # What it was used for is free.

    # Defined with virsh.

    def test_what_virsh_defines_and_sets_is_read_over_rest(self):
        # A version 1 UUID too: libvirt lets its clients choose, and Barbican would never make one.
        for identity in (str(uuid.uuid4()), str(uuid.uuid1())):
            define(identity, rest=f"<description>a disk</description>{usage('volume', '/dev/' + identity)}")
            self.assertIsNone(self.get(identity).payload)
            set_value(identity, b"\x00hunter2\xff")
            secret = self.get(identity)
            self.assertEqual((b"\x00hunter2\xff", {"default": "application/octet-stream"}, "opaque", "ACTIVE"),
                             (secret.payload, secret.content_types, secret.secret_type, secret.status))
            self.assertEqual((200, {"metadata": {
                "libvirt_description": "a disk", "libvirt_usage_type": "volume",
                "libvirt_usage_id": f"/dev/{identity}"}}), rest("GET", f"{identity}/metadata"))
            refs = {secret.secret_ref: secret for secret in self.barbican.secrets.list(limit=100, sort="created:desc")}
            self.assertEqual("opaque", refs[f"{URL}/v1/secrets/{identity}"].secret_type)
            set_value(identity, b"another")
            self.assertEqual(b"another", self.get(identity).payload)

    def test_a_definition_changes_the_metadata_and_leaves_the_rest(self):
        identity = self.store()
        set_metadata(identity, mine="stays", libvirt_description="old")
        define(identity, rest="<description>new</description>")
        self.assertEqual({"mine": "stays", "libvirt_description": "new"},
                         rest("GET", f"{identity}/metadata")[1]["metadata"])
        self.assertEqual((self.id(), "hunter2"), (self.get(identity).name, self.get(identity).payload))

    def test_private_is_private_at_both_doors(self):
        defined = define(str(uuid.uuid4()), "private='yes'")
        set_value(defined, b"hunter2")
        stored = self.store()
        set_metadata(stored, libvirt_private="yes")
        for identity in (defined, stored):
            self.assertIn("private='yes'", virsh("secret-dumpxml", identity))
            with self.assertRaisesRegex(Refused, "error: Invalid secret: secret is private"):
                value(identity)
            self.assert_status(403, lambda: self.get(identity).payload)
            self.assertEqual("yes", rest("GET", f"{identity}/metadata")[1]["metadata"]["libvirt_private"])
            self.assertEqual(409, rest("PUT", f"{identity}/metadata", {"metadata": {"libvirt_private": "no"}})[0])
            with self.assertRaisesRegex(Refused, "cannot change private flag on existing secret"):
                define(identity, "private='no'")

    # Both.

    def test_what_is_deleted_at_one_door_is_gone_at_the_other(self):
        identity = self.store()
        virsh("secret-undefine", identity)
        self.assert_absent(identity)
        identity = define(str(uuid.uuid4()))
        set_value(identity, b"hunter2")
        self.barbican.secrets.delete(f"{URL}/v1/secrets/{identity}")
        self.assert_absent(identity)

    def test_a_usage_is_one_secrets_at_both_doors(self):
        name, stored = str(uuid.uuid4()), self.store()
        set_metadata(stored, libvirt_usage_type="ceph", libvirt_usage_id=name)
        with self.assertRaisesRegex(Refused, f"internal error: a secret with UUID {stored} already defined for use with {name}"):
            define(str(uuid.uuid4()), rest=usage("ceph", name))
        define(str(uuid.uuid4()), rest=usage("tls", name))  # Another type is another usage.

        name = str(uuid.uuid4())
        define(str(uuid.uuid4()), rest=usage("iscsi", name))
        taken = {"metadata": {"libvirt_usage_type": "iscsi", "libvirt_usage_id": name}}
        self.assertEqual(409, rest("PUT", f"{stored}/metadata", taken)[0])
        self.assertEqual("ceph", rest("GET", f"{stored}/metadata")[1]["metadata"]["libvirt_usage_type"])


class Events(unittest.TestCase):
    """`virsh secret-event --loop` is told of what happens at either door."""

    def listen(self, event, identity):
        """Starts to, and gives back how to wait for the events of one secret."""
        command = ["stdbuf", "-oL", "virsh", "-c", URI, "secret-event", "--loop", "--event", event]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = []
        reading = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
        reading.start()

        def stop():
            process.terminate()
            process.wait()
            reading.join()
            process.stdout.close()

        self.addCleanup(stop)
        seen = []
        process_lines = lambda: [line for line in lines if line.startswith("event ")]
        return lambda: [re.sub(r"event '(.*?)' for secret ", r"\1 ", line).strip()
                        for line in process_lines() if identity() in line]

    def test_each_change_at_either_door_is_an_event_in_order(self):
        barbican = client.Client(endpoint=URL, project_id=PROJECT)
        stored = barbican.secrets.create(name="events")
        identity = []
        name = lambda: identity[0] if identity else "nothing yet"
        lifecycle, changed = self.listen("lifecycle", name), self.listen("value-changed", name)
        self.wait_until_both_listen(lifecycle, changed, identity)

        ref = stored.store()
        identity[:] = [ref.rsplit("/", 1)[1]]
        barbican.secrets.update(ref, payload="hunter2")
        set_metadata(identity[0], libvirt_description="x")
        set_value(identity[0], b"another")
        define(identity[0], rest="<description>y</description>")
        barbican.secrets.delete(ref)
        self.expect(lifecycle, [f"lifecycle {identity[0]}: {what}" for what in
                                ("Defined", "Defined", "Defined", "Undefined")])
        self.expect(changed, [f"value-changed {identity[0]}"] * 2)

        identity[:] = [define(str(uuid.uuid4()))]
        set_value(identity[0], b"hunter2")
        define(identity[0], rest="<description>y</description>")
        virsh("secret-undefine", identity[0])
        self.expect(lifecycle, [f"lifecycle {identity[0]}: {what}" for what in ("Defined", "Defined", "Undefined")])
        self.expect(changed, [f"value-changed {identity[0]}"])

        payload = barbican.secrets.create(name="events", payload="hunter2").store()
        identity[:] = [payload.rsplit("/", 1)[1]]
        self.expect(changed, [f"value-changed {identity[0]}"])
        virsh("secret-undefine", identity[0])
        self.expect(lifecycle, [f"lifecycle {identity[0]}: {what}" for what in ("Defined", "Undefined")])

    def wait_until_both_listen(self, lifecycle, changed, identity):
        """virsh does not say when it does: makes changes until it tells of some."""
        def told():
            identity[:] = [define(str(uuid.uuid4()))]
            set_value(identity[0], b"x")
            time.sleep(0.1)
            heard = lifecycle() and changed()
            virsh("secret-undefine", identity[0])
            return heard
        eventually(told)

    def expect(self, told, expected):
        eventually(lambda: len(told()) >= len(expected))
        self.assertEqual(expected, told())


unittest.main(verbosity=2)
