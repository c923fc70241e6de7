"""The suite: from study files to stored results, tables, figures and the report. Importing it loads no torch."""

__version__ = "0.2.0"
