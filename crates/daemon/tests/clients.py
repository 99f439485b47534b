"""python-barbicanclient and its command line, as they come from PyPI, in project-header mode.

usage: clients.py http://127.0.0.1:PORT
"""
import base64
import datetime
import json
import os
import subprocess
import sys
import unittest

from barbicanclient import client, exceptions

URL = sys.argv.pop(1)
BARBICAN = os.path.join(os.path.dirname(sys.executable), "barbican")
TYPES = ("symmetric", "public", "private", "passphrase", "certificate", "opaque")


def connect(project="library"):
    return client.Client(endpoint=URL, project_id=project)


class Library(unittest.TestCase):
    def setUp(self):
        self.barbican = connect(self.id())

    def test_a_text_and_bytes_come_back(self):
        for payload in ("hunter2", "ünï 密", " pass word \n", b"\x00\xff" + os.urandom(30), b" x\n"):
            secret = self.barbican.secrets.create(name="s", payload=payload)
            ref = secret.store()
            again = self.barbican.secrets.get(ref)
            self.assertEqual(payload, again.payload)
            self.assertEqual("s", again.name)

    def test_every_secret_type(self):
        for secret_type in TYPES:
            ref = self.barbican.secrets.create(name=secret_type, payload="hunter2", secret_type=secret_type).store()
            again = self.barbican.secrets.get(ref)
            self.assertEqual((secret_type, "hunter2"), (again.secret_type, again.payload))
            self.assertEqual({"default": "text/plain"}, again.content_types)

    def test_every_attribute(self):
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
        secret = self.barbican.secrets.create(
            name="all", expiration=soon.isoformat(), algorithm="aes", bit_length=256, mode="cbc",
            payload=base64.b64encode(b"k" * 32), payload_content_type="application/octet-stream",
            payload_content_encoding="base64", secret_type="symmetric")
        again = self.barbican.secrets.get(secret.store())
        self.assertEqual(("aes", 256, "cbc", "symmetric"), (again.algorithm, again.bit_length, again.mode, again.secret_type))
        self.assertEqual(b"k" * 32, again.payload)
        self.assertEqual(soon.replace(microsecond=0), again.expiration.replace(microsecond=0))
        self.assertEqual("ACTIVE", again.status)

    def test_two_steps(self):
        secret = self.barbican.secrets.create(name="later")
        ref = secret.store()
        self.assertIsNone(self.barbican.secrets.get(ref).payload)
        self.barbican.secrets.update(ref, payload="hunter2")
        self.assertEqual("hunter2", self.barbican.secrets.get(ref).payload)
        with self.assertRaises(exceptions.HTTPClientError) as raised:
            self.barbican.secrets.update(ref, payload="again")
        self.assertEqual(409, raised.exception.status_code)

    def test_lists(self):
        for n in range(25):
            self.barbican.secrets.create(name=f"n{n % 5}", algorithm="aes", bit_length=128, mode="cbc",
                                         payload="x", secret_type=TYPES[n % 6]).store()
        self.assertEqual(10, len(self.barbican.secrets.list()))
        self.assertEqual(25, len(self.barbican.secrets.list(limit=100)))
        self.assertEqual(5, len(self.barbican.secrets.list(name="n3", limit=100)))
        self.assertEqual(25, len(self.barbican.secrets.list(algorithm="aes", mode="cbc", bits=128, limit=100)))
        self.assertEqual(0, len(self.barbican.secrets.list(algorithm="des")))
        self.assertEqual(5, len(self.barbican.secrets.list(limit=10, offset=20)))
        self.assertEqual(4, len(self.barbican.secrets.list(secret_type="opaque", limit=100)))
        newest = self.barbican.secrets.list(sort="created:desc", limit=1)[0]
        self.assertEqual("n4", newest.name)
        self.assertEqual(0, len(self.barbican.secrets.list(created="lt:2020-01-01T00:00:00")))

    def test_an_underscore_is_no_wildcard(self):
        for name in ("other_example.com", "otherXexample.com"):
            self.barbican.secrets.create(name=name, payload="x").store()
        self.assertEqual(["other_example.com"], [s.name for s in self.barbican.secrets.list(name="other_example.com")])

    def test_a_passphrase_encrypts_the_key_and_stays_out_of_the_order(self):
        ref = self.barbican.orders.create_asymmetric(name="pair", algorithm="rsa", bit_length=2048, pass_phrase="hunter2",
                                                     payload_content_type="application/octet-stream").submit()
        order = self.barbican.orders.get(ref)
        self.assertEqual("ACTIVE", order.status)
        self.assertIsNone(order.pass_phrase)
        pair = self.barbican.containers.get(order.container_ref)
        self.assertTrue(pair.private_key.payload.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"))
        self.assertEqual(b"hunter2", pair.private_key_passphrase.payload)

    def test_keys_of_any_length_and_no_secret_word_in_an_order(self):
        for algorithm, bits in (("aes", 512), ("aes", 384), ("des", 56), ("hmacsha1", 160)):
            order = self.barbican.orders.create_key(name="k", algorithm=algorithm, bit_length=bits,
                                                    payload_content_type="application/octet-stream")
            order._meta.update(pass_phrase="hunter2", passphrase="hunter2", admin_password="hunter2")
            again = self.barbican.orders.get(order.submit())
            self.assertEqual("ACTIVE", again.status)
            self.assertNotIn("hunter2", str(vars(again)))
            self.assertEqual(bits // 8, len(self.barbican.secrets.get(again.secret_ref).payload))

    def test_delete(self):
        ref = self.barbican.secrets.create(payload="x").store()
        self.barbican.secrets.delete(ref)
        with self.assertRaises(exceptions.HTTPClientError) as raised:
            self.barbican.secrets.get(ref).name
        self.assertEqual(404, raised.exception.status_code)

    def test_another_project_is_forbidden(self):
        ref = self.barbican.secrets.create(payload="x").store()
        with self.assertRaises(exceptions.HTTPClientError) as raised:
            connect("stranger").secrets.get(ref).payload
        self.assertEqual(403, raised.exception.status_code)
        self.assertEqual(0, len(connect("stranger").secrets.list()))

    def test_bad_requests_are_told(self):
        for bad in (dict(payload="x" * 20001), dict(payload="x", bit_length=-1),
                    dict(payload="x", expiration="2001-01-01T00:00:00")):
            with self.assertRaises((exceptions.HTTPClientError, ValueError)):
                self.barbican.secrets.create(**bad).store()


class CommandLine(unittest.TestCase):
    def barbican(self, *words, fails=False):
        result = subprocess.run(
            [BARBICAN, "--no-auth", "--endpoint", URL, "--os-project-id", "command-line", *words],
            capture_output=True, text=True, env={k: v for k, v in os.environ.items() if not k.startswith("OS_")})
        self.assertEqual(fails, result.returncode != 0, result.stdout + result.stderr)
        return result.stdout

    def test_store_get_list_update_delete(self):
        stored = json.loads(self.barbican("secret", "store", "--name", "cli", "--payload", "hunter2", "-f", "json"))
        ref = stored["Secret href"]
        self.assertEqual("cli", json.loads(self.barbican("secret", "get", ref, "-f", "json"))["Name"])
        got = json.loads(self.barbican("secret", "get", ref, "--payload", "-f", "json"))
        self.assertEqual("hunter2", got["Payload"])
        self.assertIn(ref, self.barbican("secret", "list", "-f", "value"))
        empty = json.loads(self.barbican("secret", "store", "--name", "empty", "-f", "json"))["Secret href"]
        self.barbican("secret", "update", empty, "filled")
        self.assertEqual("filled", json.loads(self.barbican("secret", "get", empty, "--payload", "-f", "json"))["Payload"])
        self.barbican("secret", "delete", ref)
        self.barbican("secret", "get", ref, fails=True)
        self.assertNotIn(ref, self.barbican("secret", "list", "-f", "value"))

    def test_every_secret_type(self):
        for secret_type in TYPES:
            words = ("secret", "store", "--secret-type", secret_type, "--payload", "hunter2", "-f", "json")
            ref = json.loads(self.barbican(*words))["Secret href"]
            got = json.loads(self.barbican("secret", "get", ref, "-f", "json"))
            self.assertEqual(secret_type, got["Secret type"])


unittest.main(verbosity=2)
