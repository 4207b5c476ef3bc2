"""A source by sample: what a person pasted or uploaded is recognised, mapped for show, adjusted, and saved as a source.

In: bytes, and how they are to be read. Out: guesses, a preview that stores nothing; then a source, with a mapping whose
golden samples are the records that were looked at. What somebody brought is seen by nobody else and forgotten after a day.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from lianfang.engines.connect import codecs, drafting, explain, files
from lianfang.engines.connect.files import Manner
from lianfang.engines.connect.limits import Reject
from lianfang.engines.connect.mapping import Mapped, Templates
from lianfang.engines.connect.recognise import Guess, recognise
from lianfang.engines.connect.template import Template, document
from lianfang.engines.connect.text import readable
from lianfang.engines.policy import classify
from lianfang.engines.schema.events import BY_NAME, COLUMNS, Kind
from lianfang.kernel import clock
from lianfang.kernel.errors import Invalid, Missing
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.actions import mappings, receiving, sources
from lianfang.rooms.lake.actions.preparing import sane
from lianfang.rooms.lake.types import Codec, Preview, SampleField, Setup, TriedEvent, TriedField, TriedReject, zone_of

TEXT_BYTES, PACKED_BYTES = 1 << 20, 4 << 20
SAMPLE_BYTES = PACKED_BYTES + 1
"""As much of a file as has to be read to know that it is too large."""
RECORDS, SHOWN, GOLDEN = 200, 20, 10
EXAMPLES, EXAMPLE_LENGTH, RAW_LENGTH = 3, 120, 4000
KEPT = timedelta(days=1)
NOT_SHOWN = frozenset({"received", "event_day", "raw", "unmapped", "template"})
PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"ElfFile\x00", b"\xd0\xcf\x11\xe0")


def open_trial(content: bytes, *, actor: Viewer, name: str = "", source: str = "", setup: dict[str, Any] | None = None) -> models.Trial:
    """Keep a sample for a day; of a long text the first megabyte."""
    actor.must("lake.source.change" if source else "lake.source.add")
    if not content.strip():
        raise Invalid(gettext("There is nothing in it"), why=gettext("The sample holds no record."), todo=gettext("Paste a few lines, or choose a file."), details={"content": [gettext("There is nothing in it")]})
    packed = content.startswith(PACKED)
    if packed and len(content) > PACKED_BYTES:
        raise Invalid(gettext("The file is too large for a sample"), why=gettext("Packed files and event logs are looked at up to %d MiB.") % (PACKED_BYTES >> 20), todo=gettext("Choose a smaller one, or unpack it."), details={"content": [gettext("too large")]})
    if not packed and len(content) > TEXT_BYTES:
        content = content[: content.rfind(b"\n", 0, TEXT_BYTES) + 1 or TEXT_BYTES]
    return models.Trial.objects.create(person=actor.id, name=name[:120], content=content, source=source, setup=setup or {}, **sources.owner(actor))


def trial_of(pk: Any, *, viewer: Viewer) -> models.Trial:
    """A sample that this person brought; ``Missing`` for everybody else's."""
    row = models.Trial.objects.filter(pk=pk, person=viewer.id).first() if viewer.id else None
    if row is None:
        raise Missing(gettext("This sample is no longer there"), why=gettext("Samples are forgotten after a day, and only who brought one sees it."), todo=gettext("Bring it again."))
    return row


def forget_trials() -> int:
    """Samples are not kept."""
    return models.Trial.objects.filter(created__lt=clock.now() - KEPT).delete()[0]


def guesses(content: bytes, *, name: str = "sample") -> list[Guess]:
    """What the sample may be, best first, each with its reasons."""
    found = _lines(content) or [one for one in islice(_frames(content, Setup(), name), RECORDS) if isinstance(one, bytes)]
    return recognise(found, templates=Templates(queries.shipped(), cache_bytes=8 << 20), received=clock.now())


