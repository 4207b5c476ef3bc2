"""Rooms with a purpose."""
