"""
A client of Keyferry in Python, written from docs/ alone: what it needs beyond the standard library is `cryptography` (Debian:
python3-cryptography). Suites X25519 and P-256. It keeps its state in memory: it shows that the documents suffice, and is no client for apps.

It reads one command per line from standard input, JSON, and answers each with one line, JSON: {"ok": ...} or {"code": "ERR_..."}.

    {"do": "enrol", "url": URL, "headers": {}, "name": NAME}
    {"do": "connect", "config": APP CONFIG, "suite": "X25519"}
    {"do": "keyring", "name": NAME, "seconds": 30}
    {"do": "encrypt", "name": NAME, "text": TEXT, "context": TEXT, "sign": false}
    {"do": "decrypt", "name": NAME, "message": BASE64URL, "context": TEXT}
    {"do": "decrypt_from", "name": NAME, "message": BASE64URL, "context": TEXT, "wanted": URI}
    {"do": "sign", "name": NAME, "text": TEXT, "context": TEXT}
    {"do": "verify", "name": NAME, "signature": BASE64URL, "text": TEXT, "context": TEXT}
"""
import json
import os
import sys
import time

import keys
import senders
from delivery import open_delivery, open_keys, read_delivery, version_to_decrypt, version_to_encrypt
from documents import document_hash, require_lists, sign, verify_refusal
from http_calls import Relay, enrol
from wire import Refused, b64url, canonical, from_b64url, need, sha256

DAY = 86400


def plain(value):
    """As JSON: bytes become base64url."""
    return json.loads(canonical(value))


