#!/usr/bin/env python3
"""Makes src/generate/dsa-4096.der again: the group that DSA keys of 4096 bits share.

FIPS 186-4, A.1.1.2 (p and q from a seed, with SHA-256, L = 4096 and N = 256) and A.2.1 (g, with h = 2). The seed is
SHA-256 of a sentence and a number, the smallest that gives a group: nothing is left to choose. No package is needed;
it takes a minute or so.
"""

import hashlib
import pathlib
import random
import sys

P_BITS, Q_BITS = 4096, 256
SENTENCE = "Donjon: the group of DSA keys of 4096 bits, attempt %d"
WITNESSES = 64  # A.1.1.2 asks for Miller-Rabin tests; FIPS 186-4, table C.1, is content with 64 for any size.


def sha256(number):
    """Of the number in as many bytes as the seed has."""
    return int.from_bytes(hashlib.sha256((number % 2**256).to_bytes(32, "big")).digest(), "big")


def is_prime(n):
    if any(n % small == 0 for small in SMALL):
        return n in SMALL
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(WITNESSES):
        x = pow(random.randrange(2, n - 1), odd, n)
        if x not in (1, n - 1) and not any((x := x * x % n) == n - 1 for _ in range(twos - 1)):
            return False
    return True


SMALL = [n for n in range(2, 5000) if all(n % m for m in range(2, int(n**0.5) + 1))]


def group(seed):
    """p, q and the counter that found p, or None."""
    q = 2 ** (Q_BITS - 1) + sha256(seed) % 2 ** (Q_BITS - 1)
    q += 1 - q % 2
    if not is_prime(q):
        return None
    blocks, offset = P_BITS // 256, 1
    for counter in range(4 * P_BITS):
        digests = [sha256(seed + offset + j) for j in range(blocks)]
        w = sum(v << 256 * j for j, v in enumerate(digests)) % 2 ** (P_BITS - 1)
        x = w + 2 ** (P_BITS - 1)
        p = x - (x % (2 * q) - 1)
        if p.bit_length() == P_BITS and is_prime(p):
            return p, q, counter
        offset += blocks
    return None


def der(tag, *parts):
    content = b"".join(parts)
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1, "big")
    head = length if len(content) < 128 else bytes([0x80 | len(length)]) + length
    return bytes([tag]) + head + content


def integer(n):
    return der(0x02, n.to_bytes(n.bit_length() // 8 + 1, "big"))


attempt = 0
while (found := group(seed := int.from_bytes(hashlib.sha256((SENTENCE % attempt).encode()).digest(), "big"))) is None:
    attempt += 1
p, q, counter = found
g = pow(2, (p - 1) // q, p)
assert g != 1 and pow(g, q, p) == 1
print(f"attempt {attempt}, seed {seed:064x}, counter {counter}")

# A SubjectPublicKeyInfo (RFC 3279, 2.3.2) whose key is g itself: it only carries the group.
dsa = bytes.fromhex("06072a8648ce380401")
made = der(0x30, der(0x30, dsa, der(0x30, integer(p), integer(q), integer(g))), der(0x03, b"\0", integer(g)))
path = pathlib.Path(__file__).parent.parent / "src/generate/dsa-4096.der"
if sys.argv[1:] == ["--write"]:
    path.write_bytes(made)
assert path.read_bytes() == made, f"{path} is another group"
