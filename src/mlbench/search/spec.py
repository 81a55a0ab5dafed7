"""What a search is: conf/sweep/<name>.yaml, checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mlbench.compose import choices, config_dir, content
from mlbench.config import Strict, validated
from mlbench.errors import UserError, did_you_mean

Number = int | float


class Dimension(Strict):
    """Either `low` to `high`, whole numbers where both are, or one of `choices`."""

    low: Number | None = None
    high: Number | None = None
    log: bool = False
    step: Number | None = None
    choices: tuple[str | bool | Number, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Dimension":
        if self.choices:
            return self
        if self.low is None or self.high is None or self.low >= self.high:
            raise ValueError("write {low: ..., high: ...} with low < high, or [one, another]")
        if self.log and (self.step or self.low <= 0):
            raise ValueError("log needs a low above 0, and no step")
        return self

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


def _dimension(node: Any) -> Any:
    return {"choices": node} if isinstance(node, list) else node


class Search(Strict):
    overrides: tuple[str, ...] = ()  # words of run.py that every run has
    space: dict[str, Annotated[Dimension, BeforeValidator(_dimension)]] = Field(min_length=1)
    sampler: Literal["tpe", "random"] = "tpe"
    trials: int = Field(default=40, ge=1)
    batch: int = Field(default=8, ge=1)  # drawn together, so that they can be trained as one
    seeds: int = Field(default=1, ge=1)  # runs of a trial, whose mean is the trial's value


def read(name: str, changes: Mapping[str, str]) -> Search:
    """The search of that name or in that file; `changes`, of a command line, replace its keys."""
    file = name.endswith(".yaml")
    path = Path(name) if file else config_dir() / "sweep" / f"{name}.yaml"
    if not path.is_file():
        known = choices("sweep")
        raise UserError(
            f"sweep={name}: there is no such file"
            if file
            else f"sweep={name}: no such sweep; there are: {', '.join(known)}{did_you_mean(name, known)}"
        )
    stated = content(path)
    try:
        validated(Search, stated, "")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return validated(Search, stated | dict(changes), "")
