"""Certificates and revocation lists: `cryptography` parses them, the profile of docs/PROTOCOL.md is checked here ([path-1], [path-8])."""
import calendar

from cryptography import x509
from cryptography.x509.oid import ExtensionOID as Oid

from signatures import is_ca_signature, is_known_algorithm, load_key
from wire import Refused, need, sha256

UNDERSTOOD = {
    Oid.BASIC_CONSTRAINTS,
    Oid.KEY_USAGE,
    Oid.EXTENDED_KEY_USAGE,
    Oid.SUBJECT_ALTERNATIVE_NAME,
    Oid.NAME_CONSTRAINTS,
    Oid.CRL_DISTRIBUTION_POINTS,
    Oid.SUBJECT_KEY_IDENTIFIER,
    Oid.AUTHORITY_KEY_IDENTIFIER,
    Oid.ISSUER_ALTERNATIVE_NAME,
}
# Mappings, constraints and "inhibit any".
POLICIES = {'2.5.29.33', '2.5.29.36', '2.5.29.54'}


def elements(der):
    """The DER elements that stand behind one another: (tag, contents, whole)."""
    out, at = [], 0
    while at < len(der):
        start, tag, size = at, der[at], der[at + 1]
        at += 2
        if size >= 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(der[at : at + count], 'big'), at + count
        out.append((tag, der[at : at + size], der[start : at + size]))
        at += size
    return out


def inside(der):
    """The elements inside the one element of some DER."""
    return elements(elements(der)[0][1])


def seconds(moment):
    return calendar.timegm(moment.timetuple())


def extension(item, oid):
    """The value of an extension and whether it is critical; None for none."""
    try:
        found = item.extensions.get_extension_for_oid(oid)
        return found.value, found.critical
    except x509.ExtensionNotFound:
        return None, False


class Certificate:
    def __init__(self, der):
        need(len(der) <= 16384, 'ERR_TOO_LARGE', 'certificate')
        try:
            parsed = x509.load_der_x509_certificate(der)
            tbs = [one for one in inside(inside(der)[0][2]) if one[0] != 0xA0]
            self.raw = dict(raw_extensions(tbs[-1]))
            need(not POLICIES & set(self.raw), 'ERR_CERT_PROFILE', 'policies')
            self.extensions = {one.oid: one for one in parsed.extensions}
        except (x509.DuplicateExtension, x509.InvalidVersion):
            raise Refused('ERR_CERT_PROFILE', 'version or extension twice') from None
        except (ValueError, IndexError, TypeError, x509.UnsupportedGeneralNameType) as error:
            raise Refused('ERR_MALFORMED', f'certificate: {error}') from None
        self.der, self.parsed, self.fingerprint = der, parsed, sha256(der)
        (_, serial, _), (_, _, inner), (_, _, self.issuer), _, (_, _, self.subject), (_, _, self.spki) = tbs[:6]
        self.not_before, self.not_after = seconds(parsed.not_valid_before), seconds(parsed.not_valid_after)
        # PROTOCOL [path-1]
        need(parsed.version == x509.Version.v3, 'ERR_CERT_PROFILE', 'version')
        need(inner == inside(der)[1][2], 'ERR_CERT_PROFILE', 'two algorithms')
        need(0 < parsed.serial_number and len(serial) <= 20, 'ERR_CERT_PROFILE', 'serial')
        critical = {oid for oid, one in self.extensions.items() if one.critical}
        need(critical <= UNDERSTOOD, 'ERR_CERT_PROFILE', 'critical extension')
        self.algorithm = parsed.signature_algorithm_oid.dotted_string
        need(is_known_algorithm(self.algorithm), 'ERR_CERT_PROFILE', 'algorithm')
        self.key, self.key_id = load_key(self.spki), sha256(self.spki)

    def value(self, oid):
        found = self.extensions.get(oid)
        return None if found is None else found.value

    @property
    def is_self_issued(self):
        return self.subject == self.issuer

    @property
    def is_ca(self):
        constraints = self.value(Oid.BASIC_CONSTRAINTS)
        return constraints is not None and constraints.ca

    def usage(self, name):
        usage = self.value(Oid.KEY_USAGE)
        return usage is not None and getattr(usage, name)

    def names(self):
        """Entries of the subjectAltName: (tag, contents)."""
        value = self.raw.get(Oid.SUBJECT_ALTERNATIVE_NAME.dotted_string)
        return [] if value is None else [(tag & 0x1F, data) for tag, data, _ in inside(value)]

    def signed(self, child):
        """Whether this certificate's key signed a certificate or a list."""
        parsed = child.parsed
        data = parsed.tbs_certificate_bytes if isinstance(child, Certificate) else parsed.tbs_certlist_bytes
        return is_ca_signature(self.key, child.algorithm, parsed.signature, data)


