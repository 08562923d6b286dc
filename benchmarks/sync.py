"""How far a recording's sound and picture are apart, as cells of a table."""

from __future__ import annotations

from tests.oracle.report import User

COLUMNS = ("sound to picture, median", "p95", "drift", "sound lost")


def cells(user: User) -> tuple[str, ...]:
    """Of one participant, for `COLUMNS`."""
    return (
        f"{user.offset_median:+.1f} ms",
        f"{user.offset_p95:.1f} ms",
        f"{user.drift_total:+.1f} ms",
        seconds(user.dropouts),
    )


def seconds(stretches: tuple[tuple[float, float], ...]) -> str:
    """How long stretches of (begin, end) are in all."""
    return f"{sum(end - begin for begin, end in stretches):.2f} s"
