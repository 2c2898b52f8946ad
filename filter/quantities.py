"""Durations and sizes as people write them: `5m`, `2h30m`, `50M`.

A bare number says nothing of its unit, and a delay of 5 that was meant in minutes is found late. So a
duration always names its unit. A size is a count of octets, as Postfix has it; `k`, `M` and `G` are
powers of 1024, as mail servers count.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final

Size = Annotated[int, "size"]
"""A field of this type is an `int` in octets; in TOML it is a number or text such as `"50M"`."""

LONGEST: Final = timedelta(days=36525)
"""The longest duration, a century: now and a duration can always be added."""


def duration(text: str) -> timedelta:
    """Read `90s`, `5m`, `3d`, `1w`, or a sum from the longest unit to the shortest: `2h30m`.

    Units are w, d, h, m (minutes) and s; blanks are allowed. Raises ValueError with the allowed forms.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise ValueError(f"{text!r} is not a duration; write it like '90s', '5m', '2h30m', '3d' or '1w'")
    counts = (int(count or 0) for count in match.groups())
    seconds = sum(count * unit for count, unit in zip(counts, _SECONDS.values(), strict=True))
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is too long; the longest duration is {spell_duration(LONGEST)!r}")
    return timedelta(seconds=seconds)


def size(text: str) -> int:
    """Read `1000`, `256k`, `256 kB`, `50M` or `2G` as octets. Raises ValueError with the allowed forms."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a size; write octets, or text like '256k', '50M' or '2G'")
    count, prefix = match.groups()
    return int(count) << 10 * " kmg".index(prefix.lower() or " ")


def spell_duration(value: timedelta) -> str:
    """The shortest text that `duration` reads as `value`; parts of a second are left out."""
    left = int(value.total_seconds())
    words = []
    for unit, seconds in _SECONDS.items():
        if unit == "w" and left % seconds:
            continue  # 10d is easier to read than 1w3d
        count, left = divmod(left, seconds)
        words += [f"{count}{unit}"] if count else []
    return "".join(words) or "0s"


def spell_size(octets: int) -> str:
    """The shortest text that `size` reads as `octets`."""
    for power, prefix in ((3, "G"), (2, "M"), (1, "k")):
        if octets and octets % 1024**power == 0:
            return f"{octets // 1024**power}{prefix}"
    return str(octets)


_SECONDS: Final = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"\s*".join(rf"(?:([0-9]{{1,10}})\s*{unit})?" for unit in _SECONDS))
_SIZE: Final = re.compile(r"([0-9]{1,12})\s*([kKMmGg]?)(?:i?[Bb])?")
