"""Hostile frames from users whom polkit has not let in, while one whom it lets in goes on.

usage: polkit_attacks.py -- COMMAND…     COMMAND serves /run/libvirt/virtsecretd-sock and asks polkit

DONJON_TEST_SEED and DONJON_TEST_ATTACKS say which attacks, and how many. Nobody who is not authenticated may be
answered anything but errors, how one authenticates (AUTH_LIST) and that the daemon is alive (PONG); the daemon has to
go on, in bounded memory, and to give back all that the attackers made it open.
"""
import argparse
import os
import pathlib
import random
import select
import signal
import socket
import struct
import subprocess
import time

import polkit
from polkit import ALLOWED, AUTH_LIST, AUTH_POLKIT, CHALLENGED, DENIED, DOES_NOT_KNOW_YOU, OPEN, REMOTE_PROGRAM, SOCKET
from sandbox import STEP_SECONDS, check, run, wait

SEED, ATTACKS = int(os.environ.get("DONJON_TEST_SEED", 11)), int(os.environ.get("DONJON_TEST_ATTACKS", 4000)) // 2
ATTACKERS = (DENIED, CHALLENGED, DENIED, CHALLENGED)
KEEPALIVE_PROGRAM, PING = 0x6B656570, 1
PROGRAMS = [REMOTE_PROGRAM, REMOTE_PROGRAM, 0x20008087, 0x20008088, 0x06900690, KEEPALIVE_PROGRAM, 0, 0xFFFFFFFF]
# The newest procedure of libvirt 12 and one more that there is not.
PROCEDURE_MAX = 460
LAST = 0x7FFFFFFF  # The serial of the call at the end, whose answer is waited for.
SECRET = "paymark9c1e"
SECRET_ID = "7f3a0000-0000-4000-8000-000000007f3a"
# 46 MiB and 5 kB were seen, without optimisation.
RESIDENT_KIB_MAX, LOG_BYTES_MAX = 128 * 1024, 256 * 1024
# How long an attacker waits for an answer that may not come.
QUIET_SECONDS = 0.05


def scenario(daemon):
    print(f"{ATTACKS} attacks with DONJON_TEST_SEED={SEED}", flush=True)
    polkit.start_bus()
    polkitd = polkit.start_polkitd()
    daemon.start()
    keep_a_secret()
    honest()
    before = open_files(daemon)
    attack()
    wait(lambda: open_files(daemon) <= before, "what attackers had open is closed")
    questions_that_nobody_waits_for(daemon, polkitd, before)
    polkit_that_dies(polkitd)
    honest()
    what_is_left(daemon)
    daemon.stop()


def keep_a_secret():
    definition, value = pathlib.Path("/run/dbus/secret.xml"), pathlib.Path("/run/dbus/value")
    definition.write_text(f"<secret ephemeral='no' private='no'><uuid>{SECRET_ID}</uuid></secret>")
    value.write_text(SECRET)
    for words in (["secret-define", definition], ["secret-set-value", SECRET_ID, "--file", value, "--plain"]):
        subprocess.run([*polkit.virsh_command(SOCKET)[:-1], *words], check=True, capture_output=True)


def honest():
    """Of root, whom nobody asks, and of the one whom polkit lets in."""
    (opened,) = [polkit.raw("root", OPEN)]
    passed, allowed = polkit.raw(ALLOWED, AUTH_POLKIT, OPEN)
    for answer in (opened, passed, allowed):
        if answer.error:
            check(f"who is allowed is served, and not told {answer.error}", False)


def attack():
    """All attackers at once, each a process of its user; meanwhile the honest go on."""
    pids = [fork(user, lambda share=share: attack_share(share)) for share, user in enumerate(ATTACKERS)]
    slowest, ended = 0, []
    while len(ended) < len(pids):
        begin = time.monotonic()
        honest()
        slowest = max(slowest, time.monotonic() - begin)
        for pid in (pid for pid in pids if pid not in [ended_pid for ended_pid, _ in ended]):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                ended.append((pid, status))
    print(f"an honest round took {slowest:.3f} s at most", flush=True)
    check("no attack was answered more than it may be", all(status == 0 for _, status in ended))


