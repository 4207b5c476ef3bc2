"""Pages of respond: the situation, the queue, an alert, the matrix; and the bell that rings on each of them."""

from lianfang.rooms.respond.pages import bell, exemptions, importance, incidents, layers, linked, matrix, monitors, one, overview, queue, scenarios

__all__ = ["bell", "exemptions", "importance", "incidents", "layers", "linked", "matrix", "monitors", "one", "overview", "queue", "scenarios"]
