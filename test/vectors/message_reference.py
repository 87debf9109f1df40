"""A second implementation of the Keyferry message, from which message.json is made:

    python3 test/vectors/message_reference.py > test/vectors/message.json

HKDF-Expand from the standard library (hmac, hashlib), AES-GCM and AES-CTR from `cryptography`. When that is 50.0 or
newer, every valid message is also opened by its own Cobblestone-256, an independent implementation of C2SP chunked
encryption. Not needed to run the tests.
"""

import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

try:
    from cryptography.cobblestone import Cobblestone256Decryptor
except ImportError:
    Cobblestone256Decryptor = None

CHUNK = 16384
MAGIC = b"KFRYMSG\x01"


def hkdf_expand(prk, info, length):  # RFC 5869, section 2.3
    okm, t, counter = b"", b"", 1
    while len(okm) < length:
        t = hmac.new(prk, t + info + bytes([counter]), hashlib.sha512).digest()
        okm += t
        counter += 1
    return okm[:length]


def message(key, key_id, context, salt, plaintext, aead=b"AEAD_AES_256_GCM", bound=True, first=0, aad=None):
    header = MAGIC + key_id
    info = b"c2sp.org/chunked-encryption@v1+" + aead + b"\0" + salt + (header if bound else b"") + context
    okm = hkdf_expand(key, info, 76)
    gcm, base_nonce, commitment = AESGCM(okm[:32]), int.from_bytes(okm[32:44], "big"), okm[44:]
    out = header + salt + commitment
    for number in range(len(plaintext) // CHUNK + 1):
        nonce = (base_nonce ^ (number + first)).to_bytes(12, "big")
        out += gcm.encrypt(nonce, plaintext[number * CHUNK : (number + 1) * CHUNK], aad)
    return out


def valid(key, key_id, context, salt, plaintext):
    out = message(key, key_id, context, salt, plaintext)
    if Cobblestone256Decryptor is not None:
        decryptor = Cobblestone256Decryptor(key, out[:40] + context)
        assert decryptor.update(out[40:]) + decryptor.finalize() == plaintext
    return out


def pattern(length):
    return bytes((i * 7 + (i >> 8) * 13) & 0xFF for i in range(length))


class Stream:
    """The key stream of AES-256-CTR under SHA-256 of a text, counter from 0."""

    def __init__(self, seed):
        self.cipher = Cipher(algorithms.AES(hashlib.sha256(seed).digest()), modes.CTR(bytes(16))).encryptor()

    def take(self, length):
        return self.cipher.update(bytes(length))


def main():
    key, key_id, salt = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 88))
    vectors = []
    for length in [0, 1, 16383, 16384, 16385, 32768, 50000]:
        for context in [b""] if length > 1 else [b"", b"order/17", bytes(range(256)) * 2]:
            out = valid(key, key_id, context, salt, pattern(length))
            vectors.append({
                "comment": f"{length} bytes, context of {len(context)} bytes",
                "expect": "ok",
                "key": key.hex(),
                "keyId": key_id.hex(),
                "context": context.hex(),
                "salt": salt.hex(),
                "plaintextLength": length,
                "prefix": out[:96].hex(),
                "lastTag": out[-16:].hex(),
                "sha256": hashlib.sha256(out).hexdigest(),
            })

    args = (key, key_id, b"order/17", salt, pattern(20))
    good = message(*args)
    zero = message(key, bytes(32), b"order/17", salt, pattern(20))
    bad = [
        ("the same message untouched", "ok", good),
        ("of a form that nobody knows", "ERR_MALFORMED", good[:7] + b"\x03" + good[8:]),
        ("ends in the header", "ERR_MALFORMED", good[:39]),
        ("empty", "ERR_MALFORMED", b""),
        ("ends behind the header", "ERR_OPEN", good[:40]),
        ("ends in the commitment", "ERR_OPEN", good[:95]),
        ("no chunk", "ERR_OPEN", good[:96]),
        ("shorter than a tag", "ERR_OPEN", good[:111]),
        ("one byte too many", "ERR_OPEN", good + b"\0"),
        ("the key id of another message", "ERR_OPEN", zero[:40] + good[40:]),
        ("the chunk of another message", "ERR_OPEN", good[:96] + zero[96:]),
        ("the key schedule of AES-128", "ERR_OPEN", message(*args, aead=b"AEAD_AES_128_GCM")),
        ("the header not bound", "ERR_OPEN", message(*args, bound=False)),
        ("the first chunk numbered 1", "ERR_OPEN", message(*args, first=1)),
        ("with associated data", "ERR_OPEN", message(*args, aad=good[:40])),
    ]
    decrypt = [{"comment": comment, "expect": expect, "message": data.hex()} for comment, expect, data in bad]

    cases, seed, digest = 300, b"keyferry message vectors", bytes(32)
    stream = Stream(seed)
    for _ in range(cases):
        case_key, case_id, case_salt = stream.take(32), stream.take(32), stream.take(24)
        context = stream.take(stream.take(1)[0])
        long, length = stream.take(1)[0] % 4 == 0, int.from_bytes(stream.take(2), "big")
        plaintext = stream.take(length if long else length % 512)
        digest = hashlib.sha256(digest + valid(case_key, case_id, context, case_salt, plaintext)).digest()

    json.dump({
        "encrypt": vectors,
        "decrypt": {"key": key.hex(), "context": b"order/17".hex(), "plaintextLength": 20, "messages": decrypt},
        "accumulated": {"seed": seed.decode(), "cases": cases, "sha256": digest.hex()},
    }, sys.stdout, indent=2)
    print()
    print("checked with cobblestone" if Cobblestone256Decryptor else "not checked with cobblestone", file=sys.stderr)


if __name__ == "__main__":
    main()
