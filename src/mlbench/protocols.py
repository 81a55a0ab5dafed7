"""Whether what a person adds has what the Protocol of its kind asks for."""

import inspect
from collections.abc import Callable
from typing import Any

from typing_extensions import get_protocol_members

from mlbench.errors import UserError


def check_offers(piece: Any, protocol: type, setting: str) -> None:
    """Refuses a data set, a split or a scaler that lacks a member; `setting` is the word that named it."""
    missing = [name for name in sorted(get_protocol_members(protocol)) if not offers(piece, protocol, name)]
    if missing:
        what = f"{protocol.__module__}.{protocol.__name__}"
        raise UserError(f"{setting}: it has no {' and no '.join(missing)}; {what} says what it needs")


def offers(piece: Any, protocol: type, name: str) -> bool:
    offered = getattr(piece, name, None)
    return callable(offered) if inspect.isfunction(vars(protocol).get(name)) else offered is not None


def check_call(function: Callable[..., Any], setting: str, what: str, *arguments: Any, **named: Any) -> None:
    """Refuses a function that cannot be called with these arguments, which `what` names."""
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError as error:
        raise UserError(f"{setting}: it cannot be called with {what} ({error})") from error
