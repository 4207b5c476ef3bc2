"""Shapes: a folded line as its pieces, with everything that varies by its look alone already open.

In: a folded line. Out: pieces of text (each with the space before it) whose concatenation reads as the line does. Open
from the start are words with digits, values after ``=``, what stands in quotation marks, paths, addresses of mail and of
the web, months and days before numbers, and
the values of a line that is a list of labels with values. Chinese is a piece for each run of characters, so that a number inside is found.
"""

from __future__ import annotations

import re

OPEN = "<*>"
LONGEST = 48
"""Pieces that are told apart: longer lines end in one open piece."""
LABELS = 4
"""So many labels make a line a list of values."""
Shape = tuple[str, ...]

_MARK = "\x01"
_OPENS = (OPEN, f" {OPEN}")
_SHORT, _MOST_KNOWN = 64, 50_000
_known: dict[str, str] = {}
"""Pieces as they read, for the many that come again."""
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|「[^」]*」|『[^』]*』|《[^》]*》|(?<![\w\x01])'[^']*'(?!\w)")
_DATED = re.compile(r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b(?=,? +(?:\x01|[A-Z][a-z]{2} ))")
HAN = "\u3400-\u9fff\uf900-\ufaff"
_PIECES = re.compile(rf"\s*(?:[{HAN}]+|[\u3000-\u303f\uff00-\uffef]|[^\s{HAN}\u3000-\u303f\uff00-\uffef]+)")
_PARTS = re.compile(r"([\[\](){}<>\"'=,;|])")
_LIST = re.compile(rf"{re.escape(OPEN)}(?:[,;|]? ?{re.escape(OPEN)})+")
_LABEL = re.compile(rf" ?[A-Za-z{HAN}][\w.-]*:")
_END = re.compile(r"[:.,;%!?]+$")


def shape(form: bytes) -> Shape:
    """The pieces of a folded line.

    >>> shape(b"sshd[\\x01]: Failed password for root from \\x01.\\x01.\\x01.\\x01 port \\x01 user=li")
    ('sshd[<*>]:', ' Failed', ' password', ' for', ' root', ' from', ' <*>', ' port', ' <*>', ' user=<*>')
    """
    text = _DATED.sub(_MARK, _QUOTED.sub(_inside, form.decode("utf-8", "replace").replace(OPEN, _MARK)))
    pieces: list[str] = []
    for found in _PIECES.findall(text):
        new = _known.get(found)
        if new is None:
            piece = found.lstrip()
            new = (" " if len(piece) < len(found) else "") + _opened(piece)
            if len(found) <= _SHORT:
                if len(_known) >= _MOST_KNOWN:
                    _known.clear()
                _known[found] = new
        if not pieces:
            new = new.lstrip()
        elif new.startswith(_OPENS) and (whole := _as_list(pieces[-1], new.lstrip())):
            pieces[-1] = whole
            continue
        pieces.append(new)
    pieces = _with_values_open(pieces)
    return tuple(pieces) if len(pieces) <= LONGEST else (*pieces[:LONGEST], " …")


def _with_values_open(pieces: list[str]) -> list[str]:
    """A line that is a list of ``label: value`` has its labels alone: values may have any number of words.

    >>> "".join(_with_values_open(["Image:", " <*>", " User:", " NT", " AUTHORITY", " Signed:", " true", " Status:", " Valid"]))
    'Image: <*> User: <*> Signed: <*> Status: <*>'
    """
    labels = [at for at, piece in enumerate(pieces) if piece[-1:] == ":" and _LABEL.fullmatch(piece)]
    if len(labels) < LABELS:
        return pieces
    found, places = pieces[: labels[0] + 1], frozenset(labels)
    for at, piece in enumerate(pieces[labels[0] + 1 :], labels[0] + 1):
        if at in places:
            found.append(piece)
        elif found[-1] != f" {OPEN}":
            found.append(f" {OPEN}")
    return found


def _inside(found: re.Match[str]) -> str:
    text = found.group()
    return f"{text[0]}{_MARK}{text[-1]}"


def _as_list(before: str, piece: str) -> str:
    """Two pieces as one where they are a list, or a value of several words; otherwise nothing."""
    listed = before.rstrip(",;|")
    ending = piece[len(OPEN) :]
    if not (piece.startswith(OPEN) and listed.endswith(OPEN) and "=" not in before) or any(map(str.isalnum, ending)):
        return ""
    return listed + ending if not ending or listed != before else ""


def _opened(piece: str) -> str:
    """A piece with its varying parts open."""
    if _is_place(piece):
        ending = _END.search(piece)
        return OPEN + (ending.group() if ending else "")
    if _MARK not in piece and "=" not in piece:
        return piece
    if piece[0] == "%" and piece.isupper():  # a mnemonic, such as %SYS-5-CONFIG_I
        return piece.replace(_MARK, OPEN)
    parts = _PARTS.split(piece)
    for at in range(0, len(parts), 2):
        valued = at > 1 and parts[at - 1] == "=" and parts[at - 2] != ""
        if parts[at] and (_MARK in parts[at] or valued):
            ending = _END.search(parts[at])
            parts[at] = OPEN + (ending.group() if ending else "")
    return _LIST.sub(OPEN, "".join(parts))


def _is_place(piece: str) -> bool:
    """Paths, addresses of the web and of mail: whole, whatever signs they hold."""
    if "://" in piece or (piece.startswith(("/", "~/", "./")) and len(piece) > 2):
        return True
    if "=" in piece or "(" in piece or "[" in piece:
        return False
    return piece.count("/") > 1 or "\\" in piece.strip("\\") or "@" in piece.strip("@")
