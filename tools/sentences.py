"""Check sentences about results: every number and every comparison in marked texts is computed from the results.

    python tools/sentences.py            check README.md, evidence.md and footguns.md of docs/, and the README.md of
                                         each study in results/reference/; exit 1
    python tools/sentences.py --write    put the computed numbers into the texts

Marks are HTML comments, which readers of the rendered text do not see:

    <!-- study: table6 -->                                        rows that follow are of this study
    <!-- value: mean(last("Dense")) -->82.3<!-- /value --> %      the number, with as many decimals as stand there
    Random columns do as well.<!-- holds: not differs("Random", "Magnitude") -->

Expressions are Python with the names of `evidence.py` and nothing else. A text with marks may hold no number with a
decimal point, no number of points and no share that is not in a mark: unchecked numbers are not allowed. In a
text that also has other subjects, this holds for the part between `<!-- evidence -->` and `<!-- /evidence -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from evidence import ROOT, Evidence
from prunebench.benchmark.api.errors import UserError

REFERENCE = ROOT / "results" / "reference"
MARK = re.compile(
    r"<!-- study: (?P<study>[\w.-]+) -->"
    r"|<!-- holds: (?P<holds>.*?) -->"
    r"|<!-- value: (?P<value>.*?) -->(?P<text>.*?)<!-- /value -->",
    re.DOTALL,
)
NUMBER = re.compile(r"[+−-]?\d[\d,]*(?:\.(?P<decimals>\d+))?")
UNCHECKED = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])|\b\d+ (?:points?|times|of (?:the )?\d+)\b")
PART = re.compile(r"<!-- evidence -->.*?<!-- /evidence -->", re.DOTALL)
NOT_PROSE = re.compile(r"```.*?```|`[^`\n]*`|^\|.*?$|<!--.*?-->|\]\([^)]*\)", re.DOTALL | re.MULTILINE)

WRONG = (ArithmeticError, AttributeError, LookupError, NameError, SyntaxError, TypeError, ValueError, UserError)
"""The errors of an expression that asks for something missing, or that is not valid."""


def texts() -> list[Path]:
    """The texts that may speak of results."""
    docs = [ROOT / "docs" / name for name in ("evidence.md", "footguns.md")]
    found = [ROOT / "README.md", *docs, *sorted(REFERENCE.glob("*/README.md"))]
    return [path for path in found if path.exists()]


def is_marked(text: str) -> bool:
    return MARK.search(text) is not None


def problems(text: str, evidence: Evidence) -> list[str]:
    """What is wrong with a text, a line each; nothing for one without marks."""
    if not is_marked(text):
        return []
    return [*_false(text, evidence), *_unchecked(text)]


def written(text: str, evidence: Evidence) -> str:
    """The text with every value as it is computed. Raises what an expression raises."""

    def renew(match: re.Match[str], now: Evidence) -> str:
        if match["value"] is None:
            return match[0]
        return f"<!-- value: {match['value']} -->{shown(answer(match['value'], now), match['text'])}<!-- /value -->"

    return "".join(_replaced(text, evidence, renew))


def answer(expression: str, evidence: Evidence) -> Any:
    # The texts are files of this repository, as the tests are; the names that they can reach are those of Evidence.
    return eval(expression, {"__builtins__": {}, **evidence.vocabulary()})


def shown(value: Any, like: str) -> str:
    """The value as text: a number with the decimals and the sign of what stands there (two if nothing does)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    match = NUMBER.fullmatch(like.strip())
    decimals = len(match["decimals"] or "") if match else (0 if isinstance(value, int) else 2)
    sign = "+" if like.strip().startswith("+") else ""
    return f"{value:{sign},.{decimals}f}"


def _replaced(text: str, evidence: Evidence, renew: Callable[[re.Match[str], Evidence], str]) -> Iterator[str]:
    """The text in pieces, each mark replaced; a mark of a study holds for what follows it."""
    end = 0
    for match in MARK.finditer(text):
        if match["study"]:
            evidence = replace(evidence, study=match["study"])
        yield text[end : match.start()]
        yield renew(match, evidence)
        end = match.end()
    yield text[end:]


def _false(text: str, evidence: Evidence) -> list[str]:
    found: list[str] = []

    def check(match: re.Match[str], now: Evidence) -> str:
        expression = match["value"] or match["holds"]
        if expression:
            line = text.count("\n", 0, match.start()) + 1
            try:
                value = answer(expression, now)
            except WRONG as error:
                found.append(f"line {line}: {expression}: {error}")
                return ""
            if match["holds"] and value is not True:
                found.append(f"line {line}: does not hold: {expression} (it is {value!r})")
            elif match["value"] and shown(value, match["text"]) != match["text"]:
                found.append(f"line {line}: {expression} is {shown(value, match['text'])}, not {match['text']}")
        return ""

    for _ in _replaced(text, evidence, check):
        pass
    return found


def _unchecked(text: str) -> list[str]:
    """Numbers in prose that no mark holds."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    part = PART.search(text)
    if part:
        text = re.sub(r"[^\n]", " ", text[: part.start()]) + part[0]
    prose = NOT_PROSE.sub(blank, MARK.sub(blank, text))
    return [
        f"line {prose.count(chr(10), 0, match.start()) + 1}: {match[0]!r} is not in a mark"
        for match in UNCHECKED.finditer(prose)
    ]


def main() -> None:
    evidence = Evidence(REFERENCE)
    failed = False
    for path in texts():
        text = path.read_text(encoding="utf-8")
        if "--write" in sys.argv and is_marked(text):
            path.write_text(written(text, evidence), encoding="utf-8")
            text = path.read_text(encoding="utf-8")
        for problem in problems(text, evidence):
            print(f"{path.relative_to(ROOT)}: {problem}")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
