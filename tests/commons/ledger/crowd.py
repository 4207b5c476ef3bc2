"""Many processes write and number at once on a database of their own; prints what the log then looks like as JSON.

``python crowd.py WRITERS RECORDS``
"""

import json
import os
import sys
import time
import traceback

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from lianfang.commons.ledger import actions, models, queries  # noqa: E402
from lianfang.commons.ledger.types import Draft  # noqa: E402
from lianfang.kernel.ref import Ref  # noqa: E402
from lianfang.kernel.viewer import SYSTEM  # noqa: E402

THING = Ref("t", "thing", "1")


def fork(work) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        connection.close()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def write(name: str, records: int) -> None:
    """Every tenth action is rolled back and must leave nothing, not even a gap."""
    for n in range(records):
        with transaction.atomic():
            actions.record(f"t.{name}", THING, actor=SYSTEM, detail={"n": n})
            if n % 10 == 9:
                transaction.set_rollback(True)


def number(seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not os.path.exists(os.path.join(os.environ["LIANFANG_HOME"], "done")):
        actions.sequence(batch=17)


def main(writers: int, records: int) -> dict:
    call_command("migrate", verbosity=0)
    connection.close()
    busy = [fork(lambda name=name: write(f"w{name}", records)) for name in range(writers)]
    busy.append(fork(lambda: actions.record_many([Draft("t.many", THING)] * 500, actor=SYSTEM)))
    numbering = [fork(number) for _ in range(2)]
    started = time.monotonic()
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in busy)
    seconds = time.monotonic() - started
    open(os.path.join(os.environ["LIANFANG_HOME"], "done"), "w").close()
    failed += sum(os.waitpid(pid, 0)[1] != 0 for pid in numbering)
    actions.cut_checkpoint()
    verdict = queries.verify()
    seqs = list(models.Record.objects.order_by("seq").values_list("seq", flat=True))
    ordered = all(
        [n for n, verb in models.Record.objects.filter(verb=f"t.w{name}").order_by("seq").values_list("id", "verb")] == sorted(models.Record.objects.filter(verb=f"t.w{name}").values_list("id", flat=True))
        for name in range(writers)
    )
    return {"failed": failed, "ok": verdict.ok, "problems": list(map(str, verdict.problems)), "records": verdict.records, "gapless": seqs == list(range(len(seqs))), "ordered": ordered, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
