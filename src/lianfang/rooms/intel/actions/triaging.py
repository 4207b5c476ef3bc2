"""What becomes of a submission inside.

| verb | from | to |
|---|---|---|
| accept | received, needs information | accepted |
| ask | received, needs information | needs information |
| duplicate | received, needs information, accepted | duplicate, of another |
| reject | all before mended | rejected, with the reason |
| start | accepted | in work |
| mend | accepted, in work | mended |
| close | accepted, in work, mended | closed |
| reopen | mended, closed, duplicate, rejected | in work when it had been accepted, else received |
| answer, note, assign, judge | any | the same |

Every verb changes the row only while it is in a state it may leave, and writes one ledger record with before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from lianfang.commons.frame import attachments
from lianfang.commons.frame.scoped import whose
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import queries as people
from lianfang.engines.schema import observables
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Invalid, Missing
from lianfang.kernel.labels import Severity
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.actions import intake
from lianfang.rooms.intel.actions.submitting import CONTACT, LONGEST, plain, told
from lianfang.rooms.intel.queries import reading, submissions
from lianfang.rooms.intel.types import ENDED, UNDECIDED, Form, Mark, Side, State, Terms

TRIAGE = "intel.submission.triage"
NOTICED = timedelta(hours=2)
CENTRE_FIELDS = ("name", "slug", "open", "rules", "answer_days", "mend_days", "thanks")
SOURCE, CONFIDENCE = "submission", 30
"""Who says so, and how far an indicator of a stranger is believed before a person has looked into it."""

_FROM: dict[str, tuple[State, ...]] = {
    "accept": UNDECIDED, "ask": UNDECIDED, "duplicate": (*UNDECIDED, State.ACCEPTED), "reject": (*UNDECIDED, State.ACCEPTED, State.WORKED), "start": (State.ACCEPTED,),
    "mend": (State.ACCEPTED, State.WORKED), "close": (State.ACCEPTED, State.WORKED, State.MENDED), "reopen": (State.MENDED, *ENDED),
}  # fmt: skip
_SEEN_BY_US = ("state", "severity", "assignee_name")


def may_go(row: models.Submission, verb: str) -> bool:
    """Whether a verb leads on from where a submission stands."""
    return row.state in _FROM[verb]


def _move(row: models.Submission, verb: str, *, actor: Viewer, text: str = "", detail: Mapping[str, Any] | None = None, **change: Any) -> models.Submission:
    """Change the row if its state lets ``verb`` go, with words to the reporter; raises ``Conflict`` with the state it is in."""
    actor.must(TRIAGE)
    text, now, before = plain(text), clock.now(), {name: getattr(row, name) for name in _SEEN_BY_US}
    allowed: Iterable[State] = _FROM.get(verb, tuple(State))
    if verb not in ("note", "assign", "judge") and row.answered is None:
        change["answered"] = now
    with transaction.atomic():
        if not models.Submission.objects.filter(pk=row.pk, state__in=list(allowed)).update(changed=now, **change):
            row.refresh_from_db()
            raise Conflict(_("This submission is %(state)s") % {"state": row.get_state_display()}, why=_("It does not allow this step, or somebody was faster."), todo=_("Look at it again and decide anew."), details={"state": row.state})
        if text:
            models.Remark.objects.create(submission=row, side=Side.NOTE if verb == "note" else Side.ANSWER, author=actor.id, author_name=actor.name, text=_fitting(text), written=now)
        row.refresh_from_db()
        said = ledger.differing(before, {name: getattr(row, name) for name in _SEEN_BY_US})
        told(row, verb, actor=actor, **said, **(detail or {}), **({"text": text[:500]} if text else {}))
    return row


def _fitting(text: str) -> str:
    if len(text) > LONGEST:
        raise Invalid(_("The text is too long"), why=_("%(n)d characters at most.") % {"n": LONGEST}, todo=_("Shorten it."))
    return text


def _words(text: str, why: str) -> str:
    if not text.strip():
        raise Invalid(_("Write something first"), why=why, todo=_("Write it, then try again."))
    return text


def accept(row: models.Submission, *, text: str = "", actor: Viewer) -> models.Submission:
    """It is real and ours; the clock of mending begins."""
    now = clock.now()
    until = now + timedelta(days=row.centre.mend_days) if row.centre.mend_days else None
    return _move(row, "accept", actor=actor, text=text, state=State.ACCEPTED, accepted=now, mend_by=until)


def ask(row: models.Submission, *, text: str, actor: Viewer) -> models.Submission:
    """Ask the reporter for something; it comes back as received when they answer."""
    return _move(row, "ask", actor=actor, text=_words(text, _("The reporter has to know what is missing.")), state=State.ASKED)


def reject(row: models.Submission, *, text: str, actor: Viewer) -> models.Submission:
    """It is none, or none of ours; the reporter reads why."""
    return _move(row, "reject", actor=actor, text=_words(text, _("The reporter has to know why.")), state=State.REJECTED, ended=clock.now())


def duplicate(row: models.Submission, *, of: str, text: str = "", actor: Viewer) -> models.Submission:
    """Somebody said it before: ``of`` is that submission's number. The reporter reads that it is known, not whose it is."""
    actor.must(TRIAGE)
    original = models.Submission.objects.all().seen_by(actor).filter(number=of.strip().upper()).first()
    if original is None or original.pk == row.pk:
        raise Invalid(_("There is no other submission of this number"), why=of.strip()[:40], todo=_("Take the number from the list."))
    if original.original_id is not None:
        raise Invalid(_("That submission is a duplicate itself"), todo=_("Name the one that it repeats."))
    return _move(row, "duplicate", actor=actor, text=text, detail={"of": original.number}, state=State.DUPLICATE, original=original, ended=clock.now())