def raw_extensions(element):
    """(OID, value) of each extension."""
    tag, data, _ = element
    if tag != 0xA3:
        return
    for _, _, whole in inside(data):
        (_, oid, _), *_, (_, value, _) = inside(whole)
        yield dotted(oid), value


def dotted(oid):
    numbers, number = [], 0
    for byte in oid:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return '.'.join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))


class Crl:
    """A revocation list. Whatever is wrong with it is `ERR_CRL`."""

    def __init__(self, der):
        need(len(der) <= 1048576, 'ERR_TOO_LARGE', 'list')
        try:
            parsed = x509.load_der_x509_crl(der)
            tbs = [one for one in inside(inside(der)[0][2])]
            known = {one.oid: one for one in parsed.extensions}
            entries = [(one.serial_number, one.extensions) for one in parsed]
        except Exception as error:  # whichever of the parser's
            raise Refused('ERR_CRL', f'malformed: {error}') from None
        self.der, self.parsed, self.hash = der, parsed, sha256(der)
        has_version = tbs[0][0] == 0x02
        need(has_version and tbs[1][2] == inside(der)[1][2], 'ERR_CRL', 'version or two algorithms')
        self.issuer, self.algorithm = tbs[2][2], parsed.signature_algorithm_oid.dotted_string
        # PROTOCOL [path-8]
        understood = {Oid.ISSUING_DISTRIBUTION_POINT, Oid.AUTHORITY_KEY_IDENTIFIER, Oid.CRL_NUMBER}
        need(Oid.CRL_NUMBER in known and Oid.DELTA_CRL_INDICATOR not in known, 'ERR_CRL', 'number or delta')
        need({oid for oid, one in known.items() if one.critical} <= understood, 'ERR_CRL', 'critical extension')
        need(not any(one.critical for _, more in entries for one in more), 'ERR_CRL', 'critical entry extension')
        need(parsed.next_update is not None, 'ERR_CRL', 'no next update')
        self.number, self.revoked = known[Oid.CRL_NUMBER].value.crl_number, {serial for serial, _ in entries}
        self.this_update, self.next_update = seconds(parsed.last_update), seconds(parsed.next_update)
        point = known.get(Oid.ISSUING_DISTRIBUTION_POINT)
        self.point = None if point is None else point.value

    def covers(self, certificate):
        """Whether the issuing distribution point lets this list speak of a certificate of its issuer."""
        points = certificate.value(Oid.CRL_DISTRIBUTION_POINTS)
        own = [] if points is None else [one for one in points if one.crl_issuer is None]
        if points is not None and not own:
            return False
        if self.point is None:
            return True
        odd = self.point.only_some_reasons, self.point.indirect_crl, self.point.only_contains_attribute_certs
        if any(odd) or self.point.relative_name is not None:
            return False
        if self.point.only_contains_user_certs and certificate.is_ca:
            return False
        if self.point.only_contains_ca_certs and not certificate.is_ca:
            return False
        if self.point.full_name is None:
            return True
        named = [name for one in own for name in one.full_name or []]
        return any(name in named for name in self.point.full_name)
