"""What goes wrong is said in the reader's language: faults of the rooms that hold values have a form in their catalogue."""

import ast
import re
from pathlib import Path

from django.urls import get_resolver
from django.utils.translation import override

import lianfang
from lianfang.commons.frame.pages import said

ROOMS = Path(lianfang.__file__).parent / "rooms"
FAULTS = {"Invalid", "Missing", "Conflict", "Refused", "Busy", "Later"}


def sentences():
    """(place, the sentence with “X1” for each value) of every fault that is written as an f-string; what has no two words is no sentence."""
    for path in sorted(ROOMS.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in FAULTS:
                for said_ in (*call.args, *(word.value for word in call.keywords if word.arg in ("why", "todo"))):
                    if isinstance(said_, ast.JoinedStr):
                        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X1" for part in said_.values)
                        if len(re.findall(r"[a-z]{2,}", text.replace("chmod", ""))) > 1:
                            yield f"{path.relative_to(ROOMS)}:{said_.lineno}", text


def test_no_fault_of_a_room_stays_english_on_a_chinese_page():
    get_resolver().url_patterns
    with override("zh-hans"):
        english = [f"{place}: {text}" for place, text in sentences() if said(text) == text]
    assert not english, "name their forms with sayable(…) and translate them:\n" + "\n".join(english)
