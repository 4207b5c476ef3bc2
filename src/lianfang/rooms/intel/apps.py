from django.apps import AppConfig


class Intel(AppConfig):
    name = "lianfang.rooms.intel"
    label = "intel"
