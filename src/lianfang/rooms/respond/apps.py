from django.apps import AppConfig


class Respond(AppConfig):
    name = "lianfang.rooms.respond"
    label = "respond"
