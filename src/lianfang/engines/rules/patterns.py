"""Patterns that mean the same in every matcher: ASCII case, wildcards, and regular expressions made portable.

Sigma compares text without regard to case. Case here is ASCII case: the Kelvin sign is not a k and a Turkish ı is not an i,
and Cyrillic or Chinese text is compared as it stands; matching is then a question about bytes, and every matcher gives the
same answer. Regular expressions arrive in the common part of the Python and PCRE dialects. ``portable`` writes them in the
part that Vectorscan (UTF-8 mode) and RE2 read alike: case spelled out as classes, shorthands as ranges, ``$`` with its
optional last newline, no captures.
"""

from __future__ import annotations

from collections.abc import Iterator

MULTI, SINGLE = "*", "?"

_LAST = 0x10FFFF
_DIGIT = ((0x30, 0x39),)
_WORD = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE = ((0x09, 0x0D), (0x20, 0x20))
_CONTROLS = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "a": 7, "0": 0}
_HEX_WIDTH = {"x": 2, "u": 4, "U": 8}

Ranges = tuple[tuple[int, int], ...]


class Unportable(ValueError):
    """A regular expression that neither Vectorscan nor RE2 can run; the message says which construct."""


def lower(text: str) -> str:
    """ASCII letters in lower case, everything else untouched.

    >>> lower("CMD.EXE ДА İ")
    'cmd.exe ДА İ'
    """
    return text.lower() if text.isascii() else text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def raw(value: str) -> bytes:
    """The bytes that are matched: UTF-8, with a question mark for a lone surrogate (which no log can hold)."""
    return value.encode("utf-8", "replace")


def escape_like(text: str) -> str:
    """Literal text inside a ``like`` pattern."""
    return "".join("\\" + char if char in "\\*?" else char for char in text)


def like_parts(pattern: str) -> Iterator[tuple[bool, str]]:
    """(is a wildcard, text) for each run of a ``like`` pattern; a backslash makes the next character literal.

    >>> list(like_parts(r"a*b\\\\?"))
    [(False, 'a'), (True, '*'), (False, 'b\\\\'), (True, '?')]
    """
    literal: list[str] = []
    chars = iter(pattern)
    for char in chars:
        if char in (MULTI, SINGLE):
            if literal:
                yield False, "".join(literal)
                literal = []
            yield True, char
        else:
            literal.append(next(chars, "\\") if char == "\\" else char)
    if literal:
        yield False, "".join(literal)


