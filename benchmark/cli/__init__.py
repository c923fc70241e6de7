"""The command line: commands, their options and what they print. Only here do errors become exit codes.

This file imports nothing slow at its top, so that it can also handle Ctrl-C while the commands load.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from .commands import app as app


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from .commands import app

    return app


_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""The disk is full, read-only or broken: the input was fine, but some runs could not be stored."""


def main() -> NoReturn:
    """Exit codes: 0 done, 1 some runs failed, 2 bad input, 3 incomplete, 4 missing, 130 stopped."""
    for stream in (sys.stdout, sys.stderr):
        # A letter that the locale cannot print is replaced; it does not stop the command.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")
    try:
        code = _run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = _complain("interrupted", 130)
    except BrokenPipeError:
        # The reader of stdout has closed it (`| head`). That is no error, but Python would print one at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except UnicodeError as error:
        code = _complain(f"text that cannot be read or written: {error}", 2)
    except OSError as error:
        message = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
        code = _complain(message, 1 if error.errno in _DISK_ERRORS else 2)
    except RecursionError:
        code = _complain("the input is nested too deeply", 2)
    sys.exit(code)


def _run() -> int:
    """Run the command of `sys.argv` and return its exit code."""
    import click

    from ..api.errors import UserError
    from .commands import app

    try:
        return app.main(prog_name="prunebench", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        # click would print the usage as well, in several lines
        context = getattr(error, "ctx", None)
        where = f" (see {context.command_path} --help)" if context else ""
        return _complain(error.format_message().removesuffix("."), error.exit_code, where)
    except UserError as error:
        return _complain(str(error), error.exit_code)
    except click.Abort:
        return _complain("interrupted", 130)


def _complain(message: str, code: int, where: str = "") -> int:
    from ..analysis.plain_text import one_line

    print(one_line(f"prunebench: {' '.join(message.split())}{where}"), file=sys.stderr)
    return code
