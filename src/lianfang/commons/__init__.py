"""Rooms everyone uses."""