def literal_bytes(text: str) -> str:
    """Text as a byte-wise regular expression: everything but letters and digits in hexadecimal."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\x{byte:02x}" for byte in text.encode())


def like_bytes(pattern: str) -> str:
    """A ``like`` pattern as a byte-wise regular expression over UTF-8 (dot matches newlines): ``?`` is one character, not one byte."""
    one = r"[^\x80-\xbf][\x80-\xbf]*"
    body = "".join((".*" if text == MULTI else one) if wild else literal_bytes(text) for wild, text in like_parts(pattern))
    return rf"\A{body}\z"


def like_portable(pattern: str, *, cased: bool) -> str:
    """A ``like`` pattern in the portable dialect."""
    body = "".join(_any(text) if wild else literal_portable(text, cased=cased) for wild, text in like_parts(pattern))
    return rf"\A{body}\z"


def literal_portable(text: str, *, cased: bool) -> str:
    """Literal text in the portable dialect."""
    return "".join(_one(ord(char), fold=not cased) for char in text)


def _any(wildcard: str) -> str:
    return "(?s:.)*" if wildcard == MULTI else "(?s:.)"


def portable(pattern: str) -> str:
    """A regular expression in the dialect that Vectorscan (UTF-8 mode) and RE2 read alike.

    >>> portable("(?i)a+[^b-c]$")
    '[Aa]+[^\\\\x{42}-\\\\x{43}\\\\x{62}-\\\\x{63}](?:\\\\x0a?\\\\z)'

    Raises ``Unportable`` for look-around, back-references, atomic groups and verbose mode.
    """
    return _Writer(pattern).write()


def _one(code: int, *, fold: bool) -> str:
    char = chr(code)
    if char.isascii() and char.isalpha():
        return _alone(f"[{char.upper()}{char.lower()}]", char) if fold else char
    if char.isascii():
        return char if char.isdigit() else f"\\x{code:02x}"
    return f"\\x{{{code:x}}}"


def _alone(written: str, char: str) -> str:
    """RE2, joining alternatives of one character each, would give k and s their Unicode case (the Kelvin sign, ſ) again; a repeat keeps them apart."""
    return f"(?:{written}{{1}})" if char in "KkSs" else written


def _fold(ranges: Ranges) -> Ranges:
    more = [(max(lo, first) + shift, min(hi, last) + shift) for lo, hi in ranges for first, last, shift in ((0x41, 0x5A, 32), (0x61, 0x7A, -32)) if lo <= last and hi >= first]
    return ranges + tuple(more)


def _complement(ranges: Ranges) -> Ranges:
    gaps, start = [], 0
    for lo, hi in sorted(ranges):
        if lo > start:
            gaps.append((start, lo - 1))
        start = max(start, hi + 1)
    return (*gaps, (start, _LAST)) if start <= _LAST else tuple(gaps)


_SHORTHANDS: dict[str, Ranges] = {
    "d": _DIGIT,
    "w": _WORD,
    "s": _SPACE,
    "D": _complement(_DIGIT),
    "W": _complement(_WORD),
    "S": _complement(_SPACE),
}


def _class(ranges: Ranges, *, negated: bool = False) -> str:
    body = "".join(f"\\x{{{lo:x}}}" if lo == hi else f"\\x{{{lo:x}}}-\\x{{{hi:x}}}" for lo, hi in sorted(ranges))
    written = f"[{'^' if negated else ''}{body}]"
    return _alone(written, chr(ranges[0][0])) if len(ranges) == 2 and all(lo == hi for lo, hi in ranges) else written


class _Writer:
    """Reads a pattern once, left to right, and writes it anew; flags follow the groups."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0
        self.flags: set[str] = set()
        self.outer: list[set[str]] = []

    def write(self) -> str:
        out: list[str] = []
        while self.at < len(self.pattern):
            out.append(self._token())
        return "".join(out)

    def _take(self) -> str:
        if self.at >= len(self.pattern):
            raise Unportable("the expression ends too early")
        char = self.pattern[self.at]
        self.at += 1
        return char

    def _ahead(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def _token(self) -> str:
        char = self._take()
        match char:
            case "\\":
                return self._escape()
            case "[":
                return self._set()
            case "(":
                return self._open()
            case ")":
                self.flags = self.outer.pop() if self.outer else self.flags
                return ")"
            case "{":
                return self._repeat()
            case "." | "^" | "$":
                return self._place(char)
            case "|" | "*" | "+" | "?":
                return char
        return _one(ord(char), fold="i" in self.flags)

    def _place(self, char: str) -> str:
        if char == ".":
            return "(?s:.)" if "s" in self.flags else r"[^\x0a]"
        if "m" in self.flags:
            return f"(?m:{char})"
        return r"\A" if char == "^" else r"(?:\x0a?\z)"

    def _repeat(self) -> str:
        end = self.pattern.find("}", self.at)
        body = self.pattern[self.at : end] if end >= 0 else ""
        low, comma, high = body.partition(",")
        if not (low or high) or not (low + high).isdigit() or (high and not comma):
            return r"\x7b"
        self.at = end + 1
        return f"{{{low or '0'}{comma}{high}}}"

    def _open(self) -> str:
        before = set(self.flags)
        if not self._ahead("?"):
            self.outer.append(before)
            return "(?:"
        return self._special(before)

    def _special(self, before: set[str]) -> str:
        for mark in ("=", "!", "<=", "<!"):
            if self._ahead(mark):
                raise Unportable("look-around is not supported")
        for mark in (">", "P=", "(", "P>", "R", "&"):
            if self._ahead(mark):
                raise Unportable("atomic groups, back-references and conditions are not supported")
        if self._ahead("#"):
            self.at = self.pattern.index(")", self.at) + 1
            return ""
        if self._ahead("P<") or self._ahead("<"):
            self.at = self.pattern.index(">", self.at) + 1
            self.outer.append(before)
            return "(?:"
        return self._switch(before)

    def _switch(self, before: set[str]) -> str:
        add, flags = True, set(before)
        while (char := self._take()) not in ":)":
            if char == "-":
                add = False
            elif char in "imsau":
                (flags.add if add else flags.discard)(char)
            else:
                raise Unportable(f"the flag {char} is not supported")
        self.flags = flags
        if char == ")":
            return ""
        self.outer.append(before)
        return "(?:"

    def _escape(self) -> str:
        char = self._take()
        if char in _SHORTHANDS:
            return _class(_SHORTHANDS[char])
        if char in "bBA":
            return "\\" + char
        if char in "Zz":
            return r"\z"
        if char.isdigit() and char != "0":
            raise Unportable("back-references are not supported")
        return _one(self._code(char), fold="i" in self.flags)

    def _code(self, char: str) -> int:
        if char == "x" and self._ahead("{"):
            end = self.pattern.index("}", self.at)
            digits, self.at = self.pattern[self.at : end], end + 1
            return int(digits, 16)
        if char in _HEX_WIDTH:
            digits = self.pattern[self.at : self.at + _HEX_WIDTH[char]]
            self.at += len(digits)
            return int(digits, 16)
        if char == "0":
            return self._octal()
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char.isascii() and char.isalnum():
            raise Unportable(f"the escape \\{char} is not supported")
        return ord(char)

    def _octal(self) -> int:
        digits = "0"
        while len(digits) < 3 and self.at < len(self.pattern) and self.pattern[self.at] in "01234567":
            digits += self._take()
        return int(digits, 8)

    def _set(self) -> str:
        negated = self._ahead("^")
        ranges: Ranges = ()
        first = True
        while first or not self._ahead("]"):
            ranges += self._member()
            first = False
        if "i" in self.flags:
            ranges = _fold(ranges)
        return _class(ranges, negated=negated)

    def _member(self) -> Ranges:
        low = self._item()
        if isinstance(low, tuple):
            return low
        if self.pattern.startswith("-", self.at) and not self.pattern.startswith("-]", self.at):
            self.at += 1
            high = self._item()
            if isinstance(high, tuple) or high < low:
                raise Unportable("a range in a character class has no end")
            return ((low, high),)
        return ((low, low),)

    def _item(self) -> int | Ranges:
        char = self._take()
        if char != "\\":
            return ord(char)
        char = self._take()
        if char == "b":
            return 8
        return _SHORTHANDS[char] if char in _SHORTHANDS else self._code(char)
