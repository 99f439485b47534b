"""What remote.py asks of a daemon elsewhere, by whichever libvirt.so.0 the loader finds: one result a line, in JSON.

usage: remote_client.py open URI…     what comes of opening each
       remote_client.py use URI       everything that secrets have, and as much at once as goes
"""
import hashlib
import json
import sys
import threading

import libvirt

SECONDS = 60
VALUE_BYTES = 65536
THREADS, ROUNDS = 12, 8
MANY = 120


def say(**what):
    print(json.dumps(what), flush=True)


def opened(uri):
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError as error:
        # Formats are numbered since libvirt 9.1.
        return {"uri": uri, "error": [error.get_error_code(), error.get_error_domain(), error.get_error_level(),
                                      error.get_error_message(), error.get_str1().replace("%1$s", "%s"),
                                      error.get_str2(), error.get_int1()]}
    how = {"uri": uri, "secure": connection.isSecure(), "encrypted": connection.isEncrypted(),
           "alive": connection.isAlive(), "is": connection.getURI(), "secrets": connection.numOfSecrets() >= 0}
    how["closed"] = connection.close()
    return how


def uuid(number):
    return f"7e570000-0000-4000-8000-{number:012}"


def define(connection, number, description=""):
    return connection.secretDefineXML(
        f"<secret><uuid>{uuid(number)}</uuid><description>{description}</description>"
        f"<usage type='ceph'><name>remote {number}</name></usage></secret>")


def value_of(number, turn):
    block = hashlib.sha256(f"{number} {turn}".encode()).digest()
    return block * (VALUE_BYTES // len(block))


class Heard:
    """The events of a connection, taken by the event loop alone: nobody else reads on it meanwhile."""

    def __init__(self, connection):
        self.connection, self.events, self.changed = connection, [], threading.Condition()
        self.ids = [connection.secretEventRegisterAny(None, libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE, self.put, None),
                    connection.secretEventRegisterAny(None, libvirt.VIR_SECRET_EVENT_ID_VALUE_CHANGED, self.put, None)]

    def put(self, _connection, secret, *what):
        with self.changed:
            self.events.append((secret.UUIDString(), what[:-1]))
            self.changed.notify()

    def take(self, count):
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.events) >= count, SECONDS)
            events, self.events = self.events, []
        return came, sorted(events)

    def end(self):
        for number in self.ids:
            self.connection.secretEventDeregisterAny(number)


def run_loop():
    def run():
        while True:
            libvirt.virEventRunDefaultImpl()
    libvirt.virEventAddTimeout(500, lambda *_: None, None)
    threading.Thread(target=run, daemon=True).start()


def in_threads(work):
    failures = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            failures.append(repr(error))
    threads = [threading.Thread(target=guarded, args=[number], daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return failures + [f"thread {number} still runs" for number, thread in enumerate(threads) if thread.is_alive()]


def use(uri):
    libvirt.virEventRegisterDefaultImpl()
    run_loop()
    connection, other = libvirt.open(uri), libvirt.open(uri)
    say(keepalive=connection.setKeepAlive(5, 5))
    heard = Heard(connection)
    secret = define(connection, 0)
    say(xml=secret.XMLDesc(), usage=secret.usageID(), listed=uuid(0) in connection.listSecrets())
    secret.setValue(b"hunter2")
    say(value=secret.value().decode(), events=heard.take(2))
    try:
        connection.secretLookupByUUIDString(uuid(999))
    except libvirt.libvirtError as error:
        say(absent=[error.get_error_code(), error.get_error_message()])

    # Long both ways: a value as long as any, a text of a megabyte.
    longest = value_of(0, 0)
    secret.setValue(longest)
    say(longest=hashlib.sha256(secret.value()).hexdigest(), bytes=len(secret.value()))
    define(connection, 0, "d" * 1_000_000)
    say(xml_bytes=len(secret.XMLDesc()), events=heard.take(2))

    # Events of another's doing, many at once, while the connection that hears of them is idle but for the loop.
    for number in range(1, MANY):
        define(other, number).setValue(b"v")
    say(of_others=heard.take(2 * (MANY - 1)))
    say(all=len([each for each in connection.listAllSecrets() if each.UUIDString().startswith("7e57")]))

    # Both directions full, from many threads, on one connection.
    def exchange(number):
        mine = connection.secretLookupByUUIDString(uuid(number))
        for turn in range(ROUNDS):
            mine.setValue(value_of(number, turn))
            if mine.value() != value_of(number, turn):
                raise ValueError("another value came back")
    say(threads=in_threads(exchange), events=heard.take(THREADS * ROUNDS))

    heard.end()
    in_order = [connection.secretLookupByUUIDString(uuid(number)).undefine() for number in range(MANY)]
    say(undefined=in_order == [0] * MANY, closed=[other.close(), connection.close()])


if __name__ == "__main__":
    libvirt.registerErrorHandler(lambda *_: None, None)
    with open("/proc/self/maps") as maps:
        say(library=next(line.split()[-1] for line in maps if "/libvirt.so.0" in line or "as-libvirt" in line))
    if sys.argv[1] == "open":
        for target in sys.argv[2:]:
            say(**opened(target))
    else:
        use(sys.argv[2])
