"""Commands that check a method, a network, a data set and an installation: check, doctor."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..analysis.plain_text import one_line
from ..api.errors import DataMissing, UserError, unknown
from .options import add_plugins, data_root_option, json_option, plugin_option, print_json, results_option


def _complete_name(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in sorted(_kinds()) if name.startswith(incomplete)]


def _kinds() -> dict[str, str]:
    """What each name is that can be checked."""
    from ...datasets.registry import dataset_names
    from ...methods.registry import method_names
    from ..models.registry import model_names

    kinds = {"method": method_names(), "model": model_names(), "dataset": dataset_names()}
    return {name: kind for kind, names in kinds.items() for name in names}


@click.command
@click.argument("name", shell_complete=_complete_name)
@plugin_option
@click.option("--dataset", metavar="DATASET", help="Of a model: the data set whose inputs and classes it gets.")
@data_root_option
@json_option
def check(name: str, plugins: tuple[str, ...], dataset: str | None, data_root: Path | None, as_json: bool) -> None:
    """Run the contract test on one method, network or data set.

    NAME is registered, or of a plug-in. A method: exact counts, masks that hold, no side effects, resume, determinism.
    A network: shapes, gradients, prunable layers, multiply-adds, seeds, state dict. A data set: shapes, types, labels,
    splits, seeds, fingerprint.
    """
    add_plugins(plugins)
    kinds = _kinds()
    if name not in kinds:
        raise unknown("name", name, kinds, "code of your own needs --plugin FILE, or plugins: in its study")
    if dataset is not None and kinds[name] != "model":
        raise UserError(f"--dataset chooses the inputs of a model, and {name!r} is a {kinds[name]}")
    checks = _run_checks(kinds[name], name, dataset, data_root)
    if as_json:
        print_json({kinds[name]: name, "checks": [vars(result) for result in checks]})
    else:
        for result in checks:
            print(one_line(f"{_OUTCOMES[result.passed]:<7}  {result.name}  {result.detail}").rstrip())
    raise click.exceptions.Exit(1 if any(result.passed is False for result in checks) else 0)


def _run_checks(kind: str, name: str, dataset: str | None, data_root: Path | None) -> Sequence[Any]:
    if kind == "model":
        from ..preflight.check_model import check_model

        return check_model(name, dataset)
    if kind == "dataset":
        from ..preflight.check_dataset import check_dataset

        return check_dataset(name, data_root)
    from ...methods.registry import describe

    describe(name)
    from ...methods.checks.run_checks import check_method

    return check_method(name)


_OUTCOMES = {True: "ok", False: "FAILED", None: "skipped"}


@click.command
@results_option
@click.option("--profile", metavar="P", help="Also check this profile on the cluster.")
@click.option("--probe/--no-probe", default=True, help="With --profile: ask a compute node, if one is free.")
@json_option
def doctor(results: Path, profile: str | None, probe: bool, as_json: bool) -> None:
    """Print what is installed, what is missing, and what this machine or a cluster can do."""
    checks = _cluster(profile, results, probe) if profile is not None else []
    findings = {**_packages(), **_machine(results)}
    if as_json:
        print_json({"findings": findings, "profile": [vars(check) for check in checks]})
    else:
        width = max(map(len, findings))
        for key, value in findings.items():
            print(f"{key:<{width}}  {value}")
        for check in checks:
            print(f"{_SIGNS[check.is_fine]}  {check.name}: {check.text}")
    if any(check.is_fine is False for check in checks):
        raise click.exceptions.Exit(DataMissing.exit_code)


_SIGNS = {True: "ok    ", False: "FAILED", None: "?     "}


def _cluster(profile: str, results: Path, probe: bool) -> list[Any]:
    from ...slurm.cluster_profile import load_profile
    from ...slurm.doctor import examine

    return list(examine(load_profile(profile), results, probe=probe))


def _packages() -> dict[str, str]:
    import importlib.metadata

    from ..runs.provenance import revision

    found = {"prunebench": f"{importlib.metadata.version('prunebench')} ({revision() or 'no git revision'})"}
    found["python"] = sys.version.split()[0]
    for requirement in importlib.metadata.requires("prunebench") or ():
        if "extra ==" in requirement:
            continue
        name = requirement.split(";")[0].split(">")[0].split("<")[0].split("=")[0].strip()
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = f"MISSING (needs {requirement})"
    return found


def _machine(results: Path) -> dict[str, Any]:
    from ...datasets.registry import check as check_data
    from ...datasets.registry import dataset_names
    from ..runs.gpus import MPS_TEXTS, mps_is_running, visible_gpus

    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
    found["gpu"] = _gpu()
    if gpus := visible_gpus():
        found["gpus visible"] = f"{len(gpus)}: {', '.join(gpus)}"
        found["mps"] = MPS_TEXTS[mps_is_running()]
    missing = [command for command in ("sbatch", "squeue", "scancel") if shutil.which(command) is None]
    found["slurm"] = f"no: {', '.join(missing)} not found" if missing else "yes"
    parent = next(p for p in (results.resolve(), *results.resolve().parents) if p.exists())
    writable = "writable" if os.access(parent, os.W_OK) else "NOT WRITABLE"
    free = shutil.disk_usage(parent).free / 1e9
    found["results folder"] = f"{results.resolve()} ({writable}, {free:.0f} GB free)"
    for name in dataset_names():
        try:
            check_data(name)
            found[f"data {name}"] = "present"
        except UserError as error:
            found[f"data {name}"] = str(error)
    return found


def _gpu() -> str:
    nvidia = shutil.which("nvidia-smi")
    if nvidia is None:
        return "none found (nvidia-smi is missing)"
    import subprocess

    query = [nvidia, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "not known (nvidia-smi does not answer)"
    return "; ".join(done.stdout.strip().splitlines()) or f"none: {done.stderr.strip()}"


COMMANDS = (check, doctor)
