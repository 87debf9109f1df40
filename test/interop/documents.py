"""Envelopes, trust documents, heads, catalogs, refusals and what a client signs (docs/PROTOCOL.md)."""
from dataclasses import dataclass

from paths import matches_rule, validate
from signatures import is_document_signature, load_document_key, sign_document
from wire import (

    b32,
    canonical,
    decode_json,
    integer,
    many,
    need,
    one_of,
    raw,
    raw_or_empty,
    record,
    require_rising,
    sha256,
    text,
)

DAY = 86400
MOST_U32 = 2**32 - 1
KINDS = 'trust', 'catalog', 'head', 'refusal', 'package', 'request', 'signature', 'export'


def type_of(kind):
    return f'application/vnd.keyferry.{kind}.v1+json'


envelope_fields = record(
    certificates=many(raw(1, 16384), 0, 4),
    payload=raw(2, 65536),
    payloadType=one_of(*map(type_of, KINDS)),
    signatures=many(record(keyid=raw(32), sig=raw(64)), 1, 32),
)


def envelope(value):
    """Schema of an envelope inside a body [env-1]."""
    out = envelope_fields(value)
    need(len(canonical(out).encode()) <= 65536, 'ERR_TOO_LARGE', 'envelope')
    return out


role = record(
    anchors=many(raw(1, 16384), 1, 8),
    ekus=many(text(100, r'\d+(\.\d+)+'), 1, 8),
    sans=many(text(512, r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~:/%@!$&'()+,;=-]+\*?"), 1, 32),
)
origin = text(300, r'https?://[a-z0-9.:\[\]-]{1,255}')
trust_body = record(
    authority=record(keys=many(raw(32, 128), 1, 16), threshold=integer(1, 16)),
    clients=role,
    derivers=role,
    expiresAt=integer(),
    headLifetime=integer(60, 604800),
    incarnation=integer(1, MOST_U32),
    issuedAt=integer(),
    lowestCrls=many(record(issuer=raw(32), number=integer()), 0, 32),
    number=integer(1),
    origins=many(origin, 0, 32),
    previous=raw_or_empty(32),
    relays=many(origin, 0, 16),
    skew=integer(0, 300),
    suites=many(one_of('MLKEM768-X25519', 'X25519', 'P-256'), 1, 3),
    tenant=text(52),
)
tree = record(index=raw(32), root=raw(32), size=integer(0, MOST_U32))
catalog_body = record(
    expiresAt=integer(), issuedAt=integer(), manifests=tree, number=integer(1), tenant=text(52)
)
head_body = record(
    catalog=record(hash=raw(32), number=integer(1)),
    crls=many(record(hash=raw(32), issuer=raw(32), number=integer()), 0, 64),
    expiresAt=integer(),
    incarnation=integer(1, MOST_U32),
    issuedAt=integer(),
    log=record(root=raw(32), size=integer()),
    releases=tree,
    signer=raw(32),
    tenant=text(52),
    trust=record(hash=raw(32), number=integer(1)),
    version=integer(1),
)
refusal_body = record(
    expiresAt=integer(),
    head=record(incarnation=integer(1, MOST_U32), version=integer(1)),
    issuedAt=integer(),
    keyring=raw(16),
    kind=one_of('denied', 'package', 'pending', 'removed'),
    nonce=raw_or_empty(16),
    reason=text(300),
    recipient=raw(32),
    release=raw_or_empty(32),
    signer=raw(32),
    tenant=text(52),
)


def pae(kind, payload):
    kind = kind.encode()
    return b'DSSEv1 %d %s %d %s' % (len(kind), kind, len(payload), payload)


def document_hash(document):
    return sha256(pae(document['payloadType'], document['payload']))


@dataclass
class Verified:
    """A document that was verified: its body and hash, and the path of its signer."""

    body: dict
    hash: bytes
    path: object = None


def read_payload(document, kind, tenant):
    """PROTOCOL [env-2], [env-3]"""
    need(document['payloadType'] == type_of(kind), 'ERR_PAYLOAD_TYPE')
    body = decode_json(document['payload'], 65536)
    need(isinstance(body, dict) and body.get('tenant') == tenant, 'ERR_TENANT')
    return body


def verify_by_certificate(document, kind, schema, context):
    """`context`: trust (a Verified), tenant, role (clients or derivers), now, crls. PROTOCOL [env-1] to [env-7]"""

    def find_path(_):
        rules = context['trust'].body[context['role']]
        lists, now = context['crls'], context['now']
        path = validate(document['certificates'], rules['anchors'], rules['ekus'], lists, now)
        require_role(path.uri, context['trust'].body, context['role'])
        return path

    return verify_with_path(document, kind, schema, context['tenant'], find_path)


def require_role(uri, trust, name):
    """PROTOCOL [env-5]"""
    other = 'clients' if name == 'derivers' else 'derivers'
    is_own = any(matches_rule(uri, rule) for rule in trust[name]['sans'])
    is_other = any(matches_rule(uri, rule) for rule in trust[other]['sans'])
    need(is_own and not is_other, 'ERR_ROLE')


def verify_with_path(document, kind, schema, tenant, find_path):
    """The same where `find_path` says what the path is, for a body that is not verified yet."""
    need(len(document['signatures']) == 1, 'ERR_SCHEMA', 'signatures')
    body = read_payload(document, kind, tenant)
    path = find_path(body)
    (signature,) = document['signatures']
    need(signature['keyid'] == path.certificate.fingerprint, 'ERR_SIGNER')
    signed = pae(document['payloadType'], document['payload'])
    need(is_document_signature(path.certificate.spki, signature['sig'], signed), 'ERR_SIGNATURE')
    out = schema(body)
    need(out['signer'] == path.certificate.fingerprint, 'ERR_SIGNER')
    return Verified(out, document_hash(document), path)


def verify_by_authorities(document, authorities):
    """PROTOCOL [env-8], [env-9]: by the threshold of each of them, and by nobody else."""
    need(not document['certificates'], 'ERR_SCHEMA', 'certificates')
    keys = {sha256(spki): spki for one in authorities for spki in one['keys']}
    ids = [one['keyid'] for one in document['signatures']]
    need(len(set(ids)) == len(ids), 'ERR_SIGNATURE', 'a key twice')
    signed = pae(document['payloadType'], document['payload'])
    for one in document['signatures']:
        spki = keys.get(one['keyid'])
        need(spki is not None and is_document_signature(spki, one['sig'], signed), 'ERR_SIGNATURE')
    for one in authorities:
        count = sum(sha256(spki) in ids for spki in one['keys'])
        need(count >= one['threshold'], 'ERR_SIGNATURE', 'below the threshold')


def overlap(a, b):
    """Whether one URI matches both rules."""
    if not a.endswith('/*'):
        return matches_rule(a, b)
    if not b.endswith('/*'):
        return matches_rule(b, a)
    return a[:-1].startswith(b[:-1]) or b[:-1].startswith(a[:-1])


def read_trust(document):
    """What one trust document alone can have wrong: [trust-1], [trust-5], [trust-6], [trust-8]."""
    need(document['payloadType'] == type_of('trust'), 'ERR_PAYLOAD_TYPE')
    body = trust_body(decode_json(document['payload'], 65536))
    need(0 < body['expiresAt'] - body['issuedAt'] <= 400 * DAY, 'ERR_LIFETIME')
    pairs = [(a, b) for a in body['clients']['sans'] for b in body['derivers']['sans']]
    need(not any(overlap(a, b) for a, b in pairs), 'ERR_TRUST_DOCUMENT', 'one rule for both roles')
    keys = body['authority']['keys']
    is_enough = len(set(keys)) == len(keys) >= body['authority']['threshold']
    need(is_enough, 'ERR_TRUST_DOCUMENT', 'keys')
    return body


def follow_trust(tenant, known, documents, floor, now):
    """The newest trust document, from the one known (None for none) on. PROTOCOL [trust-1] to [trust-9], [open-1]"""
    need(len(documents) <= 1024, 'ERR_TRUST_CHAIN_TOO_LONG')
    newest = known
    for document in documents:
        body = read_trust(document)
        hash_ = document_hash(document)
        if newest is None:
            need(b32(hash_) == tenant, 'ERR_TENANT')
            is_first = body['number'] == 1 and body['tenant'] == '' and body['previous'] == b''
            need(is_first, 'ERR_TRUST_DOCUMENT', 'not the first')
        else:
            last = newest.body
            need(body['tenant'] == tenant, 'ERR_TENANT')
            is_next = body['number'] == last['number'] + 1 and body['previous'] == newest.hash
            need(is_next, 'ERR_TRUST_DOCUMENT', 'not the next')
            lowest = {one['issuer']: one['number'] for one in body['lowestCrls']}
            falls = [one for one in last['lowestCrls'] if lowest.get(one['issuer'], 0) < one['number']]
            is_rising = body['incarnation'] >= last['incarnation'] and not falls
            need(is_rising, 'ERR_TRUST_DOCUMENT', 'incarnation or list falls')
        for key in body['authority']['keys']:
            load_document_key(key)
        before = [] if newest is None else [newest.body['authority']]
        verify_by_authorities(document, [*before, body['authority']])
        newest = Verified(body, hash_)
        if floor is not None and body['number'] == floor['number']:
            need(hash_ == floor['hash'], 'ERR_FORK', 'another than the floor')
    need(newest is not None, 'ERR_TRUST_DOCUMENT', 'none')
    need(floor is None or newest.body['number'] >= floor['number'], 'ERR_ROLLBACK', 'below the floor')
    if newest is not known:
        need(newest.body['issuedAt'] <= now + newest.body['skew'], 'ERR_FUTURE')
    return newest


def verify_head(document, context):
    """PROTOCOL [open-2] to [open-4], but for the clock"""
    head = verify_by_certificate(document, 'head', head_body, {**context, 'role': 'derivers'})
    body, trust = head.body, context['trust'].body
    require_rising([one['issuer'] for one in body['crls']], 'crls')
    lifetime = body['expiresAt'] - body['issuedAt']
    need(1 <= lifetime <= trust['headLifetime'], 'ERR_LIFETIME')
    need(body['issuedAt'] <= context['now'] + trust['skew'], 'ERR_FUTURE')
    return head


def verify_catalog(document, trust, tenant):
    """PROTOCOL [catalog-1]"""
    unverified = read_payload(document, 'catalog', tenant)
    verify_by_authorities(document, [trust.body['authority']])
    body = catalog_body(unverified)
    need(0 < body['expiresAt'] - body['issuedAt'] <= 400 * DAY, 'ERR_LIFETIME')
    return Verified(body, document_hash(document))


def require_lists(path, head, trust, numbers):
    """PROTOCOL [open-7]; `numbers`: the last number seen, per issuer."""
    named = {one['issuer']: one for one in head['crls']}
    lowest = {one['issuer']: one['number'] for one in trust['lowestCrls']}
    for issuer, used in path.lists:
        one = named.get(issuer)
        need(one is not None and one['hash'] == used.hash, 'ERR_HASH', 'a list that the head does not name')
        least = max(numbers.get(issuer, 0), lowest.get(issuer, 0))
        need(used.number >= least, 'ERR_ROLLBACK', 'an older list')


def verify_refusal(document, context, asked):
    """`asked`: recipient, keyrings, nonces, head (a body), shown (version of the last head with a leaf or None), is_member, package, numbers."""
    refusal = verify_by_certificate(document, 'refusal', refusal_body, {**context, 'role': 'derivers'})
    body, trust, now = refusal.body, context['trust'].body, context['now']
    need(body['recipient'] == asked['recipient'], 'ERR_NOT_RECIPIENT')
    need(body['keyring'] in asked['keyrings'], 'ERR_KEYRING')
    # PROTOCOL [refusal-2]
    is_removal = body['kind'] == 'removed'
    is_of_request = body['kind'] in ('denied', 'pending')
    there, absent = ('nonce', 'release') if is_of_request else ('release', 'nonce')
    need(body[there] != b'' and body[absent] == b'', 'ERR_SCHEMA', 'bound to something else')
    # PROTOCOL [refusal-3]
    lives = body['expiresAt'] - body['issuedAt'] <= trust['headLifetime']
    need(lives and now <= body['expiresAt'] + trust['skew'], 'ERR_STALE')
    need(body['issuedAt'] <= now + trust['skew'], 'ERR_FUTURE')
    if is_removal:
        head, named = asked['head'], body['head']
        is_now = named['incarnation'] == head['incarnation'] and named['version'] <= head['version']
        shown = asked['shown']
        is_after = shown is None or (
            named['version'] > shown['version'] and body['release'] != shown['release']
        )
        need(is_now and is_after and not asked['is_member'], 'ERR_UNPROVEN')
    elif body['kind'] == 'package':
        # PROTOCOL [refusal-4]
        need(body['release'] == asked['package'], 'ERR_UNPROVEN', 'of another package')
    else:
        need(body['nonce'] in asked['nonces'], 'ERR_UNPROVEN', 'of another request')
    return refusal


def sign(kind, body, key, certificates):
    payload = canonical(body).encode()
    signature = sign_document(key, pae(type_of(kind), payload))
    return {
        'certificates': certificates,
        'payload': payload,
        'payloadType': type_of(kind),
        'signatures': [{'keyid': sha256(certificates[0]), 'sig': signature}],
    }