def preview(content: bytes, setup: Setup, *, viewer: Viewer, name: str = "sample") -> Preview:
    """The sample as it would be stored. Raises ``Invalid`` for a mapping, zone, header or start that cannot be."""
    frames, rejects = _taken(content, setup, name)
    decoded = _decoded(setup, frames)
    rejects += [(frames[one.index][0], one) for one in decoded.rejects]
    found, template_of = _templates(setup, viewer)
    now = clock.now()
    mapped = found.map(decoded.rows, received=now, zone=zone_of(setup.zone or models.default_zone()))
    levels = _levels(mapped, decoded, now)
    events, told = [], []
    for at, row in enumerate(decoded.rows):
        columns = _filled(mapped, at)
        rest = json.loads(mapped.columns["unmapped"][at] or "{}")
        shown = columns if mapped.columns["time"][at] is not now else {name: value for name, value in columns.items() if name != "time"}
        fields = explain.explain(template_of(mapped.template[at]), row, shown, rest)
        told.append(fields)
        if len(events) < SHOWN:
            seen = tuple(TriedField(one.field, one.text, one.columns, one.failed) for one in fields)
            events.append(TriedEvent(frames[decoded.origin[at]][0], columns, levels[at], mapped.template[at], _text(decoded.raws[at], setup), seen, explain.coverage([fields])))
    said = tuple(TriedReject(number, one.reason, one.todo, _text(one.raw, setup)) for number, one in sorted(rejects, key=lambda pair: pair[0]))
    header = decoded.header if setup.codec in (Codec.CSV, Codec.TSV, Codec.ZEEK) else ""
    return Preview(len(decoded.rows), tuple(events), said, _fields(told), explain.coverage(told), header)


def save_trial(trial: models.Trial, setup: Setup, *, actor: Viewer, renew: bool = False) -> str:
    """The mapping of a setup, kept with its golden samples; returns the template that the source then names."""
    if not setup.mapping:
        return setup.template
    template = queries.compiled(setup.mapping)
    if not template.tests or trial.source:
        setup = _with_tests(trial, setup, template)
    return mappings.save_mapping(setup.mapping, actor=actor, renew=renew).name


@transaction.atomic
def begin_source(trial: models.Trial, setup: Setup, values: dict[str, Any], *, actor: Viewer, feed: bool = False) -> models.Source:
    """A source with this setup, its mapping, and (``feed``) the sample as its first logs; the sample is forgotten."""
    template = save_trial(trial, setup, actor=actor)
    row = sources.make_source({**values, **_read(setup, template)}, actor=actor)
    if feed:
        frames = [frame for _, frame in _taken(bytes(trial.content), setup, trial.name)[0]]
        transaction.on_commit(partial(receiving.receive, row.name, frames, actor=actor, key=f"trial:{trial.pk}"))
    trial.delete()
    return row


@transaction.atomic
def mend_source(trial: models.Trial, setup: Setup, *, actor: Viewer, renew: bool = False) -> models.Source:
    """The source that the sample was opened for is read and mapped like this from now on."""
    actor.must("lake.source.change")
    row = models.Source.objects.seen_by(actor).filter(name=trial.source).first()
    if row is None:
        raise Missing(gettext("The source is no longer there"), todo=gettext("Make a new one of the sample."))
    template = save_trial(trial, setup, actor=actor, renew=renew)
    sources.change_source(row, _read(setup, template), actor=actor)
    trial.delete()
    return row


# ---- inside ----------------------------------------------------------------------------------------------------


def _read(setup: Setup, template: str) -> dict[str, Any]:
    return {"codec": setup.codec, "encoding": setup.encoding, "header": setup.header, "start": setup.start, "zone": setup.zone, "template": template}


def _frames(content: bytes, setup: Setup, name: str) -> Iterator[bytes | Reject]:
    """As the file of such a source is taken apart."""
    manner = Manner("" if setup.codec == Codec.AUTO else setup.codec, setup.encoding, setup.header, setup.start)
    return files.stream_frames(io.BytesIO(content), size=len(content), name=name or "sample", manner=manner)


