#!/usr/bin/env python3
"""Prints the bytes that src/golden.rs expects, made from the drawings at the head of src/keys.rs, src/envelope.rs and
src/guard.rs.

Needs the `cryptography` package: another implementation, so that the drawings are known to be complete.
"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

MASTER_KEY = b"a master key of exactly 32 bytes"
PROJECT_KEY = bytes([5]) * 32
NONCE = b"twelve bytes"
PROJECT = b"p"
SECRET_ID = bytes([7]) * 16
STORE_ID = b"the first store."

FORMAT = b"\x01"
VERSION = struct.pack(">I", 1)
PRIVATE = b"\x01"
PROJECT_FIELD = struct.pack(">H", len(PROJECT)) + PROJECT


def derive(key, label):
    return HKDFExpand(hashes.SHA256(), 32, label).derive(key)


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


wrap_key = derive(MASTER_KEY, b"donjon/1 wrap project key")
wrap_bound = FORMAT + VERSION + PROJECT_FIELD
print("WRAPPED", (FORMAT + NONCE + AESGCM(wrap_key).encrypt(NONCE, PROJECT_KEY, wrap_bound)).hex())

check_key = derive(MASTER_KEY, b"donjon/1 check master key")
print("CHECK", (FORMAT + mac(check_key, STORE_ID)).hex())
print("CHECK_2", (b"\x02" + mac(check_key, STORE_ID + b"\x02")).hex())

secret_key = derive(PROJECT_KEY, b"donjon/1 seal payload" + SECRET_ID)
seal_bound = FORMAT + VERSION + SECRET_ID + PRIVATE + PROJECT_FIELD
print("SEALED", (FORMAT + VERSION + NONCE + AESGCM(secret_key).encrypt(NONCE, b"hunter2", seal_bound)).hex())

chain_key = derive(MASTER_KEY, b"donjon/1 chain audit trail")
print("LINK", mac(chain_key, bytes(32) + b"line").hex())

guard_key = derive(PROJECT_KEY, b"donjon/1 guard standing")
ACL = hashlib.sha256(b"".join(struct.pack(">I", len(user)) + user for user in (b"a", b"bc"))).digest()
EXPIRATION = struct.pack(">q", 1000)
# A secret, private, with a creator, an expiration and an ACL; then a container with project access alone.
full = FORMAT + VERSION + b"\x01" + SECRET_ID + bytes([2 + 4 + 8 + 16]) + EXPIRATION + ACL + PROJECT_FIELD + b"someone"
print("GUARD", (FORMAT + VERSION + mac(guard_key, full)[:16] + ACL).hex())
bare = FORMAT + VERSION + b"\x02" + SECRET_ID + bytes([1]) + PROJECT_FIELD
print("GUARD_BARE", (FORMAT + VERSION + mac(guard_key, bare)[:16]).hex())
