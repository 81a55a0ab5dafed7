"""How well one colour can be read on another (WCAG 2)."""

import re


def contrast(one, other):
    """From 1, the same, to 21, black on white."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    """Of rgb(1, 2, 3), or of color(srgb .1 .2 .3)."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", colour)[:3]]
    shares = [number / 255 if colour.startswith("rgb") else number for number in numbers]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear))