def _lines(content: bytes) -> list[bytes]:
    """The lines of plain text as they are, since their codec is not known yet; nothing for what has to be opened or taken apart first."""
    if content.startswith((*PACKED, b"\xff\xfe", b"\xfe\xff")) or content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"[", b"{\n", b"{\r", b"<?xml", b"<nmaprun")):
        return []
    return [line.rstrip(b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()][:RECORDS]


def _taken(content: bytes, setup: Setup, name: str) -> tuple[list[tuple[int, bytes]], list[tuple[int, Reject]]]:
    """The first records and what is no record, each with its number from 1."""
    frames: list[tuple[int, bytes]] = []
    rejects: list[tuple[int, Reject]] = []
    for number, one in enumerate(islice(_frames(content, setup, name), RECORDS), 1):
        if isinstance(one, bytes):
            frames.append((number, one))
        else:
            rejects.append((number, one))
    return frames, rejects


def _decoded(setup: Setup, frames: Sequence[tuple[int, bytes]]) -> codecs.Decoded:
    try:
        return codecs.decode(setup.codec, [frame for _, frame in frames], encoding=setup.encoding, header=setup.header, start=setup.start)
    except Missing as fault:
        raise Invalid(gettext("The header line names no columns"), why=fault.why, todo=gettext("Copy the first line of a file of this source."), details={"header": [fault.why]}) from fault


def _templates(setup: Setup, viewer: Viewer) -> tuple[Templates, Any]:
    """The templates of a setup, and a function from the name of one to itself."""
    if setup.mapping:
        chosen: tuple[Template, ...] = (queries.compiled(setup.mapping),)
    elif setup.template:
        chosen = tuple(one for one in queries.shipped() if one.name == setup.template) or (queries.compiled(queries.mapping_text(setup.template, viewer=viewer)),)
    else:
        chosen = queries.shipped()
    found = Templates(chosen, cache_bytes=8 << 20)
    by = {one.name: one for one in (*chosen, found.fallback)}
    return found, by.__getitem__


def _levels(mapped: Mapped, decoded: codecs.Decoded, now: datetime) -> list[int]:
    mapped.columns["raw"] = [raw.decode("utf-8", "replace") for raw in decoded.raws]
    return [int(level) for level in classify(mapped.columns)] if decoded.rows else []


def _filled(mapped: Mapped, at: int) -> dict[str, Any]:
    """What would be stored of this row, in the order of the columns."""
    found = {column.name: mapped.columns[column.name][at] for column in COLUMNS if column.name in mapped.columns and column.name not in NOT_SHOWN}
    found["time"] = sane([found["time"]], [mapped.columns["received"][at]])[0]
    return {name: list(value) if BY_NAME[name].kind is Kind.LIST else value for name, value in found.items() if value not in (None, (), "")}


def _text(raw: bytes, setup: Setup) -> str:
    """The bytes for people to read."""
    return readable(raw, setup.encoding)[:RAW_LENGTH]


def _fields(told: Sequence[Sequence[explain.Told]]) -> tuple[SampleField, ...]:
    """Over all records, in the order in which they were met."""
    seen: dict[str, list[explain.Told]] = {}
    for row in told:
        for one in row:
            seen.setdefault(one.field, []).append(one)
    usual = queries.suggestions()
    return tuple(
        SampleField(
            name, len(found), tuple(dict.fromkeys(one.text[:EXAMPLE_LENGTH] for one in found if explain.says(one.text)))[:EXAMPLES],
            tuple(dict.fromkeys(column for one in found for column in one.columns)), sum(bool(one.failed) for one in found), usual.get(explain.plain_name(name), ""),
        )
        for name, found in seen.items()
    )  # fmt: skip


def _with_tests(trial: models.Trial, setup: Setup, template: Template) -> Setup:
    """The mapping with the first records of the sample, one of each shape before others, as its golden samples."""
    frames, _ = _taken(bytes(trial.content), setup, trial.name)
    decoded = _decoded(setup, frames)
    shapes: dict[tuple[str, ...], int] = {}
    for at, row in enumerate(decoded.rows):
        shapes.setdefault(tuple(row), at)
    first = [*shapes.values(), *(at for at in range(len(decoded.rows)) if at not in set(shapes.values()))]
    alone = [at for at in first if decoded.origin.count(decoded.origin[at]) == 1][:GOLDEN]
    if not alone:
        raise Invalid(gettext("No record of the sample can be read"), todo=gettext("Choose another format, or another sample."))
    said = {"codec": setup.codec, "received": clock.text(trial.created), "zone": setup.zone or models.default_zone(), "header": setup.header, "start": setup.start}
    tests = mappings.tests_of(template, [{**said, **_whole_text(decoded.raws[at], setup)} for at in alone])
    found = document(setup.mapping, path=queries.OWN)
    return replace(setup, mapping=drafting.dumped({**found, "tests": tests}))


def _whole_text(raw: bytes, setup: Setup) -> dict[str, str]:
    """The record as text, and the encoding that gives its bytes again: what was taken apart is UTF-8 already."""
    for encoding in ("utf-8", setup.encoding):
        try:
            return {"raw": raw.decode(encoding), "encoding": encoding}
        except UnicodeDecodeError:
            continue
    return {"raw": raw.decode("utf-8", "replace"), "encoding": "utf-8"}
