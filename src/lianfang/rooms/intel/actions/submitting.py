"""What a stranger may do at the door of a response centre: submit, look at it again, add to it. No account, no session.

In: what a form said, files, the address it came from. Out: a submission with a reference number and a secret of 256 bits,
of which the tables hold the digest alone. The secret is made of the form's own number and the node's key, so that a form
that is sent twice (a slow line, an impatient finger) gives the same submission and the same secret again.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from lianfang.commons.frame import attachments
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import actions as people
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault, Invalid
from lianfang.kernel.labels import Severity
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.intel import models
from lianfang.rooms.intel.queries import submissions
from lianfang.rooms.intel.types import Side, State
from lianfang.rooms.lake.types import Busy

SALT, CONTACT = "lianfang.intel.submission", "lianfang submission contact"
TOO_QUICK, TOO_OLD = timedelta(seconds=3), timedelta(hours=12)
"""A form is sent no sooner and no later than this after it was shown."""
HOUR = timedelta(hours=1)
EACH, ALL = 6, 120
"""Submissions an hour of one address, and of one centre."""
WORDS, MOST_WORDS = 20, 500
"""Words of a reporter an hour, and altogether, beside one submission."""
FILES, MOST_BYTES = 10, 50 << 20
"""Files of one submission at once, and bytes of all its files."""
WAITING_BYTES = 2 << 30
"""Bytes of all files of one centre that nobody has looked at yet."""
REACHED = 10
"""Submissions an hour that go out by mail or webhook: the rest waits in the list."""
LONGEST = 20_000
"""Characters of a text."""
FIELDS = ("about", "title", "affected", "description", "steps", "indicators", "claimed", "vector", "credit")
_SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_UNSEEN = re.compile(r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]|[\U000e0000-\U000e007f]")
"""Control signs, marks that turn the direction of writing, joiners that nobody sees, halves of pairs."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the reporter takes away: the number, the secret, and the files that were not taken with the reason of each."""

    number: str
    secret: str
    refused: tuple[tuple[str, str], ...] = ()


def plain(text: str) -> str:
    """A stranger's text without what nobody sees: control signs and marks of direction go, lines end in one way.

    >>> plain("pay\\u202efdp.exe\\r\\n\\x00<b>")
    'payfdp.exe\\n<b>'
    """
    return _UNSEEN.sub("", unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))).strip()


def new_form(centre: models.Centre) -> str:
    """The signed number and age of a form that is shown now."""
    return signing.dumps({"at": clock.text(clock.now()), "centre": str(centre.pk), "number": secrets.token_urlsafe(32)}, salt=SALT)


def submit(centre: models.Centre, said: Mapping[str, Any], files: Iterable[Any], *, form: str, address: str) -> Receipt:
    """Take a submission in; ``said`` are texts that ``plain`` has seen. Raises ``Invalid`` (a form that is no form of ours, too quick, too old), ``Busy`` (too many)."""
    number = _number_of(form, centre)
    secret = _secret_of(number)
    row = models.Submission.objects.filter(form=digest(number)).first() or _taken(centre, said, number, secret, address)
    return Receipt(row.number, secret, _attached(row, files))


def _number_of(form: str, centre: models.Centre) -> str:
    try:
        told = signing.loads(form, salt=SALT)
        age = clock.now() - clock.parse(told["at"])
    except (signing.BadSignature, KeyError, TypeError, Invalid) as error:
        raise _again("The form is not one of this page") from error
    if told["centre"] != str(centre.pk) or age > TOO_OLD or age < -TOO_QUICK:
        raise _again("The form was open for too long")
    if age < TOO_QUICK:
        raise Invalid("The form was sent too quickly", why="A person needs some seconds to fill it in.", todo="Wait a moment, then send it again.", retry=True)
    return str(told["number"])


def _again(what: str) -> Invalid:
    return Invalid(what, why="What you wrote is still here; files have to be chosen again.", todo="Send it again.", details={"form": "new"}, retry=True)


