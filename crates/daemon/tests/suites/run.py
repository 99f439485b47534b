"""Runs a project's own functional tests, as they are in its source package, and says how each one went.

usage: run.py SUITE SOURCE ENDPOINT KEYSTONE_V3_URL [--processes N] [--only REGEX]

SUITE is barbican, python-barbicanclient or castellan, SOURCE the folder that its package was unpacked in. One line for
each test, `pass`, `skip` or `fail` and its name; for what failed the traceback goes to stderr. Nothing of a suite is
changed: its configuration is loaded before its tests are.

The classes of a suite run beside each other in so many processes, each with a project of its own as the tests count
what a project has. Barbican's own, which need projects with several users, are all in the same ones: those that count
run alone, at the end, which is how Barbican itself runs them.
"""
import argparse
import importlib
import io
import multiprocessing
import os
import re
import sys
import tempfile
import time
import unittest
import urllib.request
import json

PASSWORD = "barbican"  # The one in ../keystone/serve.py.


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("source")
    parser.add_argument("endpoint")
    parser.add_argument("keystone")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="")
    return parser.parse_args()


class Suite:
    """How one is loaded, and given a user that is an admin of a project."""

    alone = None

    def load(self, asked):
        raise NotImplementedError

    def use(self, user, project):
        pass


def write(text):
    file = tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False)
    with file:
        file.write(text)
    return file.name


def load(name):
    return unittest.TestLoader().discover(name, top_level_dir=".")


class Barbican(Suite):
    alone = re.compile("Quota|ListingSecrets")

    def load(self, asked):
        users = [f"{role}_{project}" for project in "ab" for role in ("admin", "creator", "observer", "auditor")]
        passwords = "\n".join(f"{user}_password = {PASSWORD}" for user in [*users, "creator_a_2"])
        config = importlib.import_module("functionaltests.common.config")
        config.setup_config(write(f"""
[identity]
uri = {asked.keystone}
password = {PASSWORD}
service_admin_password = {PASSWORD}
[rbac_users]
{passwords}
[keymanager]
timeout = 60
"""))
        return load("functionaltests")


class Client(Suite):
    def load(self, asked):
        self.keystone = asked.keystone
        self.config = importlib.import_module("functionaltests.common.config")
        self.config.setup_config(write(f"""
[identity]
uri = {asked.keystone}
[keymanager]
url = {asked.endpoint}
password = {PASSWORD}
"""))
        return load("functionaltests")

    def use(self, user, project):
        config = self.config.get_config()
        config.set_override("username", user, group="keymanager")
        config.set_override("project_name", project, group="keymanager")
        config.set_override("project_id", project_id(self.keystone, user, project), group="keymanager")


class Castellan(Suite):
    def load(self, asked):
        from castellan import options
        from castellan.tests.functional import config
        from oslo_config import cfg
        self.config = config
        config.setup_config(write(f"""
[identity]
auth_url = {asked.keystone}
password = {PASSWORD}
"""))
        options.set_defaults(cfg.CONF, auth_endpoint=asked.keystone)
        module = "castellan.tests.functional.key_manager.test_barbican_key_manager"
        return unittest.TestLoader().loadTestsFromName(module)

    def use(self, user, project):
        self.config.get_config().set_override("username", user, group="identity")
        self.config.get_config().set_override("project_name", project, group="identity")


SUITES = {"barbican": Barbican(), "python-barbicanclient": Client(), "castellan": Castellan()}


def project_id(keystone, name, project):
    domain = {"id": "default"}
    user = {"name": name, "domain": domain, "password": PASSWORD}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}},
                     "scope": {"project": {"name": project, "domain": domain}}}}
    request = urllib.request.Request(keystone + "/auth/tokens", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["token"]["project"]["id"]


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


class Result(unittest.TestResult):
    """What became of each test."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.texts = {}

    def startTest(self, test):
        self.begin = time.monotonic()
        self.outcome, self.text = "pass", ""

    def stopTest(self, test):
        self.lines.append((self.outcome, test.id(), time.monotonic() - self.begin, self.text))

    def addSkip(self, test, reason):
        self.outcome = "skip"

    def wrong(self, test, error, details=None):
        text = self._exc_info_to_string(error, test) if error else "".join(
            content.as_text() for name, content in details.items() if "traceback" in name)
        if hasattr(self, "begin") and isinstance(test, unittest.TestCase):
            self.outcome, self.text = "fail", text
        else:
            self.lines.append(("fail", test.id(), 0, text))  # Of a whole class.

    addError = addFailure = wrong

    def addExpectedFailure(self, test, error=None, details=None):
        pass

    def addUnexpectedSuccess(self, test, details=None):
        self.outcome = "fail"


def run_class(tests):
    result = Result()
    said = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = io.StringIO()
    try:
        unittest.TestSuite(tests).run(result)
    finally:
        sys.stdout, sys.stderr = said
    return result.lines


def begin_process(suite, numbers):
    number = numbers.get()
    suite.use(f"suite_{number}_admin", f"suite_{number}")


def run_number(number):
    return run_class(CLASSES[number])


def main():
    global CLASSES
    asked = parse()
    suite = SUITES[asked.suite]
    os.chdir(asked.source)
    sys.path.insert(0, asked.source)
    only = re.compile(asked.only)
    classes = {}
    for test in flat(suite.load(asked)):
        if only.search(test.id()):
            classes.setdefault(type(test), []).append(test)
    CLASSES = sorted(classes.values(), key=len, reverse=True)
    alone = [n for n, tests in enumerate(CLASSES) if suite.alone and suite.alone.search(type(tests[0]).__name__)]
    together = [n for n in range(len(CLASSES)) if n not in alone]
    begin = time.monotonic()
    fork = multiprocessing.get_context("fork")
    numbers = fork.Queue()
    for number in range(1, asked.processes + 1):
        numbers.put(number)
    with fork.Pool(asked.processes, begin_process, (suite, numbers)) as pool:
        ran = list(pool.imap_unordered(run_number, together, chunksize=1))
        middle = time.monotonic()
        ran += [pool.apply(run_number, (number,)) for number in alone]
    lines = sorted((name, outcome, text, took) for lines in ran for outcome, name, took, text in lines)
    for name, outcome, text, _ in lines:
        print(outcome, name)
        if text:
            print(f"== {name}\n{text}", file=sys.stderr)
    count = {outcome: sum(line[1] == outcome for line in lines) for outcome in ("pass", "skip", "fail")}
    slowest = sorted(lines, key=lambda line: -line[3])[:5]
    print(f"{asked.suite}: {count} in {time.monotonic() - begin:.0f} s, {time.monotonic() - middle:.0f} s of it alone; "
          f"slowest {[(line[0].rsplit('.', 1)[1], round(line[3], 1)) for line in slowest]}", file=sys.stderr)


main()
