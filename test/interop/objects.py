"""Trees, manifests, releases, bundles and member leaves (docs/PROTOCOL.md)."""
import json
import re

from documents import MOST_U32, tree
from wire import (
    Reader,
    canonical,
    decode_json,
    integer,
    many,
    need,
    one_of,
    raw,
    record,
    require_rising,
    sha256,
    text,
)

version_id = record(incarnation=integer(0, MOST_U32), version=integer(0, MOST_U32))
release_fields = dict(
    bundle=raw(32),
    compromised=many(version_id, 0, 1000),
    deactivated=many(version_id, 0, 1000),
    encrypt=version_id,
    generation=integer(1),
    incarnation=integer(1, MOST_U32),
    keyring=raw(16),
    log=integer(0),
    manifest=raw(32),
    members=tree,
    skipped=many(version_id, 0, 1000),
    tenant=text(52),
)
release_body = record(**release_fields)

MOST_LEAF = 1_500_000
digest, ring, uri = raw(32), raw(16), text(16384)
member = dict(device=digest, keyring=ring, package=digest, uri=uri)
number, epoch = integer(1), integer(1, MOST_U32)
of_version = dict(incarnation=epoch, keyring=ring, version=epoch)
entry_fields = {
    'tenant-created': dict(authority=raw(32, 128), tenant=text(52)),
    'trust-published': dict(hash=digest, number=number),
    'incarnation-raised': dict(incarnation=epoch, since=integer(), trust=number),
    'catalog-proposed': dict(number=number, root=digest),
    'catalog-signed': dict(number=number, root=digest),
    'keyring-created': dict(keyring=ring, kind=one_of('recoverable', 'erasable', 'imported'), rules=text(MOST_LEAF)),
    'generation-created': dict(generation=number, incarnation=epoch, keyring=ring),
    'version-created': of_version,
    'version-activated': dict(incarnation=integer(0, MOST_U32), keyring=ring, version=integer(0, MOST_U32)),
    'version-retired': of_version,
    'version-compromised': of_version,
    'destruction-ordered': dict(**of_version, keyId=digest, retention=integer()),
    'salts-erased': dict(**of_version, completes=integer()),
    'version-destroyed': dict(**of_version, keyId=digest, record=digest),
    'bundle-made': dict(
        bundle=digest,
        generation=number,
        incarnation=epoch,
        keyring=ring,
        versions=text(MOST_LEAF, r'(\d+\.\d+( \d+\.\d+)*)?'),
    ),
    'member-added': member,
    'package-rotated': member,
    'member-rewelcomed': member,
    'member-removed': dict(device=digest, keyring=ring, uri=uri),
    'request-refused': dict(keyring=ring, reason=text(300), recipient=digest, refusal=digest, uri=uri),
    'request-kept': dict(device=digest, keyring=ring, recipient=digest, refusal=digest, uri=uri),
    'request-approved': dict(device=digest, keyring=ring, uri=uri),
    'request-denied': dict(device=digest, keyring=ring, reason=text(300), uri=uri),
    'rules-changed': dict(added=text(MOST_LEAF), keyring=ring, removed=text(MOST_LEAF)),
    'rule-allowed': dict(keyring=ring, rules=text(MOST_LEAF)),
    'rekey-ordered': dict(device=digest, package=digest, uri=uri),
    'device-rekeyed': dict(device=digest),
    'device-denied': dict(device=digest, uri=uri),
    'certificate-revoked': dict(serial=text(64), uri=uri),
    'version-exported': dict(
        incarnation=epoch, keyId=digest, keyring=ring, record=digest, targets=text(MOST_LEAF), version=epoch
    ),
    'import-proposed': dict(by=text(1024), name=text(1024)),
    'version-imported': dict(by=text(2050), incarnation=epoch, keyId=digest, keyring=ring, version=epoch),
    'root-added': dict(name=text(64), place=text(1024), root=number),
    'root-used': dict(name=text(64), root=number),
    'root-removed': dict(name=text(64), root=number),
    'shares-made': dict(need=integer(2, 16), of=integer(2, 16), set=text(13)),
    'backup-made': dict(set=text(13)),
    'backup-restored': dict(head=integer(), incarnation=epoch, made=integer()),
    'console-opened': dict(by=text(64), session=digest),
    'console-ordered': dict(action=text(1000), by=text(64), session=digest),
}
released = {name: schema for name, schema in release_fields.items() if name != 'log'}
entries = {
    name: record(event=text(32), time=integer(), **fields) for name, fields in entry_fields.items()
} | {'released': record(event=text(32), release=record(**released))}


