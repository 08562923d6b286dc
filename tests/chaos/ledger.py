"""What a recording's log says about what it went through; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from recorders.log.index import Index

# Parts may meet to within rounding and a packet of sound.
_SLACK_S = 0.06
# A recorder's last picture stands until its end, which may be this long after the fault.
_UNTIL_S = 0.3


@dataclass(frozen=True)
class Loss:
    """Between two attempts, or two browsers of one: the fault, seconds of media lost before it, and until it was
    recording again after it."""

    fault: str
    lost: float
    again: float


def losses(index: Index, faults: Mapping[float, str]) -> list[Loss]:
    """One for each gap between attempts, and each slate, with a fault in it (Unix seconds: what it was); the last fault
    before recording again counts as the cause of the wait, the first as that of the loss."""
    found = []
    for before, after in (*_gaps(index), *_slates(index)):
        inside = sorted(at for at in faults if before - _UNTIL_S <= at <= after)
        if inside:
            found.append(Loss(faults[inside[-1]], max(0.0, inside[0] - before), after - inside[-1]))
    return found


def unexplained(index: Index, faults: Mapping[float, str]) -> list[str]:
    """Gaps between attempts, and slates, in which there was no fault."""
    return [
        f"{after - before:.2f} s from {before:.2f} on"
        for before, after in (*_gaps(index), *_slates(index))
        if after - before > _SLACK_S and not any(before - _UNTIL_S <= at <= after for at in faults)
    ]


def handovers(index: Index) -> int:
    """How often one attempt went over into the next without a gap."""
    return sum(after - before <= _SLACK_S for before, after in _gaps(index))


def doubles(index: Index) -> list[str]:
    """Parts that cover a time which a part before has covered."""
    return [
        f"{later.name} begins {former.start + former.duration - later.start:.2f} s before the end of {former.name}"
        for former, later in pairwise(index.parts)
        if later.start < former.start + former.duration - _SLACK_S
    ]


def _gaps(index: Index) -> list[tuple[float, float]]:
    epoch = index.epoch or 0.0
    return [
        (epoch + former.start + former.duration, epoch + later.start)
        for former, later in pairwise(index.parts)
        if former.attempt != later.attempt
    ]


def _slates(index: Index) -> list[tuple[float, float]]:
    epoch = index.epoch or 0.0
    return [(epoch + slate.start, epoch + slate.end) for slate in index.slates]
