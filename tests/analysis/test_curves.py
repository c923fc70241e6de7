"""The numbers of curves, computed by hand."""

from __future__ import annotations

from prunebench.benchmark.analysis.curves import pareto_front


def test_the_pareto_front_by_hand() -> None:
    assert pareto_front([(10, 90), (5, 80), (7, 70), (5, 60), (20, 90), (30, 95)]) == [(5, 80), (10, 90), (30, 95)]
    assert pareto_front([]) == []
