"""Kafka as a source: on librdkafka's own mock cluster, and on a real broker in ``make test-all``."""

import json
import os
import time

import pytest
from tests.patience import wait_for
from tests.rooms.lake.conftest import doors, sysmon
from tests.rooms.lake.test_crashing import mortal

from lianfang.rooms.lake import actions, models
from lianfang.rooms.lake.actions import listening, receiving
from lianfang.rooms.lake.adapters import kafka

confluent = pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.django_db(transaction=True)
BROKER = 30.0
"""Seconds: a broker takes longer than a socket."""


class Cluster:
    """Brokers, and a producer to fill their topics."""

    def __init__(self, brokers=""):
        self.mock = not brokers
        self._producer = confluent.Producer({"bootstrap.servers": brokers} if brokers else {"bootstrap.servers": "mock:1", "test.mock.num.brokers": 1, "log_level": 0})
        self.brokers = brokers or ",".join(f"{one.host}:{one.port}" for one in self._producer.list_topics(timeout=10).brokers.values())

    def make(self, topic, partitions):
        """A topic with so many partitions; the mock makes topics by itself, of four."""
        from confluent_kafka.admin import AdminClient, NewTopic

        if not self.mock:
            admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})  # kept: what is asked of a client that is gone is given up
            (done,) = admin.create_topics([NewTopic(topic, partitions, 1)], request_timeout=60).values()
            done.result(60)
        wait_for(lambda: len(self._producer.list_topics(topic, timeout=10).topics[topic].partitions) == partitions, BROKER)

    def send(self, topic, numbers, partition=0, make=sysmon):
        for n in numbers:
            self._producer.produce(topic, json.dumps(make(n)).encode(), partition=partition)
        assert self._producer.flush(20) == 0


@pytest.fixture(params=["mock", pytest.param("real", marks=pytest.mark.realparts)])
def cluster(request):
    brokers = os.environ.get("LIANFANG_KAFKA", "") if request.param == "real" else ""
    if request.param == "real" and not brokers:
        pytest.skip("LIANFANG_KAFKA names no broker")
    return Cluster(brokers)


@pytest.fixture
def topic(request):
    return f"logs-{os.urandom(4).hex()}"


def made(cluster, topic, viewers, **more):
    actions.create_source("bus", kind="kafka", codec="json", address=cluster.brokers, table=topic, actor=viewers.member, **more)
    return models.Source.objects.get(name="bus")


def stored() -> list[str]:
    receiving.seal()
    actions.drain()
    return models.Source.objects.get(name="bus").events


