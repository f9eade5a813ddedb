"""Exports of policies to serving engines: a folder that needs nothing of this project."""
