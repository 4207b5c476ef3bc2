"""One-click install: the README's one command in a clean clone, under a home that holds nothing, and the first page shows alerts."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.walks.living import ROOT, Node, Person

PASSWORD = "a-long-Enough-word-26"
UNREACHABLE = re.compile(r"dns error|error sending request|Could not connect|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|Network is unreachable|Failed to fetch|Temporary failure in name resolution", re.IGNORECASE)
KEPT = {"UV_CACHE_DIR": ".cache/uv", "npm_config_cache": ".npm"}
"""Packages that were brought here before; where there are none, the network brings them."""


class Installed(Node):
    """``make run`` in a clean clone."""

    PATIENCE, GROUP = 280.0, True

    def __init__(self, folder: Path):
        super().__init__(folder / "home")
        self.clone = folder / "lianfang"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(self.clone)], check=True, capture_output=True)
        self.home.mkdir()
        kept = {name: str(Path.home() / place) for name, place in KEPT.items() if (Path.home() / place).is_dir()}
        certificates = {name: os.environ[name] for name in ("SSL_CERT_FILE", "PIP_CERT", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy") if name in os.environ}
        python = Path(sys.executable).resolve().parent  # the interpreter itself: what chooses among several may ask the home which
        self.environment = {"PATH": f"{python}:{os.environ['PATH']}", "HOME": str(self.home), "PORT": str(self.port), "LANG": "C.UTF-8", **certificates, **kept}

    def command(self, *arguments: str) -> list[str]:
        return ["make", "--no-print-directory", "-C", str(self.clone), "run"] if arguments == ("up",) else [str(self.clone / ".venv/bin/lianfang"), *arguments]

    def __enter__(self) -> "Installed":
        try:
            super().__enter__()
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            if isinstance(error, AssertionError) and UNREACHABLE.search(self.tail()):
                pytest.skip(f"a package is neither in the caches of uv and npm nor to be had from the network: {self.tail()[-300:]}")
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(60)


@pytest.mark.slow
@pytest.mark.covers("Q10")
def test_one_command_in_a_clean_clone_installs_starts_and_shows_alerts(tmp_path):
    with Installed(tmp_path) as node:
        newcomer = Person(node)
        newcomer.submit("/accounts/login/", login="admin", password=node.first_password())
        newcomer.submit(str(newcomer.get("/").url), oldpassword=node.first_password(), password1=PASSWORD, password2=PASSWORD)
        alerts = node.until(lambda: newcomer.ask("/api/respond/alerts/")["items"], "alerts of the sample stream", seconds=90)
        assert alerts[0]["score"] > 0
        assert newcomer.get("/respond/").status_code == 200
        assert (node.clone / "var/node.sqlite3").is_file(), "everything of the node lies in the clone"
