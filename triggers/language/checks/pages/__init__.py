"""A page on each code: what it means, an example that has the mistake, and one that has not."""

from __future__ import annotations

from importlib.resources import files


def page_of(code: str) -> str:
    """The page on a code, as Markdown. Raises ``FileNotFoundError`` for what is no code."""
    return files(__package__).joinpath(f"{code}.md").read_text("utf-8")
