"""Certification paths (docs/PROTOCOL.md, "Paths")."""
from dataclasses import dataclass

from cryptography.x509.oid import ExtensionOID as Oid, ExtendedKeyUsageOID

from certificates import Certificate, Crl
from names import require_allowed, uri_of
from signatures import load_document_key
from wire import Refused, need

EMPTY_NAME = b'\x30\x00'


@dataclass
class Path:
    """A path that is valid. `chain` ends in the anchor; `lists` are the list that counted, per issuer."""

    certificate: Certificate
    uri: str
    lists: list
    chain: list


def is_issued(child, issuer):
    """PROTOCOL [path-2]"""
    below, above = child.value(Oid.AUTHORITY_KEY_IDENTIFIER), issuer.value(Oid.SUBJECT_KEY_IDENTIFIER)
    is_other = below is not None and above is not None and below.key_identifier not in (None, above.digest)
    return child.issuer == issuer.subject and not is_other and issuer.signed(child)


def ekus_of(certificate):
    value = certificate.value(Oid.EXTENDED_KEY_USAGE)
    return None if value is None else {oid.dotted_string for oid in value}


def require_issuer(issuer, below, ekus):
    """PROTOCOL [path-4]; `below` are the CAs between it and the end entity."""
    need(issuer.is_ca and issuer.usage('key_cert_sign'), 'ERR_PATH_INVALID', 'no CA')
    need(issuer.subject != EMPTY_NAME, 'ERR_PATH_INVALID', 'a CA without a subject')
    most = issuer.value(Oid.BASIC_CONSTRAINTS).path_length
    counted = sum(not one.is_self_issued for one in below)
    need(most is None or counted <= most, 'ERR_PATH_INVALID', 'too long a path')
    own = ekus_of(issuer)
    any_use = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string
    need(own is None or any_use in own or set(ekus) <= own, 'ERR_PATH_INVALID', 'a CA for another use')


def require_end_entity(leaf, ekus):
    """PROTOCOL [path-5]"""
    need(not leaf.is_ca and leaf.usage('digital_signature'), 'ERR_CERT_PROFILE', 'usage')
    need(not leaf.usage('key_cert_sign') and not leaf.usage('crl_sign'), 'ERR_CERT_PROFILE', 'usage of a CA')
    own = ekus_of(leaf)
    need(own is not None and set(ekus) <= own, 'ERR_CERT_PROFILE', 'extended usage')
    need(leaf.value(Oid.NAME_CONSTRAINTS) is None, 'ERR_CERT_PROFILE', 'name constraints')
    names = leaf.extensions.get(Oid.SUBJECT_ALTERNATIVE_NAME)
    is_named = leaf.subject != EMPTY_NAME or (names is not None and names.critical)
    need(is_named, 'ERR_CERT_PROFILE', 'no subject')
    load_document_key(leaf.spki)


def find_list(certificate, issuer, lists, now):
    """PROTOCOL [path-8]: the usable list of the highest number."""
    usable = [
        one
        for one in lists
        if one.issuer == issuer.subject
        and issuer.usage('crl_sign')
        and one.this_update <= now <= one.next_update
        and one.covers(certificate)
        and issuer.signed(one)
    ]
    need(usable, 'ERR_CRL', 'no list covers a certificate')
    return max(usable, key=lambda one: one.number)


def read_lists(crls):
    """Those that can be read: whether they are enough is for each certificate to say."""
    out = []
    for der in crls:
        try:
            out.append(Crl(der))
        except Refused as refused:
            if refused.code != 'ERR_CRL':
                raise
    return out


def validate(certificates, anchors, ekus, crls, now):
    """The path of these certificates (DER, end entity first) to one of the anchors (DER)."""
    path = validate_without_lists(certificates, anchors, ekus, now)
    lists = read_lists(crls)
    for certificate, issuer in zip(path.chain, path.chain[1:]):
        found = find_list(certificate, issuer, lists, now)
        is_listed = certificate.parsed.serial_number in found.revoked
        need(not is_listed, 'ERR_CERT_REVOKED')
        path.lists.append((issuer.key_id, found))
    return path


def validate_without_lists(certificates, anchors, ekus, now):
    """All of it but revocation."""
    need(certificates, 'ERR_PATH_INVALID', 'no certificate')
    chain = [Certificate(der) for der in certificates]
    need(len({one.der for one in chain}) == len(chain), 'ERR_PATH_INVALID', 'a certificate twice')
    for child, issuer in zip(chain, chain[1:]):
        need(is_issued(child, issuer), 'ERR_PATH_INVALID', 'not issued by the next')
    named = [one for one in map(Certificate, anchors) if one.subject == chain[-1].issuer]
    anchor = next((one for one in named if is_issued(chain[-1], one)), None)
    need(anchor is not None, 'ERR_PATH_INVALID', 'no anchor')
    whole = [*chain, anchor]
    for one in whole:
        # PROTOCOL [path-3]
        need(now is not None and one.not_before <= now <= one.not_after, 'ERR_CERT_EXPIRED')
    for i, issuer in enumerate(whole[1:], 1):
        require_issuer(issuer, chain[1:i], ekus)
    require_end_entity(chain[0], ekus)
    uri = uri_of(chain[0])
    for i, issuer in enumerate(whole[1:], 1):
        for j, below in enumerate(whole[:i]):
            if j == 0 or not below.is_self_issued:
                require_allowed(below, issuer)
    return Path(chain[0], uri, [], whole)


def matches_rule(uri, rule):
    """A SAN rule: an exact URI, or what is below a prefix that ends in a slash."""
    return len(uri) >= len(rule) and uri.startswith(rule[:-1]) if rule.endswith('/*') else uri == rule
