"""What messages say of errors."""

from __future__ import annotations

import pytest
from prunebench.benchmark.api.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("no kernel\nfor this"), "no kernel"),
        (ValueError("one line"), "one line"),
        (RuntimeError(), "RuntimeError"),
        (AssertionError(""), "AssertionError"),
    ],
)
def test_the_first_line_of_an_error_is_never_empty(error: Exception, line: str) -> None:
    assert first_line(error) == line
