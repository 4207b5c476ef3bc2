"""Four layers on one page: what business systems, hosts, networks and security devices say, and their alarms in one queue."""

import json
import re

import pytest
from tests.rooms.respond.test_levels import fed, node  # noqa: F401  (a fixture)

from lianfang.commons.people import actions as people
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.lake import models as lake

pytestmark = pytest.mark.django_db(transaction=True)
LAYERS = ("business", "system", "network", "security")


@pytest.fixture
def client(node, users, tree, client_of):  # noqa: F811
    """An analyst who also keeps the sources."""
    people.grant(users.member.pk, role="operator", over=tree.harbour, actor=SYSTEM)
    client = client_of("member")
    client.cookies["django_language"] = "en"
    return client


def card(page, layer):
    """What the card of one layer says, without its tags."""
    text = re.search(rf'data-layer="{layer}">(.*?)</section>', page, re.DOTALL)[1]
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@pytest.mark.covers("XD1")
def test_all_four_layers_stand_on_the_page_with_their_sources_and_alarms_in_one_queue(node, client, client_of):  # noqa: F811
    for layer in LAYERS[:3]:
        answer = client.post("/api/lake/source/", json.dumps({"name": f"{layer}-log", "kind": "http", "layer": layer}), content_type="application/json")
        assert answer.status_code == 201, answer.content
    row = lake.Source.objects.get(name="harbour-windows")
    assert client.patch(f"/api/lake/source/{row.pk}/", json.dumps({"layer": "security"}), content_type="application/json").status_code == 200
    from tests.rooms.respond.test_whole_path import feed

    from lianfang.commons.people.queries import viewer_of

    feed(viewer_of(node), "business-log", Computer="order-gw.harbour.example")
    fed(node)
    page = client.get("/respond/layers/").content.decode()
    assert [layer for layer in LAYERS if f'data-layer="{layer}"' in page] == list(LAYERS)
    assert card(page, "business").startswith("Business Queue 1 open alarm")
    assert "1 source, 1 speaking" in card(page, "security")
    assert "0 open alarms" in card(page, "network")
    queue = page[page.index("Open alarms of all layers") :]
    assert queue.count("Somebody dumps memory") == 2, "alarms of two layers in one queue"
    assert "order-gw" in queue
    assert {one["name"] for one in client.get("/api/lake/source/?layer=network").json()["items"]} == {"network-log"}
    assert "data-layer" in client_of("outsider").get("/respond/layers/").content.decode()
    assert "Somebody dumps memory" not in client_of("outsider").get("/respond/layers/").content.decode()


def test_a_layer_that_is_none_is_refused_and_an_unassigned_source_is_shown(client):
    answer = client.post("/api/lake/source/", json.dumps({"name": "x-log", "kind": "http", "layer": "cloud"}), content_type="application/json")
    assert answer.status_code == 422
    page = client.get("/respond/layers/").content.decode()
    assert "Not assigned" in page
    assert "Assign them on the list of log sources." in page
