"""Ansible, as it comes from PyPI, manages the secrets of a secret daemon by its module community.libvirt.virt_secret.

usage: [LD_LIBRARY_PATH=LIBDIR LIBDIR=LIBDIR] program_ansible.py SECRET-URI [REST-URL]

The Python that runs this is the one of the folder that install.sh makes. Every step is one run of its `ansible`, whose
module works on this machine.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import uuid

from witness import Witness, check_libraries, equal, ok

STEP_SECONDS = 60
MODULE = "community.libvirt.virt_secret"
HERE = pathlib.Path(sys.executable).parent
COLLECTIONS = HERE.parent / "collections"


class Ansible:
    """Runs it with settings and files of its own."""

    def __init__(self, uri, folder):
        self.uri, self.folder = uri, folder
        pathlib.Path(folder, "ansible.cfg").touch()
        self.settings = os.environ | {
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOME": f"{folder}/home",
            "ANSIBLE_LOCAL_TEMP": f"{folder}/local", "ANSIBLE_REMOTE_TEMP": f"{folder}/remote",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable, "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline", "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CONFIG": f"{folder}/ansible.cfg", "LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": f"{folder}/loaded"}

    def __call__(self, check=True, **arguments):
        """What the module answers."""
        arguments = json.dumps({"uri": self.uri, **arguments})
        result = subprocess.run([HERE / "ansible", "localhost", "-c", "local", "-m", MODULE, "-a", arguments],
                                capture_output=True, text=True, env=self.settings, timeout=STEP_SECONDS)
        said = f"{arguments}: {result.stdout}{result.stderr}"
        assert not check or result.returncode == 0, said
        assert " => {" in result.stdout, said
        return json.loads(result.stdout.split(" => ", 1)[1])

    def loaded(self):
        """The libraries that its processes had, which only live shortly: as the dynamic loader tells it."""
        lines = [line for log in pathlib.Path(self.folder).glob("loaded.*") for line in log.open(errors="replace")]
        return {line.split()[-1] for line in lines if "calling init: " in line and "/libvirt.so" in line}


def by_fields(ansible, see):
    usage = f"client {uuid.uuid4()}"
    secret = {"usage": "ceph", "usage_id": usage, "private": False, "description": "of Ansible"}
    equal("Secret not found", ansible(command="get_xml", secret=secret)["msg"], "before")
    assert ansible(state="present", secret=secret, password="hunter2")["changed"], "it is made"
    (identity,) = [identity for identity, of in see.listed().items() if of.split() == ["ceph", *usage.split()]]
    assert "<secret ephemeral='no' private='no'>" in see.xml(identity), see.xml(identity)
    assert "<description>of Ansible</description>" in see.xml(identity), see.xml(identity)
    equal(b"hunter2", see.value(identity), "value")

    assert not ansible(state="present", secret=secret)["changed"], "nothing is to be done"
    assert ansible(state="present", secret=secret | {"description": "other"})["changed"], "it is changed"
    assert "<description>other</description>" in see.xml(identity), see.xml(identity)
    assert ansible(command="set_value", uuid=identity, password="ünï 密")["changed"], "it is set"
    equal("ünï 密".encode(), see.value(identity), "value")
    assert any(identity in xml for xml in ansible(command="list_secrets")["secrets_list"]), "it is listed"
    assert ansible(state="absent", secret=secret)["changed"], "it is deleted"
    assert identity not in see.listed(), "it is gone"
    equal("Requested secret not found", ansible(state="absent", uuid=identity)["msg"], "after")


def by_xml(ansible, see):
    identity = str(uuid.uuid4())
    usage = f"<usage type='volume'><volume>/{identity}</volume></usage>"
    xml = f"<secret ephemeral='yes' private='yes'><uuid>{identity}</uuid><description>d</description>{usage}</secret>"
    assert ansible(command="create", xml=xml, password="hunter2")["changed"], "it is made"
    assert "<secret ephemeral='yes' private='yes'>" in see.xml(identity), see.xml(identity)
    equal(None, see.value(identity), "what is told of a private value")
    assert f"<volume>/{identity}</volume>" in ansible(command="get_xml", uuid=identity)["secret_xml"], "its XML"
    assert ansible(command="delete", uuid=identity)["changed"], "it is deleted"
    assert identity not in see.listed(), "it is gone"


def main():
    uri, *url = sys.argv[1:]
    see = Witness(uri, *url)
    with tempfile.TemporaryDirectory() as folder:
        ansible = Ansible(uri, folder)
        for part in (by_fields, by_xml):
            part(ansible, see)
            ok(part.__name__)
        check_libraries(ansible.loaded())


main()
