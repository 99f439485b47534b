"""What each URI opens, or is refused with, on whichever libvirt.so.0 the loader finds.

usage: uris.py SOCKET     A line for each URI. Two libraries are alike if they print the same.

What differs between releases of libvirt itself is made alike: numbered formats, and where Debian has its sockets.
"""
import ctypes
import sys

URIS = """
secret:/system?socket=SOCKET
secret:system?socket=SOCKET
secret:?socket=SOCKET
secret://?socket=SOCKET
secret:///?socket=SOCKET
secret:////system?socket=SOCKET
secret:///system/?socket=SOCKET
secret:///system?socket=SOCKET&foo=bar
secret:///system?foo=bar&socket=SOCKET&x=%20y
secret:///system?socket=SOCKET#
secret:///sys%74em?socket=SOCKET#a%20b[c]%41
secret:///system?socket=SOCKET&a=%41%2f
secret:///a%20b?socket=SOCKET
secret:/%73ystem?socket=SOCKET
secret+unix:/system?socket=SOCKET
secret+UNIX:///system?socket=SOCKET
secret+unix://user@/system?socket=SOCKET
secret+unix://u%3a%40:x@/system?socket=SOCKET
secret+unix://:7/system?socket=SOCKET
secret:///system?sOcKeT=SOCKET
secret:///system?socket=SOCKET&socket=/nonexistent
secret:///system?socket=
secret:///system?socket&foo
secret:///system?=x&socket=SOCKET
secret:///system?&&socket=SOCKET
secret:///system?socket=SOCKET;foo
secret:///system?name=bogus:///x&socket=SOCKET
secret:///../system?socket=SOCKET
secret.x:///system?socket=SOCKET
bogus:///system?socket=SOCKET
secret:///système?socket=SOCKET
secret:///system?"x"&socket=SOCKET
secret:///system?<x>&socket=SOCKET
secret:///sys"tem?socket=SOCKET
secret:///sys{tem?socket=SOCKET
secret:///system?a^b&socket=SOCKET
secret:///system?a[b]&socket=SOCKET
secret:///sys tem
secret:///system?a=%
secret:///system?a=%zz
secret:///sys%
secret:///system#%
secret:///system#a#b
%
%%
%41
%zz
:
/
?
#
x
x y
//host/x
//host:x/y
:x
1a:///x
+tcp://localhost/system
se#cret:///system
secret
secret://%/system
secret://a%zzb/system
secret+tcp://127.0.0.1:65537/system
secret+tcp://127.0.0.1:131073/system
secret+tcp://127.0.0.1:2147418113/system
secret+tcp://127.0.0.1:2147483648/system
secret+tcp://127.0.0.1:99999999999/system
secret+tcp://127.0.0.1:-1/system
secret+tcp://127.0.0.1:x/system
secret+tcp://127.0.0.1:1x/system
secret+tcp://127.0.0.1:+1/system
secret+tcp://127.0.0.1:/system
secret+tcp://127.0.0.1:1/system
secret+tcp://127.0.0.1:01/system
secret+tcp://127.0.0.1:1
secret+tcp://127.0.0.1:1?x
secret+tcp://127.0.0.1:1:2/system
secret+tcp://[127.0.0.1/system
secret+tcp://::1/system
secret+tcp://user@127.0.0.1:1/system
secret+tcp://us%40er:pw@127.0.0.1:1/system
secret+tcp://%31%32%37.0.0.1:1/system
secret+unix://host/system
secret+://127.0.0.1/system
secret+tcp+x://127.0.0.1/system
secret:///system?mode=
secret:///system?mode=AUTO&socket=SOCKET
secret:///system?no_verify=
secret:///system?no_verify=0x1&socket=SOCKET
secret:///system?no_verify=99999999999&socket=SOCKET
secret:///system?proxy=x
"""


class Error(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_int), ("domain", ctypes.c_int), ("message", ctypes.c_char_p), ("level", ctypes.c_int),
        ("conn", ctypes.c_void_p), ("dom", ctypes.c_void_p),
        ("str1", ctypes.c_char_p), ("str2", ctypes.c_char_p), ("str3", ctypes.c_char_p),
        ("int1", ctypes.c_int), ("int2", ctypes.c_int),
    ]


libvirt = ctypes.CDLL("libvirt.so.0")
libvirt.virInitialize()
libvirt.virGetLastError.restype = ctypes.POINTER(Error)
libvirt.virConnectOpen.restype = ctypes.c_void_p
libvirt.virConnectGetURI.restype = ctypes.c_char_p
quiet = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: None)
libvirt.virSetErrorFunc(None, quiet)

for uri in URIS.strip("\n").split("\n"):
    connect = ctypes.c_void_p(libvirt.virConnectOpen(uri.replace("SOCKET", sys.argv[1]).encode()))
    if connect:
        print(uri, "is", libvirt.virConnectGetURI(connect).decode())
        libvirt.virConnectClose(connect)
        continue
    error = libvirt.virGetLastError().contents
    said = f"{error.code} {error.domain} {error.message} {error.str1} {error.str2} {error.str3} {error.int1} {error.int2}"
    print(uri, "is refused:", said.replace("%1$s", "%s").replace("/var/run/", "/run/"))