def start_work(row: models.Submission, *, actor: Viewer) -> models.Submission:
    """Somebody works on it; nobody's becomes the actor's."""
    return _move(row, "start", actor=actor, state=State.WORKED, **({} if row.assignee else _owner(actor)))


def mend(row: models.Submission, *, text: str = "", actor: Viewer) -> models.Submission:
    """What it reported is mended."""
    now = clock.now()
    return _move(row, "mend", actor=actor, text=text, state=State.MENDED, mended=now)


def close(row: models.Submission, *, text: str = "", actor: Viewer) -> models.Submission:
    """Nothing is left to do."""
    return _move(row, "close", actor=actor, text=text, state=State.CLOSED, ended=clock.now())


def reopen(row: models.Submission, *, text: str = "", actor: Viewer) -> models.Submission:
    """It was not over."""
    state = State.WORKED if row.accepted else State.RECEIVED
    return _move(row, "reopen", actor=actor, text=text, state=state, ended=None, mended=None, original=None)


def answer(row: models.Submission, *, text: str, actor: Viewer) -> models.Submission:
    """Words that the reporter reads."""
    return _move(row, "answer", actor=actor, text=_words(text, _("An answer has words.")))


def note(row: models.Submission, *, text: str, actor: Viewer) -> models.Submission:
    """Words among ourselves; the reporter never reads them."""
    return _move(row, "note", actor=actor, text=_words(text, _("A note has words.")))


def judge(row: models.Submission, *, severity: str, actor: Viewer) -> models.Submission:
    """How serious it is, as we see it: 1 (informational) to 5 (critical)."""
    if severity not in ("1", "2", "3", "4", "5"):
        raise Invalid(_("This is no severity"), why=severity[:20], todo=_("Choose one of the five."))
    return _move(row, "judge", actor=actor, severity=int(severity))


def assign(row: models.Submission, *, to: str, actor: Viewer) -> models.Submission:
    """Give it to a person who triages and sees it; ``""`` gives it back."""
    return _move(row, "assign", actor=actor, **_assignee(to, row, actor))


def _owner(person: Viewer) -> dict[str, str]:
    return {"assignee": person.id, "assignee_name": person.name}


def _assignee(to: str, row: models.Submission, actor: Viewer) -> dict[str, str]:
    if not to:
        return {"assignee": "", "assignee_name": ""}
    if to == actor.id:
        return _owner(actor)
    user = people.who_may(to, TRIAGE, territory=row.territory, industry=row.industry)
    if user is None:
        raise Invalid(_("This person cannot take it"), why=_("They do not exist, or may not triage submissions of this organisation."), todo=_("Choose somebody else, or ask an administrator to grant them a role."))
    return {"assignee": str(user.pk), "assignee_name": user.name}


def by_name(verb: str, row: models.Submission, given: Mapping[str, Any], *, actor: Viewer) -> models.Submission:
    """A verb by its name, with what a form gave; raises ``Missing`` when there is none of that name."""
    text = str(given.get("text") or "")
    if spoken := next((one for one in (accept, ask, reject, mend, close, reopen, answer, note) if one.__name__ == verb), None):
        return spoken(row, text=text, actor=actor)
    match verb:
        case "start":
            return start_work(row, actor=actor)
        case "duplicate":
            return duplicate(row, of=str(given.get("of") or ""), text=text, actor=actor)
        case "judge":
            return judge(row, severity=str(given.get("severity") or ""), actor=actor)
        case "assign":
            return assign(row, to=str(given.get("to") or ""), actor=actor)
    raise Missing(_("There is no such verb"), why=verb[:40], todo=_("Go back to the submission."))


