"""Mappings of the node's own: written, changed, taken away. What a sample became it must become again.

In: the YAML of a template with its samples, and who brings it. Out: a row with a new version, one record in the ledger. A
change under which a stored sample becomes something else is refused with what differs, unless the person says that this
is how it is from now on (``renew``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from lianfang.commons.ledger import actions as ledger
from lianfang.engines.connect import drafting, golden
from lianfang.engines.connect import template as templates_
from lianfang.engines.connect.golden import Difference
from lianfang.engines.connect.template import Template
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models, queries
from lianfang.rooms.lake.actions import drifting, sources

LONGEST = 256 << 10
MOST_SAMPLES = 20
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")


def save_mapping(text: str, *, actor: Viewer, row: models.Mapping | None = None, renew: bool = False) -> models.Mapping:
    """Make a mapping, or (``row``, or the same name in the actor's scope) a new version of it.

    Raises ``Invalid`` for a text that does not compile, and with ``details["differences"]`` where a sample breaks;
    ``Conflict`` for a name that is taken.
    """
    actor.must("lake.mapping.change" if row else "lake.mapping.add")
    if len(text) > LONGEST:
        raise Invalid(gettext("The mapping is too long"), why=gettext("At most %d KiB are kept.") % (LONGEST >> 10), todo=gettext("Leave out samples."))
    template = queries.compiled(text)
    if not NAME.fullmatch(template.name):
        raise Invalid(gettext("This cannot be the name of a mapping"), why=gettext("It stands in every event."), todo=gettext("Use small letters, digits, “.”, “_” and “-”, at most 80."), details={"name": ["a-z 0-9 . _ -"]})
    row = row or models.Mapping.objects.seen_by(actor).filter(name=template.name).first()
    if row is not None:
        actor.must("lake.mapping.change")
        if row.name != template.name:
            raise Invalid(gettext("A mapping keeps its name"), why=gettext("It stands in events that are stored already."), todo=gettext("Write “template: %s”, or import it as another mapping.") % row.name)
        if row.text == text and not renew:
            return row
    elif any(one.name == template.name for one in queries.shipped()):
        raise Conflict(gettext("A template that ships has this name"), todo=gettext("Choose another name."), details={"name": [gettext("Choose another name.")]})
    text = _sampled(text, template, row, renew=renew)
    return _kept(text, template, row, actor)


def delete_mapping(row: models.Mapping, *, actor: Viewer) -> None:
    """Let a mapping go that no source names."""
    actor.must("lake.mapping.delete")
    users = list(models.Source.objects.filter(template=row.name).order_by("name").values_list("name", flat=True)[:5])
    if users:
        raise Conflict(gettext("The mapping is in use"), why=gettext("These sources name it: %s") % ", ".join(users), todo=gettext("Give them another one first."))
    with transaction.atomic():
        ledger.record("lake.mapping_deleted", row.ref, actor=actor, label=row.name, detail={"version": row.version}, territory=row.territory, industry=row.industry)
        row.delete()


def differences(text: str, row: models.Mapping | None) -> list[Difference]:
    """What the samples, those of the text and those that are stored, say against the text."""
    template = queries.compiled(text)
    return golden.differences(template, _tests(template, row))


# ---- inside ----------------------------------------------------------------------------------------------------


def _tests(template: Template, row: models.Mapping | None) -> list[Map[str, Any]]:
    """The stored samples first: what they say holds until it is renewed. Then those that are new."""
    stored = list(queries.compiled(row.text).tests) if row is not None else []
    known = [_key(test) for test in stored]
    return stored + [test for test in template.tests if _key(test) not in known]


def _key(test: Map[str, Any]) -> tuple[str, str]:
    return str(test.get("raw", "")), str(test.get("row", ""))


def _sampled(text: str, template: Template, row: models.Mapping | None, *, renew: bool) -> str:
    """The text with all its samples; raises ``Invalid`` where it breaks one."""
    tests = _tests(template, row)
    if not tests:
        raise Invalid(gettext("A mapping needs a sample"), why=gettext("Without one nobody notices when a change breaks it."), todo=gettext("Write one under “tests”, or make the mapping of a sample on the page."))
    broken = golden.differences(template, tests)
    if broken and not renew:
        said = "; ".join(_said(one) for one in broken[:3])
        raise Invalid(gettext("The mapping breaks its sample"), why=said, todo=gettext("Mend the mapping, or say that this is how the sample is read from now on."), details={"differences": [asdict(one) for one in broken]})
    if broken:
        tests = [_renewed(test, template) for test in tests]
    if list(tests) == list(template.tests) and not broken:
        return text
    if len(tests) > MOST_SAMPLES:
        tests = tests[-MOST_SAMPLES:]
    found = templates_.document(text, path=queries.OWN)
    return drafting.dumped({**{name: value for name, value in found.items() if name != "tests"}, "tests": tests})


def _renewed(test: Map[str, Any], template: Template) -> Map[str, Any]:
    if not golden.differences(template, [test]):
        return test
    manner = {name: str(test[name]) for name in golden.MANNER if test.get(name)}
    received = clock.parse(test["received"]) if "received" in test else golden.USUAL
    return golden.sample_of(str(test.get("name", "")), template, codec=str(test.get("codec", "auto")), raw=str(test.get("raw", "")), received=received, zone=str(test.get("zone", "")), **manner)


def _said(one: Difference) -> str:
    if not one.column:
        return f"{one.test}: {one.got}"
    return gettext("%(test)s: %(column)s was %(expected)s, is now %(got)s") % {"test": one.test, "column": one.column, "expected": _short(one.expected), "got": _short(one.got)}


def _short(value: Any) -> str:
    return "–" if value is None else str(value)[:60]


def _kept(text: str, template: Template, row: models.Mapping | None, actor: Viewer) -> models.Mapping:
    fresh, before = row is None, 0 if row is None else row.version
    title = str(template.title.get("zh") or template.title.get("en") or "")[:200]
    if row is None:
        row = models.Mapping(name=template.name, version=0, **sources.owner(actor))
    row.text, row.title, row.samples, row.version, row.changed, row.changed_by = text, title, len(queries.compiled(text).tests), before + 1, clock.now(), actor.name[:120]
    try:
        with transaction.atomic():
            row.save(force_insert=fresh)
            models.MappingVersion.objects.create(mapping=row, version=row.version, text=text, by=row.changed_by)
            ledger.record(
                "lake.mapping_made" if fresh else "lake.mapping_changed", row.ref, actor=actor, label=row.name, territory=row.territory, industry=row.industry,
                detail={"samples": row.samples} if fresh else {"before": {"version": before}, "after": {"version": row.version, "samples": row.samples}},
            )  # fmt: skip
            for source in models.Source.objects.filter(template=row.name):
                drifting.read_anew(source)
    except IntegrityError as error:
        raise Conflict(gettext("The name %s is taken") % template.name, why=gettext("Names of mappings are unique on a node."), todo=gettext("Choose another name.")) from error
    return row


def tests_of(template: Template, records: Sequence[Map[str, str]]) -> list[dict[str, Any]]:
    """Samples out of records ``{raw, codec, received, zone, …}``, each as the template maps it now."""
    found = []
    for number, one in enumerate(records[:MOST_SAMPLES], 1):
        manner = {name: one[name] for name in golden.MANNER if one.get(name)}
        found.append(golden.sample_of(gettext("record %d") % number, template, codec=one["codec"], raw=one["raw"], received=clock.parse(one["received"]), zone=one["zone"], **manner))
    return found