class Client:
    def __init__(self, config, key, certificates, suite):
        self.tenant, self.key, self.certificates, self.suite = config['tenant'], key, certificates, suite
        floor = config['floor']
        self.floor = floor and {**floor, 'hash': from_b64url(floor['hash'])}
        self.ids = {one['name']: from_b64url(one['id']) for one in config['keyrings']}
        self.relay = Relay(config['relays'][0], self.tenant, key, certificates)
        self.fingerprint = sha256(certificates[0])
        self.state, self.views, self.objects, self.nonces, self.shown = None, {}, {}, {}, {}
        self.make_package()

    def make_package(self):
        now = int(time.time())
        self.private, self.public = keys.generate(self.suite)
        body = {
            'expiresAt': now + 30 * DAY,
            'issuedAt': now,
            'key': self.public,
            'signer': self.fingerprint,
            'suite': self.suite,
            'tenant': self.tenant,
            'version': 1,
        }
        self.package = sign('package', body, self.key, self.certificates)
        self.package_hash = document_hash(self.package)

    def own(self):
        names = {'suite': self.suite, 'private': self.private, 'public': self.public}
        return {**names, 'tenant': self.tenant, 'fingerprint': self.fingerprint, 'packageHash': self.package_hash}

    def request(self, keyring):
        """Asks the deriver for a keyring."""
        now, nonce = int(time.time()), os.urandom(16)
        body = {
            'expiresAt': now + 600,
            'issuedAt': now,
            'keyrings': [keyring],
            'nonce': nonce,
            'package': self.package_hash,
            'signer': self.fingerprint,
            'tenant': self.tenant,
        }
        request = sign('request', body, self.key, self.certificates)
        answer = self.relay.post('request', plain({'package': self.package, 'request': request}), now, 65536)
        need(answer.status == 202, answer.code or 'ERR_RELAY')
        self.nonces.setdefault(keyring, []).append(nonce)

    def fetch(self, keyring):
        """One delivery for this keyring; what it refuses, it raises."""
        now, last = int(time.time()), self.state
        keyrings = list({*self.views, keyring})
        slots = [self.views[one]['slot'] if one in self.views else 0 for one in keyrings]
        have = {
            'catalog': last['catalog'].body['number'] if last else 0,
            'head': b'',
            'objects': [*self.objects, *(view['release']['members']['index'] for view in self.views.values())],
            'trust': last['trust'].body['number'] if last else 0,
        }
        body = {'have': have, 'keyrings': keyrings, 'package': self.package_hash, 'slots': slots}
        answer = self.relay.post('delivery', plain(body), now, 8388608)
        need(answer.status == 200, answer.code or 'ERR_RELAY')
        delivery = read_delivery(answer.body)
        ask = {
            'tenant': self.tenant,
            'floor': self.floor,
            'packageHash': self.package_hash,
            'keyrings': keyrings,
            'now': now,
            'trust': last['trust'] if last else None,
            'last': last,
            'held': self.views,
            'kept': self.objects,
        }
        state, views = open_delivery(delivery, ask)
        names = {id_: name for name, id_ in self.ids.items()}
        for id_, view in views.items():
            view['kek'] = open_keys(view, self.own(), names[id_])
            # A grant ends the requests before it.
            self.nonces.pop(id_, None)
            self.shown[id_] = {**state['head'], 'release': view['releaseHash']}
            self.objects.update(view['objects'])
            self.objects[view['member']['welcomeHash']] = view['welcome']
        self.state, self.views = state, {**self.views, **views}
        if keyring not in views:
            self.look_for_refusal(delivery, keyring, now)
        return keyring in views

    def look_for_refusal(self, delivery, keyring, now):
        """Raises what the deriver signed; one that proves nothing is passed over."""
        head = self.state['headBody']
        named = {one['hash'] for one in head['crls']}
        crls = [der for der in delivery['crls'] if sha256(der) in named]
        context = {'trust': self.state['trust'], 'tenant': self.tenant, 'now': now, 'crls': crls}
        asked = {'recipient': self.fingerprint, 'keyrings': [keyring], 'head': head, 'is_member': False, 'package': b''}
        asked |= {'nonces': self.nonces.get(keyring, []), 'shown': self.shown.get(keyring)}
        for document in delivery['refusals']:
            try:
                refusal = verify_refusal(document, context, asked)
                require_lists(refusal.path, head, self.state['trust'].body, self.state['crls'])
            except Refused:
                continue
            codes = {'denied': 'ERR_DENIED', 'removed': 'ERR_REMOVED', 'pending': 'ERR_PENDING'}
            raise Refused(codes[refusal.body['kind']])

    def keyring(self, name, seconds):
        """Waits for the keyring; what it is encrypted with now."""
        keyring, end, is_asked = self.ids[name], time.time() + seconds, False
        while True:
            try:
                if self.fetch(keyring):
                    break
            except Refused as refused:
                # Before the first push, or before the relay has a list that covers a new certificate.
                if refused.code not in ('ERR_NOT_FOUND', 'ERR_UNAUTHORIZED', 'ERR_RELAY'):
                    raise
            else:
                if not is_asked:
                    self.request(keyring)
                    is_asked = True
            need(time.time() < end, 'ERR_TIMEOUT')
            time.sleep(0.2)
        view = self.views[keyring]
        return {'version': view['release']['encrypt']['version'], 'head': self.state['head']['version']}

    def encrypt(self, name, text, context, sign):
        view, now = self.views[self.ids[name]], int(time.time())
        entry = version_to_encrypt(view, self.state, now)
        secret, version = keys.unwrap_version(view['kek'], entry, view['manifest'])
        fields = secret, view['manifest'], version['keyId'], text, context
        if not sign:
            return keys.encrypt(*fields)
        return senders.encrypt_signed(*fields, os.urandom(24), self.key, self.certificates, self.tenant, now)

    def decrypt(self, name, message, context, wanted=None):
        """The text, and who signed it, if anybody did."""
        view = self.views[self.ids[name]]
        entry = version_to_decrypt(view, self.state, keys.key_id_of(message), int(time.time()))
        secret, _ = keys.unwrap_version(view['kek'], entry, view['manifest'])
        asked = self.asked(name, wanted)
        return senders.decrypt(secret, view['manifest'], message, context, asked, wanted is not None)

    def sign(self, name, text, context):
        now, keyring = int(time.time()), self.ids[name]
        return senders.sign_data(self.key, self.certificates, self.tenant, keyring, text, context, now)

    def verify(self, name, signature, text, context):
        return senders.verify_data(signature, text, context, self.asked(name))

    def asked(self, name, wanted=None):
        rules = [one.decode() for one in self.views[self.ids[name]]['manifest']['rules']]
        fields = self.tenant, self.state['trust'], self.ids[name], rules, int(time.time()), self.lists
        return senders.Asked(*fields, wanted=wanted)

    def lists(self, issuers):
        """The lists that the accepted head names of these issuers. PROTOCOL [sign-6]"""
        out = []
        for one in self.state['headBody']['crls']:
            if one['issuer'] in issuers:
                answer = self.relay.post('object', plain({'hash': one['hash']}), int(time.time()), 1048576)
                need(answer.status == 200, answer.code or 'ERR_RELAY')
                need(sha256(answer.body) == one['hash'], 'ERR_HASH', 'another list')
                out.append(answer.body)
        return out


class Session:
    """The commands."""

    identity = client = None

    def enrol(self, url, headers, name):
        self.identity = enrol(url, headers, name)
        return len(self.identity[1])

    def connect(self, config, suite):
        self.client = Client(config, *self.identity, suite)
        return suite

    def keyring(self, name, seconds):
        return self.client.keyring(name, seconds)

    def encrypt(self, name, text, context, sign=False):
        return b64url(self.client.encrypt(name, text.encode(), context.encode(), sign))

    def decrypt(self, name, message, context):
        return self.client.decrypt(name, from_b64url(message), context.encode())[0].decode()

    def decrypt_from(self, name, message, context, wanted):
        text, sender = self.client.decrypt(name, from_b64url(message), context.encode(), wanted)
        return {'text': text.decode(), 'sender': sender}

    def sign(self, name, text, context):
        return b64url(self.client.sign(name, text.encode(), context.encode()))

    def verify(self, name, signature, text, context):
        return self.client.verify(name, from_b64url(signature), text.encode(), context.encode())


def main():
    session = Session()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {'ok': getattr(session, command.pop('do'))(**command)}
        except Refused as refused:
            answer = {'code': refused.code, 'what': str(refused)}
        print(json.dumps(answer), flush=True)


main()
