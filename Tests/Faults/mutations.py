"""Requests as bytes, and ways to spoil them: one function for each part of a request, each led by a source of chance."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import struct
from typing import Any, Callable, Iterator

import msgpack
import nacl.signing

# --- requests -------------------------------------------------------------------------------------


@dataclasses.dataclass
class Message:
    """A request as it goes over the wire."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes | None = None
    value: Any = None  # what the body was packed from
    seed: bytes | None = None  # with which the body's `response` is signed
    is_http: bool = True  # else it breaks the rules of HTTP, and may be answered with any 4xx or a closed connection

    def __bytes__(self) -> bytes:
        names = {name.lower() for name, _ in self.headers}
        headers = list(self.headers)
        if self.body is not None and not names & {b"content-length", b"transfer-encoding"}:
            headers.append((b"Content-Length", b"%d" % len(self.body)))
        lines = [b"%s %s HTTP/1.1" % (self.method, self.target)] + [b"%s: %s" % field for field in headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + (self.body or b"")

    def header(self, name: bytes) -> bytes | None:
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def without(self, *names: bytes) -> list[tuple[bytes, bytes]]:
        return [(known, value) for known, value in self.headers if known.lower() not in names]

    def with_header(self, name: bytes, *values: bytes) -> Message:
        return dataclasses.replace(self, headers=self.without(name.lower()) + [(name, value) for value in values])


class Raw(bytes):
    """MessagePack that is put into a body as it is, good or bad."""


class Pairs(list):
    """A map whose keys may come twice."""


def packed(value: Any) -> bytes:
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, (dict, Pairs)):
        pairs = value.items() if isinstance(value, dict) else value
        count = len(value)
        head = bytes([0x80 | count]) if count < 16 else b"\xdf" + struct.pack(">I", count)
        return head + b"".join(packed(key) + packed(child) for key, child in pairs)
    if isinstance(value, list):
        head = bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdd" + struct.pack(">I", len(value))
        return head + b"".join(map(packed, value))
    return msgpack.packb(value, use_bin_type=True)


# --- mutations: each takes a request and a source of chance, and gives another request ---------------

