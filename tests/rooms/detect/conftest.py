"""The three people, a small rule pack written for tests, and batches as the ingest process makes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from lianfang.rooms.lake.types import Batch

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

WHOAMI = """
title: Who am I
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000001
status: stable
description: Somebody asks under which name they run.
author: Test author
tags: [attack.discovery, attack.t1033]
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\\\\whoami.exe'}
  condition: selection
level: medium
lianfang: {title_zh: 查询当前用户}
"""
DUMP = """
title: Memory of LSASS read
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000002
status: test
author: Another author
tags: [attack.credential-access, attack.t1003.001, lianfang.alarm.credential]
logsource: {product: windows, category: process_creation}
detection:
  selection: {CommandLine|contains: 'comsvcs'}
  condition: selection
level: critical
"""
SSH = """
title: Failed login by SSH
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000003
status: experimental
author: Test author
tags: [attack.credential-access, attack.t1110]
logsource: {product: linux, service: sshd}
detection:
  keywords: ['Failed password']
  condition: keywords
level: low
"""
BROKEN = """
title: Nobody can compile this
id: 6b7a1c1e-7b2e-4a58-9d0e-000000000004
logsource: {product: windows}
detection:
  selection: {Image|windash|nonsense: x}
  condition: selection
level: high
"""
UID = {name: f"6b7a1c1e-7b2e-4a58-9d0e-00000000000{n}" for n, name in enumerate(("whoami", "dump", "ssh", "broken"), 1)}


@pytest.fixture
def role():
    return "operator"


@pytest.fixture(autouse=True)
def _home(home):
    pass


@pytest.fixture
def pack(tmp_path):
    """A pack of four rules, one of which cannot be compiled. ``pack.write(name, text)`` changes it."""
    folder = tmp_path / "house"

    def write(name, text):
        path = folder / name
        if text is None:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    write("pack.yaml", "name: house rules\nversion: '1'\nlicence: Apache-2.0\n")
    for name, text in (("windows/whoami.yml", WHOAMI), ("windows/dump.yml", DUMP), ("linux/ssh.yml", SSH), ("windows/broken.yml", BROKEN)):
        write(name, text)
    return SimpleNamespace(folder=folder, write=write)


def windows(image, command="", *, host="ws-1", minutes=0.0, user="li"):
    """A process creation as Sysmon tells it, and when."""
    row = {"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": "1", "Image": image, "CommandLine": command or image, "Computer": host, "User": user}
    return row, ("windows", "process_creation", "sysmon"), NOON + timedelta(minutes=minutes), host, user


@pytest.fixture
def batch(organisations):
    """``batch(events…, ref=…, source=…)``: a batch of the organisation ``harbour``."""

    def make(*events, ref="19a0000000a-w000:edge", source="edge", territory=None):
        rows, origins, times, hosts, users = zip(*events, strict=True)
        columns = {
            "event_id": [f"{ref.split(':')[0]}-{n:05x}" for n in range(len(rows))], "time": list(times), "host": list(hosts), "user": list(users), "process": [row.get("Image") for row in rows],
            "territory": [territory or organisations.harbour.territory] * len(rows), "industry": [""] * len(rows), "ips": [["10.1.1.1"]] * len(rows),
        }  # fmt: skip
        return Batch(ref, source, rows, [b"{}"] * len(rows), origins, columns)

    return make
