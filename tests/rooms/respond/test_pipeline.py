"""From the member's components to the platform: logs collected, desensitised and sealed before they are stored, then detected, folded and told apart."""

import json
import shutil
from datetime import timedelta

import pytest
from django.conf import settings as live
from django.contrib.auth import get_user
from django.test import Client
from tests.rooms.kept import database, everything

from lianfang.commons.jobs import actions as jobs
from lianfang.commons.people.queries import viewer_of
from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions as detect
from lianfang.rooms.lake import actions as lake

pytestmark = pytest.mark.django_db(transaction=True)

RULES = ("windows/lsass_dump_comsvcs.yml", "linux/ssh_root_password_logon.yml")
PERSON, PHONE, ADDRESS = "zhang.wei", "13812345678", "203.0.113.77"


@pytest.fixture
def client(three, organisations, tmp_path):
    """The keeper of a member that sends its logs; two rules of the starter pack watch on the platform."""
    for rule in RULES:
        target = tmp_path / "pack" / rule
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(live.CONTENT / "rules" / "starter" / rule, target)
    detect.install_pack(tmp_path / "pack", actor=SYSTEM)
    found = Client()
    found.force_login(three.person("keeper", organisations.harbour, "administrator"), backend="django.contrib.auth.backends.ModelBackend")
    found.cookies["django_language"] = "en"
    return found


def moment(minutes):
    return clock.now() - timedelta(minutes=minutes)


def endpoint(number):
    """What the endpoint component sends: a memory dump, by a person, with a password and a phone number in the command."""
    return json.dumps({
        "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1, "Provider_Name": "Microsoft-Windows-Sysmon", "Computer": "pc-7.harbour.example", "UtcTime": f"{moment(2):%Y-%m-%d %H:%M}:{number:02d}.000",
        "Image": r"C:\Windows\System32\rundll32.exe", "CommandLine": rf"rundll32.exe C:\windows\System32\comsvcs.dll, MiniDump 640 C:\d{number}.bin full /u:{PERSON} password=Hunter-22 {PHONE}", "User": rf"HARBOUR\{PERSON}",
    })  # fmt: skip


def server(number):
    """What the server's collector sends."""
    return f"<86>{moment(2):%Y-%m-%dT%H:%M:%SZ} db-1 sshd[{900 + number}]: Accepted password for {'root' if number else PERSON} from {ADDRESS} port {50000 + number} ssh2"


def test_components_to_platform(client, home):
    for name, codec in (("edr", "json"), ("servers", "syslog")):
        lake.create_source(name, codec=codec, actor=viewer_of(get_user(client)))
    client.post("/lake/masking-shipped/", {"name": ["user-pseudonyms", "address-pseudonyms", "customer-numbers"]})
    rows = client.get("/api/lake/masking/").json()["items"]
    client.post("/lake/masking/", {"do": "on", "row": [row["id"] for row in rows]})
    client.post("/lake/protection/", {"level": 4, "seal": "on", "approve": "on", "hours": 8, "reads": 0, "exports": 0})

    sent = [("edr", [endpoint(number) for number in range(6)]), ("servers", [server(number) for number in range(5)])]
    for source, lines in sent:
        assert client.post(f"/api/lake/ingest/{source}", "\n".join(lines).encode(), content_type="application/x-ndjson").status_code == 202
    waiting = everything(home)
    for value in (PERSON, PHONE, ADDRESS, "hunter-22"):
        assert value.encode() not in waiting, f"{value} waits in the clear"
    lake.drain()
    jobs.work(once=True)

    stored, kept = everything(home), database()
    for value in (PERSON, PHONE, ADDRESS, "hunter-22"):
        assert value.encode() not in stored, f"{value} is stored in the clear"
        assert value not in kept, f"{value} stands in the database"

    events = client.get("/api/lake/events/").json()["events"]
    assert len(events) == 11
    (token,) = {event["user"] for event in events if event["source"] == "servers" and event["user"] != "root"}
    assert token.startswith("u_")
    assert {event["user"] for event in events if event["source"] == "servers"} == {"root", token}, "accounts of systems stay, so that rules find them"
    assert len({event["src_ip"] for event in events if event["src_ip"]}) == 1, "one address is still one"

    alerts = client.get("/api/respond/alerts/").json()["items"]
    found = {alert["host"]: alert for alert in alerts}
    assert set(found) == {"pc-7.harbour.example", "db-1"}
    assert (len(alerts), found["pc-7.harbour.example"]["count"], found["db-1"]["count"]) == (2, 6, 4), "eleven records of two components, two alerts"
    page = client.get(f"/respond/alerts/{found['db-1']['id']}/").content.decode()
    assert ADDRESS not in page
    assert "&lt;span" not in page, "values of a list are shown as tags, not as the marks that make them"
    assert next(event["src_ip"] for event in events if event["src_ip"]) in page
