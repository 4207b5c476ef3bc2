"""A capture made fit for sharing, as people do it: a file in, a copy out, and nobody's address in it."""

import json
from hashlib import sha256
from io import BytesIO

import pytest
from tests.engines.connect import packets

from lianfang.commons.ledger.models import Record
from lianfang.engines.connect import captures, files
from lianfang.rooms.lake import actions, models

pytestmark = pytest.mark.django_db(transaction=True)


def _capture(content, name="case.pcap"):
    file = BytesIO(content)
    file.name = name
    return file


def _copy(client, content, **more):
    answer = client.post("/api/lake/captures/share", {"file": _capture(content), **more})
    return answer, b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.covers("Q11")
def test_a_capture_is_shared_without_addresses_and_without_what_was_said(client_of):
    content = packets.pcapng(packets.office(1795161600.5))
    client = client_of("member")
    client.cookies["django_language"] = "en"
    assert "address-pseudonyms" in client.get("/lake/capture/").content.decode()
    answer = client.post("/lake/capture/", {"file": _capture(content, "case.pcapng"), "rule": "address-pseudonyms"})
    copy = b"".join(answer.streaming_content)
    assert (answer.status_code, answer["Content-Disposition"], answer["X-Capture-Packets"], answer["X-Capture-Whole"]) == (200, 'attachment; filename="case-shared.pcapng"', str(len(packets.office(0))), "yes")
    for said in (b"bad", b"curl", b"gate.php", bytes((10, 0, 0, 9)), bytes((198, 51, 100, 1))):
        assert said in content
        assert said not in copy
    record = Record.objects.get(verb="lake.capture_shared")
    told = json.loads(record.detail)
    assert (record.label, told["rule"], told["sha256"], told["whole"]) == ("case.pcapng", "address-pseudonyms", sha256(copy).hexdigest(), True)
    assert "10.0.0.9" not in record.detail
    assert _copy(client, content)[1] == copy, "the same stand-ins each time"


def test_the_rule_of_an_organisation_decides_what_stands_for_an_address(client_of, viewers):
    actions.create_mask({"name": "networks", "way": "in", "columns": "src_ip", "verb": "truncate", "form": "ip", "spare": "198.51.100.1"}, actor=viewers.member)
    rule = str(models.MaskRule.objects.get(name="networks").pk)
    content = packets.pcap([packets.datagram(1795161600.5, ("10.0.0.9", 40000), ("198.51.100.1", 53), b"secret")])
    answer, copy = _copy(client_of("member"), content, rule=rule)
    assert (answer.status_code, copy[24 + 16 + 26 :][:8]) == (200, bytes((10, 0, 0, 0, 198, 51, 100, 1)))
    assert _copy(client_of("outsider"), content, rule=rule)[0].status_code == 404, "a rule of others is none"


def test_what_can_not_be_shared_safely_is_not_shared(client_of):
    client = client_of("member")
    client.cookies["django_language"] = "en"
    cut, _ = _copy(client, packets.pcap(packets.office(1795161600.5))[:700])
    assert (cut.status_code, cut["X-Capture-Whole"], "-incomplete" in cut["Content-Disposition"]) == (200, "no", True)
    page = client.post("/lake/capture/", {"file": _capture(b"PK\x03\x04")})
    assert (page.status_code, "This is no capture of packets" in page.content.decode()) == (422, True)
    wireless = packets.pcap([])[:20] + (105).to_bytes(4, "little")
    answer, body = _copy(client, wireless)
    assert (answer.status_code, b"not understood" in body) == (422, True)
    assert client.post("/api/lake/captures/share", {}).status_code == 422
    assert Record.objects.filter(verb="lake.capture_shared").count() == 1


@pytest.mark.realparts
def test_a_shared_capture_is_read_as_the_same_flows(client_of, tmp_path):
    if "tshark" not in captures.installed():
        pytest.skip("tshark is not installed (python tools/real_parts.py install)")
    content = packets.pcap(packets.office(1795161600.5))
    (tmp_path / "own.pcap").write_bytes(content)
    (tmp_path / "copy.pcap").write_bytes(_copy(client_of("member"), content)[1])

    def flows(name):
        found = [json.loads(one) for one in files.frames(tmp_path / name, manner=files.Manner(reader="tshark"))]
        return [{"ports": (one.get("src_port"), one.get("dst_port")), **one["tshark"]} for one in found if one["tshark"]["record"] == "flow"]

    assert flows("copy.pcap") == flows("own.pcap")
