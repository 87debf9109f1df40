"""Runs docs/vectors through this client:

    python3 test/interop/vectors.py docs/vectors

Prints one JSON line per case: file, comment, what was expected and what came out. ML-KEM is not implemented here and its cases are left out.
"""
import json
import sys
from math import floor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, x25519

from delivery import open_delivery, read_delivery, require_clock, version_to_decrypt, version_to_encrypt
from documents import document_hash, envelope, follow_trust, require_lists, verify_head, verify_refusal
from http_calls import signature_base
from keys import decrypt, derive, key_id_of, open_welcome, unwrap, unwrap_name, unwrap_version
from objects import read_bundle, read_entry, read_manifest, read_release, read_welcome, release_entry, require_leaf
from paths import validate
from senders import Asked, decrypt as decrypt_any, verify_data
from wire import Refused, decode_json, from_b32, from_b64url, u32

un = bytes.fromhex
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / 'docs' / 'vectors')


def load(name):
    return json.loads((FOLDER / f'{name}.json').read_text('utf-8'))


def private(suite, key):
    if suite == 'X25519':
        return x25519.X25519PrivateKey.from_private_bytes(un(key))
    return ec.derive_private_key(int(key, 16), ec.SECP256R1())


def trust_of(context):
    return follow_trust(context['tenant'], None, [envelope(context['trust'])], None, context['now'])


