"""The name of this user, which a container's password file may lack."""

from __future__ import annotations

import os
import pwd


def user_name() -> str | None:
    """The name of this user id, not what `$USER` says; None where the password file has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None
