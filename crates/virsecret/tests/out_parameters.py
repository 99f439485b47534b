"""What every function leaves in the variables that its caller has it fill in, on whichever library is named.

usage: out_parameters.py LIBRARY URI

Each variable is filled with a pattern first, as a variable on a C program's stack is with whatever was there. A line for
each call: the function, what its first argument was, and for each variable that is not as it was how many bytes are
zero now, or that something else is there. Two libraries are alike if they print the same.

The functions and their arguments are read from libvirt's own headers. Each call is made in a process of its own.
"""
import ctypes
import os
import re
import subprocess
import sys

PATTERN = b"A" * 1024
OBJECTS = (
    "Connect|Domain|DomainCheckpoint|DomainSnapshot|Interface|NWFilter|NWFilterBinding|Network|NetworkPort|NodeDevice|"
    "Secret|StoragePool|StorageVol|Stream"
)
# What is in the variable is used, so a pattern will not do; or the argument is not one to fill in.
NOT_ASKED = re.compile(
    r"virTypedParams?(Add|Set|Clear|Free|List)\w*|virTypedParamList\w+|vir\w+(Free|Deregister\w*)|virFreeError|virResetError"
    r"|virConnectClose|virEvent\w+|virDomainListGetStats|virConnectSetIdentity|virSaveLastError|vir(Conn)?SetErrorFunc"
    r"|virDefaultErrorFunc|virDomain(FDAssociate|[GS]etLaunchSecurity\w+|RestoreParams)"
)


def declared():
    """Each function's result, and its arguments."""
    headers = "#include <libvirt/libvirt.h>\n#include <libvirt/virterror.h>\n"
    text = subprocess.run(["gcc", "-E", "-P", "-"], input=headers, capture_output=True, text=True, check=True).stdout
    text = re.sub(r"\s+", " ", text)
    while "{" in text:
        text, count = re.subn(r"\{[^{}]*\}", "", text)
        assert count
    text = re.sub(r"__attribute__ ?\(\(.*?\)\)(?= |;)", "", text)
    functions = {}
    for statement in text.split(";"):
        found = re.fullmatch(r" ?(?:extern )?((?:\w+ )*\w+[ *]+)(vir\w+) ?\(([^()]*)\) *", statement)
        if found and "typedef" not in statement:
            result, name, arguments = found.groups()
            functions[name] = result, [argument.strip() for argument in arguments.split(",")]
    return functions


def kind(argument):
    """`object`, `text`, `other`, or `out`, which is filled in."""
    if re.match(rf"vir({OBJECTS})Ptr \w+$", argument):
        return "object"
    if argument.startswith("const "):
        return "text" if re.match(r"const char ?\*", argument) and argument.count("*") == 1 else "other"
    if re.match(r"vir\w+(Error|Info|Model|Label|Stats|Parameter|Struct)Ptr \w+$", argument):
        return "out"
    return "out" if ("*" in argument or "[" in argument) and not argument.startswith("void *") else "other"


class Failure(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("domain", ctypes.c_int), ("message", ctypes.c_char_p)]


library, uri = ctypes.CDLL(sys.argv[1]), sys.argv[2].encode()
for maker in ("virConnectOpen", "virSecretDefineXML"):
    getattr(library, maker).restype = ctypes.c_void_p
quiet = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: None)
library.virSetErrorFunc(None, quiet)
connect = library.virConnectOpen(uri)
assert connect, "the daemon does not answer"
xml = b"<secret><uuid>5ec2e700-0000-4000-8000-0000000000%02x</uuid></secret>"
empty, filled = (library.virSecretDefineXML(ctypes.c_void_p(connect), xml % number, 0) for number in (1, 2))
assert empty and filled and library.virSecretSetValue(ctypes.c_void_p(filled), b"x", ctypes.c_size_t(1), 0) == 0


def call(name, arguments, first, is_plausible):
    outs, values = [], []
    for argument in arguments:
        of = kind(argument)
        if not values and of == "object":
            values.append(ctypes.c_void_p(first))
        elif of == "out":
            variable = ctypes.create_string_buffer(PATTERN, len(PATTERN))
            outs.append((re.findall(r"\w+", argument.split("[")[0])[-1], variable))
            values.append(variable)
        else:
            values.append(ctypes.c_char_p(b"x") if of == "text" and is_plausible else ctypes.c_void_p(0))
    function = getattr(library, name)
    function.restype = ctypes.c_void_p
    function(*values)
    changes = []
    for label, variable in outs:
        changed = variable.raw.rstrip(PATTERN[:1])
        if changed:
            changes.append(f"{label} is something" if changed.strip(b"\0") else f"{label} is {len(changed)} zeros")
    return ", ".join(changes) or "as it was"


def apart(*what):
    """A crash is an answer too."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, call(*what).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    status = os.waitpid(child, 0)[1]
    return said or f"ended with {status}"


for name, (_, arguments) in sorted(declared().items()):
    if NOT_ASKED.fullmatch(name) or not hasattr(library, name) or "out" not in map(kind, arguments):
        continue
    firsts = [("NULL", 0)]
    if arguments[0].startswith("virConnectPtr"):
        firsts.append(("a connection", connect))
    if arguments[0].startswith("virSecretPtr"):
        firsts += [("a secret without a value", empty), ("a secret", filled)]
    for label, first in firsts:
        for is_plausible in (False, True):
            print(name, label, "and texts" if is_plausible else "and nothing", apart(name, arguments, first, is_plausible), sep=": ")
