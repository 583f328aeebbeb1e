"""JSON read strictly, and printed as the program prints it.

Python's own reader takes what JSON does not have (NaN), lets a key come twice and names other places of a mistake, so that
the same table would be refused in other words here than on the command line.
"""
from __future__ import annotations

import json
import math
import re
from typing import Any

_DEEPEST = 16
_TOO_DEEP = f"nested too deeply, {_DEEPEST} levels are the most"
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?P<float>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_STRING = re.compile(rb'(?:[^\x00-\x1f"\\\x80-\xff]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]'
                     rb'|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}'
                     rb'|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})+')
_WORDS = {b"t": (b"true", True), b"f": (b"false", False), b"n": (b"null", None)}
_ESCAPES = {b'"': '"', b"\\": "\\", b"/": "/", b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t"}


class _Mark(str):
    """One of { } [ ] : , or "" at the end of the text; no value."""


class _NotJson(Exception):
    """The text is not JSON from the character on that `args[0]` counts (from 1)."""


class _Refused(Exception):
    """It is JSON, but not for us; `args[0]` says why."""


def parse_strict_json(text: str, faults: list[str]) -> Any:
    """The value, None with faults when the text is not JSON or an object has a key twice."""
    reader = _Reader(text.encode("utf-8", "surrogateescape"), faults)
    try:
        value = reader.value(reader.token(), 0)
        if reader.token() != "":
            raise _NotJson(reader.at)
        return value
    except _NotJson as error:
        faults.append(f"not sound JSON at character {error.args[0]}")
    except _Refused as error:
        faults.append(error.args[0])
    return None


def dump(value: Any) -> str:
    """Compact JSON, keys in order, numbers with a point from 1e15 on with an exponent."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{dump(key)}:{dump(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    if isinstance(value, float) and 1e15 <= abs(value) < 1e16:
        digits = repr(value).rstrip("0").rstrip(".").lstrip("-").rstrip("0")
        sign = "-" if value < 0 else ""
        return f"{sign}{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e+15"
    return json.dumps(value, ensure_ascii=False)


class _Reader:
    """`at` is the number of bytes read, the end of the text counting as one."""

    def __init__(self, text: bytes, faults: list[str]) -> None:
        self.text = text
        self.at = 0
        self.faults = faults

    def value(self, token: Any, depth: int) -> Any:
        """The value that begins with `token`; `depth` is the number of lists and objects around it."""
        if isinstance(token, float) and math.isinf(token):
            raise _Refused("a number is too large")
        if depth > _DEEPEST and (token in ("{", "[") or not isinstance(token, _Mark)):
            raise _Refused(_TOO_DEEP)
        if token == "{" and isinstance(token, _Mark):
            return self._object(depth)
        if token == "[" and isinstance(token, _Mark):
            return self._list(depth)
        if isinstance(token, _Mark):
            raise _NotJson(self.at)
        return token

    def _object(self, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        key = self.token()
        while not (isinstance(key, _Mark) and key == "}" and not items):
            if isinstance(key, _Mark) or not isinstance(key, str):
                raise _NotJson(self.at)
            if depth + 1 > _DEEPEST:
                raise _Refused(_TOO_DEEP)
            if key in items:
                self.faults.append(f"the key {dump(key)} is given twice in one object")
            self._expect(":")
            items[key] = self.value(self.token(), depth + 1)
            if self._expect(",}") == "}":
                break
            key = self.token()
        return items

    def _list(self, depth: int) -> list[Any]:
        items: list[Any] = []
        token = self.token()
        while not (isinstance(token, _Mark) and token == "]" and not items):
            items.append(self.value(token, depth + 1))
            if self._expect(",]") == "]":
                break
            token = self.token()
        return items

    def _expect(self, marks: str) -> str:
        token = self.token()
        if not isinstance(token, _Mark) or token == "" or token not in marks:
            raise _NotJson(self.at)
        return token

    def _get(self) -> bytes:
        """The next byte, b"" at the end."""
        self.at += 1
        return self.text[self.at - 1:self.at]

    def token(self) -> Any:
        """The next mark, or the next value that is neither a list nor an object."""
        byte = self._get()
        while byte in (b" ", b"\t", b"\n", b"\r"):
            byte = self._get()
        if byte in (b"", b"{", b"}", b"[", b"]", b":", b","):
            return _Mark(byte.decode())
        if byte == b'"':
            return self._string()
        if byte in _WORDS:
            word, value = _WORDS[byte]
            for expected in word[1:]:
                if self._get() != bytes([expected]):
                    raise _NotJson(self.at)
            return value
        if byte == b"-" or byte.isdigit():
            return self._number()
        raise _NotJson(self.at)

    def _number(self) -> int | float:
        start = self.at - 1
        match = _NUMBER.match(self.text, start)
        end = match.end() if match else start + 1
        rest = self.text[end:end + 3]
        if not match:  # a minus alone
            raise _NotJson(end + 1)
        if rest[:1] == b"." and not match["float"]:
            raise _NotJson(end + 2)
        if rest[:1] in (b"e", b"E") and not re.search(rb"[eE]", match["float"]):
            raise _NotJson(end + (3 if rest[1:2] in (b"+", b"-") else 2))
        self.at = end
        written = match[0].decode()
        if not match["float"] and -2**63 <= int(written) < 2**64:
            return int(written)
        return float(written)

    def _string(self) -> str:
        parts: list[str] = []
        while True:
            match = _STRING.match(self.text, self.at)
            if match:
                parts.append(match[0].decode())
                self.at = match.end()
            byte = self._get()
            if byte == b'"':
                return "".join(parts)
            if byte != b"\\":
                raise _NotJson(self.at + self._half_character(byte))
            parts.append(self._escape())

    def _half_character(self, first: bytes) -> int:
        """How many more bytes are read before it shows that `first` begins no character: never any in sound UTF-8."""
        for count in range(3 if first >= b"\x80" else 0):
            try:
                (first + self.text[self.at:self.at + count]).decode()
            except UnicodeDecodeError as error:
                if error.reason != "unexpected end of data":
                    return count
        return 0

    def _escape(self) -> str:
        byte = self._get()
        if byte in _ESCAPES and byte:
            return _ESCAPES[byte]
        if byte != b"u":
            raise _NotJson(self.at)
        code = self._code_point()
        if 0xDC00 <= code <= 0xDFFF:
            raise _NotJson(self.at)
        if 0xD800 <= code <= 0xDBFF:
            if self._get() != b"\\" or self._get() != b"u":
                raise _NotJson(self.at)
            low = self._code_point()
            if not 0xDC00 <= low <= 0xDFFF:
                raise _NotJson(self.at)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code)

    def _code_point(self) -> int:
        digits = b""
        for _ in range(4):
            byte = self._get()
            if byte not in b"0123456789abcdefABCDEF" or not byte:
                raise _NotJson(self.at)
            digits += byte
        return int(digits, 16)
