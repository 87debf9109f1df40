"""From a welcome to the text of a message: HPKE by hand, AES key wrap, labels, C2SP chunked encryption (docs/PROTOCOL.md)."""
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from objects import read_welcome
from wire import Refused, from_b32, lp, need, sha256, u16, u32, u64

CHUNK = 16384
# Forms of a message: without, and with a sender's signature.
PLAIN, SIGNED = b'\1', b'\2'
KEMS = {'X25519': (0x0020, 32), 'P-256': (0x0010, 65)}


def expand(key, info, length, digest='sha256'):
    """HKDF-Expand (RFC 5869)."""
    out, block, counter = b'', b'', 1
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([counter]), digest)
        out, counter = out + block, counter + 1
    return out[:length]


def label_info(label, *fields):
    return b'keyferry/v1/' + label.encode() + b'\0' + b''.join(map(lp, fields))


def derive(key, label, *fields):
    return expand(key, label_info(label, *fields), 32)


def generate(suite):
    """A key pair of a suite: private key, and public key as a key package has it."""
    if suite == 'X25519':
        key = x25519.X25519PrivateKey.generate()
        return key, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key = ec.generate_private_key(ec.SECP256R1())
    return key, key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def open_hpke(suite, key, public, encapsulated, info, ciphertext):
    """HPKE in base mode (RFC 9180): DHKEM, HKDF-SHA256, AES-256-GCM, no additional data, the first message."""
    kem, length = KEMS[suite]
    need(len(encapsulated) == length, 'ERR_OPEN', 'length of the encapsulated key')
    try:
        if suite == 'X25519':
            shared = key.exchange(x25519.X25519PublicKey.from_public_bytes(encapsulated))
        else:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encapsulated)
            shared = key.exchange(ec.ECDH(), point)
    except ValueError:
        raise Refused('ERR_OPEN', 'encapsulated key') from None

    def labeled(suite_id):
        def extract(salt, label, ikm):
            return hmac.digest(salt, b'HPKE-v1' + suite_id + label + ikm, 'sha256')

        def expand_labeled(prk, label, context, size):
            return expand(prk, u16(size) + b'HPKE-v1' + suite_id + label + context, size)

        return extract, expand_labeled

    extract, expand_labeled = labeled(b'KEM' + u16(kem))
    prk = extract(b'', b'eae_prk', shared)
    secret = expand_labeled(prk, b'shared_secret', encapsulated + public, 32)
    extract, expand_labeled = labeled(b'HPKE' + u16(kem) + u16(1) + u16(2))
    context = b'\0' + extract(b'', b'psk_id_hash', b'') + extract(b'', b'info_hash', info)
    prk = extract(secret, b'secret', b'')
    aead, nonce = expand_labeled(prk, b'key', context, 32), expand_labeled(prk, b'base_nonce', context, 12)
    try:
        return AESGCM(aead).decrypt(nonce, ciphertext, b'')
    except InvalidTag:
        raise Refused('ERR_OPEN', 'welcome') from None


def open_welcome(welcome, member, own):
    """The channel key. `own`: suite, private, public, tenant, fingerprint, packageHash. PROTOCOL [open-15], [open-16]"""
    need(sha256(welcome) == member['welcomeHash'], 'ERR_HASH', 'another welcome')
    kem, encapsulated, ciphertext = read_welcome(welcome)
    suite = own['suite']
    need(kem == KEMS[suite][0], 'ERR_SUITE')
    fields = from_b32(own['tenant']), own['fingerprint'], own['packageHash'], suite.encode()
    info = label_info('welcome', *fields)
    key = open_hpke(suite, own['private'], own['public'], encapsulated, info, ciphertext)
    need(derive(key, 'id') == member['channelId'], 'ERR_HASH', 'another channel')
    return key


def unwrap(key, wrapped):
    """RFC 3394. PROTOCOL [open-17], [open-19]"""
    try:
        return aes_key_unwrap(key, wrapped)
    except InvalidUnwrap:
        raise Refused('ERR_OPEN', 'key wrap') from None


