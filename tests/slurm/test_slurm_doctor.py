"""What `doctor --profile` says of a node's answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.slurm import doctor
from prunebench.slurm.cluster_profile import Profile
from prunebench.slurm.code_digest import code_digest
from prunebench.slurm.probe import look_around


@pytest.mark.parametrize(
    ("runs_per_job", "mps", "expected"),
    [
        (4, True, [(True, "running: runs that share a GPU compute on it at the same time")]),
        (4, False, [(None, "not running: runs that share a GPU take turns on it")]),
        (1, False, []),
    ],
)
def test_mps_matters_where_runs_share_a_gpu(
    runs_per_job: int, mps: bool, expected: list[tuple[bool | None, str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    token = tmp_path / "token"
    token.touch()
    seen = look_around(token)
    assert seen["mps"] is False
    monkeypatch.setattr(doctor, "ask_node", lambda profile, token: {**seen, "mps": mps, "code": code_digest()})
    findings = doctor._probe(Profile(time="1h", runs_per_job=runs_per_job), tmp_path)  # pyright: ignore
    assert [(found.is_fine, found.text) for found in findings if found.name == "MPS"] == expected
