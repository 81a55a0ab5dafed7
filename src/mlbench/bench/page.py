"""docs/performance.md: the last measurements of each benchmark, from their JSON files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlbench.errors import UserError
from mlbench.spelling import spelled


def page(folder: Path, suites: dict[str, str]) -> str:
    """One section for each suite that was run; `suites` maps their names to what they do."""
    sections = {f"{name}{ending}": about for name, about in suites.items() for ending in ("", "-gpu")}
    results = {name: folder / f"{name}.json" for name in sections if (folder / f"{name}.json").is_file()}
    if not results:
        raise UserError(f"{folder} has no results; {spelled('bench')} suite=all makes them")
    lines = [
        "# How fast",
        "",
        "Made by `python scripts/bench.py page=docs/performance.md` from the last run of",
    ]
    lines += [
        "each suite. A ratio is ours over the other, repeat by repeat, both taken in turn: below 1 ours is"
    ]
    lines += ["faster.", ""]
    contents = {name: json.loads(path.read_text()) for name, path in results.items()}
    if not any(content["machine"]["gpu"] for content in contents.values()):
        lines += ["Nothing here was measured on a GPU.", ""]
    for name, content in contents.items():
        lines += [*_section(name, content, sections[name]), ""]
    if missing := [name for name in suites if not {name, f"{name}-gpu"} & {*results}]:
        lines += [f"Not run: {', '.join(missing)}.", ""]
    return "\n".join(lines)


def _section(name: str, content: dict[str, Any], about: str) -> Iterator[str]:
    machine, versions = content["machine"], content["versions"]
    settings = " ".join(f"{key}={_shown(value)}" for key, value in content["settings"].items())
    yield f"## {name.replace('-gpu', ' on a GPU')}"
    yield ""
    yield " ".join(about.split())
    yield ""
    yield f"`python scripts/bench.py suite={content['suite']} {settings}`".replace(" `", "`")
    yield (
        f"on {content['when'][:10]}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['threads']} thread(s), {machine['gpu'] or 'no GPU'}; mlbench {versions['mlbench']} "
        f"({(content['revision'] or 'no checkout')[:12]}), torch {versions['torch']}."
    )
    yield ""
    yield "| | beside | ours, s | other, s | ratio | least to largest | |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in content["rows"]:
        ours, other, ratio = (row[key] for key in ("ours", "other", "ratio"))
        notes = ", ".join(f"{key.replace('_', ' ')} {_shown(value)}" for key, value in row["notes"].items())
        spread = f"{ratio['median']:.2f} | {ratio['min']:.2f} to {ratio['max']:.2f}"
        numbers = f"{ours['median']:.3f} | {other['median']:.3f} | {spread}"
        yield f"| {row['name']} | {row['against']} | {numbers} | {notes} |"


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