def unwrap_name(kek, bundle):
    padded = unwrap(kek, bundle['name'])
    length = padded[0]
    need(length <= 63 and not any(padded[1 + length :]), 'ERR_MALFORMED', 'name')
    return padded[1 : 1 + length].decode('utf-8')


def unwrap_version(kek, entry, manifest):
    """The secret of a version, with the version of the manifest. PROTOCOL [open-19], [open-20], [import-1]"""
    secret = unwrap(kek, entry['wrapped'])
    own = entry['incarnation'], entry['version']
    version = next((one for one in manifest['versions'] if (one['incarnation'], one['version']) == own), None)
    need(version is not None, 'ERR_KEY_VERSION')
    numbers = u64(own[0]), u64(own[1]), u32(version['algorithm'])
    key_id = derive(secret, 'commit', manifest['tenant'], manifest['keyring'], *numbers)
    need(key_id == version['keyId'], 'ERR_COMMITMENT')
    sealed = entry['sealed']
    need((sealed and sha256(sealed)) == version['importHash'], 'ERR_COMMITMENT', 'import')
    return (secret if sealed is None else open_import(secret, sealed, manifest, key_id)), version


def extract(secret):
    return hmac.digest(bytes(64), secret, 'sha512')


def open_import(secret, sealed, manifest, key_id):
    """What messages are under, in place of the version secret. PROTOCOL [import-2]"""
    info = label_info('import', manifest['tenant'], manifest['keyring'], key_id)
    try:
        return AESGCM(expand(extract(secret), info, 32, 'sha512')).decrypt(sealed[:12], sealed[12:], None)
    except InvalidTag:
        raise Refused('ERR_OPEN', 'import') from None


def chunk_keys(secret, manifest, header, salt, context):
    key_id = header[8:]
    info = label_info('message', manifest['tenant'], manifest['keyring'], key_id)
    message_key = expand(extract(secret), info, 32, 'sha512')
    info = b'c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0' + salt + header + context
    out = expand(message_key, info, 76, 'sha512')
    return AESGCM(out[:32]), int.from_bytes(out[32:44], 'big'), out[44:]


def encrypt(secret, manifest, key_id, plaintext, context, salt=None, form=PLAIN):
    salt = os.urandom(24) if salt is None else salt
    header = b'KFRYMSG' + form + key_id
    gcm, nonce, commitment = chunk_keys(secret, manifest, header, salt, context)
    out = [header, salt, commitment]
    for i in range(len(plaintext) // CHUNK + 1):
        piece = plaintext[i * CHUNK : (i + 1) * CHUNK]
        out.append(gcm.encrypt((nonce ^ i).to_bytes(12, 'big'), piece, None))
    return b''.join(out)


def key_id_of(message):
    """PROTOCOL [message-1]"""
    is_known = message[:7] == b'KFRYMSG' and message[7:8] in (PLAIN, SIGNED)
    need(len(message) >= 40 and is_known, 'ERR_MALFORMED', 'no message')
    return message[8:40]


def decrypt(secret, manifest, message, context):
    """PROTOCOL [message-2]"""
    key_id_of(message)
    salt, own, rest = message[40:64], message[64:96], message[96:]
    need(len(own) == 32, 'ERR_OPEN', 'cut off')
    gcm, nonce, commitment = chunk_keys(secret, manifest, message[:40], salt, context)
    need(hmac.compare_digest(own, commitment), 'ERR_OPEN', 'commitment')
    out, size = [], CHUNK + 16
    for i in range(len(rest) // size + 1):
        try:
            out.append(gcm.decrypt((nonce ^ i).to_bytes(12, 'big'), rest[i * size : (i + 1) * size], None))
        except (InvalidTag, ValueError):
            raise Refused('ERR_OPEN', 'message') from None
    return b''.join(out)
