"""Sources: the list, one of them with its figures and how to send to it, and a test line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Nav, page, panel, parts, said, show
from lianfang.commons.frame.sheets import Column, Sheet, Verb
from lianfang.engines.schema.events import BY_NAME
from lianfang.kernel import clock
from lianfang.kernel.errors import Missing, sentences
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.actions.noticing import WORDS
from lianfang.rooms.lake.pages import ways, wizard
from lianfang.rooms.lake.pages.asking import title
from lianfang.rooms.lake.queries.rejects import UNLEVELLED
from lianfang.rooms.lake.types import HELD, Kind, RejectGroup, Stage

REASONS = 8
SHOWN_AFTER = timedelta(days=30)
OPEN = (Kind.HTTP, Kind.UPLOAD, Kind.SAMPLE)
"""Kinds that take what is sent to them."""
TONES = {Stage.ACTIVE: "good", Stage.PAUSED: "quiet", Stage.ERASING: "warn"}


def rate(row: models.Source) -> float:
    return round(queries.rate_now(row), 1)


sheets.register(
    Sheet(
        model=models.Source,
        title=_("Log sources"),
        columns=(
            "name", "kind", "layer", Column("stage", tones=TONES), Column("rate", label=_("Events/s"), value=rate, cell="number"), "last_seen", "events", "rejects",
            Column("lag", shown=False), Column("dropped", shown=False), Column("behind", shown=False), Column("silent_since", shown=False), Column("drifting_since", shown=False), Column("bytes", cell="bytes", shown=False), Column("codec", shown=False), "note", Column("trouble", shown=False), Column("created", shown=False),
        ),
        facts=("name", "kind", "layer", "codec", Column("stage", tones=TONES), "note", "encoding", "header", "start", "zone", "template", "silent_after", "hold", "created"),
        filters=("kind", "layer", "stage", "last_seen", "silent_since", "drifting_since"),
        search=("name", "note"),
        fields=("name", "kind", *ways.OF_KIND, "layer", "note", *ways.READ, "silent_after", "hold"),
        form=ways.SourceForm,
        order="name",
        nav=Nav("logs", _("Log sources"), order=20, icon="database-import", group="sources"),
        create=actions.make_source,
        change=actions.change_source,
        remove=lambda row, *, actor: actions.erase_source(row, actor=actor),
        verbs=(
            Verb("test", _("Send a test line"), actions.send_test, permission="lake.source.change", icon="send", when=lambda row: row.enabled and row.kind not in (*ways.ASKED, Kind.DECOY)),
            Verb("try", _("Try the connection"), actions.try_source, permission="lake.source.change", icon="plug"),
            Verb("read", _("Read now"), actions.read_now, permission="lake.source.change", icon="reload", when=lambda row: row.enabled and row.kind in (Kind.DATABASE, Kind.POLL)),
            Verb("pause", pgettext_lazy("source", "Pause"), actions.pause_source, permission="lake.source.change", bulk=True, icon="player-pause", when=lambda row: row.stage == Stage.ACTIVE),
            Verb("open", pgettext_lazy("source", "Take in again"), actions.open_source, permission="lake.source.change", bulk=True, icon="player-play", when=lambda row: row.stage == Stage.PAUSED),
            Verb("renew", _("Give the script another address"), actions.renew_token, permission="lake.source.change", icon="refresh", when=lambda row: row.kind == Kind.DECOY),
        ),
        template="lake/source.html",
        about=_("Where logs come from. Deleting a source removes its events and everything that came of them."),
        poll=10,
        empty=(_("No log source yet"), _("Make one, then send logs to it over HTTP or syslog, let the node watch a folder, or upload files."), "", ""),
    )
)


@panel("lake.source.main", title=_("At this moment"), order=10)
def figures(request: HttpRequest, row: models.Source) -> str:
    """Rate, lag, rejects, and where to look."""
    context = {"row": row, "rate": rate(row), "search": f"{reverse('lake:search')}?f=source:is:{row.name}", "rejects": f"{reverse('lake:rejects')}?source={row.name}", "may_search": request.viewer.may("lake.event.view"), "chart": hour_chart(row), "trouble": lines_said(row.trouble), "tried": lines_said(row.tried_said)}  # type: ignore[attr-defined]
    return render_to_string("lake/part_figures.html", context, request=request)


@panel("lake.source.main", title=_("What could not be read"), order=15, permission="lake.reject.view")
def reasons(request: HttpRequest, row: models.Source) -> str:
    """The reasons of its rejects, the most frequent first; nothing while there are none."""
    groups = queries.reject_groups(viewer=request.viewer, source=row.name)  # type: ignore[attr-defined]
    return render_to_string("lake/part_reasons.html", {"lines": reason_lines(groups)[:REASONS], "more": len(groups) > REASONS, "all": f"{reverse('lake:rejects')}?source={row.name}"}, request=request) if groups else ""


def reason_lines(groups: Iterable[RejectGroup]) -> list[dict[str, Any]]:
    """Groups of rejects in the reader's language, each with the address of its records."""
    return [{"group": one, "kind": said(one.kind), "todo": said(one.todo), "url": f"{reverse('lake:reject')}?{urlencode({'source': one.source, 'kind': one.kind})}"} for one in groups]


