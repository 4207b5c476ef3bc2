"""Kafka as a source: messages become durable in the spool, then their offsets are committed. At least once, doubled deliveries dropped.

In: a source of the kind Kafka. Out: calls of ``receive``, each under a number made of partition and offsets. Before a
part is received its limits are noted, so that after a crash, or for the next member of the group, the same messages make
the same part under the same number, which is stored once.
"""

from __future__ import annotations

from hashlib import blake2b
from time import monotonic

from django.db import close_old_connections

from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import models
from lianfang.rooms.lake.actions import receiving, secrets
from lianfang.rooms.lake.actions.pulling import Worker
from lianfang.rooms.lake.adapters import kafka
from lianfang.rooms.lake.types import Begin, Busy, Login

WAIT = 0.5
TELL_EVERY = 5.0
MECHANISMS = {Login.SCRAM_256: "SCRAM-SHA-256", Login.SCRAM_512: "SCRAM-SHA-512"}


def settings_of(row: models.Source) -> kafka.Settings:
    """The source as Kafka needs it."""
    return kafka.Settings(row.address, row.table, row.consumer_group or f"lianfang-{row.name}", row.begin != Begin.LAST, row.user, secrets.unseal(row), MECHANISMS.get(row.login, "PLAIN"), row.tls, row.authority)


class Consume(Worker):
    """One member of the consumer group, for one source."""

    def __init__(self, row: models.Source):
        kafka.library()
        super().__init__(row)

    def work(self) -> None:
        """Read until stopped."""
        reader = kafka.Reader(settings_of(self.source))
        try:
            reader.ask()
            self.tell("")
            due = 0.0
            while not self._stop.is_set():
                reader.gather(WAIT)
                for partition, start in reader.held():
                    self._take(reader, partition, start)
                if monotonic() >= due:
                    due = monotonic() + TELL_EVERY
                    close_old_connections()
                    self._look(reader)
        finally:
            reader.close()

    def _take(self, reader: kafka.Reader, partition: int, start: int) -> None:
        """One part: note it, receive it, commit it."""
        place = blake2b(f"{reader.settings.topic}/{partition}/{reader.settings.group}".encode(), digest_size=16).hexdigest()
        position, _ = models.Position.objects.get_or_create(source_id=self.source.pk, place=place)
        pending = position.pending if position.pending.get("start") == start else {}
        part = reader.part(partition, pending.get("end"))
        if part is None:
            return
        if not pending:
            position.pending, position.changed = {"start": part.start, "end": part.end}, clock.now()
            position.save()
        if part.frames and not self._received(reader, part, key=f"{place}:{part.start}-{pending.get('end', part.end)}@{part.stamp}"):
            return
        reader.commit(part)

    def _received(self, reader: kafka.Reader, part: kafka.Part, *, key: str) -> bool:
        """Whether the part is durable; while the spool is full nothing more is fetched. ``False`` when stopped, or when the part went to another member."""
        while not self._stop.is_set():
            try:
                receiving.receive(self.source.name, part.frames, actor=SYSTEM, key=key)
                reader.go_on()
                return True
            except Busy as busy:
                reader.rest()
                if (part.partition, part.start) not in reader.held():
                    return False
                self._stop.wait(busy.retry_after / 2)
        return False

    def _look(self, reader: kafka.Reader) -> None:
        """Tell how far behind we are; after trouble ask whether it is over (``Conflict`` when not: then we begin again, later)."""
        if reader.trouble:
            self.tell(reader.trouble)
            reader.trouble = ""
            reader.ask()
        self.tell("")
        models.Source.objects.filter(pk=self.source.pk).update(behind=reader.behind())
