"""A part of the node does not carry what it never uses: memory is what is short where logs come in."""

import os
import subprocess
import sys
from pathlib import Path

import lianfang

LOADED = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "lianfang.site.settings"
import django; django.setup()
from lianfang.rooms.lake.actions import ingesting
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_where_logs_come_in_nothing_is_loaded_that_only_compiles_or_shows(tmp_path):
    done = subprocess.run([sys.executable, "-c", LOADED], env={**os.environ, "LIANFANG_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120, check=True)
    loaded = set(done.stdout.split())
    assert "django" in loaded
    assert not loaded & {"sigma", "pyparsing", "jinja2", "openpyxl", "onnx", "sklearn", "duckdb", "ninja"}


def test_no_action_asks_where_a_page_is():
    """The first address that is asked for loads every page and every door of the node: a second of work and tens of megabytes in a process that
    shows none. What happened is told with a reference; whoever shows it asks (``frame.queries``)."""
    actions = list(Path(lianfang.__file__).parent.glob("*/*/actions/**/*.py"))
    assert len(actions) > 50
    assert not [path.name for path in actions if "django.urls" in path.read_text("utf-8")]
