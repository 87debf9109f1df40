"""Keys that sign documents and certificates, and which of them are taken (docs/PROTOCOL.md, "Paths" and [path-9])."""
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from wire import Refused, need

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
L = 2**252 + 27742317777372353535851937790883648493


def decode_point(data):
    """A point of edwards25519 (RFC 8032 §5.1.3), None for what is none or not in its canonical encoding."""
    y = int.from_bytes(data, 'little') & (2**255 - 1)
    sign = data[31] >> 7
    if len(data) != 32 or y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P != u:
        x = x * pow(2, (P - 1) // 4, P) % P
    if v * x * x % P != u or (x == 0 and sign == 1):
        return None
    return (P - x if x % 2 != sign else x), y


def is_strong(data):
    """Whether bytes are a canonical point that is not of small order."""
    point = decode_point(data)
    for _ in range(3):
        if point is None:
            return False
        x, y = point
        t = D * x * x * y * y
        point = 2 * x * y * pow(1 + t, -1, P) % P, (y * y + x * x) * pow(1 - t, -1, P) % P
    return point != (0, 1)


def load_key(spki, code='ERR_CERT_PROFILE'):
    """A key of a certificate. `code` is for keys that are of no use here."""
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        # A point that is not on its curve, or a key of another kind.
        is_curve = b'\x2a\x86\x48\xce\x3d\x02\x01' in spki[:20]
        raise Refused('ERR_WEAK_KEY' if is_curve else code, 'key') from None
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if isinstance(key, ed25519.Ed25519PublicKey):
        need(is_strong(spki[-32:]), 'ERR_WEAK_KEY', 'small order')
    elif isinstance(key, ec.EllipticCurvePublicKey):
        need(key.curve.name in ('secp256r1', 'secp384r1'), code, 'curve')
    elif isinstance(key, rsa.RSAPublicKey):
        n, e = key.public_numbers().n, key.public_numbers().e
        need(2048 <= n.bit_length() <= 8192 and n.bit_length() % 8 == 0 and n % 2 == 1, code, 'RSA key')
        need(3 <= e < 2**32 and e % 2 == 1, code, 'RSA exponent')
    else:
        raise Refused(code, 'kind of key')
    need(key.public_bytes(*form) == spki, code, 'encoding of a key')
    return key


def load_document_key(spki, code='ERR_CERT_PROFILE'):
    """A key that signs documents: Ed25519 or P-256."""
    key = load_key(spki, code)
    is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == 'secp256r1'
    need(is_p256 or isinstance(key, ed25519.Ed25519PublicKey), code, 'kind of key')
    return key


def is_ed25519_signature(key, signature, data):
    if len(signature) != 64 or not is_strong(signature[:32]):
        return False
    if int.from_bytes(signature[32:], 'little') >= L:
        return False
    return holds(lambda: key.verify(signature, data))


def holds(verify):
    try:
        verify()
        return True
    except InvalidSignature:
        return False


def is_document_signature(spki, signature, data):
    """A signature of 64 bytes as envelopes and HTTP calls have it."""
    key = load_document_key(spki)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return is_ed25519_signature(key, signature, data)
    r, s = (int.from_bytes(part, 'big') for part in (signature[:32], signature[32:]))
    der = utils.encode_dss_signature(r, s)
    return len(signature) == 64 and holds(lambda: key.verify(der, data, ec.ECDSA(hashes.SHA256())))


def sign_document(key, data):
    """By a P-256 private key: r || s."""
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, 'big') + s.to_bytes(32, 'big')


ED25519 = '1.3.101.112'
ECDSA = {'1.2.840.10045.4.3.2': hashes.SHA256, '1.2.840.10045.4.3.3': hashes.SHA384}
RSA = {
    '1.2.840.113549.1.1.11': hashes.SHA256,
    '1.2.840.113549.1.1.12': hashes.SHA384,
    '1.2.840.113549.1.1.13': hashes.SHA512,
}


def is_known_algorithm(oid):
    return oid == ED25519 or oid in ECDSA or oid in RSA


def is_ca_signature(key, oid, signature, data):
    """A signature of a certificate or a list, by the algorithm that it names."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return oid == ED25519 and is_ed25519_signature(key, signature, data)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return oid in ECDSA and holds(lambda: key.verify(signature, data, ec.ECDSA(ECDSA[oid]())))
    return oid in RSA and holds(lambda: key.verify(signature, data, padding.PKCS1v15(), RSA[oid]()))
