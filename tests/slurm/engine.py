"""A stand-in for `apptainer exec`: refuses what apptainer refuses, and hides what a container hides.

It knows the syntax of the options that the launcher writes, and no other. Inside, PATH is the image's, there is no
scontrol, and of the folder HIDDEN only what is bound is there, in a mount namespace of its own (as root). A real engine
also replaces the system's files; here these are the machine's, with the Python of the tests.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPT = """\
#!{python} -S
import sys
sys.path.insert(0, {here!r})
from engine import main
main(sys.argv[1:], hidden={hidden!r})
"""


def install(folder: Path, hidden: Path) -> tuple[Path, Path]:
    """Write the command `apptainer` into a folder for PATH, and an image beside it; returns both."""
    commands, image = folder / "commands", folder / "suite.sif"
    commands.mkdir(parents=True)
    image.write_bytes(b"image\n")
    apptainer = commands / "apptainer"
    text = SCRIPT.format(python=sys.executable, here=str(Path(__file__).parent), hidden=str(hidden))
    apptainer.write_text(text, encoding="utf-8")
    apptainer.chmod(0o755)
    return commands, image


def main(words: list[str], hidden: str) -> None:
    binds, image, command = _parse(words)
    if not os.access(image, os.R_OK):
        _fatal(f"could not open image {image}: failed to retrieve path for {image}: lstat {image}: no such file")
    for source in binds:
        if not Path(source).exists():
            _fatal(f"container creation failed: mount {source}->{source} error: mount source {source} doesn't exist")
    os.environ["APPTAINER_CONTAINER"] = image
    scontrol = shutil.which("scontrol")
    os.environ["PATH"] = "/container/bin"
    if not _can_hide():
        os.execvpe(command[0], command, os.environ)
    os.execve("/usr/bin/unshare", ["unshare", "--mount", "/bin/bash", "-ec", _hiding(hidden, binds, scontrol, command)],
              dict(os.environ))  # fmt: skip


def _can_hide() -> bool:
    """Whether this user may make mount namespaces."""
    done = subprocess.run(["/usr/bin/unshare", "--mount", "/bin/true"], capture_output=True, check=False)
    return done.returncode == 0


def _parse(words: list[str]) -> tuple[list[str], str, list[str]]:
    """`exec [--nv] [--bind SOURCE[:DESTINATION[:ro|rw]]]... IMAGE COMMAND...`; destinations equal sources here."""
    rest = list(words)
    if not rest or rest.pop(0) != "exec":
        _fatal(f"unknown command {words[:1]} for apptainer")
    binds: list[str] = []
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--bind" and rest:
            source, *more = rest.pop(0).split(":")
            if "," in source or more[:1] not in ([], [source]) or more[1:] not in ([], ["ro"], ["rw"]):
                _fatal(f"while parsing bind path: {source} {more}")
            binds.append(source)
        elif option != "--nv":
            _fatal(f"unknown flag: {option}")
    if len(rest) < 2:
        _fatal("accepts at least 2 arg(s)")
    return binds, rest[0], rest[1:]


def _hiding(hidden: str, binds: list[str], scontrol: str | None, command: list[str]) -> str:
    """Shell lines: keep what is bound, cover the folder, put it back, and run the command as the same process."""
    mount = shutil.which("mount", path="/usr/bin:/bin") or "mount"
    keep = "/mnt"
    lines = [f"{mount} --make-rprivate /", f"{mount} -t tmpfs tmpfs {keep}"]
    quoted = [shlex.quote(source) for source in binds]
    for index, source in enumerate(quoted):
        lines += [f"/bin/mkdir {keep}/{index}", f"{mount} --rbind {source} {keep}/{index}"]
    lines.append(f"{mount} -t tmpfs tmpfs {shlex.quote(hidden)}")
    for index, source in enumerate(quoted):
        lines += [f"/bin/mkdir -p {source}", f"{mount} --rbind {keep}/{index} {source}"]
    if scontrol is not None:
        lines.append(f"{mount} --bind /dev/null {shlex.quote(scontrol)}")
    lines.append(f"cd {quoted[0]}")
    return "\n".join([*lines, f"exec {shlex.join(command)}"])


def _fatal(text: str) -> None:
    print(f"FATAL:   {text}", file=sys.stderr)
    raise SystemExit(255)
