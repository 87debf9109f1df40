"""Who signed data or a message (docs/PROTOCOL.md, "Sender signatures")."""
from dataclasses import dataclass

import keys
from documents import envelope, pae, require_role, sign, type_of, verify_with_path
from paths import find_list, matches_rule, read_lists, validate_without_lists
from signatures import is_document_signature, sign_document
from wire import Reader, Refused, canonical, decode_json, integer, lp, need, raw, record, sha256, text, u16, u64

signature_body = record(
    content=raw(32), context=raw(32), keyring=raw(16), signedAt=integer(), signer=raw(32), tenant=text(52)
)


@dataclass
class Asked:
    """Whom to believe, and whom the caller asks for. `lists`: from issuers (key ids) to the lists (DER) that the head names of them."""

    tenant: str
    trust: object
    keyring: bytes
    rules: list
    now: int
    lists: object
    wanted: str | None = None
    allow_revoked: bool = False


def check_claim(certificates, signed_at, asked):
    """PROTOCOL [sign-3] to [sign-5]: the path."""
    trust = asked.trust.body
    need(signed_at <= asked.now + trust['skew'], 'ERR_FUTURE')
    rules = trust['clients']
    path = validate_without_lists(certificates, rules['anchors'], rules['ekus'], signed_at)
    require_role(path.uri, trust, 'clients')
    need(any(matches_rule(path.uri, rule) for rule in asked.rules), 'ERR_SENDER', 'no rule covers the sender')
    is_wanted = asked.wanted is None or matches_rule(path.uri, asked.wanted)
    need(is_wanted, 'ERR_SENDER', path.uri)
    return path


def standing_of(path, asked):
    """PROTOCOL [sign-6]"""
    lists = read_lists(asked.lists([one.key_id for one in path.chain[1:]]))
    lowest = {one['issuer']: one['number'] for one in asked.trust.body['lowestCrls']}
    is_known = True
    for certificate, issuer in zip(path.chain, path.chain[1:]):
        try:
            found = find_list(certificate, issuer, lists, asked.now)
        except Refused:
            is_known = False
            continue
        if certificate.parsed.serial_number in found.revoked:
            need(asked.allow_revoked, 'ERR_CERT_REVOKED')
            return 'revoked'
        is_known = is_known and found.number >= lowest.get(issuer.key_id, 0)
    if asked.now > min(one.not_after for one in path.chain):
        return 'expired'
    need(is_known, 'ERR_CRL')
    return 'current'


def sender_of(path, signed_at, asked):
    device = path.certificate.key_id.hex()
    return {'uri': path.uri, 'device': device, 'signedAt': signed_at, 'status': standing_of(path, asked)}


def sign_data(key, certificates, tenant, keyring, data, context, now):
    """A signature beside data."""
    body = {'content': sha256(data), 'context': sha256(context), 'keyring': keyring}
    body |= {'signedAt': now, 'signer': sha256(certificates[0]), 'tenant': tenant}
    return canonical(sign('signature', body, key, certificates)).encode()


def verify_data(signature, data, context, asked):
    """Who signed data. PROTOCOL [sign-1], [sign-2]"""
    document = envelope(decode_json(signature, 65536))

    def find_path(unverified):
        body = signature_body(unverified)
        need(body['keyring'] == asked.keyring, 'ERR_KEYRING')
        need(body['content'] == sha256(data) and body['context'] == sha256(context), 'ERR_HASH')
        return check_claim(document['certificates'], body['signedAt'], asked)

    verified = verify_with_path(document, 'signature', signature_body, asked.tenant, find_path)
    return sender_of(verified.path, verified.body['signedAt'], asked)


def statement(tenant, keyring, key_id, salt, data, context, signer, signed_at):
    """What is signed inside a message."""
    body = {'content': sha256(data), 'context': sha256(context), 'key': key_id, 'keyring': keyring}
    body |= {'salt': salt, 'signedAt': signed_at, 'signer': signer, 'tenant': tenant}
    return pae(type_of('message'), canonical(body).encode())


def encrypt_signed(secret, manifest, key_id, data, context, salt, key, certificates, tenant, now):
    """A signed message."""
    claim = u64(now) + b''.join(map(lp, certificates))
    need(len(claim) <= keys.CHUNK - 2, 'ERR_TOO_LARGE', 'certificates')
    signer = sha256(certificates[0])
    signed = statement(tenant, manifest['keyring'], key_id, salt, data, context, signer, now)
    plaintext = u16(len(claim)) + claim + data + sign_document(key, signed)
    return keys.encrypt(secret, manifest, key_id, plaintext, context, salt, keys.SIGNED)


def open_signed(message, plaintext, context, asked):
    """Data and sender of a signed message. PROTOCOL [sign-7], [sign-8]"""
    outer = Reader(plaintext, b'')
    claim = Reader(outer.take(outer.number(2)), b'')
    signed_at, certificates = claim.number(8), []
    while claim.at < len(claim.data):
        certificates.append(claim.take(claim.number(2)))
    need(1 <= len(certificates) <= 4, 'ERR_MALFORMED', 'certificates')
    rest = plaintext[outer.at :]
    need(len(rest) >= 64, 'ERR_MALFORMED', 'no room for a signature')
    data, signature = rest[:-64], rest[-64:]
    path = check_claim(certificates, signed_at, asked)
    sender = sender_of(path, signed_at, asked)
    fields = message[8:40], message[40:64], data, context, path.certificate.fingerprint, signed_at
    signed = statement(asked.tenant, asked.keyring, *fields)
    need(is_document_signature(path.certificate.spki, signature, signed), 'ERR_SIGNATURE')
    return data, sender


def decrypt(secret, manifest, message, context, asked, is_asked):
    """Data and sender of any message; None where nobody signed. PROTOCOL [sign-9]"""
    plaintext = keys.decrypt(secret, manifest, message, context)
    if message[7:8] == keys.PLAIN:
        need(not is_asked, 'ERR_UNSIGNED')
        return plaintext, None
    return open_signed(message, plaintext, context, asked)
