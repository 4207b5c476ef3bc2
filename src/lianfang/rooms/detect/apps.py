from django.apps import AppConfig


class Detect(AppConfig):
    name = "lianfang.rooms.detect"
    label = "detect"

    def ready(self) -> None:
        from lianfang.rooms.lake import declare

        declare.examiner("detect", _watchman)


def _watchman() -> object:
    """Built in the ingest process alone: loading rules costs time that no other process should spend."""
    from lianfang.rooms.detect.actions.examining import Watchman

    return Watchman()
