"""Opening a delivery and using what it holds (docs/PROTOCOL.md, "Opening a delivery", "Using a key"): nothing in it is believed."""
from documents import envelope, follow_trust, require_lists, verify_catalog, verify_head
from keys import open_welcome, unwrap, unwrap_name, unwrap_version
from objects import place, read_bundle, read_manifest, read_member, read_release, require_leaf
from wire import Reader, from_b32, integer, many, need, or_none, parse_json, raw, record, sha256

proof = record(index=integer(0, 2**32 - 1), path=many(raw(32), 0, 32))
item = record(
    bundle=integer(0, 1500000),
    keyring=raw(16),
    manifest=integer(0, 1500000),
    manifestProof=proof,
    member=or_none(record(leaf=raw(136), proof=proof)),
    release=raw(1, 65536),
    releaseProof=proof,
    welcome=raw(0, 4096),
)
delivery_json = record(
    catalog=or_none(envelope),
    crls=many(integer(1, 1048576), 0, 64),
    head=envelope,
    keyrings=many(item, 0, 64),
    refusals=many(envelope, 0, 64),
    trust=many(envelope, 0, 1024),
)
MOST = 8388608


def read_delivery(body):
    """PROTOCOL [dec-1], [dec-4]"""
    need(len(body) <= MOST, 'ERR_TOO_LARGE')
    reader = Reader(body)
    delivery = delivery_json(parse_json(reader.take(reader.number(4)), MOST))
    delivery['crls'] = [reader.take(length) for length in delivery['crls']]
    for one in delivery['keyrings']:
        one['bundle'] = reader.take(one['bundle'])
        one['manifest'] = reader.take(one['manifest'])
    reader.end()
    return delivery


def count_kept(last, trust):
    """PROTOCOL [catalog-3]: whether the numbers of catalog and manifests still count."""
    before, own = last['trust'].body['authority'], trust.body['authority']
    return len(set(before['keys']) & set(own['keys'])) >= own['threshold']


def require_not_below(number, hash_, last):
    if last is not None:
        need(number >= last['number'], 'ERR_ROLLBACK')
        need(number > last['number'] or hash_ == last['hash'], 'ERR_FORK')


def require_head(head, trust, last, now):
    """PROTOCOL [open-4] to [open-6], [open-8]"""
    body, own = head.body, trust.body
    need(last is None or now + own['skew'] >= last['head']['issuedAt'], 'ERR_CLOCK')
    named = body['trust']
    need(named['number'] >= own['number'], 'ERR_ROLLBACK', 'an older trust document')
    need(named['number'] == own['number'], 'ERR_HASH', 'a trust document that was not delivered')
    need(named['hash'] == trust.hash, 'ERR_FORK', 'another trust document')
    need(body['incarnation'] == own['incarnation'], 'ERR_INCARNATION')


def require_later(head, last):
    """PROTOCOL [open-8]"""
    if last is not None:
        need(place(head.body) >= place(last['head']), 'ERR_ROLLBACK')
        is_later = place(head.body) > place(last['head'])
        need(is_later or head.hash == last['head']['hash'], 'ERR_FORK')


def find_catalog(delivered, head, trust, last, tenant):
    """PROTOCOL [open-9], [catalog-2]"""
    if delivered is None:
        is_kept = last is not None and last['trust'].hash == trust.hash
        need(is_kept, 'ERR_HASH', 'no catalog')
        catalog = last['catalog']
    else:
        catalog = verify_catalog(delivered, trust, tenant)
    named = head.body['catalog']
    is_named = catalog.body['number'] == named['number'] and catalog.hash == named['hash']
    need(is_named, 'ERR_HASH', 'another catalog')
    if last is not None and count_kept(last, trust):
        before = {'number': last['catalog'].body['number'], 'hash': last['catalog'].hash}
        require_not_below(catalog.body['number'], catalog.hash, before)
    return catalog


def open_member(delivered, members, held):
    """The leaf and its slot: delivered, or held since it was found in the same tree. PROTOCOL [open-14]"""
    if delivered is None:
        before = held and held['release']['members']
        is_same = before and (before['root'], before['size']) == (members['root'], members['size'])
        need(is_same, 'ERR_HASH', 'no leaf')
        return held['member'], held['slot']
    require_leaf(delivered['leaf'], delivered['proof'], members['root'], members['size'])
    return read_member(delivered['leaf']), delivered['proof']['index']


def open_keyring(one, head, catalog, ask, numbers):
    """PROTOCOL [open-10] to [open-14], [open-18], [log-3]"""
    keyring, releases, manifests = one['keyring'], head.body['releases'], catalog.body['manifests']
    leaf = keyring + sha256(one['release'])
    require_leaf(leaf, one['releaseProof'], releases['root'], releases['size'])
    release = read_release(one['release'])
    need(release['tenant'] == ask['tenant'], 'ERR_TENANT')
    need(release['keyring'] == keyring, 'ERR_KEYRING')
    need(release['incarnation'] == head.body['incarnation'], 'ERR_INCARNATION')
    need(release['log'] < head.body['log']['size'], 'ERR_UNLOGGED')

    kept = ask['kept']
    data = one['manifest'] or kept.get(release['manifest'], b'')
    need(sha256(data) == release['manifest'], 'ERR_HASH', 'another manifest')
    require_leaf(keyring + sha256(data), one['manifestProof'], manifests['root'], manifests['size'])
    manifest = read_manifest(data)
    need(manifest['tenant'] == from_b32(ask['tenant']), 'ERR_TENANT')
    need(manifest['keyring'] == keyring, 'ERR_KEYRING')
    require_not_below(manifest['number'], release['manifest'], numbers.get(keyring))

    leaf, slot = open_member(one['member'], release['members'], ask['held'].get(keyring))
    need(leaf['packageHash'] == ask['packageHash'], 'ERR_NOT_RECIPIENT')

    bundle_bytes = one['bundle'] or kept.get(release['bundle'], b'')
    need(sha256(bundle_bytes) == release['bundle'], 'ERR_HASH', 'another bundle')
    bundle = read_bundle(bundle_bytes)
    is_own = bundle['keyring'] == keyring and place_of(bundle) == place_of(release)
    need(is_own, 'ERR_KEYRING', 'the bundle of another')
    return {
        'bundle': bundle,
        'head': head.body,
        'manifest': manifest,
        'member': leaf,
        'objects': {sha256(data): data, sha256(bundle_bytes): bundle_bytes},
        'release': release,
        'releaseHash': sha256(one['release']),
        'slot': slot,
        'welcome': one['welcome'] or kept.get(leaf['welcomeHash'], b''),
    }


