import pytest

collect_ignore = ["crowd.py"]  # a script


@pytest.fixture(autouse=True)
def home(settings, tmp_path):
    """Every test has keys of its own."""
    settings.HOME = tmp_path
    return tmp_path
