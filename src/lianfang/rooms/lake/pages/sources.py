"""Sources: the list, one of them with its figures and how to send to it, and a test line."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from lianfang.commons.frame import sheets
from lianfang.commons.frame.pages import Nav, panel, parts
from lianfang.commons.frame.sheets import Column, Sheet, Verb
from lianfang.kernel.errors import Missing
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.pages import ways
from lianfang.rooms.lake.types import Kind, Stage

TONES = {Stage.ACTIVE: "good", Stage.PAUSED: "quiet", Stage.ERASING: "warn"}


def rate(row: models.Source) -> float:
    return round(queries.rate_now(row), 1)


sheets.register(
    Sheet(
        model=models.Source,
        title=_("Log sources"),
        columns=(
            "name", "kind", Column("stage", tones=TONES), Column("rate", label=_("Events/s"), value=rate, cell="number"), "last_seen", "events", "rejects",
            Column("lag", shown=False), Column("dropped", shown=False), Column("behind", shown=False), Column("silent_since", shown=False), Column("bytes", cell="bytes", shown=False), Column("codec", shown=False), "note", Column("trouble", shown=False), Column("created", shown=False),
        ),
        facts=("name", "kind", "codec", Column("stage", tones=TONES), "note", "encoding", "header", "start", "zone", "template", "silent_after", "created"),
        filters=("kind", "stage", "last_seen", "silent_since"),
        search=("name", "note"),
        fields=("name", "kind", *ways.OF_KIND, "note", *ways.READ, "silent_after"),
        form=ways.SourceForm,
        order="name",
        nav=Nav("operations", _("Log sources"), order=20, icon="database-import"),
        create=actions.make_source,
        change=actions.change_source,
        remove=lambda row, *, actor: actions.erase_source(row, actor=actor),
        verbs=(
            Verb("test", _("Send a test line"), actions.send_test, permission="lake.source.change", icon="send", when=lambda row: row.enabled and row.kind not in ways.ASKED),
            Verb("try", _("Try the connection"), actions.try_source, permission="lake.source.change", icon="plug"),
            Verb("pause", pgettext_lazy("source", "Pause"), actions.pause_source, permission="lake.source.change", bulk=True, icon="player-pause", when=lambda row: row.stage == Stage.ACTIVE),
            Verb("open", pgettext_lazy("source", "Take in again"), actions.open_source, permission="lake.source.change", bulk=True, icon="player-play", when=lambda row: row.stage == Stage.PAUSED),
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
    context = {"row": row, "rate": rate(row), "search": f"{reverse('lake:search')}?f=source:is:{row.name}", "rejects": f"{reverse('lake:rejects')}?source={row.name}", "may_search": request.viewer.may("lake.event.view"), "chart": hour_chart(row)}  # type: ignore[attr-defined]
    return render_to_string("lake/part_figures.html", context, request=request)


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
    if row.kind in ways.ASKED:
        return ""
    return render_to_string("lake/part_send.html", {"row": row, "snippets": snippets(request, row), "keys": _key_page()}, request=request)


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
