"""A labelled stream of raw alerts of our own making, for where the public one is not at hand: seeded, the same each time.

Eight organisations of a dozen hosts, four days each. Noise: signatures that sound all day, in bursts, or now and then; a name
server and a proxy in what everybody's alerts tell; on two hosts a job of an agent that looks like an attack, some times a day. In each organisation an attack of eight phases (one has nine) walks over
three hosts, with its own address and a stolen account, in among the noise; some phases use signatures that noise knows too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

START = 1_780_272_000.0
DAYS = 4
PHASES = (
    ("scan", "reconnaissance", "ET SCAN probes of many ports", 3, 1), ("service-scan", "discovery", "Web scanner user agent", 3, 60), ("guess", "credential-access", "Many failed logins", 3, 200), ("upload", "persistence", "Script written into the web root", 4, 2),
    ("shell", "execution", "Web server starts a shell", 5, 3), ("escalate", "privilege-escalation", "Sudo by a service account", 4, 1), ("move", "lateral-movement", "Login by a rarely used account", 3, 2), ("steal", "exfiltration", "DNS queries with encoded names", 4, 400), ("wipe", "impact", "Service stopped", 4, 2),
)  # fmt: skip
"""Name, tactic, signature, severity, raw alerts."""
ALWAYS = (("Invalid HTTP header", 1, 25.0), ("PAM: user login failed", 2, 70.0), ("Integrity checksum changed", 1, 300.0))
BURSTS = (("Many failed logins", 3, 60), ("ET POLICY package management user agent", 1, 120), ("Web scanner user agent", 3, 45))
SELDOM = (("Service stopped", 4), ("Sudo by a service account", 4), ("New user created", 3), ("Login by a rarely used account", 3))

LOOKALIKE = ("Password store read by a program", 5, "credential-access")
"""What an agent does on two hosts, four to eight times a day: harmless, and severe by its rule."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One raw alert; ``label``: its phase, ``""`` for noise."""

    scenario: str
    host: str
    signature: str
    time: float
    label: str
    severity: int = 3
    tactic: str = ""
    ips: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


def stream(seed: int = 5, scenarios: int = 8) -> list[Raw]:
    """Everything, by time."""
    rows = [raw for number in range(scenarios) for raw in _scenario(random.Random(seed * 1000 + number), number)]
    return sorted(rows, key=lambda raw: (raw.time, raw.scenario, raw.host, raw.signature))


def _scenario(dice: random.Random, number: int) -> Iterator[Raw]:
    name = f"organisation-{number}"
    hosts = [f"{kind}-{number}" for kind in ("web", "mail", "files", "vpn", "proxy", "dns", "db", "pc1", "pc2", "pc3", "pc4", "pc5")]
    begin = START + number * 86_400 * 0.4
    shared = (f"10.{number}.0.53", f"10.{number}.0.3")
    for host in hosts:
        yield from _noise(dice, name, host, begin, shared)
    for host in hosts[2:4]:
        yield from _lookalike(random.Random(f"{name} {host}"), name, host, begin)
    yield from _attack(dice, name, hosts, begin + 86_400 * dice.uniform(2.1, 3.4), number)


def _noise(dice: random.Random, name: str, host: str, begin: float, shared: tuple[str, ...]) -> Iterator[Raw]:
    end = begin + DAYS * 86_400
    for signature, severity, pause in dice.sample(ALWAYS, 2):
        at = begin + dice.random() * pause
        while at < end:
            yield Raw(name, host, signature, at, "", severity, ips=shared[:1])
            at += dice.expovariate(1 / pause)
    for signature, severity, size in dice.sample(BURSTS, 1):
        for _burst in range(dice.randint(6, 16)):
            at = begin + dice.random() * (end - begin)
            for _event in range(dice.randint(size // 2, size * 2)):
                at += dice.expovariate(0.5)
                yield Raw(name, host, signature, at, "", severity, ips=shared)
    for signature, severity in SELDOM:
        for _time in range(dice.randint(0, 3)):
            yield Raw(name, host, signature, begin + dice.random() * (end - begin), "", severity, ips=shared[:1], users=(f"user{dice.randint(1, 9)}",))


def _lookalike(dice: random.Random, name: str, host: str, begin: float) -> Iterator[Raw]:
    signature, severity, tactic = LOOKALIKE
    for day in range(DAYS):
        for _time in range(dice.randint(4, 8)):
            yield Raw(name, host, signature, begin + (day + dice.random()) * 86_400, "", severity, tactic, users=("svc-agent",))


def _attack(dice: random.Random, name: str, hosts: list[str], at: float, number: int) -> Iterator[Raw]:
    outside, account = f"203.0.113.{10 + number}", f"svc-backup-{number}"
    walked = [hosts[0], hosts[6], dice.choice(hosts[7:])]
    phases = PHASES if number == 0 else PHASES[:-1]
    for place, (label, tactic, signature, severity, size) in enumerate(phases):
        at += dice.uniform(240, 2400)
        host = walked[min(2, place // 4)] if label != "move" else walked[1]
        moment = at
        for _event in range(max(1, round(size * dice.uniform(0.6, 1.4)))):
            moment += dice.expovariate(0.8)
            yield Raw(name, host, signature, moment, label, severity, tactic, (outside,) if place < 5 or label == "steal" else (), (account,) if place >= 4 else ())
