"""``lianfang``: the command line of a node.

Every command says what it does, shows progress when it takes longer than a second, speaks JSON under ``--json`` where
a script would read, and ends with a meaningful code: 0 done, 1 problems were found, 2 wrong usage, 3 refused,
4 invalid input, 5 not found, 6 conflict, 7 the node is not ready. Commands act as the operator of this machine:
whoever may read ``LIANFANG_HOME`` may do all; what they do is recorded under ``console``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lianfang import __version__
from lianfang.kernel.errors import Conflict, Fault, Invalid, Missing, Refused

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help="Joint cyber defence: run and keep a node of Lianfang (联防).", context_settings={"help_option_names": ["-h", "--help"]})
rules = typer.Typer(no_args_is_help=True, help="Rule packs: install, list, test, prove, coverage.")
ledger = typer.Typer(no_args_is_help=True, help="The record of everything: verify it.")
people = typer.Typer(no_args_is_help=True, help="Accounts: reset a password.")
source = typer.Typer(no_args_is_help=True, help="Log sources: add one that sends over HTTP.")
keys = typer.Typer(no_args_is_help=True, help="Sealing keys: what hangs on them, rotate, retire, give up a lost one.")
sample = typer.Typer(no_args_is_help=True, help="The labelled sample stream: feed it, remove it.")
for group, name in ((rules, "rules"), (ledger, "ledger"), (people, "people"), (source, "source"), (keys, "keys"), (sample, "sample")):
    app.add_typer(group, name=name)

CODES: dict[type[Fault], int] = {Refused: 3, Invalid: 4, Missing: 5, Conflict: 6}
Zone = Annotated[str, typer.Option(help="Time zone of times in its logs that name none, for example Asia/Shanghai or UTC; this node’s own when left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

out = Console()
err = Console(stderr=True)


def main() -> None:
    """Entry point: Faults become three lines and an exit code, never a traceback."""
    try:
        app()
    except Fault as fault:
        for label, text in (("", fault.what), ("why: ", fault.why), ("do:  ", fault.todo)):
            if text:
                err.print(label + text, markup=False, highlight=False)
        sys.exit(next((code for kind, code in CODES.items() if isinstance(fault, kind)), 7))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _open() -> None:
    """Bring up Django once; every command that touches the node calls it first."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")
    import django

    django.setup()


def _node() -> Any:
    _open()
    from lianfang.site import node

    return node


def _ready() -> Any:
    """The node, which must have been initialised."""
    node = _node()
    node.must_be_ready()
    return node


def _english() -> Any:
    """The ready node, whose rooms speak English as the console does."""
    node = _ready()
    from django.utils.translation import activate

    activate("en")
    return node