def tell_late() -> int:
    """Those who triage hear beyond the bell when a clock has run out within the last two hours, once for each clock; returns how many there are."""
    now = clock.now()
    rows = [row for row in models.Submission.objects.filter(submissions.late(now)) if row.due is not None and row.due > now - NOTICED]
    for row in rows:
        about = "mend" if row.answered else "answer"
        people_actions.reach(partial(_late, row), key=f"late:{about}:{row.pk}", permission=TRIAGE, severity=Severity.HIGH, about=row.ref, territory=row.territory, industry=row.industry)
    return len(rows)


def _late(row: models.Submission) -> str:
    return _("A submission waits longer than was promised: %(number)s") % {"number": row.number}


def show_contact(row: models.Submission, *, actor: Viewer) -> str:
    """How to reach the reporter, unsealed for whoever triages; it is on record who looked. Raises ``Conflict`` when the node's key does not open it."""
    actor.must(TRIAGE)
    if not row.contact:
        return ""
    try:
        found = people.keyring().open(row.contact, purpose=CONTACT)
    except Fault as fault:
        raise Conflict(_("The contact cannot be read on this node"), why=_("It is sealed under a key that is not the one in keys/sealing.key."), todo=_("Ask the administrator of the node to restore that file from a backup.")) from fault
    told(row, "contact_seen", actor=actor)
    return found


@transaction.atomic
def propose(row: models.Submission, *, actor: Viewer) -> models.Intake:
    """An import of what it names, waiting for a person's yes: pasted indicators first, what stands in its text is only offered. What is affected is left out."""
    actor.must(TRIAGE)
    own = {value for _kind, value in reading.values_in(row.affected)}
    own |= {host for value in own if (host := observables.host_of(value))}
    named = _lines(row.indicators, own)
    offered = [line for line in _lines(f"{row.description}\n{row.steps}", own) if line not in named]
    if not named and not offered:
        raise Invalid(_("It names nothing that could be watched for"), why=_("No address, domain, URL, hash or e-mail address stands in it, beside the affected system."), todo=_("Look into its attachments."))
    terms = Terms(SOURCE, Mark.AMBER, CONFIDENCE, 90, (SOURCE, row.number))
    made = intake.upload(row.number, f"{chr(10).join(named)}\f{chr(10).join(offered)}".encode(), form=Form.TEXT, terms=terms, actor=actor)
    told(row, "proposed", actor=actor, intake=str(made.pk), named=len(named), offered=len(offered))
    return made


def _lines(text: str, own: set[str]) -> list[str]:
    return [value for _kind, value in reading.values_in(text) if value not in own and observables.host_of(value) not in own]


@transaction.atomic
def remove_submission(row: models.Submission, *, actor: Viewer) -> None:
    """It goes with its files and everything said beside it: for rubbish, and when its time is over. The record that it was there stays."""
    actor.must("intel.submission.delete")
    told(row, "removed", actor=actor, kind=row.about, state=row.state)
    attachments.forget([row.ref])
    row.delete()


# ---- the centre ----------------------------------------------------------------------------------------------------


@transaction.atomic
def add_centre(values: Mapping[str, Any], *, actor: Viewer) -> models.Centre:
    """A response centre of the actor's organisation. Raises ``Conflict`` when it has one."""
    actor.must("intel.centre.add")
    if models.Centre.objects.filter(organisation=actor.organisation).exists():
        raise Conflict(_("Your organisation has a response centre"), todo=_("Change that one."))
    row = models.Centre.objects.create(**{name: values[name] for name in CENTRE_FIELDS if name in values}, **whose(actor))
    _told_centre(row, "added", actor, after={name: getattr(row, name) for name in CENTRE_FIELDS})
    return row


@transaction.atomic
def change_centre(row: models.Centre, values: Mapping[str, Any], *, actor: Viewer) -> models.Centre:
    """Other rules, other clocks, open or not; clocks that run keep their end."""
    actor.must("intel.centre.change")
    row = models.Centre.objects.select_for_update().get(pk=row.pk)
    before = {name: getattr(row, name) for name in CENTRE_FIELDS}
    for name in CENTRE_FIELDS:
        setattr(row, name, values.get(name, before[name]))
    if said := ledger.differing(before, {name: getattr(row, name) for name in CENTRE_FIELDS}):
        row.changed = clock.now()
        row.save()
        _told_centre(row, "changed", actor, **said)
    return row


@transaction.atomic
def remove_centre(row: models.Centre, *, actor: Viewer) -> None:
    """It goes unless something was submitted to it."""
    actor.must("intel.centre.delete")
    if models.Submission.objects.filter(centre=row).exists():
        raise Conflict(_("Submissions belong to this centre"), todo=_("Switch it off instead."))
    _told_centre(row, "removed", actor)
    row.delete()


def _told_centre(row: models.Centre, verb: str, actor: Viewer, **detail: Any) -> None:
    ledger.record(f"intel.centre_{verb}", row.ref, actor=actor, label=row.name, detail=detail, territory=row.territory, industry=row.industry)
