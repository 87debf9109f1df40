"""A second implementation of what docs/vectors holds, with nothing but hashlib and hmac: text forms, canonical JSON, labels, the
pre-authentication encoding, document hashes, tenant ids, trees and their objects, manifests and commitments.

    python3 test/vectors/reference.py [docs/vectors]

Prints how much it checked, and fails at the first difference.
"""
import base64
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / 'docs' / 'vectors')
checked = 0


def load(name):
    return json.loads((folder / f'{name}.json').read_text('utf-8'))


def same(a, b, what):
    global checked
    if a != b:
        sys.exit(f'{what}: {a!r} is not {b!r}')
    checked += 1


def sha256(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def b64url_bytes(text):
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))


def b32(data):
    return base64.b32encode(data).rstrip(b'=').decode().lower()


# Text forms
for case in load('encoding')['cases']:
    if case['expect'] == 'ok':
        encode = b64url if case['input']['form'] == 'base64url' else b32
        same(encode(bytes.fromhex(case['output'])), case['input']['text'], case['comment'])


# Canonical JSON
def canonical(value):
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode('utf-16-be', 'surrogatepass'))
        return '{' + ','.join(f'{canonical(name)}:{canonical(value[name])}' for name in names) + '}'
    if isinstance(value, list):
        return '[' + ','.join(map(canonical, value)) + ']'
    if isinstance(value, bool) or value is None or isinstance(value, float):
        raise ValueError
    if isinstance(value, int):
        if not 0 <= value < 2**53:
            raise ValueError
        return str(value)
    return json.dumps(value, ensure_ascii=False)


for case in load('json')['cases']:
    data = bytes.fromhex(case['input'])
    try:
        text = data.decode('utf-8')
        verdict = 'ERR_MALFORMED'
        value = json.loads(text)
        verdict = 'ERR_NOT_CANONICAL'
        if text[:1] != '-' and canonical(value).encode('utf-8') == data:
            verdict = 'ok'
    except UnicodeEncodeError:
        verdict = 'ERR_NOT_CANONICAL'
    except UnicodeDecodeError:
        verdict = 'ERR_MALFORMED'
    except json.JSONDecodeError:
        verdict = 'ERR_MALFORMED'
    except ValueError:
        pass
    if len(data) > 1000:
        verdict = 'ERR_TOO_LARGE'
    same(verdict, case['expect'], case['comment'])


# Labels
def derive(key, label, *fields):
    info = b'keyferry/v1/' + label.encode() + b'\0'
    info += b''.join(struct.pack('>H', len(field)) + field for field in fields)
    return hmac.new(key, info + b'\x01', hashlib.sha256).digest()


derivation = load('derivation')
for case in derivation['cases']:
    given = case['input']
    fields = map(bytes.fromhex, given['fields'])
    out = derive(bytes.fromhex(given['key']), given['label'], *fields)
    same(out.hex(), case['output'], case['comment'])

digest = bytes(32)
for n in range(derivation['accumulated']['count']):
    x = sha256(b'keyferry accumulated', struct.pack('>I', n))
    one, two, three = (sha256(x, bytes([i])) for i in (1, 2, 3))
    incarnation, version, algorithm = struct.unpack('>III', three[:12])
    context = [one, two[:16], struct.pack('>Q', incarnation), struct.pack('>Q', version)]
    context.append(struct.pack('>I', algorithm))
    salt = b'' if x[0] % 2 == 0 else sha256(x, b'\4')
    secret = derive(x, 'version', *context, three[16:], salt)
    digest = sha256(digest, secret, derive(secret, 'commit', *context))
same(digest.hex(), derivation['accumulated']['output'], 'accumulated')


# Envelopes
def pae(kind, payload):
    kind = kind.encode()
    return b'DSSEv1 %d %s %d %s' % (len(kind), kind, len(payload), payload)


def document_hash(envelope):
    return sha256(pae(envelope['payloadType'], b64url_bytes(envelope['payload'])))


for case in load('envelope')['pae']:
    encoded = pae(case['input']['type'], bytes.fromhex(case['input']['payload']))
    same(encoded.hex(), case['output']['pae'], case['comment'])
    same(sha256(encoded).hex(), case['output'].get('hash', sha256(encoded).hex()), case['comment'])
for case in load('envelope')['cases']:
    if case['expect'] == 'ok':
        same(document_hash(case['input']['envelope']).hex(), case['output'], case['comment'])
for case in load('key-package')['cases']:
    if 'output' in case:
        same(document_hash(case['input']['package']).hex(), case['output'], case['comment'])

