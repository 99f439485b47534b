"""What every function says of a connection whose daemon has gone, on whichever libvirt.so.0 the loader finds.

usage: ended.py none|loop URI PID     The daemon at URI is killed. With `loop` an event loop notices.
"""
import ctypes
import os
import signal
import sys
import time


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("domain", ctypes.c_int), ("message", ctypes.c_char_p)]


mode, uri, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])
libvirt = ctypes.CDLL("libvirt.so.0")
libvirt.virInitialize()
libvirt.virGetLastError.restype = ctypes.POINTER(Error)
for maker in ("virConnectOpen", "virSecretDefineXML"):
    getattr(libvirt, maker).restype = ctypes.c_void_p
quiet = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: None)
tick = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)(lambda *_: None)
libvirt.virSetErrorFunc(None, quiet)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
if mode == "loop":
    libvirt.virEventRegisterDefaultImpl()
    libvirt.virEventAddTimeout(50, tick, None, None)
xml = b"<secret><uuid>5ec2e700-0000-4000-8000-0000000000ee</uuid></secret>"
asked, unasked = (ctypes.c_void_p(libvirt.virConnectOpen(uri.encode())) for _ in range(2))
secret = ctypes.c_void_p(libvirt.virSecretDefineXML(asked, xml, 0))
assert asked and unasked and secret
texts = {"virConnectGetType", "virSecretGetUsageID"}
pointers = {"virConnectGetHostname", "virConnectGetCapabilities", "virSecretGetXMLDesc", "virSecretLookupByUUIDString"}


def ask(name, *arguments):
    function = getattr(libvirt, name)
    function.restype = ctypes.c_char_p if name in texts else ctypes.c_void_p if name in pointers else ctypes.c_int
    libvirt.virResetLastError()
    result = function(*arguments)
    last = libvirt.virGetLastError()
    error = (last.contents.code, last.contents.domain, last.contents.message) if last else "no error"
    print(name, bool(result) if name in pointers else result, error)


def ask_all(connect):
    out = ctypes.create_string_buffer(64)
    ask("virConnectGetType", connect)
    for interval, count in ((5, 3), (6, 3), (0, 0), (7, 3)):
        ask("virConnectSetKeepAlive", connect, interval, count)
    for name in ("virConnectIsAlive", "virConnectIsSecure", "virConnectIsEncrypted", "virConnectNumOfSecrets"):
        ask(name, connect)
    ask("virConnectGetLibVersion", connect, out)
    if not is_alive:  # Until then libvirt asks the daemon, and has its words for it.
        ask("virConnectListAllDomains", connect, None, 0)
        ask("virConnectGetHostname", connect)
        ask("virConnectGetVersion", connect, out)
        ask("virConnectGetCapabilities", connect)
        ask("virConnectNumOfDomains", connect)
    ask("virConnectListSecrets", connect, out, 1)
    ask("virSecretGetUUIDString", secret, out)
    ask("virSecretGetUsageID", secret)
    ask("virSecretGetXMLDesc", secret, 0)
    ask("virSecretLookupByUUIDString", connect, b"5ec2e700-0000-4000-8000-0000000000ff")
    ask("virConnectSecretEventRegisterAny", connect, None, 0, quiet, None, None)
    ask("virConnectSecretEventDeregisterAny", connect, 0)
    ask("virConnectRegisterCloseCallback", connect, quiet, None, None)
    ask("virConnectUnregisterCloseCallback", connect, quiet)
    ask("virConnectSetIdentity", connect, None, 0, 0)
    ask("virConnectRef", connect)
    ask("virConnectClose", connect)


is_alive = True
ask_all(asked)
os.kill(pid, signal.SIGKILL)
while True:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        break
    time.sleep(0.01)
for _ in range(10 if mode == "loop" else 0):
    libvirt.virEventRunDefaultImpl()
is_alive = False
print("killed")
ask_all(asked)
ask_all(unasked)
