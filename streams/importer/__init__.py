"""A bank's history from CSV to events, by a mapping file."""

from streams.importer.report import ImportRefused, ImportReport, ImportStopped, RowError
from streams.importer.runner import import_files

__all__ = ["ImportRefused", "ImportReport", "ImportStopped", "RowError", "import_files"]
