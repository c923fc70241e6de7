"""The script that compares wheel and source distribution with the tree finds what is missing and what is too much."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def check_wheel(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    import check_wheel

    return check_wheel


def test_the_wheel_has_to_hold_the_package_and_nothing_else(check_wheel: Any) -> None:
    wanted = check_wheel.expected(check_wheel.tracked())
    for name in (
        "__init__.py", "py.typed", "api/__init__.py", "methods/snip.py", "benchmark/studies/smoke/table2-smoke.yaml",
        "benchmark/report/assets/report.css", "slurm/profiles/gpu.yaml", "results/published/README.md",
    ):  # fmt: skip
        assert f"prunebench/{name}" in wanted
    assert not [name for name in wanted if name.startswith(("prunebench/tests", "prunebench/results/reference"))]
    assert not wanted & {"prunebench/pyproject.toml", "prunebench/methods/README.md", "prunebench/api"}


def test_differences_are_named(check_wheel: Any) -> None:
    check_wheel.check_same("a.whl", {"a", "b"}, {"a", "b"})
    with pytest.raises(SystemExit) as told:
        check_wheel.check_same("a.whl", {"a", "c"}, {"a", "b"})
    assert str(told.value) == "a.whl:\nmissing: b\nnot of the package: c"


def test_links_in_a_source_distribution_are_refused(check_wheel: Any, tmp_path: Path) -> None:
    path = tmp_path / "p-1.tar.gz"
    for with_link in (False, True):
        with tarfile.open(path, "w:gz") as file:
            member = tarfile.TarInfo("p-1/a/b.py")
            file.addfile(member, io.BytesIO())
            if with_link:
                link = tarfile.TarInfo("p-1/c")
                link.type, link.linkname = tarfile.SYMTYPE, "../a"
                file.addfile(link)
        if not with_link:
            assert check_wheel.sdist_names(path) == {"a/b.py"}
    with pytest.raises(SystemExit, match=r"p-1.tar.gz has links: p-1/c"):
        check_wheel.sdist_names(path)
