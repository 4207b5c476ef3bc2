"""A living node for the walks: its real processes on a port of its own, and a client that signs in as a person does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from tests.patience import free_port

ROOT = Path(__file__).parents[2]


class Node:
    """``lianfang up`` in a fresh home, its output kept, until the ``with`` block ends."""

    PATIENCE = 180.0
    """Seconds until it answers."""
    GROUP = False
    """Whether its processes are a group of their own, so that all of them can be ended."""

    def __init__(self, home: Path, **environment: str):
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**os.environ, "LIANFANG_HOME": str(home), "PORT": str(self.port), "PYTHONPATH": str(ROOT / "src"), **environment}
        self.environment.pop("LIANFANG_ROOMS", None)
        self.out = home.parent / f"{home.name}.log"

    def __enter__(self) -> Node:
        with self.out.open("w") as out:
            self.process = subprocess.Popen(self.command("up"), env=self.environment, stdout=out, stderr=subprocess.STDOUT, cwd=self.home.parent, start_new_session=self.GROUP)
        try:
            self.until(self.healthy, "the node answers", seconds=self.PATIENCE)
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "lianfang.site", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command of this node, as its operator types it."""
        return subprocess.run(self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=180, check=False)

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def until(self, condition: Callable[[], Any], what: str, *, seconds: float = 60) -> Any:
        """Wait for ``condition``; what it gave when it was true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"the node ended before {what}:\n{self.tail()}")
            time.sleep(0.2)
        raise AssertionError(f"waited {seconds:.0f} s in vain: {what}\n{self.tail()}")

    def tail(self) -> str:
        return self.out.read_text("utf-8")[-4000:]

    def first_password(self) -> str:
        found = re.search(r"one-time password (\S+)", self.out.read_text("utf-8"))
        assert found, self.tail()
        return found[1]

    def stop(self) -> int:
        """Ctrl-C, and how it ended."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(40)


class Person(httpx.Client):
    """Somebody at a browser: forms carry their tokens, redirects are followed."""

    def __init__(self, node: Node):
        super().__init__(base_url=node.url, follow_redirects=True, timeout=30, headers={"Accept-Language": "en", "Accept": "text/html,application/json"})

    def submit(self, address: str, **fields: str) -> httpx.Response:
        """Open the page with the form, fill it in, send it."""
        page = self.get(address)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, f"no form on {address}: {page.status_code}"
        return self.post(page.url, data={"csrfmiddlewaretoken": token[1], **fields}, headers={"Referer": str(page.url)})

    def ask(self, address: str, **params: Any) -> Any:
        """A question to the API with this person's session."""
        answer = self.get(address, params=params, headers={"Accept": "application/json"})
        assert answer.status_code == 200, f"{address}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def tell(self, address: str, body: dict[str, Any]) -> httpx.Response:
        """A change through the API with this person's session."""
        return self.post(address, json=body, headers={"X-CSRFToken": self.cookies.get("csrftoken", ""), "Referer": str(self.base_url), "Accept": "application/json"})
