"""One honest try of a source: its port, its folder, its brokers, its table, its address. What happened stays on its page.

In: a source, and who asks. Out: a sentence on the source, whether it went well or not, and a record in the ledger.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from lianfang.commons.ledger import actions as ledger
from lianfang.kernel import clock
from lianfang.kernel.errors import Conflict, Fault
from lianfang.kernel.viewer import Viewer
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import asking, receiving, sources
from lianfang.rooms.lake.adapters import folder
from lianfang.rooms.lake.adapters.syslog import certificates
from lianfang.rooms.lake.types import Kind, lines_of

PATIENCE = 5.0


def try_source(row: models.Source, *, actor: Viewer) -> None:
    """Try it now, and keep what happened."""
    actor.must("lake.source.change")
    try:
        well, said = True, _TRIES.get(row.kind, _open)(row)
    except (Fault, OSError, ValueError) as error:
        well, said = False, lines_of(error)
    with transaction.atomic():
        models.Source.objects.filter(pk=row.pk).update(tried=clock.now(), tried_well=well, tried_said=said[:500])
        ledger.record("lake.source_tried", row.ref, actor=actor, label=row.name, detail={"well": well, "said": said[:500]}, territory=row.territory, industry=row.industry)


def _open(row: models.Source) -> str:
    """HTTP and files come to us: the door is open, and there is room in the spool."""
    if not row.enabled:
        return gettext("The source is paused; it takes nothing in.")
    free = receiving.LIMIT - receiving.backlog()
    return gettext("The source is open; %d MiB of the spool are free.") % (max(free, 0) >> 20)


def _port(row: models.Source) -> str:
    """Whether the port answers, by connecting to it."""
    host = row.host if row.host not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    with socket.create_connection((host, row.port or 0), timeout=PATIENCE) as plain:
        if row.kind != Kind.SYSLOG_TLS:
            return gettext("The port %d answers.") % row.port
        certificate, _ = certificates.files(Path(settings.HOME) / "keys")
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        with context.wrap_socket(plain) as secured:
            return gettext("The port %(port)d answers with the node's certificate (%(version)s).") % {"port": row.port, "version": secured.version()}


def _datagrams(row: models.Source) -> str:
    """UDP does not answer: if we can take the port ourselves, nobody listens there."""
    with socket.socket(socket.AF_INET6 if ":" in row.host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((row.host or "0.0.0.0", row.port or 0))  # noqa: S104
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return gettext("The port %d is taken, by the ingest process as far as can be seen. Send a test line to be sure.") % row.port
    raise Conflict(gettext("Nobody listens on the UDP port %d.") % row.port, todo=gettext("See whether the ingest process runs."))


def _folder(row: models.Source) -> str:
    found = list(folder.files(sources.allowed_folder(row.path), pattern=row.pattern or "*"))
    return gettext("The folder can be read: %d files fit.") % len(found)


_TRIES: dict[str, Callable[[models.Source], str]] = {
    Kind.SYSLOG_UDP: _datagrams,
    Kind.SYSLOG_TCP: _port,
    Kind.SYSLOG_TLS: _port,
    Kind.FOLDER: _folder,
    Kind.KAFKA: asking.try_kafka,
    Kind.DATABASE: asking.try_database,
    Kind.POLL: asking.try_poll,
}
