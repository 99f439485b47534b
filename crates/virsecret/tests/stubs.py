"""Every function that the library has for show alone, called as real libvirt was called when its answers were recorded.

usage: stubs.py LIBRARY URI     (null_arguments.txt and unsupported.txt lie beside this file)
"""
import ctypes
import pathlib
import sys


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("domain", ctypes.c_int), ("message", ctypes.c_char_p), ("level", ctypes.c_int)]


library, uri = ctypes.CDLL(sys.argv[1]), sys.argv[2].encode()
library.virGetLastError.restype = ctypes.POINTER(Error)
library.virConnectOpen.restype = ctypes.c_void_p
handler = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: None)
library.virSetErrorFunc(None, handler)
FAILURES = {"-1": -1, "NULL": 0, "0": 0, "4294967295": -1, "void": None}


def recorded(name):
    lines = (pathlib.Path(__file__).parent / name).read_text().splitlines()
    return [line.split(" ", 4) for line in lines if line and not line.startswith("#")]


def ask(name, first):
    function = getattr(library, name)
    function.restype = ctypes.c_int
    result = function(ctypes.c_void_p(first), *[ctypes.c_void_p(0)] * 11)
    last = library.virGetLastError()
    error = last.contents if last else Error()
    return result, error.code, error.domain, (error.message or b"-").decode()


def compare(name, first, code, domain, result, message):
    library.virResetLastError()
    got = ask(name, first)
    if FAILURES[result] is None:
        got = (None, *got[1:])
    expected = (FAILURES[result], int(code), int(domain), message)
    if got != expected:
        return f"{name}: {got}, and libvirt says {expected}"
    return None


connect = library.virConnectOpen(uri)
assert connect, "the daemon does not answer"
nulls, unsupported = recorded("null_arguments.txt"), recorded("unsupported.txt")
wrong = [compare(name, 0, *rest) for name, *rest in nulls] + [compare(name, connect, *rest) for name, *rest in unsupported]
wrong = [line for line in wrong if line]
print("\n".join(wrong))
print(f"{len(nulls)} with NULL, {len(unsupported)} with a connection, {len(wrong)} differ")
sys.exit(bool(wrong))
