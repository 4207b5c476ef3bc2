"""Keeping attachments: what is allowed and clean lies under its digest; what is refused lies apart, or not at all, with its reason."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from lianfang.commons.frame import journal
from lianfang.commons.frame.attachments.checking import check
from lianfang.commons.frame.attachments.sniffing import sniff
from lianfang.commons.frame.models import Attachment
from lianfang.kernel.errors import Conflict, Invalid, Missing
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer

TYPES = "pdf png gif jpeg webp text zip gzip zstd 7z office pcap evtx"
"""What is taken where the operator says nothing (``LIANFANG_ATTACHMENT_TYPES``): no programs, scripts, pages."""
MEGABYTES = 25
MOST = 100
"""Attachments of one thing."""
_LOOK = 8192


class Sent(Protocol):
    """An uploaded file."""

    name: str | None
    size: int | None

    def chunks(self) -> Iterable[bytes]: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A kind of thing that files may be put beside. ``fetch(pk, viewer)`` gives the row or raises; ``closed(row)`` says why nothing may be added now ("" when it may)."""

    room: str
    kind: str
    fetch: Callable[[Any, Viewer], Any]
    permission: str
    closed: Callable[[Any], str] = lambda row: ""

    @property
    def name(self) -> str:
        return f"{self.room}.{self.kind}"


_subjects: dict[str, Subject] = {}


def declare(subject: Subject) -> None:
    """From now on files may be put beside things of this kind."""
    _subjects[subject.name] = subject


def subject_of(room: str, kind: str) -> Subject:
    """What was declared for a kind; raises ``Missing``."""
    found = _subjects.get(f"{room}.{kind}")
    if found is None:
        raise Missing(gettext("Nothing can be attached there"), why=f"{room}.{kind}"[:80], todo=gettext("Go back to the page you came from."))
    return found


def of(ref: Ref) -> QuerySet[Attachment]:
    """The attachments of a thing, also those refused, the newest first. Who may see the thing may see them."""
    return Attachment.objects.filter(subject=str(ref)).order_by("-added", "-id")


def limit() -> int:
    """Bytes that one file may have (``LIANFANG_ATTACHMENT_MB``)."""
    return int(os.environ.get("LIANFANG_ATTACHMENT_MB") or MEGABYTES) << 20


def types() -> frozenset[str]:
    """Kinds of files that are taken."""
    return frozenset((os.environ.get("LIANFANG_ATTACHMENT_TYPES") or TYPES).replace(",", " ").split())


def place(digest: str, *, refused: bool = False) -> Path:
    """Where a file lies: in ``attachments`` of the node's home, those refused apart."""
    return Path(settings.HOME) / "attachments" / ("refused" if refused else digest[:2]) / digest


def attach(room: str, kind: str, pk: Any, sent: Sent, *, actor: Viewer) -> Attachment:
    """Keep a file beside a thing. What is refused is kept as refused, and the row says why. Raises ``Refused``, ``Missing``, ``Conflict``, ``Invalid`` for an empty one."""
    subject = subject_of(room, kind)
    row = subject.fetch(pk, actor)
    actor.must(subject.permission)
    if why := subject.closed(row):
        raise Conflict(gettext("Nothing can be attached now"), why=why, todo=gettext("Do that first, then attach the file."))
    if of(row.ref).count() >= MOST:
        raise Conflict(gettext("There are too many attachments"), why=gettext("At most %d belong to one thing.") % MOST, todo=gettext("Pack several files into one."))
    draft, digest, size, head = _written(sent)
    try:
        return _kept(row, draft, digest, size, head, name=_plain(sent.name), actor=actor)
    finally:
        draft.unlink(missing_ok=True)


def _written(sent: Sent) -> tuple[Path, str, int, bytes]:
    """The bytes in a file of their own, as far as they are allowed to go; its digest, size and beginning."""
    folder = Path(settings.HOME) / "attachments"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, size, head, most = hashlib.sha256(), 0, b"", limit()
    handle, name = tempfile.mkstemp(dir=folder, prefix=".draft-")
    with os.fdopen(handle, "wb") as file:
        for chunk in sent.chunks():
            size += len(chunk)
            head += chunk[: _LOOK - len(head)] if len(head) < _LOOK else b""
            if size > most:
                break
            digest.update(chunk)
            file.write(chunk)
    if not size:
        Path(name).unlink()
        raise Invalid(gettext("The file is empty"), todo=gettext("Choose another one."))
    return Path(name), digest.hexdigest(), max(size, sent.size or 0), head


def _kept(row: Any, draft: Path, digest: str, size: int, head: bytes, *, name: str, actor: Viewer) -> Attachment:
    kind, by, why = sniff(head), "", ""
    if size > limit():
        why, digest = gettext("It has more than %d MB.") % (limit() >> 20), ""
    elif kind not in types():
        why = gettext("By its content it is of a kind that is not taken: %s.") % kind
    else:
        verdict = check(draft)
        by, why = verdict.by, gettext("The virus check found: %s.") % verdict.found if verdict.found else ""
    known = of(row.ref).filter(digest=digest, refused=bool(why)).first() if digest else None
    if known is not None:
        return known
    with transaction.atomic():
        made = Attachment.objects.create(
            subject=str(row.ref), name=name, kind=kind, size=size, digest=digest, refused=bool(why), reason=why[:300], checked=by, added_by=actor.name[:120],
            organisation=row.organisation, territory=row.territory, industry=row.industry,
        )  # fmt: skip
        journal.tell("frame.attachment_refused" if why else "frame.attached", row.ref, actor=actor, label=name, detail={"digest": digest, "size": size, "kind": kind, "checked": by, "reason": why[:300]}, territory=row.territory, industry=row.industry)
        if digest:
            _laid(draft, place(digest, refused=bool(why)))
    return made


def _laid(draft: Path, target: Path) -> None:
    """The file under its digest, durable, readable by the node alone."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not target.exists():
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.chmod(0o600)
        draft.rename(target)


def forget(refs: Iterable[Ref]) -> int:
    """Remove the attachments of things that go, and the files that nobody else holds; returns how many went."""
    rows = Attachment.objects.filter(subject__in=[str(ref) for ref in refs])
    gone = list(rows.values_list("digest", "refused"))
    rows.delete()
    for digest, refused in set(gone):
        if digest and not Attachment.objects.filter(digest=digest, refused=refused).exists():
            transaction.on_commit(partial(place(digest, refused=refused).unlink, missing_ok=True))
    return len(gone)


def _plain(name: str | None) -> str:
    """A name without a folder and without what nobody sees."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable())[-200:] or "file"
