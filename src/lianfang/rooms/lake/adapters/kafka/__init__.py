"""Kafka: messages of one topic as one member of a consumer group, through librdkafka (confluent_kafka).

In: brokers, a topic, a group. Out: messages by partition, in order; offsets are committed when the caller says so, never
before. librdkafka finds brokers that were away by itself, waiting longer each time; what troubles it is kept in
``trouble``. A node without the library says how to get it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from lianfang.kernel.errors import Conflict, Invalid

MOST = 2000
PART_BYTES = 2 << 20
HELD_KB = 16_384
PATIENCE = 5.0
SESSION = 10_000
"""Milliseconds after which the group gives a silent member's partitions to another."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the messages are, and who reads them. ``mechanism`` is a SASL name, used when there is a user."""

    brokers: str
    topic: str
    group: str
    first: bool = True
    user: str = ""
    secret: str = field(default="", repr=False)
    mechanism: str = "PLAIN"
    tls: bool = False
    authority: str = ""

    def config(self) -> dict[str, Any]:
        """What librdkafka wants to hear."""
        said: dict[str, Any] = {"bootstrap.servers": self.brokers, "client.id": "lianfang", "security.protocol": ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")}
        if self.user:
            said |= {"sasl.mechanism": self.mechanism, "sasl.username": self.user, "sasl.password": self.secret}
        if self.tls and self.authority:
            said["ssl.ca.pem"] = self.authority
        return said | {"reconnect.backoff.ms": 200, "reconnect.backoff.max.ms": 30_000, "socket.connection.setup.timeout.ms": 10_000, "log_level": 0}


@dataclass(frozen=True, slots=True)
class Part:
    """Messages of one partition, in order; ``end`` is the offset after the last, ``stamp`` the first one's time in milliseconds."""

    partition: int
    start: int
    end: int
    stamp: int
    frames: list[bytes]


def library() -> ModuleType:
    """confluent_kafka; raises ``Conflict`` where it is not installed."""
    try:
        return import_module("confluent_kafka")
    except ImportError as error:
        raise Conflict("This node cannot read Kafka", why=f"confluent-kafka is not installed: {error}", todo="Install it on the node: uv sync --extra kafka (or pip install confluent-kafka), then start the node again.") from error


def partitions(settings: Settings) -> int:
    """How many partitions the topic has; raises ``Conflict`` when no broker answers, or there is no such topic."""
    kafka = library()
    consumer = kafka.Consumer(settings.config() | {"group.id": f"{settings.group}-try"})
    try:
        return _partitions(kafka, consumer, settings.topic)
    finally:
        consumer.close()


def _partitions(kafka: ModuleType, consumer: Any, topic: str) -> int:
    try:
        found = consumer.list_topics(topic, timeout=PATIENCE).topics[topic]
    except kafka.KafkaException as error:
        raise Conflict("No Kafka broker answers", why=error.args[0].str(), todo="Check the address, the network and the login; it is tried again.", retry=True) from error
    if found.error is not None or not found.partitions:
        raise Conflict(f"There is no topic {topic}", why=found.error.str() if found.error else "It has no partitions.", todo="Make the topic, or mend its name; it is tried again.", retry=True)
    return len(found.partitions)


class Reader:
    """One member of the group. Not for two threads at once."""

    def __init__(self, settings: Settings):
        self.settings, self._kafka = settings, library()
        self.trouble = ""
        self._held: dict[int, list[Any]] = defaultdict(list)
        self._at_end: set[int] = set()
        self._done: dict[int, int] = {}
        more = {"group.id": settings.group, "auto.offset.reset": "earliest" if settings.first else "latest", "enable.auto.commit": False, "enable.partition.eof": True, "session.timeout.ms": SESSION, "queued.max.messages.kbytes": HELD_KB, "error_cb": self._fault}
        try:
            self._consumer = self._kafka.Consumer(settings.config() | more)
        except (self._kafka.KafkaException, ValueError, TypeError) as error:
            raise Invalid("Kafka cannot be read with these settings", why=str(error), todo="Mend them on the source's page.") from error
        self._consumer.subscribe([settings.topic], on_revoke=self._let_go, on_lost=self._let_go)

    def close(self) -> None:
        """Leave the group; what is held and not committed goes to another member."""
        self._consumer.close()

    def gather(self, seconds: float) -> None:
        """Hold what arrives within ``seconds``."""
        for message in self._consumer.consume(MOST, seconds):
            error = message.error()
            if error is None:
                self._held[message.partition()].append(message)
                self._at_end.discard(message.partition())
            elif error.code() == self._kafka.KafkaError._PARTITION_EOF:
                self._at_end.add(message.partition())
            else:
                self.trouble = error.str()

    def held(self) -> list[tuple[int, int]]:
        """(partition, first offset) of what is held."""
        return [(partition, messages[0].offset()) for partition, messages in sorted(self._held.items()) if messages]

    def part(self, partition: int, until: int | None = None) -> Part | None:
        """The next messages of a partition, still held; with ``until`` exactly those before that offset, or ``None`` while they have not all arrived."""
        taken, size = [], 0
        for message in self._held[partition]:
            if (until is not None and message.offset() >= until) or (until is None and (len(taken) >= MOST or size >= PART_BYTES)):
                break
            taken.append(message)
            size += len(message.value() or b"")
        whole = until is None or len(taken) < len(self._held[partition]) or taken[-1].offset() + 1 >= until or partition in self._at_end
        if not taken or not whole:
            return None
        frames = [value for message in taken if (value := message.value())]
        return Part(partition, taken[0].offset(), taken[-1].offset() + 1, taken[0].timestamp()[1], frames)

    def commit(self, part: Part) -> None:
        """Tell the group how far we are, and let the part go. A group that has moved on meanwhile gives it to another member: no harm."""
        self._held[part.partition] = [message for message in self._held[part.partition] if message.offset() >= part.end]
        self._done[part.partition] = part.end
        try:
            self._consumer.commit(offsets=[self._kafka.TopicPartition(self.settings.topic, part.partition, part.end)], asynchronous=False)
        except self._kafka.KafkaException as error:
            self.trouble = error.args[0].str()

    def rest(self) -> None:
        """Fetch nothing more for the moment, and stay a member."""
        assigned = self._consumer.assignment()
        self._consumer.pause(assigned)
        self.gather(0.0)

    def go_on(self) -> None:
        """Fetch again."""
        self._consumer.resume(self._consumer.assignment())

    def behind(self) -> int | None:
        """Messages of our partitions that are not committed yet; ``None`` while the brokers have not said."""
        ours = self._consumer.assignment()
        found = [self._behind(one) for one in ours]
        return None if not ours or None in found else sum(number for number in found if number)

    def _behind(self, one: Any) -> int | None:
        held = self._held[one.partition]
        if not held and one.partition in self._at_end:
            return 0
        at = held[0].offset() if held else self._done.get(one.partition)
        low, high = self._consumer.get_watermark_offsets(one, cached=True)
        return None if at is None or high < 0 else max(0, high - max(low, at))

    def ask(self) -> None:
        """Whether brokers and topic are there; raises ``Conflict``."""
        _partitions(self._kafka, self._consumer, self.settings.topic)

    def _let_go(self, consumer: Any, lost: list[Any]) -> None:
        for one in lost:
            self._held.pop(one.partition, None)
            self._done.pop(one.partition, None)

    def _fault(self, error: Any) -> None:
        self.trouble = error.str()
