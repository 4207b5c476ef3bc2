from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class Learning(AppConfig):
    name = "lianfang.rooms.learning"
    label = "learning"

    def ready(self) -> None:
        from lianfang.commons.people import declare as people
        from lianfang.rooms.lake import declare as lake
        from lianfang.rooms.learning import declare
        from lianfang.rooms.learning.types import GRADING, Origin

        people.sealed("learning", _sealed)
        lake.holding("set", _gather)
        declare.learner(
            declare.Learner(
                key=GRADING, label=_("grading of columns"), about=_("Learns from reviewers which class of data a column holds, by the words of its name and the look of its values."),
                origin=Origin.LESSONS, kind="naive Bayes", metric="accuracy", train=_train, use=_use, drop=_drop,
            )
        )


# What learns and what gathers is loaded when it is first asked for: a process that does neither should not hold their libraries.


def _sealed() -> Any:
    from lianfang.rooms.learning.actions import sealed

    return sealed.kinds()


def _gather(asked: str, viewer: Any) -> Any:
    from lianfang.rooms.learning.actions import taking

    return taking.gather(asked, viewer)


def _train(rows: Any, progress: Any) -> Any:
    from lianfang.rooms.learning.actions import grading

    return grading.train(rows, progress)


def _use(artefact: bytes, name: str, whose: Any) -> None:
    from lianfang.rooms.learning.actions import grading

    grading.use(artefact, name, whose)


def _drop(whose: Any) -> None:
    from lianfang.rooms.learning.actions import grading

    grading.drop(whose)
