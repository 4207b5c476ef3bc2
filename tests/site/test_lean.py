"""A part of the node does not carry what it never uses: memory is what is short where logs come in."""

import os
import subprocess
import sys

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
    assert not loaded & {"sigma", "pyparsing", "jinja2", "openpyxl", "onnx", "sklearn"}
