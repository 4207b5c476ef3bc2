"""One way to write each thing, and nothing taken for what it is not."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianfang.engines.schema import observables
from lianfang.kernel.errors import Invalid

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=3).map(lambda parts: ".".join([*parts, "example"]))
FANGS = [lambda text: text.replace(".", "[.]"), lambda text: text.replace(".", "(.)"), lambda text: text.replace(".", "[dot]"), lambda text: text.replace(".", r"\."), lambda text: f"  {text} ", lambda text: f"“{text}”"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.3.4", ("ipv4", "1.2.3.4")),
        ("1[.]2[.]3[.]4", ("ipv4", "1.2.3.4")),
        ("1.2.3.4/32", ("ipv4", "1.2.3.4")),
        ("::ffff:1.2.3.4", ("ipv4", "1.2.3.4")),
        ("2001:0DB8:0000::1", ("ipv6", "2001:db8::1")),
        ("2001[:]db8::1", ("ipv6", "2001:db8::1")),
        ("10.1.2.3/8", ("cidr", "10.0.0.0/8")),
        ("2001:db8::/32", ("cidr", "2001:db8::/32")),
        ("EVIL.Example.", ("domain", "evil.example")),
        ("evil(dot)example", ("domain", "evil.example")),
        ("恶意。中国", ("domain", "xn--5bu4m.xn--fiqs8s")),
        ("_dmarc.evil.example", ("domain", "_dmarc.evil.example")),
        ("hxxp://evil[.]example/a?b=C#d", ("url", "http://evil.example/a?b=C")),
        ("hXXps[:]//evil.example:443", ("url", "https://evil.example/")),
        ("HTTPS://u:p@Evil.Example:8443/x", ("url", "https://u:p@evil.example:8443/x")),
        ("http://192.0.2.1/a", ("url", "http://192.0.2.1/a")),
        ("http://intranet/a", ("url", "http://intranet/a")),
        ("ftp://files.example/x", ("url", "ftp://files.example/x")),
        ("D41D8CD98F00B204E9800998ECF8427E", ("md5", "d41d8cd98f00b204e9800998ecf8427e")),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709")),
        ("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", ("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
        ("Zhang.San[@]Evil[.]example", ("email", "Zhang.San@evil.example")),
        ("a[at]evil[dot]example", ("email", "a@evil.example")),
    ],
)
def test_it_is_known_and_written_one_way(text: str, expected: tuple[str, str]) -> None:
    assert observables.observe(text) == expected
    assert observables.kind_of(text) == expected[0]
    assert observables.observe(expected[1]) == expected


@pytest.mark.parametrize(
    "text",
    ["", "-", " ", "hello", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.02.03.04", "1.2.3.4/33", "a..example", ".example", "-a.example", "a b.example", "file.123", "http://", "http://a b/", "javascript:alert(1)",
     "d41d8cd98f00b204e9800998ecf8427", "g41d8cd98f00b204e9800998ecf8427e", "a@b", "@evil.example", "a@@evil.example", "x" * 5000, "a." * 200 + "example", "\0", "1.2.3.4\n5.6.7.8", "C:\\Windows\\a.exe", "/etc/passwd", "12:30", "::g"],
)  # fmt: skip
def test_it_is_nothing_we_know(text: str) -> None:
    assert observables.observe(text) is None


@given(st.ip_addresses(), st.sampled_from(FANGS))
def test_addresses_survive_defanging(address: ipaddress.IPv4Address | ipaddress.IPv6Address, fang) -> None:
    found = observables.observe(fang(str(address)))
    assert found is not None
    assert ipaddress.ip_address(found[1]) == (getattr(address, "ipv4_mapped", None) or address)


@given(domains, st.sampled_from(FANGS))
def test_domains_survive_defanging(name: str, fang) -> None:
    assert observables.observe(fang(name.upper())) == ("domain", name)


@given(st.text(max_size=80))
def test_any_text_has_an_answer_and_the_canonical_form_is_stable(text: str) -> None:
    found = observables.observe(text)
    if found is not None:
        assert observables.observe(found[1]) == found
        assert observables.canonical(*found) == found[1]


def test_the_wrong_kind_is_refused_with_words() -> None:
    with pytest.raises(Invalid, match="is not of the kind ipv4"):
        observables.canonical("ipv4", "evil.example")
    with pytest.raises(Invalid, match="is not of the kind nonsense"):
        observables.canonical("nonsense", "evil.example")
