from django.apps import AppConfig


class Lake(AppConfig):
    name = "lianfang.rooms.lake"
    label = "lake"

    def ready(self) -> None:
        from lianfang.commons.people import declare

        declare.sealed("lake", _sealed)


def _sealed() -> object:
    from lianfang.rooms.lake.actions.sealed import kinds

    return kinds()
