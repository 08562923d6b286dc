"""The synthetic participants' bar as a clock: it crosses the picture in four seconds of the wall clock."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from recorders.sources.demo import BAR, BAR_ROWS, CYCLE_S, WIDTH


def clock_errors(file: Path, epoch: float) -> list[float]:
    """By how many seconds each picture is said to be later than it is, `epoch` (Unix seconds) being that of time 0.

    Of a recording of one participant, of its own size. Pictures without a bar are left out.
    """
    errors = []
    with av.open(str(file)) as source:
        for frame in source.decode(video=0):
            luma = frame.to_ndarray(format="gray").astype(float)
            row = luma[BAR_ROWS.start + 4 : BAR_ROWS.stop - 4].mean(axis=0)
            columns = np.flatnonzero(row > 190)
            if not 0.8 * BAR < len(columns) < 1.2 * BAR or np.ptp(columns) > 1.5 * BAR:
                continue
            shown = columns[0] / WIDTH * CYCLE_S
            said = (epoch + (frame.time or 0.0)) % CYCLE_S
            errors.append((said - shown + CYCLE_S / 2) % CYCLE_S - CYCLE_S / 2)
    return errors
