"""Least squares with a bound on the number of weights: iterative hard thresholding with line search and active set.

The objective is ||A w - y||^2 / 2 + ridge ||w - w0||^2 / 2, whose rows of A are gradients. The projection says which
entries of a vector are kept; it alone knows how many, and of which layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-7
"""Relative change of the objective at which hard thresholding ends."""
LONGEST_SEARCH = 5
"""How often a step is doubled."""
MARGIN = 1e-4
"""By which a step is shorter than the one that changes the support."""
WIDEST_SEARCH = 10
"""How often the step is halved that looks for entries outside of the active set."""

Project = Callable[[Tensor], Tensor]
"""The mask of the entries of a vector that are kept."""


@dataclass(frozen=True)
class Regression:
    """The problem over all entries, or over some columns: A (rows, entries), y (rows), w0 (entries); all float64."""

    matrix: Tensor
    target: Tensor
    centre: Tensor
    ridge: float

    def part(self, columns: Tensor) -> Regression:
        """With all other entries zero. What these cost is left out: it is a constant."""
        return Regression(self.matrix[:, columns], self.target, self.centre[columns], self.ridge)

    def residual(self, weight: Tensor) -> Tensor:
        return self.target - self.matrix @ weight

    def loss(self, weight: Tensor) -> float:
        return float((self.residual(weight).square().sum() + self.ridge * (weight - self.centre).square().sum()) / 2)

    def gradient(self, weight: Tensor) -> Tensor:
        return self.ridge * (weight - self.centre) - self.matrix.T @ self.residual(weight)

    def largest_curvature(self) -> float:
        """The largest eigenvalue of the Hessian."""
        return float(torch.linalg.eigvalsh(self.matrix @ self.matrix.T)[-1].clamp(min=0)) + self.ridge

    def solve(self, mask: Tensor) -> Tensor:
        """The minimum with the entries outside the mask at zero; one system as large as there are rows."""
        columns = mask.nonzero()[:, 0]
        inside, centre = self.matrix[:, columns], self.centre[columns]
        system = inside @ inside.T
        system.diagonal().add_(self.ridge)
        factor, failed = torch.linalg.cholesky_ex(system)
        if failed:
            raise FloatingPointError(f"gradients are not finite, or the ridge of {self.ridge} is lost beside them")
        rest = (self.target - inside @ centre)[:, None]
        found = centre + inside.T @ torch.cholesky_solve(rest, factor)[:, 0]
        return torch.zeros_like(self.centre).index_copy(0, columns, found)


def threshold(problem: Regression, start: Tensor, project: Project, iterations: int) -> Tensor:
    """Projected gradient steps from `start`, each of which lowers the loss, until the loss hardly changes."""
    weight, loss = start, problem.loss(start)
    for _ in range(iterations):
        found = _step(problem, weight, loss, project)
        if found is None:
            break
        before, (weight, loss) = loss, found
        if before - loss <= TOLERANCE * max(abs(before), abs(loss), 1e-300):
            break
    return weight


def _step(problem: Regression, weight: Tensor, loss: float, project: Project) -> tuple[Tensor, float] | None:
    """One step down and its loss; None if there is none.

    The step that is best on the present support is taken if the support is still the same after it. Otherwise the step
    just before the support begins to change, which lowers the loss, is doubled as long as the loss falls.
    """
    gradient, inside = problem.gradient(weight), weight != 0
    along = gradient * inside
    curvature = (problem.matrix @ along).square().sum() + problem.ridge * along.square().sum()
    best = float(torch.where(curvature > 0, along.square().sum() / curvature, 0.0))
    candidate = _moved(weight, gradient, best, project)
    if torch.equal(candidate != 0, inside):
        found = problem.loss(candidate)
        return (candidate, found) if found < loss else None
    length = first_change(weight, gradient) / (1 + MARGIN) or best
    lowest: tuple[Tensor, float] | None = None
    for _ in range(LONGEST_SEARCH):
        candidate = _moved(weight, gradient, length, project)
        found = problem.loss(candidate)
        if not found < (loss if lowest is None else lowest[1]):
            break
        lowest, length = (candidate, found), 2 * length
    return lowest


def _moved(weight: Tensor, gradient: Tensor, length: float, project: Project) -> Tensor:
    moved = weight - length * gradient
    return moved * project(moved)


def first_change(weight: Tensor, gradient: Tensor) -> float:
    """The step along -gradient at which an entry of the support is no larger any more than the largest outside of it.

    0 where a step of any length changes the support, or none does.
    """
    inside = weight != 0
    outside = gradient.abs().masked_fill(inside, 0).max()
    towards = gradient * weight.sign()
    closing = (outside + towards)[inside]
    lengths = weight.abs()[inside] / closing
    lengths = lengths[closing > 0]
    return float(lengths.min()) if len(lengths) else 0.0


def sparse_minimum(problem: Regression, project: Project, widened: Project, iterations: int) -> Tensor:
    """An approximate minimum with the support that `project` allows, exact on that support.

    Hard thresholding runs on an active set of columns: at first those that `widened` keeps of w0, which are more than
    `project` keeps. Then steps over all entries look for columns that would enter; those that do join the active set.
    """
    centre = problem.centre
    active = widened(centre)
    weight = centre * project(centre)
    for _ in range(iterations):
        columns = active.nonzero()[:, 0]
        part = problem.part(columns)
        within = threshold(part, weight[columns], _within(project, centre, columns), iterations)
        weight = torch.zeros_like(centre).index_copy(0, columns, within)
        entered = _entered(problem, part, weight, active, project)
        if entered is None:
            break
        weight = entered
        active = active | (weight != 0)
    return problem.solve(project(weight))


def _within(project: Project, like: Tensor, columns: Tensor) -> Project:
    """The projection of a vector over some columns."""
    return lambda values: project(torch.zeros_like(like).index_copy(0, columns, values))[columns]


def _entered(problem: Regression, part: Regression, weight: Tensor, active: Tensor, project: Project) -> Tensor | None:
    """The lowest loss found by a step over all entries that brings others than the active ones; None if none does."""
    gradient, lowest = problem.gradient(weight), problem.loss(weight)
    length, found = 1 / (2 * part.largest_curvature()), None
    for _ in range(WIDEST_SEARCH):
        candidate = _moved(weight, gradient, length, project)
        loss = problem.loss(candidate)
        if not loss < lowest:
            break
        lowest = loss
        if (candidate.ne(0) & ~active).any():
            found = candidate
        length *= 2
    return found
