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
    Hook("check", "may refuse layers and options; nothing runs yet"),
    Hook("attach", "is given the network; makes the masks"),
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
                            Hook("on_gradients", "sees dense gradients; may move the masks"),
                            Harness(STEP),
                            Hook("on_weights", "sets pruned weights to zero"),
                        ),
                    ),
                    Hook("on_epoch_end", "for what moves masks once an epoch"),
                    Harness(EVALUATION),
                    Hook("state_dict", "at checkpoints: what a resumed run needs"),
                ),
            ),
        ),
    ),
    Hook("detach", "leaves a plain network, which is counted"),
)


def order(counts: dict[str, int], parts: tuple[Part, ...] = LIFE) -> Iterator[str]:
    """The names and deeds one after the other, for so many rounds, epochs and steps."""
    for part in parts:
        if isinstance(part, Loop):
            for _ in range(counts[part.each]):
                yield from order(counts, part.parts)
        else:
            yield part.name if isinstance(part, Hook) else part.does


WIDTH, ROW, GAP, INDENT = 400, 46, 30, 20


def drawing() -> str:
    """LIFE as SVG, in the colours of the page around it and narrow enough for a phone."""
    shapes: list[str] = []
    height = _draw(LIFE, 0, 8, shapes)
    steps = ", ".join(order({"round": 1, "epoch": 1, "step": 1}))
    return (
        f'<svg class="life" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="In this order: {escape(steps)}">'
        f"{''.join(shapes)}</svg>"
    )


def _draw(parts: tuple[Part, ...], depth: int, top: int, shapes: list[str]) -> int:
    """Add the shapes of the parts below `top`; returns where they end."""
    left, width = 8 + depth * INDENT, WIDTH - 16 - depth * (INDENT + 8)
    for part in parts:
        if isinstance(part, Loop):
            end = _draw(part.parts, depth + 1, top + 26, shapes)
            shapes.append(f'<rect class="loop" x="{left}" y="{top}" width="{width}" height="{end - top}" rx="6"/>')
            shapes.append(f'<text class="note" x="{left + 10}" y="{top + 18}">each {part.each}</text>')
            top = end + 8
        elif isinstance(part, Harness):
            shapes.append(f'<text class="note" x="{left + 12}" y="{top + 16}">{escape(part.does)}</text>')
            top += GAP
        else:
            shapes += _box(part, left, top, width)
            top += ROW + 8
    return top


def _box(hook: Hook, left: int, top: int, width: int) -> Iterator[str]:
    yield f'<rect x="{left}" y="{top}" width="{width - 8}" height="{ROW}" rx="4"/>'
    yield f'<text class="hook" x="{left + 12}" y="{top + 19}">{hook.name}</text>'
    yield f'<text class="note" x="{left + 12}" y="{top + 36}">{escape(hook.does)}</text>'