DEEP = 100_000
HOSTILE: list[Any] = [
    None, True, False, 0, 1, -1, 7, 32_768, 2**31, 2**53 + 1, 2**63 - 1, 2**64 - 1, -(2**63), 1.0, 1.5, -0.0, 1e308,
    float("nan"),
    float("inf"), Raw(b"\xca\x7f\xc0\x00\x00"), "", " ", "7", "true", "None", "a\0b", "\0", "é", "e\u0301",
    "\u202e\ufeff\U0001f426", "ß" * 50,
    "ﬃ" * 100, "x" * 44, "x" * 61, "x" * 151, "x" * 257, "x" * 70_000, "../../etc/passwd", "a/b", "%00", "' OR 1=1 --",
    "test_user", "a@b.c",
    "init@localhost", b"", b"\0", b"\xff\xfe", b"7", b"x" * 70_000, Raw(b"\xa3\xff\xfe\xfd"), Raw(b"\xa3\xed\xa0\x80"),
    Raw(b"\xa2\xc0\x80"), [], [[]],
    [None], [1, "a", b"b"], Raw(b"\xdd\x00\x01\x86\xa0" + b"\xc0" * 100_000),
    Raw(b"\xdd\x00\x01\x86\xa0" + b"\x92\xa1a\xc0" * 100_000), {}, {"a": 1},
    {"uid": None}, Raw(b"\xdf\x00\x00\xc3\x50" + b"".join(b"\xce%s\xc0" % struct.pack(">I", n) for n in range(50_000))),
    msgpack.ExtType(5, b"ext"), msgpack.ExtType(127, b""), msgpack.Timestamp(0, 0), msgpack.Timestamp(2**33, 5),
    Raw(b"\xd6\xff\0\0\0\0"),
    Raw(b"\xc7\x03\xffabc"), Raw(b"\x91" * 100 + b"\xc0"), Raw(b"\x91" * DEEP + b"\xc0"), Raw(b"\x81\xc0" * DEEP + b"\xc0"),
    Raw(b"\x81" * 50 + b"\xc0" * 51), Raw(b"\xdb\xff\xff\xff\xff"), Raw(b"\xc6\x7f\xff\xff\xff"), Raw(b"\xdd\xff\xff\xff\xff"),
    Raw(b"\xdf\xff\xff\xff\xff"),
    Raw(b"\xc9\xff\xff\xff\xff\x01"), Raw(b"\xc1"), Raw(b""), Raw(b"\xdd\x7f\xff\xff\xff" + b"\xc0" * 1000),
]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The ways to everything in a value, itself included."""
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value[:20]):
            yield from places(child, (*path, index))


def replaced(value: Any, path: tuple, change: Callable[[Any], Any]) -> Any:
    """A copy of a value, with another one in a place."""
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], change)
    return copy


def spoiled(value: Any, chance: random.Random) -> Any:
    """A value with one place of it spoiled."""
    path = chance.choice(list(places(value)))
    maps = [place for place in places(value) if isinstance(at(value, place), dict) and at(value, place)]
    lists = [place for place in places(value) if isinstance(at(value, place), list) and at(value, place)]
    kind = chance.random()
    if kind < 0.12 and maps:
        return replaced(value, chance.choice(maps), lambda found: without_key(found, chance.choice(list(found))))
    if kind < 0.18 and maps:  # a key twice, with two values
        return replaced(value, chance.choice(maps), lambda found: doubled(found, chance))
    if kind < 0.24 and maps:  # unknown keys, also such as are no text
        extra = {chance.choice(["x", "", "uid\0", 7, None, b"uid", 1.5, True, "é"]): chance.choice(HOSTILE)}
        return replaced(value, chance.choice(maps), lambda found: Pairs([*found.items(), *extra.items()]))
    if kind < 0.32 and lists:
        place = chance.choice(lists)
        times = chance.choice([0, 2, 3, 11, 300])
        return replaced(value, place, lambda found: found * times)
    if kind < 0.38 and lists:
        return replaced(value, chance.choice(lists), lambda found: [*found, chance.choice(HOSTILE)])
    if kind < 0.5:
        return replaced(value, path, lambda found: grown(found, chance))
    return replaced(value, path, lambda _: chance.choice(HOSTILE))


def at(value: Any, path: tuple) -> Any:
    for step in path:
        value = value[step]
    return value


def without_key(found: dict, key: Any) -> dict:
    return {known: child for known, child in found.items() if known != key}


def doubled(found: dict, chance: random.Random) -> Pairs:
    pairs = list(found.items())
    pairs.insert(chance.randint(0, len(pairs)), (chance.choice(pairs)[0], chance.choice(HOSTILE)))
    return Pairs(pairs)


def grown(found: Any, chance: random.Random) -> Any:
    """A value of the same type that is larger, or a little different."""
    if isinstance(found, str):
        return chance.choice([found * 100, found + "\0", found + "é", "\0" + found, found.upper(), found + "/", found.encode(),
            found + " ", found[:-1]])
    if isinstance(found, bytes):
        return chance.choice([found * 1000, found + b"\0", found[:-1], found + b"\xff", b"", chance.randbytes(1000)])
    if isinstance(found, bool):
        return chance.choice([int(found), str(found), [found]])
    if isinstance(found, int):
        return chance.choice([found + 2**15, found + 2**31, -found - 1, float(found), str(found), found + 0.5, 2**64 - 1])
    return [found]


def body_value(message: Message, chance: random.Random) -> Message:
    """Spoils the body's value; where it is a signed message also that, and signs it again."""
    value = message.value
    if message.seed is not None and isinstance(value, dict) and chance.random() < 0.7:
        try:
            inner = packed(spoiled(msgpack.unpackb(value["response"], strict_map_key=False), chance))
        except (ValueError, KeyError, TypeError):  # it is spoiled in the recording already
            inner = chance.randbytes(20)
        value = {**value, "response": inner, "signature": nacl.signing.SigningKey(message.seed).sign(inner).signature}
    else:
        value = spoiled(value, chance)
    return dataclasses.replace(message, body=packed(value))


def body_bytes(message: Message, chance: random.Random) -> Message:
    """Spoils the body's bytes."""
    body = message.body
    where = chance.randint(0, max(0, len(body) - 1))
    spoil = chance.choice([
        lambda: body[:where], lambda: body[where:], lambda: flipped(body, chance), lambda: flipped(body, chance),
        lambda: body[:where] + chance.randbytes(4) + body[where + 4 :],
        lambda: body[:where] + chance.choice([b"\xdd\xff\xff\xff\xff", b"\xdf\x7f\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
            b"\xdb\x00\xff\xff\xff"]) + body[where:],
        lambda: body + chance.randbytes(chance.choice([1, 50])), lambda: body + body, lambda: b"",
        lambda: chance.randbytes(chance.choice([1, 30, 3000])),
        lambda: b"\x91" * DEEP, lambda: b"\x81\xa1a" * DEEP, lambda: b"[" * DEEP, lambda: b"\xc1", lambda: b"\xde\xff\xff",
        lambda: b"\xd9\xff" + body,
    ])
    return dataclasses.replace(message, body=spoil())


