"""Rule packs arrive as folders, files and archives, some of them hostile."""

import gzip
import io
import tarfile
import zipfile

import pytest
import zstandard

from lianfang.engines.rules import sources
from lianfang.kernel.errors import Invalid, Missing

FILES = {"pack/a.yml": b"title: A", "pack/sub/b.yaml": "title: 乙".encode(), "pack/README.md": b"no rule"}


def tar(files=FILES, **special) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in special.items():
            info = tarfile.TarInfo(name + ".yml")
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return out.getvalue()


def zipped(files=FILES) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


PACKINGS = {
    "p.zip": zipped,
    "p.tar": tar,
    "p.tar.gz": lambda files=FILES: gzip.compress(tar(files)),
    "p.tgz": lambda files=FILES: gzip.compress(tar(files)),
    "p.tar.zst": lambda files=FILES: zstandard.compress(tar(files)),
}


@pytest.mark.parametrize("name", PACKINGS)
def test_an_archive_gives_its_rules(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(PACKINGS[name]())
    assert [(text.path, text.text) for text in sources.load(path)] == [(f"{name}!pack/a.yml", "title: A"), (f"{name}!pack/sub/b.yaml", "title: 乙")]


def test_folders_and_files_are_read_together_in_order(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    single = tmp_path / "z.yml"
    single.write_bytes(b"\xef\xbb\xbftitle: Z")
    assert [text.text for text in sources.load([tmp_path / "pack", single])] == ["title: A", "title: 乙", "title: Z"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret.yml").write_text("title: secret")
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "link.yml").symlink_to(tmp_path / "secret.yml")
    assert sources.load(pack) == []


@pytest.mark.parametrize("name", PACKINGS)
def test_a_path_that_climbs_is_only_a_label(tmp_path, name):
    path = tmp_path / "inside" / name
    path.parent.mkdir()
    path.write_bytes(PACKINGS[name]({"../../evil.yml": b"title: E", "/etc/evil.yml": b"title: F"}))
    assert [text.text for text in sources.load(path)] == ["title: E", "title: F"]
    assert sorted(each.name for each in tmp_path.rglob("*")) == sorted(["inside", name])


def test_links_inside_an_archive_are_passed_over(tmp_path):
    path = tmp_path / "p.tar"
    path.write_bytes(tar({"a.yml": b"title: A"}, passwd="/etc/passwd"))
    assert len(sources.load(path)) == 1


@pytest.mark.parametrize("name", PACKINGS)
def test_a_bomb_is_refused_while_it_unpacks(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(PACKINGS[name]({"bomb.bin": b"\0" * 3_000_000, "a.yml": b"\0" * 900_000, "b.yml": b"\0" * 900_000}))
    assert path.stat().st_size < 20_000 or name == "p.tar"
    with pytest.raises(Invalid, match="unpacks to more"):
        sources.load(path, limits=sources.Limits(total_bytes=1_500_000))


def test_a_rule_file_too_large_is_refused(tmp_path):
    path = tmp_path / "p.zip"
    path.write_bytes(zipped({"a.yml": b"a" * 50_000}))
    with pytest.raises(Invalid, match="larger than"):
        sources.load(path, limits=sources.Limits(file_bytes=40_000))


def test_too_many_files_are_refused(tmp_path):
    path = tmp_path / "p.zip"
    path.write_bytes(zipped({f"{number}.yml": b"a" for number in range(30)}))
    with pytest.raises(Invalid):
        sources.load(path, limits=sources.Limits(files=20))


@pytest.mark.parametrize("name", PACKINGS)
def test_a_cut_or_garbled_archive_is_refused(tmp_path, name):
    path = tmp_path / name
    whole = PACKINGS[name]({f"{number}.yml": bytes([number]) * 2000 for number in range(9)})
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(Invalid):
        sources.load(path)


def test_other_kinds_and_missing_paths_are_named(tmp_path):
    (tmp_path / "p.rar").write_bytes(b"Rar!")
    with pytest.raises(Invalid, match="kind is not known"):
        sources.load(tmp_path / "p.rar")
    with pytest.raises(Missing):
        sources.load(tmp_path / "nowhere")