def lines_said(text: str) -> str:
    """What is kept a sentence a line, in the reader's language."""
    return sentences(*(said(line) for line in text.split("\n"))) if "\n" in text else said(text)


@panel("lake.source.main", title=_("Drift"), order=5)
def drift(request: HttpRequest, row: models.Source) -> str:
    """What changed, since when, and what can be done; afterwards for a month how it ended."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    last = row.drifts.first()
    if last is None or (last.ended and clock.now() - last.ended > SHOWN_AFTER):
        return ""
    groups = queries.reject_groups(viewer=viewer, source=row.name) if viewer.may("lake.reject.view") else []
    held = sum(group.count for group in groups if group.stage == HELD)
    context = {
        "row": row, "drift": last, "changes": [change_said(one) for one in last.changes], "held": held, "going": not last.ended, "examples": last.examples[:4] if viewer.clearance >= UNLEVELLED else [],
        "may": viewer.may("lake.source.change"), "may_release": held and viewer.may("lake.reject.replay"), "rejects": f"{reverse('lake:rejects')}?source={row.name}",
    }  # fmt: skip
    return render_to_string("lake/part_drift.html", context, request=request)


def change_said(one: dict[str, Any]) -> dict[str, Any]:
    """One change in words, with the fields that are gone and new."""
    shares = {"now": round(100 * one["now"]), "before": round(100 * one["before"]), "template": one["template"], "name": title(one["name"]) if one["name"] in BY_NAME else one["name"]}
    texts = {
        "attribute": _("“%(name)s” is filled in %(now)d %% of the records, usually in %(before)d %%."), "unknown": _("No template of its own knows %(now)d %% of the records, usually %(before)d %%."),
        "rejects": _("%(now)d %% of the records cannot be read, usually %(before)d %%."), "fields": _("The records have other fields than usual (template %(template)s)."),
    }  # fmt: skip
    return {"said": texts[one["what"]] % shares, "lost": one["lost"], "fresh": one["fresh"], "sure": one["sure"]}


@page("source/<uuid:pk>/mend/", name="source_mend", permission="lake.source.change", title=_("Mend"), parent="source_list")
def mend(request: HttpRequest, pk: Any) -> HttpResponse:
    """POST: open the sample page with the records that no longer fit; or accept them; or send what was held back through again."""
    viewer: Viewer = request.viewer  # type: ignore[attr-defined]
    row = models.Source.objects.all().fetch(pk, viewer)
    back = HttpResponseRedirect(reverse("lake:source", kwargs={"pk": row.pk}))
    if request.method != "POST":
        return back
    verb = request.POST.get("do", "mend")
    if verb == "mend":
        trial = actions.open_trial(actions.content_of(row, actor=viewer), actor=viewer, name=row.name, source=row.name, setup=wizard.setup_from(row, viewer))
        return HttpResponseRedirect(reverse("lake:trial", kwargs={"pk": trial.pk}))
    count = actions.decide_drift(row.name, "accept" if verb == "accept" else "release", actor=viewer)
    messages.success(request, ngettext("%d record goes through again. If it fails again, it is listed anew.", "%d records go through again. What fails again is listed anew.", count) % count)
    return back


@page("bell/", name="bell", permission="lake.source.change")
def bell(request: HttpRequest) -> HttpResponse:
    """What happened to the sources that this person looks after and they were not told yet; 204 while all is quiet."""
    notices, count = actions.hear(request.viewer)  # type: ignore[attr-defined]
    if not notices:
        return HttpResponse(status=204)
    lines = [{"source": one.source, "text": WORDS[one.what], "moment": one.moment, "bad": one.what in ("silent", "drifted")} for one in notices]
    return show(request, "lake/bell.html", {"lines": lines, "more": count - len(lines)})


@panel("lake.source.side", title=_("How it comes in"), order=10)
def way_in(request: HttpRequest, row: models.Source) -> str:
    """The settings that only its kind has; the secret is no more than there or not."""
    names = [name for name, kinds in ways.OF_KIND.items() if row.kind in kinds and name != "authority"]
    pairs = [(models.Source._meta.get_field(name).verbose_name, _said(row, name)) for name in names]
    if row.kind in ways.ASKED:
        pairs.append((_("password or token"), _("kept sealed") if row.sealed else ""))
    return parts.facts(pairs) if pairs else ""


def _said(row: models.Source, name: str) -> Any:
    value = getattr(row, name)
    shown = getattr(row, f"get_{name}_display", None)
    return shown() if shown else (_("yes") if value else _("no")) if isinstance(value, bool) else value


def hour_chart(row: models.Source) -> dict[str, Any] | None:
    """Events per minute of the last hour; nothing while there are none."""
    minutes = queries.last_hour(row)
    if not any(one.count for one in minutes):
        return None
    names = [timezone.localtime(one.value).strftime("%H:%M") for one in minutes]
    line = {"type": "bar", "name": str(_("Events per minute")), "data": [one.count for one in minutes], "barCategoryGap": "20%"}
    return {"animation": False, "xAxis": {"type": "category", "data": names}, "yAxis": {"type": "value", "splitNumber": 2, "minInterval": 1}, "series": [line]}


@panel("lake.source.main", title=_("How to send"), order=20)
def how_to_send(request: HttpRequest, row: models.Source) -> str:
    """Lines to copy into the sender; nothing for what the node asks by itself."""
    if row.kind in ways.ASKED or row.kind == Kind.DECOY:
        return ""
    return render_to_string("lake/part_send.html", {"row": row, "snippets": snippets(request, row), "keys": _key_page(), "upload": f"{reverse('lake:upload')}?{urlencode({'source': row.name})}" if row.kind in OPEN and request.viewer.may("lake.event.add") else ""}, request=request)


def snippets(request: HttpRequest, row: models.Source) -> list[dict[str, Any]]:
    """What to write at the sender, by the kind of the source."""
    base = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
    host = request.get_host().partition(":")[0]
    if row.kind == Kind.SYSLOG_UDP:
        return [{"title": "rsyslog", "text": f'*.* action(type="omfwd" target="{host}" port="{row.port}" protocol="udp" template="RSYSLOG_SyslogProtocol23Format")'}, {"title": "logger", "text": f'logger --server {host} --port {row.port} --udp "hello"'}]
    if row.kind == Kind.SYSLOG_TCP:
        return [{"title": "rsyslog", "text": f'*.* action(type="omfwd" target="{host}" port="{row.port}" protocol="tcp" tcp_framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"\n           queue.type="linkedList" queue.filename="lianfang" queue.saveOnShutdown="on" action.resumeRetryCount="-1")'}]
    if row.kind == Kind.SYSLOG_TLS:
        return _tls(row, host)
    if row.kind == Kind.FOLDER:
        return [{"title": row.path, "text": f"cp access.log.gz {row.path}/"}]
    url = f"{base}/api/lake/ingest/{row.name}"
    head = 'curl -H "Authorization: Lianfang $KEY_ID:$KEY_SECRET" -H "Content-Type: application/x-ndjson" \\\n     '
    vector = f"[sinks.lianfang]\ntype = \"http\"\ninputs = [\"logs\"]\nuri = \"{url}\"\nencoding.codec = \"json\"\nframing.method = \"newline_delimited\"\ncompression = \"zstd\"\nrequest.headers.Authorization = \"Lianfang ${{KEY_ID}}:${{KEY_SECRET}}\""
    return [
        {"title": "curl", "text": f"{head}--data-binary @events.ndjson {url}"},
        {"title": "curl, gzip", "text": f'gzip -c events.ndjson | {head}-H "Content-Encoding: gzip" --data-binary @- {url}'},
        {"title": "Vector", "text": vector},
        {"title": str(_("Files and captures (.pcap)")), "text": f'curl -H "Authorization: Lianfang $KEY_ID:$KEY_SECRET" -F files=@capture.pcap {base}/api/lake/files/{row.name}'},
        {"title": str(_("This machine")), "text": f"lianfang ingest /var/log/app --source {row.name}"},
    ]


def _tls(row: models.Source, host: str) -> list[dict[str, Any]]:
    """For rsyslog with the OpenSSL driver: the node's certificate is known by its fingerprint, or by the file."""
    try:
        path, fingerprint = queries.certificate()
    except Missing as fault:
        return [{"title": "rsyslog", "text": str(fault)}]
    own = '\n           streamDriver.CertFile="/etc/rsyslog.d/sender.crt" streamDriver.KeyFile="/etc/rsyslog.d/sender.key"' if row.authority else ""
    rsyslog = f"""*.* action(type="omfwd" target="{host}" port="{row.port}" protocol="tcp" tcp_framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"
           streamDriver="ossl" streamDriverMode="1" streamDriverAuthMode="x509/fingerprint" StreamDriverPermittedPeers="SHA256:{fingerprint}"{own}
           queue.type="linkedList" queue.filename="lianfang" queue.saveOnShutdown="on" action.resumeRetryCount="-1")"""
    return [
        {"title": "rsyslog", "text": rsyslog},
        {"title": str(_("The node's certificate")), "text": f"{path}\nSHA-256 {fingerprint}"},
        {"title": str(_("Try it")), "text": f'echo "<14>1 - - test - - - hello" | openssl s_client -quiet -connect {host}:{row.port}'},
    ]


def _key_page() -> str:
    try:
        return reverse("people:key_list")
    except NoReverseMatch:
        return ""
