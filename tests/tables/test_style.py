"""The style of the pages: all of its inks can be read on all of its grounds."""

import re
from pathlib import Path

import pytest

from contrast import contrast
from mlbench.tables.render import page

STYLE = Path(page.__file__).with_name("page.css").read_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_ink_can_be_read_on_every_ground(theme):
    """Contrast of 4.5 to 1 or more (WCAG 2, 1.4.3), for all text colours of the style."""
    both = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", STYLE)
    colours = {name: dark if theme == "dark" else light for name, light, dark in both}
    washes = {name: f"{name}-wash" for name in ("agrees", "better", "worse")}
    inks = {name: ["paper", "wash"] for name in ("ink", "soft", "faint", "accent", *washes)}
    for name, wash in washes.items():
        inks[name] = [*inks[name], wash]
        inks["ink"], inks["soft"] = [*inks["ink"], wash], [*inks["soft"], wash]
    inks["ink"].append("bar")
    for ink, ground in ((ink, ground) for ink, grounds in inks.items() for ground in grounds):
        assert contrast(rgb(colours[ink]), rgb(colours[ground])) >= 4.5, f"{ink} on {ground}"


def rgb(colour):
    """Of #abc or #aabbcc."""
    digits = colour.removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    return f"rgb({', '.join(str(int(digits[at : at + 2], 16)) for at in (0, 2, 4))})"
