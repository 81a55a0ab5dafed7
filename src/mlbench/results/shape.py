"""Checks the content of a record.json, so that tables and reports can rely on it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

Number = float | None  # None: undefined
Count = Annotated[int, Field(ge=0)]


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("has no time zone")
    return text


Moment = Annotated[str, AfterValidator(_moment)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Open(Strict):
    model_config = ConfigDict(extra="allow")


class Data(Open):
    name: str | None  # None for a person's own file, which is named by its path
    files: dict[str, str] = {}


class Settings(Open):
    split: dict[str, Any]
    threshold: dict[str, Any]


class Choices(Open):
    __pydantic_extra__: dict[str, str]  # pyright: ignore[reportIncompatibleVariableOverride] as pydantic asks
    dataset: str
    method: str
    split: str
    threshold: str


class Shape(Strict):
    key: str
    choices: Choices
    seed: Count
    rule: str
    metrics: dict[str, dict[str, Number]]
    per_label: dict[str, list[Number] | list[str]]
    thresholds: dict[str, Any]
    selected: dict[str, dict[str, Number]]
    facts: dict[str, Number]
    parts: dict[str, Count]
    data: Data
    config: Settings
    seconds: dict[str, float]
    peak_memory_bytes: Count
    started: Moment
    finished: Moment
    versions: dict[str, str] = {}
    machine: dict[str, Any] = {}
    revision: str | None = None
    code: str | None = None
    calibration: dict[str, Any] = {}
    trained: Literal["", "alone", "compiled", "stacked"] = ""
    imported: bool = False
    source: dict[str, str] = {}
    cost: dict[str, Number] = {}

    @model_validator(mode="after")
    def _whole(self) -> "Shape":
        if self.rule not in self.metrics:
            raise ValueError(f"metrics has no {self.rule}, which is the rule to show")
        columns = [values for name, values in self.per_label.items() if name != "label"]
        if any(isinstance(value, str) for values in columns for value in values):
            raise ValueError("per_label has words where numbers are")
        if len({len(values) for values in self.per_label.values()}) > 1:
            raise ValueError("per_label has columns of different lengths")
        return self


def check(content: Any) -> None:
    """Raises a ValueError that names the first thing wrong with a record."""
    try:
        Shape.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{key}: {message}" if key else message) from None
