"""What a way costs as a part of what another does."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of those of runs beside each other, in turns: the machine's pace is another every minute."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