# Trust documents: tenant id and links
for case in load('trust')['cases']:
    if case['expect'] != 'ok':
        continue
    hashes = [document_hash(one) for one in case['input']['documents']]
    same(b32(hashes[0]), case['input']['tenant'], case['comment'])
    for before, after in zip(hashes, case['input']['documents'][1:]):
        body = json.loads(b64url_bytes(after['payload']))
        same(body['previous'], b64url(before), case['comment'])
    same(hashes[-1].hex(), case['output']['hash'], case['comment'])


# Trees: RFC 6962 section 2.1 as it is written, and the objects
def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def root(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return sha256(b'\0', leaves[0])
    k = split(len(leaves))
    return sha256(b'\1', root(leaves[:k]), root(leaves[k:]))


def path(index, leaves):
    if len(leaves) <= 1:
        return []
    k = split(len(leaves))
    if index < k:
        return path(index, leaves[:k]) + [root(leaves[k:])]
    return path(index - k, leaves[k:]) + [root(leaves[:k])]


def levels(nodes):
    out = list(nodes)
    while len(nodes) > 1:
        pairs = [nodes[i : i + 2] for i in range(0, len(nodes), 2)]
        nodes = [sha256(b'\1', *pair) if len(pair) == 2 else pair[0] for pair in pairs]
        out += nodes
    return b''.join(out)


def leaf(i):
    seed = f'keyferry test leaf {i}'.encode()
    return sha256(seed, struct.pack('>I', 0)) + sha256(seed, struct.pack('>I', 1))[:16]


def cut(leaves):
    groups = [leaves[i : i + 256] for i in range(0, len(leaves), 256)]
    pages = [
        b'KFTPAGE\1' + struct.pack('>II', 48, len(group)) + b''.join(group)
        + levels([sha256(b'\0', one) for one in group])
        for group in groups
    ]
    index = b'KFTINDX\1' + struct.pack('>II', 48, len(leaves)) + b''.join(map(sha256, pages))
    return pages, index + levels([root(group) for group in groups])


tree = load('tree')
for case in tree['trees']:
    leaves = [leaf(i) for i in range(case['input']['size'])]
    pages, index = cut(leaves)
    out = {'root': root(leaves).hex(), 'index': sha256(index).hex()}
    same({**out, 'pages': [sha256(page).hex() for page in pages]}, case['output'], case['comment'])
for case in tree['proofs']:
    if case['expect'] == 'ok':
        leaves = [leaf(i) for i in range(case['input']['size'])]
        given = case['input']
        same([one.hex() for one in path(given['index'], leaves)], given['path'], case['comment'])
        same(root(leaves).hex(), given['root'], case['comment'])

# Channel ids
for case in load('welcome')['cases']:
    if case['expect'] == 'ok':
        key = bytes.fromhex(case['output']['channelKey'])
        same(derive(key, 'id').hex(), case['input']['channelId'], case['comment'])
        same(sha256(bytes.fromhex(case['input']['welcome'])).hex(), case['input']['welcomeHash'], '')

# Manifests and commitments
for case in load('keys')['cases']:
    if case['expect'] != 'ok':
        continue
    data = bytes.fromhex(case['input']['manifest'])
    tenant, keyring = data[8:40], data[40:56]
    at = 8 + 32 + 16 + 8 + 1 + 4 + 4
    rules, at = struct.unpack_from('>H', data, at)[0], at + 2
    for _ in range(rules):
        at += 2 + struct.unpack_from('>H', data, at)[0]
    count, at = struct.unpack_from('>I', data, at)[0], at + 4
    size = 116 if data[64] == 3 else 84
    same(len(data), at + size * count, 'manifest length')
    for made in case['output']['versions']:
        incarnation, version, algorithm = struct.unpack_from('>III', data, at)
        fields = [struct.pack('>Q', incarnation), struct.pack('>Q', version)]
        if data[64] != 3:
            secret = bytes.fromhex(made['secret'])
            key_id = derive(secret, 'commit', tenant, keyring, *fields, struct.pack('>I', algorithm))
            same(key_id.hex(), made['keyId'], 'commitment')
        same(made['keyId'], data[at + 52 : at + 84].hex(), 'commitment in the manifest')
        at += size
    message = bytes.fromhex(case['input']['message'])
    same(message[:8], b'KFRYMSG\1', 'message')
    same(message[8:40].hex(), case['output']['versions'][1]['keyId'], 'key id of the message')

print(f'{checked} values agree')