def place_of(one):
    return one['incarnation'], one['generation']


def open_delivery(delivery, ask):
    """
    The state after a delivery, and a view per keyring. `ask`: tenant, floor, packageHash, keyrings, now, trust, last (a state or None), held (views by
    keyring) and what was kept of objects, by hash.
    """
    tenant, now, last = ask['tenant'], ask['now'], ask['last']
    trust = follow_trust(tenant, ask['trust'], delivery['trust'], ask['floor'], now)
    context = {'trust': trust, 'tenant': tenant, 'now': now, 'crls': delivery['crls']}
    head = verify_head(delivery['head'], context)
    require_head(head, trust, last, now)
    seen = {} if last is None else last['crls']
    require_lists(head.path, head.body, trust.body, seen)
    require_later(head, last)
    catalog = find_catalog(delivery['catalog'], head, trust, last, tenant)
    is_counting = last is not None and count_kept(last, trust)
    numbers = dict(last['manifests']) if is_counting else {}
    views = {}
    for one in delivery['keyrings']:
        is_asked = one['keyring'] in ask['keyrings'] and one['keyring'] not in views
        need(is_asked, 'ERR_DOCUMENT_MISMATCH')
        views[one['keyring']] = open_keyring(one, head, catalog, ask, numbers)
    for keyring, view in views.items():
        numbers[keyring] = {'number': view['manifest']['number'], 'hash': view['release']['manifest']}
    issued, expires = head.body['issuedAt'], head.body['expiresAt']
    at = {'hash': head.hash, 'issuedAt': issued, 'expiresAt': expires}
    state = {
        'trust': trust,
        'head': {**at, 'incarnation': head.body['incarnation'], 'version': head.body['version']},
        'headBody': head.body,
        'catalog': catalog,
        'crls': {**seen, **{issuer: used.number for issuer, used in head.path.lists}},
        'manifests': numbers,
    }
    return state, views


def open_keys(view, own, name):
    """The key-encryption key and the version to encrypt with. PROTOCOL [open-15] to [open-17], [open-20], [bundle-2]"""
    channel = open_welcome(view['welcome'], view['member'], own)
    kek = unwrap(channel, view['member']['cell'])
    need(unwrap_name(kek, view['bundle']) == name, 'ERR_KEYRING', 'another name')
    for entry in view['bundle']['entries']:
        if place(entry) == place(view['release']['encrypt']):
            unwrap_version(kek, entry, view['manifest'])
    return kek


def is_listed(version, view, *names):
    return any(place(version) == place(one) for name in names for one in view['release'][name])


def entry_of(version, view):
    found = [one for one in view['bundle']['entries'] if place(one) == place(version)]
    need(found, 'ERR_KEY_VERSION', 'not in the bundle')
    return found[0]


def require_clock(state, now):
    """PROTOCOL [use-5]"""
    need(now + state['trust'].body['skew'] >= state['head']['issuedAt'], 'ERR_CLOCK')


def version_to_encrypt(view, state, now):
    """The bundle's entry. PROTOCOL [use-1], [use-2]"""
    require_clock(state, now)
    skew = state['trust'].body['skew']
    ends = state['head']['expiresAt'], state['catalog'].body['expiresAt'], state['trust'].body['expiresAt']
    need(now <= min(ends) + skew, 'ERR_STALE')
    named = view['release']['encrypt']
    version = next((one for one in view['manifest']['versions'] if place(one) == place(named)), None)
    is_right = version is not None and named['incarnation'] == view['release']['incarnation']
    need(is_right and not is_listed(named, view, 'compromised', 'deactivated', 'skipped'), 'ERR_KEY_VERSION')
    need(version['encryptFrom'] <= now <= version['encryptUntil'], 'ERR_KEY_VERSION', 'not now')
    return entry_of(version, view)


def version_to_decrypt(view, state, key_id, now, least=0):
    """The bundle's entry. PROTOCOL [use-3], [use-4]"""
    require_clock(state, now)
    skew = state['trust'].body['skew']
    need(now <= view['head']['expiresAt'] + skew + view['manifest']['offline'], 'ERR_STALE')
    version = next((one for one in view['manifest']['versions'] if one['keyId'] == key_id), None)
    need(version is not None, 'ERR_UNKNOWN_KEY')
    is_now = version['encryptFrom'] - skew <= now <= version['decryptUntil']
    is_right = is_now and not is_listed(version, view, 'skipped') and version['version'] >= least
    need(is_right, 'ERR_KEY_VERSION')
    return entry_of(version, view)