def read_entry(data):
    """PROTOCOL [log-1]"""
    value = decode_json(data, MOST_LEAF)
    event = value.get('event') if isinstance(value, dict) else None
    need(isinstance(event, str) and event in entries, 'ERR_SCHEMA', 'event')
    return entries[event](value)


def release_entry(data):
    """The leaf of a release."""
    read_release(data)
    said = {name: value for name, value in json.loads(data).items() if name != 'log'}
    return canonical({'event': 'released', 'release': said}).encode()


def place(version):
    """By what versions are ordered."""
    return version['incarnation'], version['version']


def read_release(data):
    body = release_body(decode_json(data, 65536))
    for name in ('compromised', 'deactivated', 'skipped'):
        require_rising([place(one) for one in body[name]], name)
    return body


def require_leaf(leaf, proof, root, size):
    """PROTOCOL [tree-1]"""
    index, path = proof['index'], list(proof['path'])
    need(index < size, 'ERR_HASH', 'index')
    node, last = sha256(b'\0', leaf), size - 1
    while last > 0:
        if index % 2 == 1 or index < last:
            need(path, 'ERR_HASH', 'too short a path')
            sibling = path.pop(0)
            node = sha256(b'\1', sibling, node) if index % 2 == 1 else sha256(b'\1', node, sibling)
        index, last = index // 2, last // 2
    need(not path and node == root, 'ERR_HASH', 'not in the tree')


def read_manifest(data):
    """PROTOCOL [manifest-1], [manifest-2]"""
    need(len(data) <= 1500000, 'ERR_TOO_LARGE')
    reader = Reader(data, b'KFMANIF\1')
    out = {'tenant': reader.take(32), 'keyring': reader.take(16), 'number': reader.number(8)}
    kind, out['offline'], out['generationMaxAge'] = reader.number(1), reader.number(4), reader.number(4)
    need(kind in (1, 2, 3), 'ERR_UNSUPPORTED', 'kind')
    out['kind'] = kind
    rules = [reader.take(reader.number(2)) for _ in range(reader.number(2))]
    versions = []
    for _ in range(reader.number(4)):
        one = {name: reader.number(4) for name in ('incarnation', 'version', 'algorithm')}
        one |= {name: reader.number(8) for name in ('encryptFrom', 'encryptUntil', 'decryptUntil')}
        one |= {'nonce': reader.take(16), 'keyId': reader.take(32)}
        versions.append({**one, 'importHash': reader.take(32) if kind == 3 else None})
    reader.end()
    need(all(re.fullmatch(rb'[!-~]*', rule) for rule in rules), 'ERR_SCHEMA', 'rule')
    require_rising(rules, 'rules')
    require_rising([place(one) for one in versions], 'versions')
    for one in versions:
        need(min(place(one)) >= 1, 'ERR_SCHEMA', 'version 0')
        need(one['encryptFrom'] <= one['encryptUntil'] <= one['decryptUntil'], 'ERR_SCHEMA', 'times')
        need(one['algorithm'] == 1, 'ERR_UNSUPPORTED', 'algorithm')
    need(len({one['keyId'] for one in versions}) == len(versions), 'ERR_SCHEMA', 'a key id twice')
    return {**out, 'rules': rules, 'versions': versions}


def read_bundle(data):
    """PROTOCOL [bundle-1]"""
    need(len(data) <= 1500000, 'ERR_TOO_LARGE')
    has_imports = data[:8] == b'KFBUNDI\1'
    reader = Reader(data, b'KFBUNDI\1' if has_imports else b'KFBUNDL\1')
    out = {'keyring': reader.take(16), 'incarnation': reader.number(4), 'generation': reader.number(8)}
    out['name'] = reader.take(72)
    entries = []
    for _ in range(reader.number(4)):
        one = {'incarnation': reader.number(4), 'version': reader.number(4)}
        one['wrapped'] = reader.take(40)
        one['sealed'] = reader.take(reader.number(2)) if has_imports else None
        need(not has_imports or 76 <= len(one['sealed']) <= 572, 'ERR_MALFORMED', 'sealed import')
        entries.append(one)
    reader.end()
    need(not has_imports or entries, 'ERR_MALFORMED', 'no entries')
    require_rising([place(one) for one in entries], 'entries')
    return {**out, 'entries': entries}


def read_member(leaf):
    parts = leaf[:32], leaf[32:64], leaf[64:96], leaf[96:]
    return dict(zip(('packageHash', 'channelId', 'welcomeHash', 'cell'), parts))


def read_welcome(data):
    need(len(data) <= 4096, 'ERR_TOO_LARGE')
    reader = Reader(data, b'KFWELCM\1')
    kem, encapsulated, ciphertext = reader.number(2), reader.take(reader.number(2)), reader.take(48)
    reader.end()
    return kem, encapsulated, ciphertext