def flipped(body: bytes, chance: random.Random) -> bytes:
    result = bytearray(body)
    for _ in range(chance.choice([1, 1, 2, 8]) if body else 0):
        result[chance.randrange(len(result))] ^= 1 << chance.randrange(8)
    return bytes(result)


TYPES = [
    b"", b"application/json", b"application/json; charset=utf-16", b"text/plain", b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=x",
    b"multipart/form-data", b"application/msgpack; charset=utf-8", b"APPLICATION/MSGPACK", b"application/octet-stream",
    b"application/problem+json", b"/",
    b";", b"x" * 5000, b"application/msgpack, application/json", b"application/cbor",
]


def body_type(message: Message, chance: random.Random) -> Message:
    """Sends the body under another type, or the same value as JSON."""
    if chance.random() < 0.5:
        plain = json_of(spoiled(message.value, chance) if chance.random() < 0.5 else message.value)
        text = json.dumps(plain, default=str).encode()
        text = chance.choice([text, text, text[:-1], b"\xef\xbb\xbf" + text, text + b"]", text.replace(b'"', b"'"), b"nul",
            b"NaN", b"1e999", b"\xff", b'"\\ud800"'])
        return dataclasses.replace(message.with_header(b"Content-Type", chance.choice(TYPES[1:3])), body=text)
    if chance.random() < 0.2:
        return dataclasses.replace(message, headers=message.without(b"content-type"))
    if chance.random() < 0.2:
        return message.with_header(b"Content-Type", b"application/msgpack", chance.choice(TYPES[1:]))
    return message.with_header(b"Content-Type", chance.choice(TYPES))


def json_of(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value[:1000]).decode()
    if isinstance(value, dict):
        return {str(key): json_of(child) for key, child in value.items()}
    if isinstance(value, Pairs):
        return {str(key): json_of(child) for key, child in value}
    return [json_of(child) for child in value] if isinstance(value, list) else value


QUERY_NAMES = [b"limit", b"stoken", b"iterator", b"prefetch", b"withCollection", b"username", b"x", b"", b"%00", b"limit%5B%5D"]
QUERY_VALUES = [
    b"", b"0", b"1", b"-1", b"2", b"1000", b"1001", b"99999999999999999999", b"-99999999999999999999", b"1e3", b"0x10", b"1_0",
    b"1__0", b"+5", b"%205%20", b"7.0",
    b"7.5", b"%D9%A3", b"NaN", b"null", b"true", b"on", b"auto", b"medium", b"%00", b"a%00b", b"%ff%fe", b"%ed%a0%80", b"%",
    b"%zz", b"%u0041", b"a" * 32, b"A" * 5000,
    b"x" * 30_000, b"%C3%A9", b"%F0%9F%90%A6", b"'%20OR%201=1--", b"..%2F..", b"%0d%0aX:%201", b"a;b", b"a,b", b"_" * 32,
    b"-" * 43, b"=", b"a=b=c",
]


def query(message: Message, chance: random.Random) -> Message:
    """Adds to the query, repeats or replaces what is in it."""
    path, _, old = message.target.partition(b"?")
    parts = [part for part in old.split(b"&") if part]
    kind = chance.random()
    if kind < 0.1:
        parts = [chance.choice([b"&&&", b"=", b"?", b"&=&=", b"%", b"limit", b"stoken&limit", b"limit=1#stoken=", b"/../"])]
    elif kind < 0.15:
        parts += [b"x%d=%d" % (number, number) for number in range(3000)]
    elif kind < 0.35 and parts:  # a stoken or another value that is nearly right
        name, _, value = chance.choice(parts).partition(b"=")
        parts = [name + b"=" + chance.choice([value[:-1], value + b"A", value.swapcase(), value[::-1], value * 2,
            value + b"%00"])]
    else:
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            parts.insert(chance.randint(0, len(parts)), chance.choice(QUERY_NAMES) + b"=" + chance.choice(QUERY_VALUES))
    return dataclasses.replace(message, target=path + b"?" + b"&".join(parts))


