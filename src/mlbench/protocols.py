"""Whether what a person adds has what the Protocol of its kind asks for."""

import inspect
from typing import Any

from typing_extensions import get_protocol_members

from mlbench.errors import UserError


def check_offers(given: Any, protocol: type, said: str) -> None:
    """Refuses a data set, a split or a scaler that lacks something; `said` is the setting that named it."""
    missing = [name for name in sorted(get_protocol_members(protocol)) if not offers(given, protocol, name)]
    if missing:
        what = f"{protocol.__module__}.{protocol.__name__}"
        raise UserError(f"{said}: it has no {' and no '.join(missing)}; {what} says what it needs")


def offers(given: Any, protocol: type, name: str) -> bool:
    found = getattr(given, name, None)
    return callable(found) if inspect.isfunction(vars(protocol).get(name)) else found is not None
