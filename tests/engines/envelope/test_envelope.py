"""Signed messages against published vectors and against those who change them."""

from __future__ import annotations

import json
import stat

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.envelope import Checkpoint, ProofFile, SealingKey, SigningKey, VerifyKey, canonical, canonical_plain, is_sealed, key_name, open_note, sign_note
from lianfang.kernel.errors import Conflict, Fault, Invalid, Missing, Refused

# The note by which implementations of Go's sumdb/note are compared.
NEUMANN = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = """If you think cryptography is the answer to your problem,
then you don't know what your problem is.

\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
KEY = SigningKey("example.org/ledger", bytes(32))

PLAIN = st.recursive(st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8), lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=8), inner), max_leaves=12)
ANY = st.recursive(st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**53) + 1, 2.0**53 - 1) | st.text(max_size=8), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=12)


@given(st.text())
def test_any_text_becomes_a_name_that_signs_or_nothing(text):
    name = key_name(text)
    assert key_name(name) == name
    if name:
        key = SigningKey(f"{name}/ledger", bytes(32))
        assert open_note(sign_note("text\n", key), [VerifyKey.parse(str(key.verify_key))]).signed_by == (key.verify_key,)
        assert SigningKey.parse(key.dump()) == key


# -- sealing ---------------------------------------------------------------------------------------------------------


@given(st.text(), st.text(max_size=20))
def test_what_is_sealed_opens_with_its_key_and_purpose_only(text, purpose):
    key = SealingKey(bytes(range(32)))
    sealed = key.seal(text, purpose=purpose)
    assert is_sealed(sealed)
    assert sealed != key.seal(text, purpose=purpose)
    assert key.open(sealed, purpose=purpose) == text
    with pytest.raises(Invalid):
        key.open(sealed, purpose=purpose + "!")
    with pytest.raises(Conflict, match="another key"):
        SealingKey(bytes(32)).open(sealed, purpose=purpose)


@pytest.mark.parametrize("change", [lambda text: text[:-8], lambda text: text[:-6] + "AAAAA=", lambda text: text[:17], lambda text: "plain", lambda text: text + "ü"])
def test_a_changed_seal_does_not_open(change):
    key = SealingKey(bytes(range(32)))
    with pytest.raises(Invalid):
        key.open(change(key.seal("JBSWY3DP", purpose="p")), purpose="p")


def test_a_sealing_key_is_kept_like_a_signing_key(tmp_path):
    path, key = tmp_path / "keys" / "sealing.key", SealingKey.generate()
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SealingKey.load(path) == key
    assert repr(key) == "SealingKey()"
    with pytest.raises(Conflict):
        SealingKey.generate().save(path)
    with pytest.raises(Missing):
        SealingKey.load(tmp_path / "none")
    for wrong in ("", "SECRET+KEY+", "SECRET+KEY+00000000+" + "A" * 43 + "=", "SECRET+KEY+x+ü"):
        path.write_text(wrong)
        with pytest.raises(Invalid):
            SealingKey.load(path)


# -- canonical JSON --------------------------------------------------------------------------------------------------


def test_the_sample_of_the_standard():
    """RFC 8785 §3.2.2 and §3.2.3."""
    value = json.loads(r'{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}')
    assert canonical(value).decode() == r'''{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}'''


def test_keys_are_sorted_by_utf_16():
    """RFC 8785 §3.2.3: by code units, not by characters."""
    assert list(json.loads(canonical({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}))) == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@given(PLAIN)
def test_the_fast_way_writes_what_the_reference_writes(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(ANY)
def test_every_value_has_one_form_and_comes_back(value):
    """Doubles from 2⁵³ on are written like integers and would come back as such; they are not drawn."""
    said = canonical(value)
    assert canonical(json.loads(said)) == said


@given(st.dictionaries(st.text(st.characters(max_codepoint=127)), st.text() | st.integers(-(2**53) + 1, 2**53 - 1)))
def test_the_unchecked_way_writes_the_same(value):
    assert canonical_plain(value) == canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, {1: 2}, "\ud800", object(), {"a": {"b": b"bytes"}}])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(Invalid):
        canonical(value)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_known_key_signs_the_known_signature():
    key = SigningKey.parse(NEUMANN)
    assert str(key.verify_key) == NEUMANN_PUBLIC
    assert key.dump() == NEUMANN
    assert sign_note(NOTE.split("\n\n")[0] + "\n", key) == NOTE


def test_a_key_file_is_its_owners_alone_and_never_overwritten(tmp_path):
    path, key = tmp_path / "keys" / "node.key", SigningKey.generate("example.org/ledger")
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert SigningKey.load(path) == key
    with pytest.raises(Conflict):
        SigningKey.generate("other").save(path)
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(Missing):
        SigningKey.load(tmp_path / "nothing")


def test_a_secret_does_not_show_itself():
    assert repr(KEY.seed) not in repr(KEY)


@pytest.mark.parametrize("text", ["", "x", "a+b+c", NEUMANN_PUBLIC[:-4], NEUMANN_PUBLIC.replace("c74f20a3", "c74f20a4"), NEUMANN_PUBLIC.replace("Peter", "Pater"), NEUMANN])
def test_a_key_that_contradicts_itself_is_refused(text):
    with pytest.raises(Invalid):
        VerifyKey.parse(text)
    with pytest.raises(Invalid):
        SigningKey.parse("PRIVATE+KEY+" + text)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\nb"])
def test_a_name_without_spaces_and_plus(name):
    with pytest.raises(Invalid):
        SigningKey.generate(name)


# -- notes -------------------------------------------------------------------------------------------------------------


def test_a_note_of_others_is_opened():
    opened = open_note(NOTE, [VerifyKey.parse(NEUMANN_PUBLIC)])
    assert opened.text.endswith("what your problem is.\n")
    assert [key.name for key in opened.signed_by] == ["PeterNeumann"]


def test_unknown_signatures_are_passed_over_and_an_unknown_signer_alone_is_not_believed():
    witness = SigningKey.generate("witness.example")
    note = sign_note("text\n\nwith a gap\n", KEY, witness)
    assert [key.name for key in open_note(note, [witness.verify_key]).signed_by] == ["witness.example"]
    assert len(open_note(note, [witness.verify_key, KEY.verify_key]).signed_by) == 2
    with pytest.raises(Refused):
        open_note(note, [SigningKey.generate("witness.example").verify_key])


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_no_changed_note_is_believed(place, byte):
    note = sign_note("example.org/ledger\n12\nroot\n", KEY).encode()
    place %= len(note)
    changed = note[:place] + bytes([byte]) + note[place + 1 :]
    try:
        opened = open_note(changed.decode(), [KEY.verify_key])
    except (Fault, UnicodeDecodeError):
        return
    assert opened.text == "example.org/ledger\n12\nroot\n", "only what is not signed may differ"


@pytest.mark.parametrize("note", ["", "text", "text\n", "text\n\n", "text\n\nno dash\n", "text\n\n\u2014 name\n", "text\n\n\u2014 name !!!\n", "text\n\n\u2014 name AAAA\n", "text\n\n" + "\u2014 n AAAAAAAA\n" * 101])
def test_what_is_not_a_note_is_refused(note):
    with pytest.raises(Invalid):
        open_note(note, [KEY.verify_key])


@pytest.mark.parametrize("text", ["no newline", "tab\t\n", "bell\x07\n"])
def test_what_cannot_be_a_note_is_not_signed(text):
    with pytest.raises(Invalid):
        sign_note(text, KEY)


# -- checkpoints and proof files -----------------------------------------------------------------------------------------


def test_the_checkpoint_of_the_standard():
    """The example of C2SP tlog-checkpoint."""
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = Checkpoint.parse(text)
    assert (checkpoint.origin, checkpoint.size, checkpoint.text) == ("example.com/behind-the-sofa", 20852163, text)


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32), st.lists(st.text("abc 1", min_size=1), max_size=2))
def test_a_checkpoint_comes_back_as_it_was(size, root, extensions):
    checkpoint = Checkpoint("example.org/ledger", size, root, tuple(extensions))
    assert Checkpoint.open(checkpoint.sign(KEY), [KEY.verify_key], origin="example.org/ledger") == checkpoint
    with pytest.raises(Invalid):
        Checkpoint.open(checkpoint.sign(KEY), [KEY.verify_key], origin="example.org/other")


@pytest.mark.parametrize("text", ["", "a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", "a\n1\nAAAA\n", "a\n1\n!\n", "a\n１\n" + "A" * 43 + "=\n", "\n1\n" + "A" * 43 + "=\n"])
def test_what_is_not_a_checkpoint_is_refused(text):
    with pytest.raises(Invalid):
        Checkpoint.parse(text)


@given(st.integers(0, 2**40), st.lists(st.binary(min_size=32, max_size=32), max_size=40), st.binary(max_size=50))
def test_a_proof_file_comes_back_as_it_was(index, path, extra):
    proof = ProofFile(index, tuple(path), Checkpoint("a", index + 1, bytes(32)).sign(KEY), extra)
    assert ProofFile.parse(proof.text) == proof
    assert proof.text.startswith("c2sp.org/tlog-proof@v1\n")


@pytest.mark.parametrize("text", ["", "c2sp.org/tlog-proof@v1\n\nnote", "c2sp.org/tlog-proof@v2\nindex 1\n\nnote", "c2sp.org/tlog-proof@v1\nindex x\n\nnote", "c2sp.org/tlog-proof@v1\nextra !\nindex 1\n\nnote", "c2sp.org/tlog-proof@v1\nindex 1\nshort\n\nnote"])
def test_what_is_not_a_proof_file_is_refused(text):
    with pytest.raises(Invalid):
        ProofFile.parse(text)
