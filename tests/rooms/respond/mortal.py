"""A node of its own whose worker is killed while it correlates: run as a script, prints what came of it as JSON.

``python mortal.py KILLS`` on the home of the environment. Stories are told batch by batch, each address's over several batches,
while a real ``lianfang worker`` takes them in and dies again and again at a moment nobody chose.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db.models import Sum  # noqa: E402

from lianfang.commons.jobs import models as jobs_models  # noqa: E402
from lianfang.commons.ledger import queries as ledger  # noqa: E402
from lianfang.kernel import clock  # noqa: E402
from lianfang.kernel.viewer import SYSTEM  # noqa: E402
from lianfang.rooms.detect import actions as detect  # noqa: E402
from lianfang.rooms.detect import models as detect_models  # noqa: E402
from lianfang.rooms.lake import actions as lake  # noqa: E402
from lianfang.rooms.respond import models  # noqa: E402

AT_ONCE, WRONG, GUESSED = 4, 6, "6b7a1c1e-7b2e-4a58-9d0e-0000000000a4"


class Teller:
    """Tells stories: ``WRONG`` wrong passwords from an address, then one that is accepted. Some run beside each other; each line goes into a batch of its own."""

    def __init__(self):
        self.begun, self.open = 0, []

    def tell(self, last: bool = False) -> None:
        while len(self.open) < AT_ONCE and not last:
            self.open.append([f"10.1.{self.begun // 250}.{self.begun % 250 + 1}", 0])
            self.begun += 1
        lines = []
        for story in self.open:
            ip, said = story
            word = "Failed" if said < WRONG else "Accepted"
            lines.append(f"<86>1 {clock.text(clock.now())} app-01 sshd {said} - - {word} password for root from {ip} port 41822 ssh2")
            story[1] += 1
        self.open = [story for story in self.open if story[1] <= WRONG]
        lake.receive("edge", [line.encode() for line in lines], actor=SYSTEM)
        lake.drain()


def worker() -> "subprocess.Popen[bytes]":
    jobs_models.Lease.objects.update(until=clock.now())  # as if the half minute had passed after which another takes over
    return subprocess.Popen([sys.executable, "-m", "lianfang.site", "worker"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def step() -> int:
    return detect_models.Correlating.objects.values_list("step", flat=True).first() or 0


def wait(until, seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds  # far more than it takes; a busy machine is not a failure
    while not until() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(until())


def slaughter(kills: int, teller: Teller) -> int:
    """Again and again the worker dies, at any moment from its first step on. Says how many died with matches before them."""
    chance, dead = random.Random(1), 0
    for _ in range(kills):
        living, before = worker(), step()
        teller.tell()
        wait(lambda before=before: step() > before)
        for _ in range(chance.randint(0, 6)):
            teller.tell()
        time.sleep(chance.random() * 0.15)
        living.send_signal(signal.SIGKILL)
        living.wait()
        dead += 1
    return dead


def finish(teller: Teller) -> bool:
    while teller.open:
        teller.tell(last=True)
    living = worker()
    done = wait(lambda: not detect_models.Matches.objects.filter(step=None).exists() and not jobs_models.Delivery.objects.exclude(due=None).exists(), 240)
    living.send_signal(signal.SIGKILL)
    living.wait()
    return done


def report(dead: int, done: bool, teller: Teller) -> dict:
    findings = detect_models.Finding.objects.filter(rule_uid=GUESSED)
    recorded = [json.loads(record.detail) for record in ledger.seen(SYSTEM).filter(verb="detect.found")]
    return {
        "kills": dead, "done": done, "stories": teller.begun, "findings": sorted((dict(found.chain["group"])["src_ip"], found.count) for found in findings), "fired": detect_models.Rule.objects.get(uid=GUESSED).fired,
        "recorded": sum(said["findings"] for said in recorded), "alerted": models.Alert.objects.filter(rule_uid=GUESSED).aggregate(n=Sum("count"))["n"],
    }  # fmt: skip


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    pack = Path(os.environ["LIANFANG_HOME"]) / "pack"
    pack.mkdir()
    (pack / "ssh.yml").write_text(sys.stdin.read(), "utf-8")
    detect.install_pack(pack, actor=SYSTEM)
    lake.ensure_source("edge", kind="http", codec="syslog", actor=SYSTEM)
    teller = Teller()
    dead = slaughter(int(sys.argv[1]), teller)
    print(json.dumps(report(dead, finish(teller), teller)))
