"""The life of a method, drawn: its hooks in the order in which the harness calls them, with what happens in between.

A test records a real run and compares it with LIFE, so the drawing cannot show another order than that of the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Hook:
    """A call of the method."""

    name: str
    does: str


@dataclass(frozen=True)
class Harness:
    """What the harness does between two calls."""

    does: str


@dataclass(frozen=True)
class Loop:
    """What is repeated: `each` is round, epoch or step."""

    each: str
    parts: tuple[Part, ...]


Part = Hook | Harness | Loop

FORWARD, STEP, EVALUATION = "forward and backward pass", "optimiser's step, unless it returned True", "evaluation"

LIFE: tuple[Part, ...] = (
    Hook("check", "may refuse layers, options and budget; nothing has run yet"),
    Hook("attach", "is given the network, makes masks or parametrises"),
    Loop(
        "round",
        (
            Hook("begin_round", "one-shot methods prune here"),
            Hook("param_groups", "says what the optimiser trains"),
            Loop(
                "epoch",
                (
                    Loop(
                        "step",
                        (
                            Harness(FORWARD),
                            Hook("on_gradients", "sees dense gradients; gradual and dynamic methods move masks here"),
                            Harness(STEP),
                            Hook("on_weights", "sets pruned weights to zero"),
                        ),
                    ),
                    Hook("on_epoch_end", "methods that move masks once an epoch"),
                    Harness(EVALUATION),
                    Hook("state_dict", "what a resumed run needs"),
                ),
            ),
        ),
    ),
    Hook("detach", "leaves a plain network; it is counted and stored"),
)


def order(counts: dict[str, int], parts: tuple[Part, ...] = LIFE) -> Iterator[str]:
    """The names and deeds one after the other, for so many rounds, epochs and steps."""
    for part in parts:
        if isinstance(part, Loop):
            for _ in range(counts[part.each]):
                yield from order(counts, part.parts)
        else:
            yield part.name if isinstance(part, Hook) else part.does


WIDTH, ROW, INDENT, BOX, NOTE = 700, 40, 22, 124, 220


def drawing() -> str:
    """LIFE as SVG, in the colours of the page around it."""
    shapes: list[str] = []
    height = _draw(LIFE, 0, 8, shapes)
    steps = ", ".join(order({"round": 1, "epoch": 1, "step": 1}))
    return (
        f'<svg class="life" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="In this order: {escape(steps)}">'
        f"{''.join(shapes)}</svg>"
    )


def _draw(parts: tuple[Part, ...], depth: int, top: int, shapes: list[str]) -> int:
    """Add the shapes of the parts below `top`; returns where they end."""
    left = 8 + depth * INDENT
    for part in parts:
        if isinstance(part, Loop):
            end = _draw(part.parts, depth + 1, top + 24, shapes)
            width = WIDTH - 8 - 2 * depth * 4 - left
            shapes.append(f'<rect class="loop" x="{left}" y="{top}" width="{width}" height="{end - top}" rx="6"/>')
            shapes.append(f'<text class="note" x="{left + 10}" y="{top + 17}">each {part.each}</text>')
            top = end + 10
        else:
            shapes += _row(part, left, top)
            top += ROW
    return top


def _row(part: Hook | Harness, left: int, top: int) -> Iterator[str]:
    if isinstance(part, Harness):
        yield f'<text class="note" x="{left + 10}" y="{top + 20}">{escape(part.does)}</text>'
        return
    yield f'<rect x="{left + 6}" y="{top + 2}" width="{BOX}" height="28" rx="4"/>'
    yield f'<text class="hook" x="{left + 16}" y="{top + 21}">{part.name}</text>'
    yield f'<text class="note" x="{NOTE + 6}" y="{top + 21}">{escape(part.does)}</text>'