def _show(document: Any) -> None:
    """One JSON document on standard output, as is."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n")


@contextmanager
def _bar(title: str, *, quiet: bool = False) -> Iterator[Any]:
    """A progress bar; gives ``step(done, total, text="")``."""
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err, disable=quiet) as progress:
        task = progress.add_task(title, total=None)

        def step(done: int, total: int | None = None, text: str = "") -> None:
            progress.update(task, completed=done, total=total, description=text or title)

        yield step


def _until_stopped(work: Any) -> None:
    """Run ``work(stop)`` until SIGINT or SIGTERM asks it to end."""
    from lianfang.site import supervisor

    supervisor.follow_parent()
    stop = threading.Event()
    asked, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    # A handler that set the event itself would wait for ever where it interrupts a wait, or a handler, that holds the event's lock.
    threading.Thread(target=lambda: (os.read(asked, 1), stop.set()), name="stop", daemon=True).start()
    work(stop)


@app.command()
def up(
    host: Annotated[str, typer.Option(envvar="LIANFANG_BIND", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", help="Port to listen on.")] = 8000,
    sample: Annotated[bool, typer.Option(help="Feed the sample stream to a fresh node.")] = True,
) -> None:
    """Initialise the node if it is fresh, then run web, ingest and worker under one supervisor."""
    node = _node()
    from lianfang.site import supervisor

    with err.status("Preparing the node …") as status:
        first = node.prepare(say=status.update, sample=sample)
    out.print(f"Lianfang {__version__}  http://{host}:{port}/", highlight=False)
    if first.password:
        out.print(f"First sign-in: user admin, one-time password {first.password}", highlight=False, markup=False)
    out.print("Ctrl-C stops the node.", highlight=False)
    node.let_go()
    sys.stdout.flush()
    lianfang = [sys.executable, "-m", "lianfang.site"]
    parts = {"web": [*lianfang, "web", "--host", host, "--port", str(port)], "worker": [*lianfang, "worker"]}
    parts |= {name: [*lianfang, "ingest", "--part", part] for name, part in node.ingest_parts().items()}
    supervisor.become({name: parts[name] for name in node.parts()})


@app.command()
def init(sample: Annotated[bool, typer.Option(help="Feed the sample stream.")] = False, as_json: AsJson = False) -> None:
    """Create or update the node in LIANFANG_HOME (tables, first administrator, starter rules); safe to repeat."""
    node = _node()
    first = node.prepare(say=lambda text: None if as_json else err.print(text), sample=sample)
    if as_json:
        _show({"home": str(node.home()), "fresh": first.fresh, "user": "admin" if first.password else None, "password": first.password or None})
    elif first.password:
        out.print(f"First sign-in: user admin, one-time password {first.password}", markup=False)


@app.command()
def web(
    host: Annotated[str, typer.Option(envvar="LIANFANG_BIND")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT")] = 8000,
    workers: Annotated[int, typer.Option(help="Web processes; more than one needs PostgreSQL, MariaDB or TiDB to be worth it.")] = 1,
    threads: Annotated[int, typer.Option(help="Requests answered at once by each process.")] = 4,
) -> None:
    """Serve pages and APIs."""
    from lianfang.site import supervisor
    from lianfang.site.settings import STATIC_ROOT
    from lianfang.site.web import become

    supervisor.follow_parent()
    become(host=host, port=port, workers=workers, threads=threads, static=STATIC_ROOT)


@app.command()
def worker() -> None:
    """Run jobs, schedules and the outbox of facts."""
    _ready()
    from lianfang.commons.jobs import actions as jobs

    _until_stopped(lambda stop: jobs.work(stop=stop))


@app.command()
def ingest(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders (.log .json .evtx, also .gz .zst .zip). None: run the ingest process.")] = None,
    source: Annotated[str, typer.Option(help="Name of the source they belong to; made when missing.")] = "upload",
    zone: Zone = "",
    wait: Annotated[bool, typer.Option(help="Wait until everything is searchable.")] = True,
    part: Annotated[str, typer.Option(help="Which of several ingest processes this is: 2/4. All of a node name the same number.")] = "1/1",
    as_json: AsJson = False,
) -> None:
    """Read logs from PATHS into the lake; without PATHS, run the ingest process (receive, examine, store)."""
    node = _ready()
    from lianfang.rooms.lake import actions as lake

    if not paths:
        own = lake.Part.parse(part)
        _until_stopped(lambda stop: lake.ingest(stop, part=own))
        return
    absent = [str(path) for path in paths if not path.exists()]
    if absent:
        raise Missing(f"There is no {absent[0]}", todo="Check the path.")
    with _bar("Reading", quiet=as_json) as step:
        report = node.ingest_paths(paths, source=source, zone=zone, step=step, wait=wait)
    if as_json:
        _show(report)
    else:
        out.print(f"{report['events']} events received from {report['files']} files, {report['rejects']} rejected (see the page “rejects”).", highlight=False)
    if report["rejects"]:
        raise typer.Exit(1)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over the event tables, for example: SELECT host, count(*) FROM events GROUP BY 1")],
    as_json: AsJson = False,
    limit: int = 100,
    on: Annotated[str, typer.Option(help="Ask a Spark or Sail server over the same tables: sc://host:port.")] = "",
    tables: Annotated[str, typer.Option(help="Folder or object store address of the tables as that server sees it; as this node sees it when left out.")] = "",
) -> None:
    """Ask the lake in SQL (read only)."""
    node = _ready()
    from lianfang.rooms.lake import queries as lake

    with err.status("Asking …"):
        answer = lake.sql_on(on, sql, viewer=node.console(), limit=limit, root=tables) if on else lake.sql(sql, viewer=node.console(), limit=limit)
    if as_json:
        _show([dict(zip(answer.columns, row)) for row in answer.rows])
        return
    table = Table(*answer.columns)
    for row in answer.rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(table)


@app.command()
def hunt(
    rule: Annotated[list[str] | None, typer.Option(help="A rule, by its ID or its title, or “watchlist”; may be repeated.")] = None,
    pack: Annotated[list[str] | None, typer.Option(help="All rules of an installed pack; may be repeated.")] = None,
    since: Annotated[str, typer.Option(help="From when: 2026-11-01, 2026-11-01T08:00, or so long ago: 36h, 7d.")] = "24h",
    until: Annotated[str, typer.Option(help="Until when; now when left out.")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep what is found as findings, marked as found by looking back. Alerts of it wake nobody; what was found before is not kept twice.")] = False,
    resume: Annotated[str, typer.Option(help="Go on with a hunt that was interrupted: its ID.")] = "",
    on: Annotated[str, typer.Option(help="Let a Spark server read and examine: sc://host:port.")] = "",
    tables: Annotated[str, typer.Option(help="Folder of the event tables as that server sees it; as this node sees it when left out.")] = "",
    as_json: AsJson = False,
) -> None:
    """Run chosen rules over past events with the rules and the engine of live detection. Killed anywhere, it goes on where it stopped."""
    node = _english()
    from lianfang.rooms.detect import actions as detect
    from lianfang.rooms.detect.queries import hunts

    row = hunts.hunt_of(_uuid(resume), node.console()) if resume else detect.ask_hunt([*(rule or ())], _moment(since), _moment(until) if until else None, packs=[*(pack or ())], keep=keep, apart=False, actor=node.console())
    if row.job:
        raise Conflict("This hunt belongs to a worker", why="It was asked for on a page or over the API; a worker goes on with it by itself.", todo=f"Look at it on the page Hunts, or ask for it anew here: {row.label}.")
    if not as_json:
        err.print(f"Hunt {row.pk}; interrupted it goes on with: lianfang hunt --resume {row.pk}", highlight=False, markup=False, soft_wrap=True)
    with _bar("Hunting", quiet=as_json) as step:
        row = detect.hunt_on(on, row.pk, root=tables, step=step) if on else detect.hunt(row.pk, step=step)
    told = hunts.document(row, node.console())
    if as_json:
        by_rule: dict[str, list[str]] = {}
        for uid, event in hunts.events_of(row):
            by_rule.setdefault(uid, []).append(event)
        _show({**told, "rules": [{**one, "event_ids": by_rule.get(one["uid"], [])} for one in told["rules"]]})
        return
    table = Table("rule", "events", "found when they came", *(["findings"] if row.keep else []), "first", "last")
    for one in told["rules"]:
        table.add_row(one["title"], str(one["events"]), str(one["known"]), *([str(one["findings"])] if row.keep else []), f"{one['first']:%Y-%m-%d %H:%M}", f"{one['last']:%Y-%m-%d %H:%M}")
    out.print(table)
    out.print(f"{told['looked']} events looked at, {told['events']} found", highlight=False)


def _moment(text: str) -> Any:
    """``2026-11-01``, ``2026-11-01T08:00`` (UTC when no zone is named), or ``36h``, ``7d`` ago."""
    from datetime import UTC, datetime, timedelta

    from lianfang.kernel import clock

    if text[-1:] in "hd" and text[:-1].isdigit():
        return clock.now() - (timedelta(hours=int(text[:-1])) if text[-1] == "h" else timedelta(days=int(text[:-1])))
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"“{text[:40]}” is no time", todo="Write 2026-11-01, 2026-11-01T08:00, 36h or 7d.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _uuid(text: str) -> Any:
    from uuid import UUID

    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(f"“{text[:40]}” is no ID of a hunt", todo="It stands in the first line that the hunt printed.") from error


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check what this node needs and say how to get what is missing."""
    from lianfang.site import doctor as clinic

    findings = clinic.examine()
    if as_json:
        _show([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            mark = {"ok": "[green]ok[/]  ", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}[finding.state]
            out.print(f"{mark} {finding.name}: {finding.what}" + (f"\n     → {finding.todo}" if finding.todo else ""), highlight=False)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__, highlight=False)


@rules.command("install")
def rules_install(path: Annotated[Path, typer.Argument(help="A folder, .zip, .tar.gz or .tar.zst of Sigma rules.")], as_json: AsJson = False) -> None:
    """Install or update a rule pack; rules that cannot be used are listed with their reason."""
    node = _ready()
    from lianfang.rooms.detect import actions as detect

    with err.status("Compiling …"):
        pack = detect.install_pack(path, actor=node.console())
    if as_json:
        _show(node.plain(pack))
        return
    out.print(f"{pack.name} {pack.version}: {pack.rules} rules, {len(pack.problems)} problems", highlight=False)
    for problem in pack.problems:
        out.print(f"  {problem.path}: {problem.reason}", markup=False, highlight=False)


@rules.command("list")
def rules_list(as_json: AsJson = False, pack: str = "") -> None:
    """List installed rules."""
    node = _ready()
    from lianfang.rooms.detect import queries as detect

    found = [node.plain(rule) for rule in detect.rules(viewer=node.console()) if not pack or rule.pack == pack]
    if as_json:
        _show(found)
        return
    table = Table("level", "rule", "pack", "on")
    for rule in found:
        table.add_row(rule["level"], rule["title"], rule["pack"], "yes" if rule["enabled"] else "no")
    out.print(table)


@rules.command("test")
def rules_test(
    packs: Annotated[list[str] | None, typer.Argument(metavar="[PACK]...", help="Folders, archives, or names of installed packs. None: the packs that come with the node; with --proof every installed pack.")] = None,
    proof: Annotated[bool, typer.Option("--proof", help="Make from every rule an event that satisfies it, and near misses, and hold the engine against the reference.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run every sample of a pack through the real decoder, mapper and engine; or prove its rules on events made from them.

    Ends with 1 when a sample fails, or when the engine and the reference disagree. Rules that no event can satisfy are named; they are a fault of their pack.
    """
    node = _node() if (packs and all(Path(pack).exists() for pack in packs)) or not (packs or proof) else _ready()
    if proof:
        _prove(node, packs or [], as_json)
        return
    from lianfang.rooms.detect import actions as detect

    with _bar("Testing", quiet=as_json) as step:
        reports = [detect.test_pack(pack, progress=step) for pack in (map(detect.samples_of, packs) if packs else node.shipped_packs())]
    failures, problems = ([one for report in reports for one in getattr(report, name)] for name in ("failures", "problems"))
    counted = {"rules": sum(report.rules for report in reports), "samples": sum(report.samples for report in reports)}
    if as_json:
        _show({**counted, "failures": [node.plain(one) for one in failures], "problems": [node.plain(one) for one in problems]})
    else:
        for failure in failures:
            out.print(f"FAIL {failure.rule}: {failure.reason}", markup=False, highlight=False)
        out.print(f"{counted['rules']} rules, {counted['samples']} samples, {len(failures)} failures", highlight=False)
    if failures:
        raise typer.Exit(1)


def _prove(node: Any, packs: list[str], as_json: bool) -> None:
    from lianfang.rooms.detect import actions as detect

    with _bar("Proving", quiet=as_json) as step:
        report = detect.prove_packs(packs, progress=step)
    if as_json:
        _show(node.plain(report))
    else:
        for problem in report.problems:
            out.print(f"NOT COMPILED {problem.path}: {problem.reason}", markup=False, highlight=False, soft_wrap=True)
        for one in report.proofs:
            if one.state != "proven":
                out.print(f"{one.state.upper()} {one.path} ({one.title}){': ' * bool(one.reason)}{one.reason}", markup=False, highlight=False, soft_wrap=True)
            for found in one.differences:
                fired = {True: "fires", False: "is silent"}
                out.print(f"  {found.rule}, given as {found.way}, {found.changed}: the engine {fired[found.engine]}, the reference {fired[found.reference]}: {json.dumps(found.event, ensure_ascii=False)}", markup=False, highlight=False, soft_wrap=True)
        out.print(f"{report.rules} rules of {', '.join(report.packs)}: {report.proven} proven, {report.differing} differ, {report.contradictory} contradict themselves, {report.unbuilt} without an event", highlight=False, markup=False, soft_wrap=True)
        out.print(f"{report.events} events, {report.near_misses} of them near misses; {len(report.problems)} rules could not be compiled", highlight=False)
    if report.differing:
        raise typer.Exit(1)


@rules.command("coverage")
def rules_coverage(as_json: AsJson = False, most: Annotated[int, typer.Option(help="Fields and log sources to print; JSON holds all.")] = 20) -> None:
    """Which rules can fire on what this node received lately, which fields and logs the others wait for, and what to switch on to get there."""
    node = _english()
    from lianfang.rooms.detect import actions as detect
    from lianfang.rooms.detect.queries import covering

    with err.status("Looking …"):
        detect.survey(again=True)
        found = covering.coverage(node.console())
    if as_json:
        _show({**found.document, "by_rule": [{"uid": rule.uid, "title": rule.title, "pack": rule.pack, "state": rule.state, "waits": list(rule.waits), "last_fired": rule.last_fired} for rule in covering.by_rule(node.console())]})
        return
    states = [state for state in found.packs[0].states if found.count(state)] if found.packs else []
    table = Table("pack", "rules", *states)
    for pack in found.packs:
        table.add_row(pack.pack, str(pack.rules), *(str(pack.states[state]) for state in states))
    out.print(table)
    for one in found.fields[:most]:
        out.print(f"field {one.field}: {one.rules} rules wait for it ({one.alone} for it alone); {', '.join(one.kinds[:3])}, sent by {', '.join(one.sources) or '?'}, come without. {one.advice}", highlight=False, markup=False, soft_wrap=True)
    for gap in found.sources[:most]:
        out.print(f"log {gap.name}: {gap.rules} rules wait for it. {gap.advice}", highlight=False, markup=False, soft_wrap=True)


@ledger.command("verify")
def ledger_verify(as_json: AsJson = False) -> None:
    """Recompute the tree over all records and compare it with the signed checkpoints."""
    node = _ready()
    from lianfang.commons.ledger import actions, queries

    while actions.sequence():  # what was told a moment ago gets its place first, so that it is verified too
        pass
    with _bar("Verifying", quiet=as_json) as step:
        verdict = queries.verify(progress=step)
    if as_json:
        _show(node.plain(verdict))
    else:
        for problem in verdict.problems:
            out.print(str(problem), markup=False, highlight=False)
        out.print(f"{verdict.records} records, {verdict.checkpoints} checkpoints: {'intact' if verdict.ok else 'NOT intact'}", highlight=False)
    if not verdict.ok:
        raise typer.Exit(1)


@people.command("reset-password")
def people_reset(username: str) -> None:
    """Give a user a new one-time password (and end a lock-out)."""
    node = _ready()
    from lianfang.commons.people import actions

    password = actions.reset_password(username, actor=node.console())
    out.print(f"One-time password for {username}: {password}", highlight=False, markup=False)


@source.command("add")
def source_add(
    name: Annotated[str, typer.Argument(help="What the source is called; it stands in every event.")],
    url: Annotated[str, typer.Option(envvar="LIANFANG_URL", help="Address that the sender reaches this node by.")] = "http://127.0.0.1:8000",
    zone: Zone = "",
    as_json: AsJson = False,
) -> None:
    """Make a source that sends over HTTP, and a key that may do only that; the secret is shown once."""
    node = _ready()
    node.ensure_source(name, kind="http", zone=zone)
    key = node.make_key(name, permissions=("lake.event.add",))
    address = f"{url.rstrip('/')}/api/lake/ingest/{name}"
    if as_json:
        _show({**key, "url": address})
    else:
        out.print(f'curl -H "Authorization: Lianfang {key["id"]}:{key["secret"]}" --data-binary @events.ndjson {address}', highlight=False, markup=False, soft_wrap=True)


@keys.command("list")
def keys_list(as_json: AsJson = False) -> None:
    """Every generation of the sealing key, and how many things of which kind hang on it."""
    node = _english()
    from lianfang.commons.people import queries

    found = [{**node.plain(one), "things": {thing.kind: thing.count for thing in one.things}} for one in queries.key_generations()]
    if as_json:
        _show(found)
        return
    table = Table("generation", "state", "key", "made", "by", "sealed under it")
    for one in found:
        table.add_row(str(one["number"]), one["state"], one["key"], f"{one['made']:%Y-%m-%d %H:%M}" if one["made"] else "", one["made_by"], "\n".join(f"{kind}: {count}" for kind, count in one["things"].items()) or "nothing")
    out.print(table)


@keys.command("rotate")
def keys_rotate(as_json: AsJson = False) -> None:
    """Make a new sealing key: everything new is sealed under it at once, what is old follows in the background (or by: keys reseal)."""
    node = _english()
    from lianfang.commons.people import actions

    number, job = actions.rotate_key(actor=node.console())
    if as_json:
        _show({"generation": number, "job": str(job.id)})
    else:
        out.print(f"Generation {number} is made. Back up {node.home()}/keys now. What is older is re-sealed while the node runs; see: lianfang keys list", highlight=False, soft_wrap=True)


@keys.command("reseal")
def keys_reseal(as_json: AsJson = False) -> None:
    """Seal what is older under the newest key, here and now; may be ended anywhere and begun again. Event tables follow while the node runs."""
    _english()
    from lianfang.commons.people import actions

    with _bar("Re-sealing", quiet=as_json) as step:
        left = actions.reseal(progress=lambda percent, text: step(int(percent), 100, text))
    if as_json:
        _show(left)
    else:
        out.print("Nothing hangs on an older key." if not left else "Left under older keys: " + ", ".join(f"{kind}: {count}" for kind, count in left.items()), highlight=False)


@keys.command("retire")
def keys_retire(generation: int) -> None:
    """Take an older key away for good, its file included; only when nothing hangs on it."""
    node = _english()
    from lianfang.commons.people import actions

    actions.retire_key(generation, actor=node.console())
    out.print(f"Generation {generation} is retired. Backups from before need a copy of its file.", highlight=False)


@keys.command("forget")
def keys_forget(generation: int, yes: Annotated[bool, typer.Option("--yes", help="Give up what was named, without asking.")] = False) -> None:
    """Give up what hangs on a key that is lost, so that the node can go on. Names what will be lost, and asks."""
    node = _english()
    from lianfang.commons.people import actions, queries

    lost = next((one for one in queries.key_generations() if one.number == generation and one.state == "lost"), None)
    for thing in lost.things if lost else ():
        err.print(f"{thing.title}: {thing.count}. {thing.loss}", markup=False, highlight=False)
    if lost and not yes and not (sys.stdin.isatty() and typer.confirm("Give all of this up, for good?", err=True)):
        raise Refused("Nothing was given up", why="It needs your word, because nothing brings it back.", todo=f"Restore the folder keys/ from a backup; or: lianfang keys forget {generation} --yes")
    things = actions.forget_key(generation, actor=node.console())
    out.print(f"Given up: {', '.join(f'{thing.count} {thing.kind}' for thing in things)}. It is on the ledger.", highlight=False, soft_wrap=True)


@sample.command("feed")
def sample_feed() -> None:
    """Feed the labelled sample stream, its times shifted to now."""
    node = _ready()
    from lianfang.rooms.lake import actions as lake

    lake.feed_sample(node.samples(), actor=node.console())
    out.print("Fed. Alerts appear within seconds while the node runs.")


@sample.command("erase")
def sample_erase() -> None:
    """Remove the sample stream and everything that came of it."""
    node = _ready()
    from lianfang.rooms.lake import actions as lake

    lake.erase_sample(actor=node.console())
    out.print("Removed.")