def test_messages_are_stored_once_and_their_offsets_committed_after_they_are_durable(cluster, topic, viewers, all_events, monkeypatch):
    cluster.send(topic, range(1, 21))
    row = made(cluster, topic, viewers)
    order, real_receive, real_commit = [], receiving.receive, kafka.Reader.commit
    monkeypatch.setattr(receiving, "receive", lambda *args, **more: (real_receive(*args, **more), order.append("received"))[0])
    monkeypatch.setattr(kafka.Reader, "commit", lambda self, part: (order.append("committed"), real_commit(self, part))[1])
    with doors():
        wait_for(lambda: "committed" in order, BROKER)
        cluster.send(topic, range(21, 26))
        wait_for(lambda: order.count("committed") >= 2, BROKER)
        wait_for(lambda: models.Source.objects.get(pk=row.pk).behind == 0, BROKER)
    assert order == ["received", "committed"] * (len(order) // 2)
    assert stored() == 25
    assert sorted(int(event["host"][3:5]) for event in all_events()) == list(range(1, 26))
    row.refresh_from_db()
    assert row.trouble == ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_receiving_loses_and_doubles_nothing(topic, viewers, monkeypatch, moment):
    """The second life reads more at once than the first: what the first had noted makes its own part again."""
    cluster = Cluster()
    cluster.send(topic, range(1, 11))
    monkeypatch.setattr(kafka, "SESSION", 6000)
    row = made(cluster, topic, viewers)
    monkeypatch.setattr(kafka.Reader, "commit", lambda self, part: (_ for _ in ()).throw(SystemExit))
    if moment == "before":
        monkeypatch.setattr(receiving, "receive", lambda *args, **more: (_ for _ in ()).throw(SystemExit))
    door = listening._open(row)
    door._thread.join(30)
    monkeypatch.undo()
    assert not door._thread.is_alive()
    monkeypatch.setattr(kafka, "SESSION", 6000)
    position = models.Position.objects.get()
    assert position.pending["start"] == 0
    cluster.send(topic, range(11, 31))
    with doors():
        wait_for(lambda: models.Position.objects.get().pending.get("end") == 30, 60)
        wait_for(lambda: models.Source.objects.get(pk=row.pk).behind == 0, BROKER)
    assert stored() == 30


def test_several_ingest_processes_share_the_partitions_and_a_killed_one_loses_and_doubles_nothing(cluster, topic, tmp_path):
    """Members of one group read four partitions while one after the other is killed; each message is stored once."""
    victims = (2,) if cluster.mock else (2, 3, 1)
    of = max(2, len(victims))
    assert mortal(tmp_path, "init").wait(60) == 0
    cluster.make(topic, 4)
    assert mortal(tmp_path, "kafka", cluster.brokers, topic).wait(60) == 0
    members = {number: mortal(tmp_path, "ingest", f"{number}/{of}") for number in range(1, of + 1)}
    for member in members.values():
        assert member.stdout.readline() == "up\n"
    asker = confluent.Consumer({"bootstrap.servers": cluster.brokers, "group.id": "lianfang-bus", "log_level": 0})
    sent = 0
    for victim in victims:
        for partition in range(4):
            cluster.send(topic, range(sent, sent + 50), partition, make=numbered)
            sent += 50
        wait_for(lambda: committed(asker, topic) > sent - 200, 60)  # while the others are at work
        members[victim].kill()
        members[victim].wait()
        members[victim] = mortal(tmp_path, "ingest", f"{victim}/{of}")
    wait_for(lambda: committed(asker, topic) == sent, 90)
    asker.close()
    for member in members.values():
        member.terminate()
        member.wait(60)
    check = mortal(tmp_path, "verify", "bus")
    held = json.loads(check.communicate(timeout=120)[0])
    assert sorted(n for _, n, _ in held["events"]) == list(range(sent))
    assert held["rejects"] == []
    assert held["counted"] == sent


def numbered(n):
    return {"n": n, "who": "bus", "Channel": "Security", "EventID": 4624, "Computer": f"h{n % 9}"}


def committed(asker, topic):
    """How many messages the group says are safe; none while the broker cannot say (the group is being shared out anew)."""
    try:
        return sum(max(0, one.offset) for one in asker.committed([confluent.TopicPartition(topic, number) for number in range(4)], timeout=10))
    except confluent.KafkaException:
        return 0


def test_a_broker_that_is_away_is_told_and_found_again(topic, viewers, monkeypatch):
    cluster = Cluster()
    cluster.send(topic, range(3))
    row = made(cluster, topic, viewers)
    models.Source.objects.filter(pk=row.pk).update(address="127.0.0.1:1")
    monkeypatch.setattr(kafka, "PATIENCE", 0.5)
    with doors():
        wait_for(lambda: "No Kafka broker answers" in models.Source.objects.get(pk=row.pk).trouble, BROKER)
        models.Source.objects.filter(pk=row.pk).update(address=cluster.brokers)
        wait_for(lambda: models.Source.objects.get(pk=row.pk).trouble == "", BROKER)
        wait_for(lambda: models.Position.objects.exists(), BROKER)
        wait_for(lambda: models.Source.objects.get(pk=row.pk).behind == 0, BROKER)
    assert stored() == 3


def test_a_full_spool_holds_the_topic_back(topic, viewers, monkeypatch):
    cluster = Cluster()
    cluster.send(topic, range(1, 6))
    row = made(cluster, topic, viewers)
    limit = receiving.spool().limit
    monkeypatch.setattr(receiving.spool(), "limit", 10)
    with doors():
        wait_for(lambda: models.Position.objects.exists(), BROKER)
        time.sleep(1.5)
        assert models.Source.objects.get(pk=row.pk).trouble == ""
        monkeypatch.setattr(receiving.spool(), "limit", limit)
        wait_for(lambda: models.Source.objects.get(pk=row.pk).behind == 0, BROKER)
    assert stored() == 5


def test_a_node_without_the_library_says_how_to_get_it(topic, viewers, monkeypatch):
    made(SimpleBrokers, topic, viewers)

    def missing(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(kafka, "import_module", missing)
    with doors():
        wait_for(lambda: "uv sync --extra kafka" in models.Source.objects.get().trouble, BROKER)


class SimpleBrokers:
    brokers = "127.0.0.1:1"
