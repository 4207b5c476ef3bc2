"""What the node finds out about itself is an alert as any other."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.respond import models

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def role():
    return "administrator"


def browser(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["django_language"] = "en"
    return client


def test_whoever_reads_more_than_is_allowed_becomes_an_alert_at_once(three, organisations):
    """The answer is stopped; whoever is on duty finds an alert with the name, and the way to the page that releases."""
    member = three.users.member
    lake.ensure_source("edge", kind="http", codec="lines", actor=viewer_of(member))
    lines = [f"{clock.now() - timedelta(minutes=1):%Y-%m-%d %H:%M:%S} INFO order {n} of client {n}" for n in range(5)]
    assert browser(member).post("/api/lake/ingest/edge", data="\n".join(lines), content_type="text/plain").status_code in (202, 403)
    lake.receive("edge", [line.encode() for line in lines], actor=viewer_of(member))
    lake.drain()
    assert browser(member).post("/lake/protection/", {"level": 2, "hours": 24, "reads": 3, "exports": 0}).status_code == 302
    assert browser(member).get("/api/lake/events/").status_code == 403
    jobs.work(once=True)
    jobs.work(once=True)
    alert = models.Alert.objects.get()
    assert alert.title == "Member was stopped at a limit: 3 rows of level 2 and above in an hour"
    assert alert.entities["users"] == ["Member"]
    leader = browser(three.person("leader", organisations.harbour, "duty_leader"))
    page = leader.get(reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode()
    assert "Member was stopped" in page
    auditing = browser(three.person("both", organisations.harbour, "administrator")).get(reverse("respond:alert", kwargs={"pk": alert.pk})).content.decode()
    assert reverse("lake:reading") in auditing
    assert browser(three.users.outsider).get(reverse("respond:alert", kwargs={"pk": alert.pk})).status_code == 404
    jobs.work(once=True)
    assert models.Alert.objects.get().count == 1