def digest(text: str) -> str:
    """What the tables hold of a secret: 256 random bits need no salt."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _secret_of(number: str) -> str:
    return base64.urlsafe_b64encode(salted_hmac(SALT, number, algorithm="sha256").digest()).decode().rstrip("=")


def _taken(centre: models.Centre, said: Mapping[str, Any], number: str, secret: str, address: str) -> models.Submission:
    now, origin = clock.now(), salted_hmac(f"{SALT}.origin", address, algorithm="sha256").hexdigest() if address else ""
    lately = models.Submission.objects.filter(received__gt=now - HOUR)
    if (origin and lately.filter(origin=origin).count() >= EACH) or lately.filter(centre=centre).count() >= ALL:
        raise Busy("Too many submissions came in this hour", why="What you wrote is still here; files have to be chosen again.", todo="Send it again later.", retry=True)
    contact = said["contact"]
    values = {name: said[name] for name in FIELDS}
    sealed = _sealed(contact) if contact else ""
    where = {"organisation": centre.organisation, "territory": centre.territory, "industry": centre.industry}
    until = now + timedelta(days=centre.answer_days) if centre.answer_days else None
    try:
        with transaction.atomic():
            row = models.Submission.objects.create(centre=centre, number=_reference(), contact=sealed, secret=digest(secret), form=digest(number), origin=origin, answer_by=until, received=now, heard=now, changed=now, **values, **where)
            told(row, "submitted", actor=reporter(row), kind=row.about, claimed=row.claimed)
            _rung(row, lately.filter(centre=centre).count())
    except IntegrityError:  # the same form, sent twice at once: the other was faster
        return models.Submission.objects.get(form=digest(number))
    return row


def _sealed(contact: str) -> str:
    try:
        return people.seal(contact, purpose=CONTACT)
    except Fault as fault:  # the node's key is lost: nothing that a stranger has to know
        raise Conflict("A contact cannot be kept at the moment", why="What you wrote is still here; files have to be chosen again.", todo="Leave it empty, or send it again later.", retry=True) from fault


def _reference() -> str:
    """``SRC-20261121-7K4M2Q``: the day in the node's zone, and six signs that cannot be mistaken for one another (Crockford's base 32)."""
    return f"SRC-{timezone.localtime(clock.now(), timezone.get_default_timezone()):%Y%m%d}-{''.join(secrets.choice(_SIGNS) for _sign in range(6))}"


def _rung(row: models.Submission, lately: int) -> None:
    """Those who triage hear of it beyond the bell; a flood does not fill their mailboxes. How serious it is the stranger does not decide."""
    if lately <= REACHED:
        people.reach(partial(_spoken, row), key=f"submission:{row.pk}", permission="intel.submission.triage", severity=Severity.HIGH, about=row.ref, territory=row.territory, industry=row.industry)


def _spoken(row: models.Submission) -> str:
    return _("A submission came in: %(number)s (%(kind)s)") % {"number": row.number, "kind": row.get_about_display()}


def reporter(row: models.Submission) -> Viewer:
    """Whoever holds the secret of a submission: they may add to it, and nothing else."""
    return Viewer(
        id=f"reporter:{row.pk}", name=f"reporter {row.number}", kind="reporter", organisation=row.organisation, path=row.territory, industry_path=row.industry,
        territory=(row.territory,), permissions=frozenset({"intel.submission.attach"}),
    )  # fmt: skip


def told(row: models.Submission, verb: str, *, actor: Viewer, **detail: Any) -> None:
    """One record of what was done with a submission; never its words."""
    ledger.record(f"intel.submission_{verb}", row.ref, actor=actor, label=row.number, detail=detail, territory=row.territory, industry=row.industry)


def _attached(row: models.Submission, files: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    """Keep what comes with it; what is not taken is given back with its reason, and the rest goes on."""
    refused: list[tuple[str, str]] = []
    for place, one in enumerate(files):
        name = plain(str(one.name or ""))[:200] or "file"
        try:
            if place >= FILES:
                raise Conflict(_("At most %d files are taken at once.") % FILES)
            if attachments.of(row.ref).count() >= 3 * FILES or _bytes_of(row) + (one.size or 0) > MOST_BYTES:
                raise Conflict(_("All files of a submission together may have %(size)d MB, and be %(number)d.") % {"size": MOST_BYTES >> 20, "number": 3 * FILES})
            if _waiting(row) + (one.size or 0) > WAITING_BYTES:
                raise Conflict(_("There is no room for more files at the moment."), todo=_("Add it later."))
            made = attachments.attach("intel", "submission", row.pk, one, actor=reporter(row))
        except Fault as fault:
            refused.append((name, str(fault)))
            continue
        if made.refused:
            refused.append((name, made.reason))
        models.Submission.objects.filter(pk=row.pk).update(bytes=_bytes_of(row))
    return tuple(refused)


def _bytes_of(row: models.Submission) -> int:
    return attachments.of(row.ref).exclude(digest="").aggregate(sum=Sum("size"))["sum"] or 0


def _waiting(row: models.Submission) -> int:
    return models.Submission.objects.filter(centre=row.centre_id, state=State.RECEIVED).aggregate(sum=Sum("bytes"))["sum"] or 0


# ---- afterwards, by the secret -------------------------------------------------------------------------------------


def add_word(row: models.Submission, text: str, files: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    """The reporter adds words or files; a question that waited for them is answered by that. Returns the files that were not taken."""
    text, files = plain(text), list(files)
    if not text and not files:
        raise Invalid("There is nothing to add", todo="Write something, or choose a file.")
    if len(text) > LONGEST:
        raise Invalid("The text is too long", todo="Shorten it, or attach it as a file.")
    spoken = row.remarks.filter(side=Side.REPORTER)
    if spoken.filter(written__gt=clock.now() - HOUR).count() >= WORDS or spoken.count() >= MOST_WORDS:
        raise Busy("Too much was added in this hour", todo="Try again later.", retry=True)
    with transaction.atomic():
        now = clock.now()
        if text:
            models.Remark.objects.create(submission=row, side=Side.REPORTER, text=text, written=now)
        models.Submission.objects.filter(pk=row.pk).update(heard=now, changed=now)
        back = models.Submission.objects.filter(pk=row.pk, state=State.ASKED).update(state=State.RECEIVED)
        told(row, "added_to", actor=reporter(row), characters=len(text), files=len(files), **(ledger.differing({"state": State.ASKED.value}, {"state": State.RECEIVED.value}) if back else {}))
    return _attached(row, files)


@transaction.atomic
def forget_reporter(row: models.Submission, *, actor: Viewer | None = None) -> None:
    """Forget who reported it: contact and name go; what was reported stays."""
    models.Submission.objects.filter(pk=row.pk).update(contact="", credit="", changed=clock.now())
    told(row, "reporter_forgotten", actor=actor or reporter(row))


def of_code(code: str) -> models.Submission:
    """The submission that a secret opens, also given as the whole link; raises ``Missing`` for any other."""
    return submissions.of_digest(digest(code.strip().rpartition("#")[2].rpartition(".")[2]))
