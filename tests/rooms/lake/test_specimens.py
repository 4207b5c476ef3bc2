"""The test button of a source: a record in the form that the source speaks comes in and is understood, whatever the form."""

from datetime import timedelta

import pytest
from django.urls import reverse

from lianfang.kernel import clock
from lianfang.rooms.lake import actions, models, queries
from lianfang.rooms.lake.types import Codec

pytestmark = pytest.mark.django_db(transaction=True)

SHIPPED = [(template.name, str(next(test for test in template.tests if "raw" in test).get("codec", "json"))) for template in queries.shipped() if any("raw" in test for test in template.tests)]


def pressed(client_of, **fields):
    """A source of these fields, its button pressed; the events that came of it."""
    actor = fields.pop("actor")
    actions.create_source("probe", actor=actor, **fields)
    client = client_of("member")
    row = models.Source.objects.get(name="probe")
    assert client.post(reverse("lake:source_list"), {"do": f"test:{row.pk}"}).status_code in (200, 302)
    actions.drain()
    assert not list(queries.reject_groups(viewer=actor)), f"{fields} does not understand its own record"
    since = clock.text(clock.now() - timedelta(minutes=10))
    return client.get(f"/api/lake/events/?filter=source:is:probe&since={since}").json()["events"]


@pytest.mark.parametrize("codec", Codec.values)
def test_every_format_gets_a_record_of_its_own(codec, client_of, viewers):
    (event,) = pressed(client_of, codec=codec, actor=viewers.member)
    assert "ianfang" in event["raw"]


@pytest.mark.parametrize(("template", "codec"), SHIPPED)
def test_a_source_that_names_a_template_gets_what_that_template_reads(template, codec, client_of, viewers):
    if codec in ("csv", "tsv"):
        pytest.skip("such a source names its columns")
    found = pressed(client_of, codec=codec, template=template, actor=viewers.member)
    assert found
    row = models.Source.objects.get(name="probe")
    assert row.events == len(found)
    assert {event["template"] for event in found if "template" in event} <= {template}


def test_a_source_with_its_own_columns_and_marks_gets_them_filled(client_of, viewers):
    (event,) = pressed(client_of, codec="csv", header="发生时间;用户;说明", encoding="gb18030", actor=viewers.member)
    assert "Lianfang test line" in event["raw"]
