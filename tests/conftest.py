"""What all tests share: a node's home of their own, made before Django reads its settings."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# The suite says the same of the same code each time; HYPOTHESIS_PROFILE=explore looks for new counterexamples.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

_home = tempfile.mkdtemp(prefix="lianfang-test-")
os.environ["LIANFANG_HOME"] = _home


def pytest_sessionfinish(session):
    shutil.rmtree(_home, ignore_errors=True)


@pytest.fixture(scope="session")
def field_data() -> Path:
    """The folder of data that nobody here wrote; tests that need it are skipped where it is absent."""
    folder = os.environ.get("LIANFANG_DATA", "")
    if not folder or not Path(folder, "detection").is_dir():
        pytest.skip("LIANFANG_DATA names no folder of field data")
    return Path(folder).resolve()
