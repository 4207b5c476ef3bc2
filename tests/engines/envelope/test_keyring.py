"""Generations of a sealing key: what a node sealed before there were any still opens, each thing by its own key, nothing by another."""

import pytest

from lianfang.engines.envelope import Keyring, SealingKey, Steady, generations, key_file, mark_of
from lianfang.kernel.errors import Conflict, Invalid, Missing

WHAT = "test"


@pytest.fixture
def first(tmp_path):
    """A node as it was: one key file, a text, bytes and a steady text sealed under it as they were then."""
    key = SealingKey.generate()
    key.save(tmp_path / "sealing.key")
    return key


def steady_as_it_was(key):
    said = Steady.of(key.secret, WHAT).seal("li")
    assert said.startswith("steady1."), "the form of the first day"
    return said


def test_what_was_sealed_before_there_were_generations_opens_for_ever(first, tmp_path):
    text, data, steady = first.seal("li", purpose=WHAT), first.seal_bytes(b"li", purpose=WHAT), steady_as_it_was(first)
    for number in (1, 2, 3):
        if number > 1:
            SealingKey.generate().save(key_file(tmp_path, number))
        ring = Keyring.load(tmp_path)
        assert (ring.newest, sorted(generations(tmp_path))) == (number, list(range(1, number + 1)))
        assert (ring.open(text, purpose=WHAT), ring.open_bytes(data, purpose=WHAT), ring.steady(WHAT, 1).open(steady)) == ("li", b"li", "li")
        assert (ring.generation(text), ring.generation(data)) == (1, 1)
        assert ring.steady(WHAT).seal("li").startswith(f"steady{number}.")


def test_each_thing_says_which_key_it_wants_and_opens_by_no_other(first, tmp_path):
    SealingKey.generate().save(key_file(tmp_path, 2))
    ring = Keyring.load(tmp_path)
    text, data, steady = ring.seal("li", purpose=WHAT), ring.seal_bytes(b"li", purpose=WHAT), ring.steady(WHAT).seal("li")
    assert ring.generation(text) == ring.generation(data) == 2
    assert mark_of(text) == mark_of(data)
    with pytest.raises(Invalid):
        ring.open(text, purpose="another")
    with pytest.raises(Invalid):
        ring.open_bytes(data, purpose="another")
    key_file(tmp_path, 2).unlink()
    alone = Keyring.load(tmp_path)
    assert alone.generation(text) is None
    with pytest.raises(Conflict):
        alone.open(text, purpose=WHAT)
    with pytest.raises(Conflict):
        alone.open_bytes(data, purpose=WHAT)
    with pytest.raises(Missing):
        alone.steady(WHAT, 2)
    with pytest.raises(Invalid):
        alone.steady(WHAT).open(steady)


def test_without_the_first_key_old_bytes_say_what_is_missing(first, tmp_path):
    data = first.seal_bytes(b"li", purpose=WHAT)
    SealingKey.generate().save(key_file(tmp_path, 2))
    key_file(tmp_path, 1).unlink()
    with pytest.raises(Conflict, match="another key"):
        Keyring.load(tmp_path).open_bytes(data, purpose=WHAT)


def test_files_that_are_no_keys(first, tmp_path):
    for name in ("sealing-1.key", "sealing-02.key", "sealing-x.key", "sealing.key.bak", ".sealing-3.key.12.ab"):
        (tmp_path / name).write_text("x")
    assert list(Keyring.load(tmp_path).keys) == [1]
    key_file(tmp_path, 2).write_text("no key")
    with pytest.raises(Invalid):
        Keyring.load(tmp_path)  # never the older one in its place, unseen
    SealingKey.generate().save(key_file(tmp_path, 3))
    assert sorted(Keyring.load(tmp_path).keys) == [1, 3]
    with pytest.raises(Missing):
        Keyring.load(tmp_path / "nowhere")
