"""Enrolment in an app's backend, and signed calls of a relay (docs/PROTOCOL.md, "Enrolment", "HTTP", "Admission"; docs/openapi.json)."""
import base64
import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from signatures import sign_document
from wire import Refused, b64url, need, parse_json, sha256

JSON = {'content-type': 'application/json'}
TEXT = {'content-type': 'text/plain'}


class Answer:
    """What came back; `code` of a problem document."""

    def __init__(self, status, body):
        self.status, self.body = status, body
        self.code = None
        if status >= 400:
            problem = parse_json(body, 131072) if body[:1] == b'{' else {}
            self.code = problem.get('code', 'ERR_RELAY')

    def json(self, limit):
        return parse_json(self.body, limit)


def call(method, url, headers, body, limit):
    """One call; an answer of more than `limit` bytes is `ERR_TOO_LARGE`."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    except OSError as error:
        raise Refused('ERR_RELAY', str(error)) from None
    with response:
        data = response.read(limit + 1)
        need(len(data) <= limit, 'ERR_TOO_LARGE')
        return Answer(response.status, data)


def enrol(url, headers, name):
    """A new P-256 key and its certificates (DER, end entity first), as docs/PROTOCOL.md, "Enrolment", says."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    grant = call('GET', url, headers, None, 32768)
    need(grant.status == 200, grant.code or 'ERR_ENROLMENT')
    given = grant.json(32768)
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    body = json.dumps({'csr': pem, 'nonce': given['nonce'], 'proof': None}).encode()
    answer = call('POST', url, {**headers, **JSON, 'keyferry-csrf': given['csrf']}, body, 32768)
    need(answer.status == 200, answer.code or 'ERR_ENROLMENT')
    return key, read_pem(answer.json(32768)['certificates'])


def read_pem(text):
    """The certificates of a PEM text, DER."""
    blocks = text.split('-----BEGIN CERTIFICATE-----')[1:]
    return [base64.b64decode(block.split('-----END')[0]) for block in blocks]


COMPONENTS = '("@method" "@authority" "@path" "@query" "content-digest")'


def content_digest(body):
    return f'sha-256=:{base64.b64encode(sha256(body)).decode()}:'


def signature_base(method, url, body, parameters):
    """What the signature of a call is made over (RFC 9421)."""
    parts = urlsplit(url)
    lines = [
        f'"@method": {method}',
        f'"@authority": {parts.netloc}',
        f'"@path": {parts.path}',
        f'"@query": ?{parts.query}',
        f'"content-digest": {content_digest(body)}',
        f'"@signature-params": {parameters}',
    ]
    return '\n'.join(lines)


class Relay:
    """A relay for one tenant and one certificate."""

    def __init__(self, url, tenant, key, certificates):
        self.url, self.tenant, self.key, self.certificates = url, tenant, key, certificates

    def post(self, name, value, now, limit):
        """The call of this name."""
        body = json.dumps({'call': name, **value}).encode()
        url = f'{self.url}/v1/{self.tenant}/calls'
        return call('POST', url, TEXT, self.sign('POST', url, body, now) + b'\n' + body, limit)

    def sign(self, method, url, body, now):
        """The credentials of a call, which are the first line of what is posted."""
        keyid = b64url(sha256(self.certificates[0]))
        parameters = f'{COMPONENTS};created={now};expires={now + 60};keyid="{keyid}";tag="keyferry"'
        signature = sign_document(self.key, signature_base(method, url, body, parameters).encode())
        return json.dumps({
            'certificates': [b64url(one) for one in self.certificates],
            'input': f'keyferry={parameters}',
            'signature': b64url(signature),
        }).encode()