SEGMENTS = [
    b"%00", b"a%00b", b"%ff", b"%ed%a0%80", b"%", b"%z", b"%2", b"%2F", b"%2f..%2f", b"..", b".", b"%2e%2e", b"", b"a" * 44,
    b"a" * 300, b"a" * 20_000, b"%C3%A9", b"e%CC%81",
    b"%F0%9F%90%A6", b"%20", b"+", b"%0A", b"%25", b"%3F", b"%23", b"*", b"~", b"'--", b"\\", b"%5C", b"null", b"0", b"-1",
    b"None", b";a=b", b"a:b", b"batch", b"item", b"leave",
]
TARGETS = [b"/", b"//", b"///", b"*", b"/?", b"/api", b"/api/v1", b"/api/v1//collection/", b"/./api/v1/collection/",
    b"/api/v1/../v1/collection/", b"http://evil.com/api/v1/collection/",
           b"http://", b"/" * 5000, b"/%2e%2e/%2e%2e/etc/passwd", b"/api/v1/collection/#x", b"/API/V1/COLLECTION/",
           b"/api/v1/collection/?" + b"a" * 40_000]


def path(message: Message, chance: random.Random) -> Message:
    """Makes the path an odd one."""
    before, mark, after = message.target.partition(b"?")
    parts = before.split(b"/")
    kind = chance.random()
    if kind < 0.15:
        return dataclasses.replace(message, target=chance.choice(TARGETS))
    if kind < 0.25:
        raw = chance.choice([b"\xff", "é".encode(), b"\x7f", b"\t", b" ", b"\"", b"<", b"|", b"^", b"`", b"\x01"])
        return dataclasses.replace(message, target=before + raw + b"/", is_http=False)
    if kind < 0.35:
        return dataclasses.replace(message, target=chance.choice([before.rstrip(b"/"), before + b"/", before + b"x",
            before.swapcase(), before[1:] or b"x"]), is_http=False)
    index = chance.randrange(1, len(parts)) if len(parts) > 1 else 0
    if kind < 0.85:
        parts[index] = chance.choice([*SEGMENTS, parts[index] + b"%00", parts[index] + b"%20", parts[index].swapcase(),
            b"%" + parts[index].hex().encode()[:2] + parts[index][1:]])
    elif kind < 0.95:
        parts.insert(index, chance.choice(SEGMENTS))
    else:
        del parts[index]
    return dataclasses.replace(message, target=(b"/".join(parts) or b"/") + mark + after)


def authorization(message: Message, chance: random.Random) -> Message:
    """Shows another token, or the same in another way."""
    token = (message.header(b"Authorization") or b"Token " + b"x" * 40).split()[-1]
    values = chance.choice([
        [], [b""], [b"Token"], [b"Token "], [token], [b"Token  " + token], [b"Token\t" + token], [b"Bearer " + token],
        [b"token " + token], [b"Token " + token.lower()],
        [b"Token " + token[:-1]], [b"Token " + token + b"x"], [b"Token " + token + b" " + token], [b"Token " + b"x" * 10_000],
        [b"Basic OnB3"], [b"Token ' OR 1=1--"], [b"Token %00"],
        ["Token é\u3000".encode()], [b"Token \xff\xfe"], [b"Token\xc2\xa0" + token],
        [b"Token " + token, b"Token " + b"y" * 40], [b"Token " + b"y" * 40, b"Token " + token], [b"\xe3\x80\x80"],
    ])
    broken = any(value.strip() and not value.isascii() for value in values)
    return dataclasses.replace(message.with_header(b"Authorization", *values), is_http=not broken)


