"""Text forms, canonical JSON and schemas (docs/PROTOCOL.md, "Conventions" and "Decoding")."""
import base64
import hashlib
import json
import re
import struct

MOST = 2**53 - 1


class Refused(Exception):
    """Something that a check of the protocol refuses; `code` is one of its errors."""

    def __init__(self, code, what=''):
        super().__init__(f'{code} {what}'.strip())
        self.code = code


def need(is_right, code, what=''):
    if not is_right:
        raise Refused(code, what)


def sha256(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


def u16(n):
    return struct.pack('>H', n)


def u32(n):
    return struct.pack('>I', n)


def u64(n):
    return struct.pack('>Q', n)


def lp(data):
    return u16(len(data)) + data


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def from_b64url(text):
    need(re.fullmatch(r'[A-Za-z0-9_-]*', text) and len(text) % 4 != 1, 'ERR_NOT_CANONICAL', 'base64url')
    data = base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))
    need(b64url(data) == text, 'ERR_NOT_CANONICAL', 'base64url')
    return data


def b32(data):
    return base64.b32encode(data).rstrip(b'=').decode().lower()


def from_b32(text):
    try:
        data = base64.b32decode(text.upper() + '=' * (-len(text) % 8))
    except ValueError:
        raise Refused('ERR_NOT_CANONICAL', 'base32') from None
    need(b32(data) == text, 'ERR_NOT_CANONICAL', 'base32')
    return data


def canonical(value):
    """Canonical JSON as text; bytes become base64url."""
    if isinstance(value, bytes):
        return f'"{b64url(value)}"'
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode('utf-16-be', 'surrogatepass'))
        return '{' + ','.join(f'{canonical(name)}:{canonical(value[name])}' for name in names) + '}'
    if isinstance(value, list):
        return '[' + ','.join(map(canonical, value)) + ']'
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    need(is_number and 0 <= value <= MOST, 'ERR_NOT_CANONICAL', 'another value')
    return str(value)


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def parse_json(data, limit):
    """JSON of an HTTP body, which need not be canonical."""
    need(len(data) <= limit, 'ERR_TOO_LARGE')

    def constant(_):
        raise ValueError

    def number(form):
        value = float(form)
        return int(value) if value.is_integer() else value

    try:
        return json.loads(data.decode('utf-8'), parse_constant=constant, parse_float=number)
    except (ValueError, RecursionError):
        raise Refused('ERR_MALFORMED', 'not JSON') from None


def decode_json(data, limit):
    """Canonical JSON, [dec-1] and [dec-2]."""
    value = parse_json(data, limit)
    need(depth(value) <= 12, 'ERR_MALFORMED', 'nested too deeply')
    try:
        again = canonical(value).encode('utf-8')
    except UnicodeEncodeError:
        raise Refused('ERR_NOT_CANONICAL', 'lone surrogate') from None
    need(again == data, 'ERR_NOT_CANONICAL')
    return value


# Schemas [dec-3]: functions that take a parsed value and give the typed one.


def integer(least=0, most=MOST):
    def read(value):
        is_number = isinstance(value, int) and not isinstance(value, bool)
        need(is_number and least <= value <= most, 'ERR_SCHEMA', 'integer')
        return value

    return read


def text(most, pattern=None):
    def read(value):
        need(isinstance(value, str), 'ERR_SCHEMA', 'text')
        need(len(value.encode('utf-16-be', 'surrogatepass')) // 2 <= most, 'ERR_SCHEMA', 'too long a text')
        need(pattern is None or re.fullmatch(pattern, value, re.ASCII), 'ERR_SCHEMA', 'form of a text')
        return value

    return read


def raw(least, most=None):
    most = least if most is None else most

    def read(value):
        need(isinstance(value, str) and len(value) <= -(-most * 4 // 3), 'ERR_SCHEMA', 'bytes')
        data = from_b64url(value)
        need(len(data) >= least, 'ERR_SCHEMA', 'bytes')
        return data

    return read


def raw_or_empty(length):
    full = raw(length)
    return lambda value: b'' if value == '' else full(value)


def one_of(*values):
    def read(value):
        need(value in values, 'ERR_SCHEMA', 'none of the texts')
        return value

    return read


def many(item, least, most):
    def read(value):
        need(isinstance(value, list) and least <= len(value) <= most, 'ERR_SCHEMA', 'list')
        return [item(one) for one in value]

    return read


def or_none(schema):
    return lambda value: None if value is None else schema(value)


def record(**fields):
    def read(value):
        need(isinstance(value, dict) and set(value) == set(fields), 'ERR_SCHEMA', 'fields')
        return {name: schema(value[name]) for name, schema in fields.items()}

    return read


class Reader:
    """A binary format from front to back [dec-4]."""

    def __init__(self, data, magic=b''):
        self.data, self.at = data, 0
        need(self.take(len(magic)) == magic, 'ERR_MALFORMED', 'magic')

    def take(self, length):
        need(self.at + length <= len(self.data), 'ERR_MALFORMED', 'truncated')
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, length):
        value = int.from_bytes(self.take(length), 'big')
        need(value <= MOST, 'ERR_MALFORMED', 'integer')
        return value

    def end(self):
        need(self.at == len(self.data), 'ERR_MALFORMED', 'bytes after the end')


def require_rising(items, what):
    need(all(a < b for a, b in zip(items, items[1:])), 'ERR_SCHEMA', f'{what} do not rise')
