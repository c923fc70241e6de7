"""Reports of small studies for the tests."""

from __future__ import annotations

from prunebench.benchmark.report.page import Asked, html_report
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study

EVIL = "</script><script>throw 1</script><img src=x onerror=alert(1)>"


def accuracy(run: Run) -> float:
    return {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}[run.method] + 0.002 * run.seed


def page_of(study: Study, store: Store) -> str:
    return html_report(study, store, Asked(study="study.yaml", assignments=["seeds=[0, 1]"]))