def merge(target, patch):
    """RFC 7396, without null."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    return {**out, **{name: merge(out.get(name), value) for name, value in patch.items()}}


def run_encoding(given):
    return (from_b64url if given['form'] == 'base64url' else from_b32)(given['text']).hex()


def run_derivation(given):
    return derive(un(given['key']), given['label'], *map(un, given['fields'])).hex()


def run_http(given):
    body = un(given['body'])
    if 'headers' in given:
        written = given['headers']['signature-input']
    else:
        credentials, _, body = body.partition(b'\n')
        written = json.loads(credentials)['input']
    return signature_base(given['method'], given['url'], body, written.removeprefix('keyferry='))


def run_json(given):
    decode_json(un(given), 1000)


def run_trust(given, now):
    pinned = given['floor'] and {**given['floor'], 'hash': from_b64url(given['floor']['hash'])}
    documents = [envelope(one) for one in given['documents']]
    out = follow_trust(given['tenant'], None, documents, pinned, given.get('now', now))
    return {'number': out.body['number'], 'hash': out.hash.hex()}


def context_of(context, given):
    own = {**context, **given}
    # A context of its own has its own genesis.
    trust = trust_of({**own, 'now': context['now']})
    crls = [from_b64url(one) for one in own['crls']]
    return {'trust': trust, 'tenant': own['tenant'], 'now': own['now'], 'crls': crls}


def run_envelope(given, context):
    return verify_head(envelope(given['envelope']), context_of(context, given)).hash.hex()


def run_refusal(given, context):
    own = {**context, **given}
    crls = [from_b64url(one) for one in own['crls']]
    if (shown := own['shown']) is not None:
        shown = {**shown['head'], 'release': un(shown['release'])}
    asked = {
        'recipient': un(own['recipient']),
        'keyrings': [un(own['keyring'])],
        'nonces': [un(own['nonce'])],
        'head': own['head'],
        'shown': shown,
        'is_member': own['isMember'],
        'package': un(own['package']),
    }
    wanted = {**context_of(context, given), 'crls': crls}
    return {'kind': verify_refusal(envelope(given['envelope']), wanted, asked).body['kind']}


def run_path(given):
    lists = [[un(one) for one in given[name]] for name in ('certificates', 'anchors', 'crls')]
    now = None if given['now'] is None else floor(given['now'])
    validate(lists[0], lists[1], given['eku'], lists[2], now)


def run_tree(given):
    path = [un(one) for one in given['path']]
    proof = {'index': given['index'], 'path': path}
    require_leaf(un(given['leaf']), proof, un(given['root']), given['size'])


READ = {
    'manifest': read_manifest,
    'bundle': read_bundle,
    'welcome': read_welcome,
    'release': read_release,
    'entry': read_entry,
}


def run_format(given):
    if given['format'] == 'release entry':
        return {'entry': release_entry(un(given['bytes'])).hex()}
    if given['format'] == 'delivery':
        delivery = read_delivery(un(given['bytes']))
        keyrings = [[one['bundle'].hex(), one['manifest'].hex()] for one in delivery['keyrings']]
        return {'crls': [one.hex() for one in delivery['crls']], 'keyrings': keyrings}
    READ[given['format']](un(given['bytes']))


def run_welcome(given):
    member = {'welcomeHash': un(given['welcomeHash']), 'channelId': un(given['channelId'])}
    own = {name: un(given[name]) for name in ('fingerprint', 'packageHash')}
    own |= {'suite': given['suite'], 'tenant': given['tenant'], 'public': un(given['publicKey'])}
    own['private'] = private(given['suite'], given['privateKey'])
    return {'channelKey': open_welcome(un(given['welcome']), member, own).hex()}


def run_keys(given):
    kek = unwrap(un(given['channelKey']), un(given['cell']))
    manifest, bundle = read_manifest(un(given['manifest'])), read_bundle(un(given['bundle']))
    name = unwrap_name(kek, bundle)
    if name != given['name']:
        raise Refused('ERR_KEYRING')
    found = [unwrap_version(kek, entry, manifest) for entry in bundle['entries']]
    message = un(given['message'])
    key_id = key_id_of(message)
    secret = next(secret for secret, version in found if version['keyId'] == key_id)
    text = decrypt(secret, manifest, message, un(given['context']))
    what = 'content' if manifest['kind'] == 3 else 'secret'
    versions = [{what: secret.hex(), 'keyId': one['keyId'].hex()} for secret, one in found]
    return {'kek': kek.hex(), 'name': name, 'versions': versions, 'text': text.decode()}


def run_delivery(given, vectors):
    context = vectors['context']
    trust = trust_of(context)

    def parse(patch):
        merged = merge(vectors['delivery'], patch)
        keyrings = [{**one, 'member': one['member'] or None} for one in merged['keyrings']]
        lists, objects = [from_b64url(one) for one in merged['crls']], []
        for one in keyrings:
            for name in ('bundle', 'manifest'):
                objects.append(from_b64url(one[name]))
                one[name] = len(objects[-1])
        merged |= {'catalog': merged['catalog'] or None, 'crls': [len(one) for one in lists], 'keyrings': keyrings}
        text = json.dumps(merged).encode()
        return read_delivery(b''.join([u32(len(text)), text, *lists, *objects]))

    ask = {
        'tenant': context['tenant'],
        'floor': None,
        'packageHash': un(context['packageHash']),
        'keyrings': [un(one) for one in context['keyrings']],
        'now': context['now'],
        'trust': trust,
        'last': None,
        'held': {},
        'kept': {},
    }
    if 'state' in given:
        last, views = open_delivery(parse({}), ask)
        kept = given['state']
        ask['held'] = views if kept.get('held') else {}
        last['head'] = {**kept['head'], 'hash': un(kept['head']['hash'])}
        last['catalog'].body['number'] = kept['catalog']['number']
        last['catalog'].hash = un(kept['catalog']['hash'])
        last['crls'] = {un(one['issuer']): one['number'] for one in kept['crls']}
        last['manifests'] = {
            un(one['keyring']): {'number': one['number'], 'hash': un(one['hash'])} for one in kept['manifests']
        }
        ask['last'] = last
    state, views = open_delivery(parse(given['patch']), ask)
    recipient = context['recipient']
    own = {'suite': recipient['suite'], 'private': private(recipient['suite'], recipient['privateKey'])}
    own |= {'public': un(recipient['publicKey']), 'tenant': context['tenant']}
    own |= {'fingerprint': un(context['fingerprint']), 'packageHash': ask['packageHash']}
    for view in views.values():
        kek = unwrap(open_welcome(view['welcome'], view['member'], own), view['member']['cell'])
        if unwrap_name(kek, view['bundle']) != 'notes':
            raise Refused('ERR_KEYRING')
        for entry in view['bundle']['entries']:
            unwrap_version(kek, entry, view['manifest'])
        use = given.get('use', {})
        if use:
            require_clock(state, use['now'])
        if 'encrypt' in use:
            version_to_encrypt(view, state, use['now'])
        if 'keyId' in use:
            version_to_decrypt(view, state, un(use['keyId']), use['now'], use.get('minVersion', 0))


def run_sender(given, context):
    own = {**context, **given}
    wanted = given.get('from')
    lists = [from_b64url(one) for one in own['crls']]
    asked = Asked(
        tenant=own['tenant'],
        trust=trust_of({**own, 'now': context['now']}),
        keyring=un(own['keyring']),
        rules=own['rules'],
        now=own['now'],
        lists=lambda issuers: lists,
        wanted=None if wanted is True else wanted,
        allow_revoked=given.get('allowRevoked', False),
    )
    if 'signature' in given:
        return verify_data(from_b64url(given['signature']), un(given['data']), un(given['context']), asked)
    manifest = {'tenant': from_b32(own['tenant']), 'keyring': asked.keyring}
    message, bound = un(given['message']), un(given['context'])
    data, sender = decrypt_any(un(own['secret']), manifest, message, bound, asked, wanted is not None)
    return {**(sender or {}), 'data': data.hex()}


def cases():
    """(file, case, run)"""
    trust, head, refusal = load('trust'), load('envelope'), load('refusal')
    deliveries, senders, http = load('delivery'), load('sender'), load('http')
    runs = {
        'encoding': (load('encoding')['cases'], run_encoding),
        'derivation': (load('derivation')['cases'], run_derivation),
        # A client makes signatures of calls and verifies none.
        'http': ([one for one in http['cases'] + http['bodies'] if 'output' in one], run_http),
        'json': (load('json')['cases'], run_json),
        'path': (load('path')['cases'], run_path),
        'trust': (trust['cases'], lambda given: run_trust(given, trust['now'])),
        'envelope': (head['cases'], lambda given: run_envelope(given, head['context'])),
        'refusal': (refusal['cases'], lambda given: run_refusal(given, refusal['context'])),
        'sender': (senders['cases'], lambda given: run_sender(given, senders['context'])),
        'tree': (load('tree')['proofs'], run_tree),
        'format': (load('format')['cases'], run_format),
        'welcome': (load('welcome')['cases'], run_welcome),
        'keys': (load('keys')['cases'], run_keys),
        'delivery': (deliveries['cases'], lambda given: run_delivery(given, deliveries)),
    }
    for file, (listed, run) in runs.items():
        for case in listed:
            is_ml_kem = file == 'welcome' and case['input']['suite'].startswith('MLKEM')
            # This client reads whole messages, and has none to wrap again.
            if not is_ml_kem and not case['comment'].startswith(('[message-3]', '[use-6]')):
                yield file, case, run


def main():
    for file, case, run in cases():
        try:
            out, came = run(case['input']), 'ok'
        except Refused as refused:
            out, came = None, refused.code
        wanted = case.get('output')
        is_other = came == 'ok' and out is not None and wanted is not None and out != wanted
        line = {'file': file, 'comment': case['comment'], 'expect': case['expect']}
        print(json.dumps({**line, 'came': 'another output' if is_other else came}))


main()
