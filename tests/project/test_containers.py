"""Dockerfile and prunebench.def, without an engine: their files exist, their versions fit, their commands install."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

import prunebench
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = "/opt/source"


def dockerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def definition() -> dict[str, str]:
    """Sections of the definition file by name; `` has the header."""
    text = (ROOT / "prunebench.def").read_text(encoding="utf-8")
    head, *rest = re.split(r"^%", text, flags=re.MULTILINE)
    sections = dict(part.split("\n", 1) for part in rest)
    return {"": head, **sections}


def copies_of_dockerfile() -> list[tuple[str, str]]:
    """(source, destination) of every copy; a destination with a slash at its end is a folder."""
    found: list[tuple[str, str]] = []
    for instruction, rest in dockerfile():
        if instruction == "COPY":
            *sources, target = rest.split()
            found += [(each, f"{target}{each}" if target.endswith("/") else target) for each in sources]
    return found


def copies_of_definition() -> list[tuple[str, str]]:
    words = [line.split() for line in definition()["files"].splitlines() if line.strip()]
    return [(source, target) for source, target in words]


def script(name: str) -> str:
    """The commands of a section, or of all RUN lines."""
    if name == "RUN":
        return "\n".join(rest for instruction, rest in dockerfile() if instruction == "RUN")
    return definition()[name]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Stands for the image's root: an empty environment with `pip` for it, which installs without an index."""
    venv.create(tmp_path / "environment", with_pip=False)
    python = tmp_path / "environment" / "bin" / "python"
    pip = python.with_name("pip")
    pip.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-m", "pip", "--python", str(python)])} "$@"\n')
    pip.chmod(0o755)
    return tmp_path


def run_in(image: Path, commands: str, environment: Mapping[str, str]) -> str:
    """The commands in a shell, with the image's folders and programs; what torch and the others are is in the path."""
    replaced = commands.replace("/opt/", f"{image}/opt/")
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))},
        "PATH": f"{image}/environment/bin:/usr/bin:/bin", "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **environment,
    }  # fmt: skip
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", replaced], cwd=image, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_into(image: Path, copies: Sequence[tuple[str, str]], *, keeps_links: bool) -> None:
    for source, target in copies:
        place = image / target.lstrip("/")
        if (ROOT / source).is_dir():
            left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / source, place, symlinks=keeps_links, ignore=left_out)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)


def test_both_start_from_the_python_that_the_project_is_tested_with() -> None:
    (first, image), *_ = dockerfile()
    assert first == "FROM"
    assert f"From: {image}\n" in definition()[""]
    assert "Bootstrap: docker\n" in definition()[""]
    (version,) = re.fullmatch(r"python:(\d+\.\d+)-slim", image or "").groups()  # pyright: ignore
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert tuple(map(int, version.split("."))) >= tuple(map(int, PROJECT["requires-python"][2:].split(".")))


def test_their_labels_are_those_of_the_project() -> None:
    wanted = {"title": PROJECT["name"], "version": prunebench.__version__, "licenses": PROJECT["license"]}
    (labels,) = [rest for instruction, rest in dockerfile() if instruction == "LABEL"]
    found = dict(word.split("=", 1) for word in shlex.split(labels))
    assert found == {f"org.opencontainers.image.{key}": value for key, value in wanted.items()}
    assert dict(line.split() for line in definition()["labels"].split("\n") if line.strip()) == found
    tag = f"prunebench:{prunebench.__version__}"
    assert (ROOT / "Dockerfile").read_text(encoding="utf-8").count(tag) == 2


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert lines[0] == "*"
    kept = {line[1:] for line in lines if line.startswith("!")}
    sources = {source for source, _ in copies_of_dockerfile()}
    assert sources == kept == {source for source, _ in copies_of_definition()}
    assert all((ROOT / source).exists() for source in sources)
    assert [line for line in lines[1:] if not line.startswith("!")] == ["**/__pycache__", "**/*.egg-info"]


@pytest.mark.parametrize(
    ("copies", "keeps_links", "commands"),
    [(copies_of_dockerfile(), True, "RUN"), (copies_of_definition(), False, "post")],
    ids=["Dockerfile", "prunebench.def"],
)
def test_their_commands_install_the_suite(
    copies: list[tuple[str, str]], keeps_links: bool, commands: str, image: Path
) -> None:
    """COPY keeps links, %files follows them: the package is built from either."""
    copy_into(image, copies, keeps_links=keeps_links)
    run_in(image, script(commands), {})
    assert not (image / SOURCE.lstrip("/")).exists()
    assert run_in(image, "prunebench --version", {}) == f"{prunebench.__version__}\n"
    if commands == "post":
        assert "global_mp" in run_in(image, f"{script('environment')}\n{script('test')}", {})
        assert run_in(image, f"set -- --version\n{script('runscript')}", {}) == f"{prunebench.__version__}\n"
        return
    plain = dict(dockerfile())
    entry = [*json.loads(plain["ENTRYPOINT"]), *json.loads(plain["CMD"])]
    variables = dict(word.split("=", 1) for word in shlex.split(plain["ENV"]))
    assert variables["PRUNEBENCH_DATA"].startswith(f"{plain['WORKDIR']}/")
    assert "Commands:" in run_in(image, shlex.join(entry), {**variables, "HOME": str(image)})
