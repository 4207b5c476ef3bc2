"""What a node needs, looked at one by one: what is there, what is missing, how to get it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lianfang.kernel.errors import Fault


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``state``: ok, warn (works, but not as well), fail (the node cannot run)."""

    name: str
    state: str
    what: str
    todo: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """All findings, in the order a person would look."""
    return [python(), home(), space(), matcher(), assets(), fonts(), captures(), keys(), *database(), port()]


def python() -> Finding:
    return Finding("Python", "ok", f"{platform.python_version()} on {platform.machine()}")


def home() -> Finding:
    folder = Path(os.environ.get("LIANFANG_HOME", "var")).absolute()
    if not folder.exists():
        return Finding("Home", "warn", f"{folder} does not exist yet", "Run: lianfang init")
    if not os.access(folder, os.W_OK):
        return Finding("Home", "fail", f"{folder} cannot be written", "Give this user the folder, or set LIANFANG_HOME.")
    loose = folder.stat().st_mode & 0o077
    return Finding("Home", "warn", f"{folder} is open to other users", f"chmod 700 {folder}") if loose else Finding("Home", "ok", str(folder))


def keys() -> Finding:
    """Whether the node's keys are its own."""
    folder = Path(os.environ.get("LIANFANG_HOME", "var")).absolute() / "keys"
    loose = sorted(path for path in (folder, *folder.glob("*")) if path.exists() and path.stat().st_mode & 0o077)
    if loose:
        return Finding("Keys", "warn", f"open to other users: {', '.join(map(str, loose))}", f"chmod -R u=rwX,go= {folder}")
    return Finding("Keys", "ok", "readable by their owner only" if folder.exists() else "made when the node is")


def space() -> Finding:
    folder = Path(os.environ.get("LIANFANG_HOME", ".")).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    return Finding("Disk", "ok" if free > 5 else "warn" if free > 1 else "fail", f"{free:.0f} GiB free", "" if free > 5 else "Free some space: the lake stops receiving before the disk is full.")


def matcher() -> Finding:
    if importlib.util.find_spec("hyperscan"):
        return Finding("Matcher", "ok", "Vectorscan")
    return Finding("Matcher", "warn", "Aho-Corasick and RE2 (about a third of the speed)", "pip install hyperscan, where a wheel exists for this processor.")


def assets() -> Finding:
    vendor = Path(__file__).parents[1] / "commons/frame/static/vendor"
    if vendor.is_dir() and any(vendor.iterdir()):
        return Finding("Front end", "ok", "installed")
    return Finding("Front end", "fail", "its files are not installed", "Run: make assets, or python tools/assets.py")


def fonts() -> Finding:
    if not shutil.which("fc-list"):
        return Finding("Fonts", "warn", "cannot be listed (fontconfig is missing)", "Only reports need them: apt install fontconfig fonts-noto-cjk")
    found = subprocess.run(["fc-list", ":lang=zh"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607
    return Finding("Fonts", "ok", "a Chinese font is there") if found else Finding("Fonts", "warn", "no Chinese font", "Only reports need one: apt install fonts-noto-cjk")


def captures() -> Finding:
    """Whether a program is here that reads captures of packets."""
    from lianfang.engines.connect import captures

    found = captures.installed()
    if not found:
        return Finding("Captures", "warn", "no tshark, Zeek or Suricata", f"Only captures of packets (.pcap) need one: {captures.INSTALL}")
    try:
        name, path = captures.reader(os.environ.get("LIANFANG_CAPTURES", ""))
    except Fault as fault:
        return Finding("Captures", "warn", fault.what, fault.todo)
    return Finding("Captures", "ok", f"read by {name} ({path})" + (f"; also here: {', '.join(sorted(found.keys() - {name}))}" if len(found) > 1 else ""))


def database() -> list[Finding]:
    """Whether the database answers and its tables are current."""
    try:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lianfang.site.settings")
        import django

        django.setup()
        from django.db import connection

        from lianfang.site import node

        waiting = node.pending()
    except Exception as error:
        return [Finding("Database", "fail", f"{type(error).__name__}: {error}"[:300], "Check LIANFANG_DATABASE and that the server runs.")]
    if waiting:
        return [Finding("Database", "warn", f"{connection.vendor}: {len(waiting)} table changes are waiting", "Run: lianfang init")]
    return [Finding("Database", "ok", connection.vendor), *second_factors(), *sealing_keys(), *tables()]


def tables() -> list[Finding]:
    """Where the event tables lie; an object store is asked whether of several writers at once none loses a commit."""
    from django.conf import settings

    if "lake" not in settings.ROOMS:
        return []
    from lianfang.rooms.lake import queries as lake

    try:
        place, told, kept = lake.raced()
    except Fault as error:
        return [Finding("Tables", "fail", f"{error.what}: {error.why}"[:300], error.todo)]
    if told != kept:
        return [Finding("Tables", "fail", f"{place}: of {told} commits made at once {told - kept} are lost", "This store does not honour conditional writes (If-None-Match): keep the tables elsewhere.")]
    return [Finding("Tables", "ok", f"{place}: {told} commits of four writers at once, none lost" if told else place)]


def second_factors() -> list[Finding]:
    """Whether the second factors open with the key that lies here."""
    from django.conf import settings

    if "people" not in settings.ROOMS:
        return []
    from lianfang.commons.people import queries as people

    locked = people.factors_out_of_reach()
    if locked:
        return [Finding("Second factors", "fail", f"{locked} cannot be read: {people.sealing_file()} {'is not the key they were sealed under' if people.sealing_file().exists() else 'is missing'}", "Restore that file from a backup; people who cannot wait: drop their second factor.")]
    return [Finding("Second factors", "ok", "readable with the node's key" if people.sealing_file().exists() else "none; their key is made with the first")]


def sealing_keys() -> list[Finding]:
    """Whether every key is here on which sealed things hang."""
    from django.conf import settings
    from django.utils import translation

    if "people" not in settings.ROOMS:
        return []
    from lianfang.commons.people import queries as people

    found = people.key_generations()
    lost = [one for one in found if one.state == "lost"]
    if lost:
        translation.activate("en")
        things = ", ".join(f"{thing.title}: {thing.count}" for one in lost for thing in one.things)
        files = ", ".join(people.sealing_file(one.number or 1).name for one in lost)
        return [Finding("Sealing keys", "fail", f"{files} in {people.keys_folder()} is missing, or is another key; sealed under it: {things}", f"Restore the folder keys/ from a backup; or give this up: lianfang keys forget {lost[0].number}")]
    older = [one for one in found if one.state == "older" and one.things]
    if older:
        return [Finding("Sealing keys", "ok", f"generation {found[0].number}; {sum(one.count for one in older)} things still hang on older ones")]
    return [Finding("Sealing keys", "ok", f"generation {found[0].number}" if found else "none; made when first needed")]


def port() -> Finding:
    number = int(os.environ.get("PORT", "8000"))
    with socket.socket() as probe:
        probe.settimeout(0.5)
        busy = probe.connect_ex(("127.0.0.1", number)) == 0
    return Finding("Port", "warn", f"{number} is in use (perhaps by this node)", "Set PORT to another one if it is not.") if busy else Finding("Port", "ok", f"{number} is free")
