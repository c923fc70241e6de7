"""The name of this user, which may be missing in the password file of a container."""

from __future__ import annotations

import os
import pwd


def user_name() -> str | None:
    """The name of this user id, not `$USER`; None if the password file has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None
