"""Archives of protected levels are encrypted: whoever takes a copy of the disk reads nothing, whoever may brings them back, whatever key is in use by then."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.rooms.kept import everything
from tests.rooms.lake.conftest import cleared, sysmon
from tests.rooms.standards.test_life import TABLE, approved, asked

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.people import actions as people_actions
from lianfang.commons.people import queries as people
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake.actions import keeping
from lianfang.rooms.lake.queries import places
from lianfang.rooms.standards import models

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "net use x: /user:admin password=Hunter-22"


@pytest.fixture
def events(put):
    """Three events of five days ago, one of level 4 among them."""
    then = datetime.now(UTC) - timedelta(days=5)
    put(sysmon(1, at=then), sysmon(2, at=then, CommandLine=SECRET), sysmon(3, at=then))


def seal(client, level):
    assert client.post("/lake/protection/", {"level": level, "hours": 24, "reads": 0, "exports": 0, "seal": "on"}).status_code == 302


def archived(home, row):
    return b"\n".join(path.read_bytes() for path in (home / "archive" / str(row.pk)).iterdir())


def found(client):
    events = client.get("/api/lake/events/", {"filter": "process_cmd:contains:hunter", "since": (datetime.now(UTC) - timedelta(days=7)).isoformat()}).json()["events"]
    return [event["process_cmd"] for event in events]


def brought_back(browser, archive):
    assert browser("member").post(f"/standards/disposal/{archive.pk}/restore/", {"reason": "an inquiry"}).status_code == 302
    row = models.Disposal.objects.latest("asked")
    approved(browser("second"), row)
    return row


@pytest.mark.covers("XA8")
@pytest.mark.parametrize("stored_encrypted", [False, True])
def test_a_copy_of_the_disk_tells_nothing_of_the_archive_and_who_may_brings_it_back(put, browser, users, home, stored_encrypted):
    cleared(users.member)
    if stored_encrypted:
        seal(browser("member"), 4)
    then = datetime.now(UTC) - timedelta(days=5)
    put(sysmon(1, at=then), sysmon(2, at=then, CommandLine=SECRET), sysmon(3, at=then))
    assert found(browser("member")) == [SECRET]
    archive = asked(browser("member"), "archive")
    approved(browser("second"), archive)
    assert (archive.state, archive.rows, archive.result["encrypted"]) == ("done", 3, True)
    content = archived(home, archive)
    assert not [word for word in (b"Hunter", b"whoami", b"harbour.example", b"PAR1") if word in content]
    assert SECRET not in json.dumps(archive.result)
    assert "Its files are encrypted" in browser("member").get(f"/standards/disposal/{archive.pk}/certificate/").content.decode()
    assert "Files encrypted" in browser("member").get(f"/standards/disposal/{archive.pk}/").content.decode()
    ended = asked(browser("member"), "destroy")
    approved(browser("second"), ended)
    assert ended.result["tables"][TABLE]["fingerprint"] == archive.result["tables"][TABLE]["fingerprint"], "what was destroyed is what was archived"
    assert found(browser("member")) == []
    people_actions.rotate_key(actor=SYSTEM)
    assert {one.number: {thing.kind: thing.count for thing in one.things} for one in people.key_generations()}[1]["lake.archive"] == 1
    jobs.work(once=True)
    keeping.do_chores(places.store())
    assert archived(home, archive) != content
    assert {one.number: one.count for one in people.key_generations()}[1] == 0
    people.sealing_file(1).unlink()
    assert brought_back(browser, archive).rows == 3
    assert found(browser("member")) == [SECRET]
    if stored_encrypted:
        assert b"hunter-22" not in everything(home / "lake"), "what comes back lies sealed as what came in"
    assert brought_back(browser, archive).rows == 0


def test_an_archive_whose_key_is_lost_or_whose_file_was_touched_is_not_brought_back(events, browser, home):
    archive = asked(browser("member"), "archive")
    approved(browser("second"), archive)
    key, file = people.sealing_file(1), home / "archive" / str(archive.pk) / archive.result["tables"][TABLE]["file"]
    kept, content = key.read_text(), file.read_bytes()
    key.unlink()
    browser("member").post(f"/standards/disposal/{archive.pk}/restore/", {"reason": "an inquiry"})
    row = models.Disposal.objects.latest("asked")
    answer = browser("second").post(f"/api/standards/disposal/{row.pk}/approve/")
    assert (answer.status_code, "has no key for it" in answer.json()["why"]) == (409, True)
    key.write_text(kept)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert browser("second").post(f"/api/standards/disposal/{row.pk}/approve/").status_code == 409
    file.write_bytes(content)
    assert browser("second").post(f"/api/standards/disposal/{row.pk}/approve/").status_code in (200, 204)
