# ruff: noqa: E402  (Django must be up before its models are imported)
"""Somebody who changes rules while logs come in: ``python -m tests.site.changing``, on a node whose ingest process runs.

A log comes in every twentieth of a second; then one change after the other is made, and for each is printed, as JSON, which logs were sent when, and
which of them bear which rules or findings.
"""

import json
import os
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")

import django

django.setup()

from django.db import connection
from django.utils.translation import activate

from lianfang.kernel import clock
from lianfang.kernel.viewer import SYSTEM
from lianfang.rooms.detect import actions, models
from lianfang.rooms.lake import actions as lake
from lianfang.rooms.lake import queries

PACK = "6b7a1c1e-7b2e-4a58-9d0e-0000000002a1"
OWN = "6b7a1c1e-7b2e-4a58-9d0e-0000000002a2"
ALWAYS = "6b7a1c1e-7b2e-4a58-9d0e-0000000002a3"
RULE = """
title: {title}
id: {uid}
status: stable
author: Test author
logsource: {{product: windows, service: security}}
detection:
  selection: {{Channel: Security, EventID: {event}}}
  condition: selection
level: low
"""
EXCEPTION = """
title: Normal here
logsource: {{product: windows, service: security}}
filter:
  rules: [{uid}]
  selection: {{Computer: ws-1}}
  condition: not selection
"""
EVERY = 0.05
PATIENCE = 60.0


def event(number: int) -> bytes:
    return json.dumps({"Channel": "Security", "EventID": 4798, "Computer": "ws-1", "n": str(number), "TimeCreated": clock.text(clock.now())}).encode()


class Sender(threading.Thread):
    """Sends numbered logs until stopped; ``sent`` is when each had been taken."""

    def __init__(self):
        super().__init__(daemon=True)
        self.sent: list[float] = []
        self.stop = threading.Event()

    def run(self):
        while not self.stop.wait(EVERY):
            lake.receive("domain", [event(len(self.sent))], actor=SYSTEM)
            self.sent.append(time.monotonic())
        connection.close()


def stored():
    """Number → rules and name of the logs that are stored and concluded: one rule fires on all of them."""
    concluded = {event for events in models.Finding.objects.filter(rule_uid=ALWAYS).values_list("events", flat=True) for event in events}
    answer = queries.sql("SELECT raw, rules, event_id FROM events WHERE source = 'domain'", viewer=SYSTEM, limit=100_000, seconds=60)
    return {int(json.loads(raw)["n"]): (set(rules or ()), event_id) for raw, rules, event_id in answer.rows if event_id in concluded}


def excepted():
    return {event for events in models.Finding.objects.exclude(exemption=None).values_list("events", flat=True) for event in events}


def pack(folder: Path, *texts: str) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.yml"):
        old.unlink()
    (folder / "pack.yaml").write_text("name: changing\nversion: '1'\nlicence: Apache-2.0\n")
    for at, text in enumerate(texts):
        (folder / f"{at}.yml").write_text(text)
    actions.install_pack(folder, actor=SYSTEM)


def main(folder: Path) -> None:
    activate("en")
    one, other = (replace(SYSTEM, id=name, name=name) for name in ("one", "other"))
    always = RULE.format(title="Something was said", uid=ALWAYS, event=4798)
    fires, silent = RULE.format(title="Of a pack", uid=PACK, event=4798), RULE.format(title="Of a pack", uid=PACK, event=1)
    lake.create_source("domain", kind="http", codec="json", actor=SYSTEM)
    pack(folder, always)
    sender = Sender()
    sender.start()
    own: list[models.OwnRule] = []
    exceptions: list[models.Exemption] = []

    def rule():
        return models.Rule.objects.get(uid=PACK)

    def write_own():
        own.append(actions.propose_rule(actions.write_rule({"text": RULE.format(title="Own", uid=OWN, event=4798)}, actor=one), actor=one))
        actions.approve_rule(own[0], actor=other)

    def except_():
        values = {"name": "Normal here", "text": EXCEPTION.format(uid=ALWAYS), "reason": "Tested", "owner": "one", "expires": clock.now() + timedelta(days=9), "source": ""}
        exceptions.append(actions.enforce_exemption(actions.create_exemption(values, actor=one), actor=one))

    def bears(uid):
        return lambda found: uid in found[0]

    def bears_own(found):  # a rule that is written gets an identifier of its own
        return own[0].uid in found[0]

    def taken(found):
        return found[1] in excepted()

    changes = [
        ("a rule of a pack is added", lambda: pack(folder, always, fires), bears(PACK), True),
        ("it is changed so that it is silent", lambda: pack(folder, always, silent), bears(PACK), False),
        ("it is changed so that it fires", lambda: pack(folder, always, fires), bears(PACK), True),
        ("it is switched off", lambda: actions.switch(rule(), False, actor=SYSTEM), bears(PACK), False),
        ("it is switched on", lambda: actions.switch(rule(), True, actor=SYSTEM), bears(PACK), True),
        ("it is switched off for the source", lambda: actions.switch(rule(), False, "domain", actor=SYSTEM), bears(PACK), False),
        ("the general switch speaks there again", lambda: actions.switch(rule(), None, "domain", actor=SYSTEM), bears(PACK), True),
        ("it is removed", lambda: pack(folder, always), bears(PACK), False),
        ("a rule of the node's own is approved", write_own, bears_own, True),
        ("it is withdrawn", lambda: actions.withdraw_rule(own[0], actor=one), bears_own, False),
        ("an exception is put in force", except_, taken, True),
        ("it is withdrawn again", lambda: actions.withdraw_exemption(exceptions[0], actor=one), taken, False),
    ]
    told = []
    for name, change, holds, wanted in changes:
        change()
        at = time.monotonic()
        deadline = at + PATIENCE
        while time.monotonic() < deadline:  # until a log that was sent 2 s after the change is stored
            after = [number for number, when in enumerate(sender.sent) if when > at + 2.0]
            found = stored()
            if len([number for number in after if number in found]) >= 3:
                break
            time.sleep(0.2)
        first = next((sender.sent[number] - at for number in sorted(found) if number < len(sender.sent) and sender.sent[number] > at and holds(found[number]) == wanted), None)
        late = [number for number in after if number in found and holds(found[number]) != wanted]
        told.append({"change": name, "first": first, "stored": len([number for number in after if number in found]), "late": len(late)})
    sender.stop.set()
    sender.join()
    deadline = time.monotonic() + PATIENCE
    while len(stored()) < len(sender.sent) and time.monotonic() < deadline:
        time.sleep(0.2)
    sys.stdout.write(json.dumps({"changes": told, "sent": len(sender.sent), "stored": len(stored())}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
