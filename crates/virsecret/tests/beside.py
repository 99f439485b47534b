"""The functions of libvirt-qemu.so.0 and libvirt-lxc.so.0, on whichever of them the loader finds.

usage: beside.py URI     A line for each: what it gave back, its error. With NULL first, which libvirt refuses alike.
"""
import ctypes
import sys


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("domain", ctypes.c_int), ("message", ctypes.c_char_p), ("level", ctypes.c_int)]


libvirt, qemu, lxc = (ctypes.CDLL(name) for name in ("libvirt.so.0", "libvirt-qemu.so.0", "libvirt-lxc.so.0"))
libvirt.virGetLastError.restype = ctypes.POINTER(Error)
libvirt.virConnectOpen.restype = ctypes.c_void_p
quiet = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: None)
libvirt.virSetErrorFunc(None, quiet)
connect = libvirt.virConnectOpen(sys.argv[1].encode())
assert connect, "the daemon does not answer"


def ask(library, name, first, *rest):
    libvirt.virResetLastError()
    function = getattr(library, name)
    function.restype = ctypes.c_void_p if name in ("virDomainQemuAttach", "virDomainQemuAgentCommand") else ctypes.c_int
    result = function(ctypes.c_void_p(first), *rest)
    error = libvirt.virGetLastError().contents
    whose = "a connection" if first else "NULL"
    print(name, whose, result, error.code, error.domain, error.level, error.message.decode(), sep=": ")


null, out = ctypes.c_void_p(0), ctypes.create_string_buffer(64)
for first in (0, connect):
    ask(qemu, "virDomainQemuAttach", first, 1, 0)
    ask(qemu, "virConnectDomainQemuMonitorEventRegister", first, null, null, quiet, null, null, 0)
    ask(qemu, "virConnectDomainQemuMonitorEventDeregister", first, 1)
ask(qemu, "virDomainQemuMonitorCommand", 0, b"x", out, 0)
ask(qemu, "virDomainQemuMonitorCommandWithFiles", 0, b"x", 0, null, null, null, out, 0)
ask(qemu, "virDomainQemuAgentCommand", 0, b"x", 1, 0)
ask(lxc, "virDomainLxcOpenNamespace", 0, out, 0)
ask(lxc, "virDomainLxcEnterSecurityLabel", 0, null, null, 0)
ask(lxc, "virDomainLxcEnterCGroup", 0, 0)
