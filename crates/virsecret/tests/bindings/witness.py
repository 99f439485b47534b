"""What programs are tested with: a look at the secrets that is not theirs, and a connection that can be cut.

The look is virsh with the system's own libvirt, whatever library the programs load, and Donjon's REST API where its
URL is given. LIBDIR names the folder of the only libvirt.so.0 that they may load.
"""
import base64
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

STEP_SECONDS = 30


class Witness:
    """Sees what a daemon has."""

    def __init__(self, uri, url=None):
        self.uri, self.url = uri, url

    def listed(self):
        """Ids and usages."""
        return dict((line.split(maxsplit=1) + [""])[:2] for line in self.virsh("secret-list").splitlines())

    def xml(self, identity):
        return self.virsh("secret-dumpxml", identity)

    def value(self, identity):
        """None if virsh is not told."""
        answer = self.virsh("secret-get-value", identity, check=False)
        value = base64.b64decode(answer.stdout) if answer.returncode == 0 else None
        if self.url and value is not None:
            equal(value, self.payload(identity), "the payload over REST")
        return value

    def payload(self, identity):
        headers = {"X-Project-Id": "default", "Accept": "application/octet-stream"}
        request = urllib.request.Request(f"{self.url}/v1/secrets/{identity}/payload", headers=headers)
        with urllib.request.urlopen(request, timeout=STEP_SECONDS) as answer:
            return answer.read()

    def virsh(self, *words, check=True):
        own = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
        result = subprocess.run(["virsh", "-q", "-c", self.uri, *words], capture_output=True, text=True, env=own,
                                timeout=STEP_SECONDS)
        if check and result.returncode != 0:
            raise AssertionError(f"virsh {words}: {result.stderr}")
        return result.stdout.strip() if check else result


def equal(expected, found, what=""):
    assert expected == found, f"{what}: expected {expected!r}, found {found!r}"


def ok(what):
    print("ok", what, flush=True)


def eventually(what, holds):
    end = time.monotonic() + STEP_SECONDS
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.01)


def check_library(process="self"):
    """Which libvirt.so.0 a process has loaded."""
    maps = pathlib.Path(f"/proc/{process}/maps").read_text()
    check_libraries({line.split()[-1] for line in maps.splitlines() if re.search(r"/libvirt(-qemu|-lxc)?\.so|/libvirsecret", line)})


def check_libraries(loaded):
    loaded = {os.path.realpath(path) for path in loaded}
    if folder := os.environ.get("LIBDIR"):
        equal({os.path.realpath(folder)}, {os.path.dirname(path) for path in loaded}, "folder of the libraries")
    # Those beside it are loaded as some bindings are.
    loaded = {path for path in loaded if not path.endswith(("-qemu.so.0", "-lxc.so.0"))}
    equal(1, len(loaded), f"libraries {loaded}")
    ok(f"it has loaded {loaded.pop()}")


@contextlib.contextmanager
def relay(uri):
    """A URI that leads to the same daemon, and a function that cuts all connections made with it so far."""
    path = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)["socket"][0]
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{folder}/sock")
        door.listen()
        ends = []

        def serve():
            while True:
                client, daemon = door.accept()[0], socket.socket(socket.AF_UNIX)
                daemon.connect(path)
                ends.extend((client, daemon))
                for source, sink in ((client, daemon), (daemon, client)):
                    threading.Thread(target=pump, args=(source, sink), daemon=True).start()

        def pump(source, sink):
            with contextlib.suppress(OSError):
                while data := source.recv(65_536):
                    sink.sendall(data)
            hang_up(source, sink)

        def hang_up(*sockets):
            for end in sockets:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=serve, daemon=True).start()
        yield uri.replace(path, f"{folder}/sock"), lambda: hang_up(*ends)
        hang_up(*ends)