def headers(message: Message, chance: random.Random) -> Message:
    """Adds an odd header, or changes one."""
    name, value, is_http = chance.choice([
        (b"Host", None, False), (b"Host", b"", True), (b"Host", b"evil.com", True), (b"Host", b"a:b:c", True),
        (b"Host", b"[::1]:1", True), (b"Host", b"<script>", True),
        (b"Host", b"x" * 10_000, True), (b"Host", b"a b", True), (b"Host", "é".encode(), False),
        (b"X-Long", b"x" * 60_000, True), (b"X-Longer", b"x" * 200_000, False),
        (b"X-Bytes", bytes(range(128, 256)), False), (b"X-Tab", b"\ta\t", True), (b"X-Nul", b"a\0b", False),
        (b"X-Line", b"a\nb", False), (b"X-Return", b"a\rb", False), (b"X-Empty", b"", True),
        (b"", b"nameless", False), (b"X Y", b"a blank in the name", False), ("é".encode(), b"a name", False),
        (b"Accept", b"", True), (b"Accept", b"*/*;q=x", True), (b"Accept", b"x" * 5000, True),
        (b"Accept", b"application/json", True), (b"Accept-Encoding", b"gzip, br, identity;q=0", True),
        (b"Content-Encoding", b"gzip", True), (b"Origin", b"", True), (b"Origin", b"null", True),
        (b"Origin", b"https://" + b"x" * 5000, True), (b"Origin", b"https://a\tb", True), (b"Origin", b"javascript:x", True),
        (b"Access-Control-Request-Method", b"PUT", True),
        (b"User-Agent", b"x" * 5000, True), (b"User-Agent", b"\xff\xfe", False), (b"User-Agent", "é".encode(), False),
        (b"User-Agent", b"", True), (b"Range", b"bytes=0-1", True), (b"If-Match", b'"x"', True), (b"If-None-Match", b"*", True),
        (b"X-Forwarded-For", b"1.2.3.4, x", True), (b"X-Forwarded-Host", b"evil.com", True), (b"Forwarded", b"for=;", True),
        (b"Cookie", b"a=b; " * 500, True), (b"Upgrade", b"h2c", True),
        (b"Expect", b"the-unexpected", True), (b"TE", b"trailers", True), (b"Connection", b"upgrade", True),
        (b"Connection", b"Authorization", True), (b"X-HTTP-Method-Override", b"DELETE", True),
        (b"Content-Length", b"", False), (b"Content-Length", b"x", False), (b"Content-Length", b"-5", False),
        (b"Content-Length", b"1e3", False), (b"Transfer-Encoding", b"chunked", False),
        (b"Transfer-Encoding", b"gzip", False), (b"Transfer-Encoding", b"identity", False), (b"Sec-WebSocket-Key", b"x", True),
        (b"Date", b"yesterday", True), (b"X-Request-ID", b"x" * 1000, True),
    ])
    if value is None:
        return dataclasses.replace(message, headers=message.without(name.lower()), is_http=is_http)
    kind = chance.random()
    if kind < 0.1:
        many = [(b"X-%d" % number, b"y") for number in range(chance.choice([100, 900, 2000]))]
        return dataclasses.replace(message, headers=message.headers + many, is_http=len(many) < 900)
    if kind < 0.2:
        twice = chance.choice([b"Host", b"Accept", b"Content-Type", b"Origin"])
        return dataclasses.replace(message, headers=message.headers + [(twice, b"a"), (twice, b"b")], is_http=twice != b"Host")
    message = dataclasses.replace(message.with_header(name, value), is_http=is_http)
    if name == b"Transfer-Encoding":  # something that is no chunk, so that the server has not to wait for more
        message.body = (message.body or b"") + b"zz\r\n\r\n"
    return message


METHODS = [b"GET", b"PUT", b"POST", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS", b"TRACE", b"PROPFIND", b"CONNECT", b"LOCK",
    b"BREW", b"get", b"X" * 100, b"G\0T", b""]


def method(message: Message, chance: random.Random) -> Message:
    other = chance.choice([known for known in METHODS if known != message.method])
    return dataclasses.replace(message, method=other, is_http=other in METHODS[:9])


def head(message: Message, chance: random.Random) -> Message:
    """Spoils the bytes before the body."""
    return dataclasses.replace(message, target=flipped(message.target, chance), is_http=False)


BODY_MUTATIONS = [body_value] * 6 + [body_bytes] * 3 + [body_type] * 2
OTHER_MUTATIONS = [query, query, path, path, authorization, headers, headers, method, head]


def mutant(message: Message, chance: random.Random) -> tuple[str, Message]:
    """The request, spoiled in one way; seldom in two."""
    names = []
    while True:
        use_body = message.body is not None and message.value is not None and chance.random() < 0.65
        mutation = chance.choice(BODY_MUTATIONS if use_body else OTHER_MUTATIONS)
        was_http = message.is_http
        message = mutation(message, chance)
        message.is_http = message.is_http and was_http and message.target.startswith((b"/", b"http://", b"*"))
        names.append(mutation.__name__)
        if chance.random() < 0.9:
            return " and ".join(names), message