def fork(user, work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            polkit.become(user)
            work()
            status = 0
        except BaseException as error:
            print(f"{user}: {error!r}", flush=True)
        finally:
            os._exit(status)
    return pid


def attack_share(share):
    for number in range(share, ATTACKS, len(ATTACKERS)):
        dice = random.Random(f"{SEED}-{number}")
        pieces, answers = make_attack(dice), b""
        try:
            answers = exchange(dice, pieces)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise AssertionError(f"attack {number} is neither answered nor ended") from error
        wrong = wrong_about(answers)
        if wrong:
            raise AssertionError(f"attack {number}: {wrong}; it sent {b''.join(pieces)[:1500]!r}")


def message(procedure, arguments=b"", program=REMOTE_PROGRAM, version=1, kind=0, serial=1, status=0, length=None):
    length = 28 + len(arguments) if length is None else length
    head = (length, program, version, procedure & 0xFFFFFFFF, kind & 0xFFFFFFFF, serial, status & 0xFFFFFFFF)
    return struct.pack(">7I", *head) + arguments


def arguments(dice):
    uuid = bytes.fromhex(SECRET_ID.replace("-", ""))
    return dice.choice([
        b"", polkit.ARGUMENTS[OPEN], uuid + struct.pack(">iII", 0, 0, 0), uuid, dice.randbytes(dice.randrange(200)),
        b"\xff" * dice.choice([4, 64, 5000]), struct.pack(">I", 0xFFFFFFFF) + b"x", b"\0" * dice.randrange(70_000)])


def make_attack(dice):
    """What is sent, in pieces that may come apart in time."""
    call = lambda: message(dice.choice([*polkit.PROCEDURES, dice.randrange(PROCEDURE_MAX)]), arguments(dice),
                           serial=dice.randrange(1000))
    kind = dice.randrange(11)
    if kind < 3:  # Before anything.
        return [call() for _ in range(1 + dice.randrange(40))]
    if kind == 3:  # Lengths that are none, or never come.
        length = dice.choice([0, 1, 4, 27, 29, 33_554_432, 33_554_436, 33_554_437, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
        return [message(OPEN, polkit.ARGUMENTS[OPEN], length=length), b"\0" * dice.choice([0, 100, 200_000])]
    if kind == 4:  # Half of a message.
        whole = call()
        return [whole[:dice.randrange(len(whole))]]
    if kind == 5:  # Headers that no client sends.
        return [message(dice.choice([0, -1, 0x7FFFFFFF, OPEN, AUTH_POLKIT, 145]), arguments(dice),
                        program=dice.choice(PROGRAMS), version=dice.choice([0, 1, 2, 0xFFFFFFFF]),
                        kind=dice.choice([0, 1, 2, 3, 4, 5, 6, -1]), serial=dice.randrange(1 << 31),
                        status=dice.choice([0, 1, 2, -1])) for _ in range(1 + dice.randrange(10))]
    if kind == 6:  # Is anybody there?
        return [message(PING, program=KEEPALIVE_PROGRAM, kind=2, serial=0) * dice.randrange(300)]
    if kind == 7:  # Authentication, again and again, with calls between that hope for one that passes.
        return [dice.choice([message(AUTH_POLKIT, arguments(dice), serial=7), message(AUTH_LIST, serial=8),
                             message(OPEN, polkit.ARGUMENTS[OPEN], serial=9), call()])
                for _ in range(dice.randrange(12))] + [message(AUTH_POLKIT)] * dice.randrange(4)
    if kind == 8:  # The other way to authenticate, which there is not.
        return [message(procedure, polkit.ARGUMENTS.get(procedure, b"") + dice.randbytes(dice.randrange(50)))
                for procedure in dice.choices([67, 68, 69], k=6)]
    sent = bytearray(b"".join(call() for _ in range(3)) + message(AUTH_POLKIT) + call())
    for _ in range(1 + dice.randrange(6)):
        at = dice.randrange(len(sent))
        if dice.random() < 0.5:
            sent[at] ^= 1 << dice.randrange(8)
        else:
            sent[at:at + dice.randrange(5)] = dice.randbytes(dice.randrange(5))
    return [bytes(sent)]


def exchange(dice, pieces):
    """Sends, and reads what is answered until the last call is, or the daemon has ended the connection, or is quiet."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(STEP_SECONDS)
        client.connect(SOCKET)
        for piece in pieces:
            client.sendall(piece)
        if dice.random() < 0.15:
            return b""  # Gone, whatever was asked.
        client.sendall(message(OPEN, polkit.ARGUMENTS[OPEN], serial=LAST))
        answers = b""
        while not any(serial == LAST for *_, serial, _, _ in messages(answers)):
            if not select.select([client], [], [], QUIET_SECONDS)[0]:
                break
            received = client.recv(1 << 20)
            if not received:
                break
            answers += received
        return answers


def messages(answers):
    """Those that are whole: program, procedure, kind, serial, status, payload."""
    while len(answers) >= 28:
        length, program, _, procedure, kind, serial, status = struct.unpack_from(">IIIiIII", answers)
        if length < 28 or length > len(answers):
            return
        yield program, procedure, kind, serial, status, answers[28:length]
        answers = answers[length:]


def wrong_about(answers):
    if SECRET.encode() in answers or bytes.fromhex(SECRET_ID.replace("-", "")) in answers:
        return f"the secret is in {answers[:2000]!r}"
    for program, procedure, kind, serial, status, payload in messages(answers):
        is_list = program == REMOTE_PROGRAM and procedure == AUTH_LIST and payload == struct.pack(">Ii", 1, 2)
        is_pong = program == KEEPALIVE_PROGRAM and procedure == 2 and not payload
        if not (is_list or is_pong or (kind == 1 and status == 1)):
            return f"answered {(program, procedure, kind, serial, status, payload[:100])}"
        if serial == LAST and status == 1 and (error := polkit.Answer.read_error(payload)) != DOES_NOT_KNOW_YOU:
            return f"the last call, in good form, is answered {error}"
    return None


def questions_that_nobody_waits_for(daemon, polkitd, before):
    """polkit hangs; some ask and go away, some ask and press on. Who needs no polkit is served meanwhile."""
    polkitd.send_signal(signal.SIGSTOP)
    check("nobody is let in by a polkit that hangs", succeeds(CHALLENGED, ask_and_go))
    check("nor is who has more questions than others", succeeds(DENIED, ask_and_go))
    begin = time.monotonic()
    if polkit.raw("root", OPEN).error:
        check("root is served meanwhile", False)
    print(f"root was served after {time.monotonic() - begin:.3f} s", flush=True)
    wait(lambda: open_files(daemon) <= before, "the questions end with those who asked")
    polkitd.send_signal(signal.SIGCONT)
    honest()


def succeeds(user, work):
    return os.waitstatus_to_exitcode(os.waitpid(fork(user, work), 0)[1]) == 0


def ask_and_go():
    clients = [socket.socket(socket.AF_UNIX) for _ in range(60)]
    for number, client in enumerate(clients):
        client.settimeout(STEP_SECONDS)
        client.connect(SOCKET)
        client.sendall(message(AUTH_POLKIT, serial=1) * (1 + number % 3))
        client.sendall(message(OPEN, polkit.ARGUMENTS[OPEN], serial=LAST))
    end = time.monotonic() + 1
    received = {client: b"" for client in clients}
    while time.monotonic() < end:
        for client in select.select(clients, [], [], 0.1)[0]:
            received[client] += client.recv(1 << 16)
    for answers in received.values():
        wrong = wrong_about(answers)
        assert not wrong, wrong
    for client in clients[::2]:
        client.sendall(message(OPEN, polkit.ARGUMENTS[OPEN])[:20])
    for client in clients:
        client.close()


def polkit_that_dies(polkitd):
    """While it has a question; and it comes back."""
    polkitd.send_signal(signal.SIGSTOP)
    pid = fork(ALLOWED, lambda: refused_when_polkit_dies())
    time.sleep(0.3)
    polkitd.kill()
    polkitd.wait(STEP_SECONDS)
    check("who asked a polkit that died is not let in", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0)
    polkit.start_polkitd()


def refused_when_polkit_dies():
    asked, opened = polkit.call_all([AUTH_POLKIT, OPEN])
    assert polkit.Answer(asked).error and polkit.Answer(opened).error[:2] == DOES_NOT_KNOW_YOU[:2]


def open_files(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def what_is_left(daemon):
    check("the daemon goes on", daemon.process.poll() is None)
    log = daemon.log.read_text(errors="replace")
    panics = [line for line in log.splitlines() if "panic" in line]
    check(f"nothing ended in a panic {panics[:3]}", not panics)
    check("no secret is in the log", SECRET not in log)
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0])
    print(f"{peak} KiB at most, {open_files(daemon)} open files, {len(log)} bytes of log", flush=True)
    check("it stays small", peak < RESIDENT_KIB_MAX and len(log) < LOG_BYTES_MAX)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--inside", type=pathlib.Path, help=argparse.SUPPRESS)  # A folder, in the namespaces.
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()
    given.real = False

    def work(folder):
        polkit.make_private(folder)
        scenario(polkit.Daemon(given.command, SOCKET, folder / "secret daemon.log"))

    run(parser, given, polkit.PROGRAMS, work)


if __name__ == "__main__":
    main()
