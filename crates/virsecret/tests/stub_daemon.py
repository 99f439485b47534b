#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon that is none, for one program: it says what no real one can be made to say at the right moment.

    stub_daemon.py ends|beyond|floods SOCKET PROGRAM [ARGUMENT...]

It serves SOCKET, runs PROGRAM, answers what that asks for while it opens a connection, and ends as it ends.

    ends     with the last reply of the opening comes a PING, and then the end of the stream: all while PROGRAM is stopped,
             so that it finds both in one
    beyond   after the answer to CONNECT_NUM_OF_SECRETS comes a CONNECT_EVENT_CONNECTION_CLOSED with reason 2, and the
             stream goes on
    floods   before the answer to CONNECT_NUM_OF_SECRETS come 17000 events
"""
import os
import signal
import socket
import struct
import subprocess
import sys
import time

EVENTS = 17000
REMOTE, KEEPALIVE = 0x20008086, 0x6B656570
FEATURE, AUTH_LIST, NUM_OF_SECRETS, EVENT_CLOSED = 60, 66, 139, 362
REGISTER, EVENT_LIFECYCLE = 380, 382
REPLY, MESSAGE, PING = 1, 2, 1
# VIR_DRV_FEATURE_PROGRAM_KEEPALIVE is asked for last.
KEEPALIVE_FEATURE = 15


def receive(client):
    (length,) = struct.unpack(">I", client.recv(4, socket.MSG_WAITALL))
    body = client.recv(length - 4, socket.MSG_WAITALL)
    return struct.unpack(">IIiIII", body[:24]), body[24:]


def message(program, procedure, kind, serial, payload=b""):
    return struct.pack(">IIIiIII", 28 + len(payload), program, 1, procedure, kind, serial, 0) + payload


def serve(client, mode, program):
    while True:
        (_, _, procedure, _, serial, _), arguments = receive(client)
        payload = {AUTH_LIST: struct.pack(">Ii", 1, 0), FEATURE: struct.pack(">i", 1),
                   NUM_OF_SECRETS: struct.pack(">i", 0), REGISTER: struct.pack(">i", 0)}.get(procedure, b"")
        reply = message(REMOTE, procedure, REPLY, serial, payload)
        if mode == "ends" and procedure == FEATURE and struct.unpack(">i", arguments) == (KEEPALIVE_FEATURE,):
            os.kill(program.pid, signal.SIGSTOP)
            while b"\nState:\tT" not in open(f"/proc/{program.pid}/status", "rb").read():
                time.sleep(0.001)
            client.sendall(reply + message(KEEPALIVE, PING, MESSAGE, 0))
            client.close()
            os.kill(program.pid, signal.SIGCONT)
            return
        if mode == "floods" and procedure == NUM_OF_SECRETS:
            secret = bytes(16) + struct.pack(">iI", 0, 0)
            client.sendall(message(REMOTE, EVENT_LIFECYCLE, MESSAGE, 0, struct.pack(">i", 0) + secret + bytes(8)) * EVENTS)
        client.sendall(reply)
        if mode == "beyond" and procedure == NUM_OF_SECRETS:
            client.sendall(message(REMOTE, EVENT_CLOSED, MESSAGE, 0, struct.pack(">i", 2)))


def main():
    mode, path, *command = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        program = subprocess.Popen(command)
        client, _ = listener.accept()
        try:
            serve(client, mode, program)
        except (OSError, struct.error):
            pass  # The program has gone.
        return program.wait(timeout=60)


if __name__ == "__main__":
    sys.exit(main())
