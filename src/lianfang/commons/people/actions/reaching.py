"""Reaching people who are not at the screen: what the bell tells also goes out by mail or to a webhook, as each person chose.

In: what happened, whose it is, who may know. Out: one job for each way to each person, in the caller's transaction; what the
other side refuses is tried again by jobs, at last after hours. Mail goes through Django's backend (``LIANFANG_SMTP``); a webhook is
a POST of JSON to an address that begins as ``LIANFANG_WEBHOOKS`` allows, so that nobody reaches through the node what
they cannot reach themselves.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from lianfang.commons.frame.queries import path_of
from lianfang.commons.jobs import actions as jobs
from lianfang.commons.ledger import actions as ledger
from lianfang.commons.people import models, queries
from lianfang.commons.people.actions.sealing import seal
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Invalid
from lianfang.kernel.ref import Ref
from lianfang.kernel.viewer import Viewer

PURPOSE = "people.reach"
PATIENCE = 15.0
MAIL, WEBHOOK = "mail", "webhook"


@transaction.atomic
def choose_reach(user: models.User, *, mail: bool, webhook: str | None, least: int, actor: Viewer) -> models.Reach:
    """How ``user`` is told from now on. ``webhook``: an address, ``""`` for none, ``None``: as it was."""
    row = models.Reach.objects.filter(user=user).first() or models.Reach(user=user)
    if mail and settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        raise Invalid(_("This node sends no mail"), why=_("No mail server is set."), todo=_("Ask whoever runs the node for LIANFANG_SMTP."), details={"mail": [_("This node sends no mail.")]})
    if mail and not user.email:
        raise Invalid(_("There is no address to write to"), todo=_("Write your email address first."), details={"mail": [_("Write your email address first.")]})
    if webhook is not None:
        row.webhook, row.place = (seal(_allowed(webhook), purpose=PURPOSE), urlsplit(webhook).hostname or "") if webhook else ("", "")
    row.mail, row.least, row.changed, row.failed = mail, least, clock.now(), ""
    row.save()
    ledger.record("people.reach_chosen", user.ref, actor=actor, label=user.username, detail={"mail": mail, "webhook": row.place, "least": least}, territory=user.territory, industry=user.industry)
    return row


def _allowed(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or not any(_begins(address, allowed) for allowed in settings.WEBHOOKS):
        said = _("This address is not allowed. The node sends to addresses that begin with: %(all)s") % {"all": " ".join(settings.WEBHOOKS) or "–"}
        raise Invalid(_("The webhook cannot be used"), why=said, todo=_("Ask whoever runs the node for LIANFANG_WEBHOOKS."), details={"webhook": [said]})
    return address


def _begins(address: str, allowed: str) -> bool:
    """Whether an address lies below an allowed one; ``https://a.example`` does not allow ``https://a.example.org``.

    >>> [_begins(one, "https://a.example/hook") for one in ("https://a.example/hook?key=1", "https://a.example/hooks", "https://a.example.org/hook")]
    [True, False, False]
    """
    return address == allowed or address.startswith(allowed if allowed.endswith("/") else (f"{allowed}/", f"{allowed}?"))


def reach(speak: Callable[[], str], *, key: str, permission: str, severity: int, about: Ref | None = None, territory: str = "", industry: str = "") -> int:
    """Tell everybody who wants to know, holds ``permission`` and sees these paths; returns how many messages go out.

    ``speak`` says it in one line, in the language of the moment; ``about``: the thing whose page is named with it; ``key``
    names what happened: told once to each.
    """
    told = 0
    for row in models.Reach.objects.filter(least__lte=severity, user__is_active=True).select_related("user"):
        viewer = queries.viewer_of(row.user)
        if viewer.may(permission) and viewer.sees(territory, industry):
            with override(row.user.language):
                text = speak()[:500]
            for way in (*((MAIL,) if row.mail and row.user.email else ()), *((WEBHOOK,) if row.webhook else ())):
                jobs.enqueue("people.send_notice", {"reach": str(row.pk), "way": way, "text": text, "about": str(about or ""), "severity": severity}, key=f"reach:{key}:{row.pk.hex}:{way}"[:190])
                told += 1
    return told


def send_notice(reach: str, way: str, text: str, about: str, severity: int) -> None:
    """One message by one way. Raises ``Conflict`` to be tried again when the other side does not take it."""
    row = models.Reach.objects.filter(pk=reach).select_related("user").first()
    if row is None or not row.user.is_active or (way == MAIL and not (row.mail and row.user.email)) or (way == WEBHOOK and not row.webhook):
        return  # chosen otherwise since
    path = path_of(Ref.parse(about)) if settings.PUBLIC_URL and about else ""
    link = f"{settings.PUBLIC_URL.rstrip('/')}{path}" if path else ""
    try:
        if way == MAIL:
            EmailMessage(subject=f"[{settings.NODE_NAME}] {text}"[:200].replace("\n", " "), body="\n\n".join(part for part in (text, link) if part), to=[row.user.email]).send()
        else:
            _post(queries.keyring().open(row.webhook, purpose=PURPOSE), {"node": settings.NODE_NAME, "text": {"content": " ".join(part for part in (text, link) if part)}, "msgtype": "text", "url": link, "severity": severity, "time": clock.text(clock.now())})
    except (OSError, http.client.HTTPException, Conflict) as error:
        models.Reach.objects.filter(pk=row.pk).update(failed=f"{way}: {error}"[:300])
        raise Conflict("The notice was not taken", why=str(error)[:300], todo="It is tried again by itself.", retry=True) from error
    models.Reach.objects.filter(pk=row.pk).update(sent=clock.now(), failed="")


def _post(address: str, body: dict[str, Any]) -> None:
    """POST without following anywhere; any answer but 2xx is a refusal."""
    parts = urlsplit(_allowed(address))
    made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    line = made(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        line.request("POST", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", body=json.dumps(body, ensure_ascii=False).encode(), headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": "Lianfang"})
        status = line.getresponse().status
    finally:
        line.close()
    if not 200 <= status < 300:
        raise Conflict(f"HTTP {status}")

