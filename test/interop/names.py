"""Name constraints (docs/PROTOCOL.md [path-7], RFC 5280 §4.2.1.10) and the URI of an end entity ([path-6])."""
import re

from cryptography.x509.oid import ExtensionOID as Oid

from certificates import dotted, elements, inside
from wire import need

MAIL, DNS, DIRECTORY, URI, ADDRESS = 1, 2, 4, 6, 7
EMAIL_ADDRESS = '1.2.840.113549.1.9.1'
HOST = re.compile(rb'[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*', re.I)


def host_of(uri):
    """The host of a URI, None where it has none or has a user, a query or a fragment."""
    match = re.fullmatch(rb'[A-Za-z][A-Za-z0-9+.-]*://([^/?#@:\[\]]+)(:\d*)?(/[^?#]*)?', uri)
    return None if match is None else match[1]


def uri_of(certificate):
    """PROTOCOL [path-6]: the one URI of an end entity."""
    uris = [data for tag, data in certificate.names() if tag == URI]
    need(len(uris) == 1 and host_of(uris[0]) is not None, 'ERR_CERT_PROFILE', 'not one URI with a host')
    return uris[0].decode('ascii')


def is_below(host, constraint):
    """Hosts: one with a dot before it stands for what is below it, any other for itself."""
    host, constraint = host.lower(), constraint.lower()
    return host.endswith(constraint) and host != constraint if constraint[:1] == b'.' else host == constraint


def matches(form, name, constraint):
    if form == URI:
        return is_below(host_of(name) or b'', constraint)
    if form == DNS:
        name, constraint = name.lower(), constraint.lower()
        return constraint == b'' or name == constraint or name.endswith(b'.' + constraint)
    if form == MAIL:
        local, _, host = name.rpartition(b'@')
        if b'@' in constraint:
            own, _, theirs = constraint.rpartition(b'@')
            return local == own and host.lower() == theirs.lower()
        return is_below(host, constraint)
    if form == ADDRESS:
        length = len(constraint) // 2
        pairs = zip(name, constraint[:length], constraint[length:])
        return len(name) == length and all(a & mask == b & mask for a, b, mask in pairs)
    rdns, base = elements(inner_of(name)), elements(inner_of(constraint))
    return [one[2] for one in rdns[: len(base)]] == [one[2] for one in base]


def inner_of(name):
    """The relative names of a directory name, which is tagged explicitly in a GeneralName."""
    return elements(name)[0][1]


def is_well_formed(form, constraint):
    if form in (URI, DNS):
        host = constraint[1:] if constraint[:1] == b'.' and form == URI else constraint
        return HOST.fullmatch(host) is not None
    if form == MAIL:
        host = constraint.rpartition(b'@')[2]
        return HOST.fullmatch(host[1:] if host[:1] == b'.' else host) is not None
    return len(constraint) in (8, 32) if form == ADDRESS else form == DIRECTORY


def names_of(certificate):
    """All names that constraints speak of: (form, contents)."""
    names = certificate.names()
    relative = elements(certificate.subject)[0][1]
    if relative != b'':
        names.append((DIRECTORY, certificate.subject))
    if not any(form == MAIL for form, _ in names):
        for _, attributes, _ in elements(relative):
            for _, pair, _ in elements(attributes):
                (_, oid, _), (_, value, _) = elements(pair)
                if dotted(oid) == EMAIL_ADDRESS:
                    names.append((MAIL, value))
    return names


def require_allowed(certificate, issuer):
    """PROTOCOL [path-7]: the names of a certificate under the constraints of one CA above it."""
    value = issuer.raw.get(Oid.NAME_CONSTRAINTS.dotted_string)
    if value is None:
        return
    trees = {0xA0: [], 0xA1: []}
    for tag, subtrees, _ in inside(value):
        for _, subtree, _ in elements(subtrees):
            (base, contents, _), *more = elements(subtree)
            need(not more, 'ERR_PATH_INVALID', 'a constraint with a minimum or maximum')
            trees[tag].append((base & 0x1F, contents))
    for form, name in names_of(certificate):
        permitted, excluded = ([data for own, data in trees[tag] if own == form] for tag in (0xA0, 0xA1))
        for constraint in permitted + excluded:
            need(is_well_formed(form, constraint), 'ERR_PATH_INVALID', 'constraint')
        need(form != URI or not permitted + excluded or HOST.fullmatch(host_of(name) or b''), 'ERR_PATH_INVALID', 'host')
        is_in = not permitted or any(matches(form, name, one) for one in permitted)
        need(is_in and not any(matches(form, name, one) for one in excluded), 'ERR_PATH_INVALID', f'name {name}')
