"""A short storm: nothing is lost that was promised, whatever is killed. The long one is `make chaos`."""

from __future__ import annotations

import statistics

import pytest

from tests.chaos.faults import ON_ONE_MACHINE, Target
from tests.chaos.run import chaos
from tests.cluster.service import Service


@pytest.mark.timeout(600)
def test_a_short_storm(persistent: Service) -> None:
    result = chaos(Target(persistent), ON_ONE_MACHINE, kills=9, natives=3, pages=1, pause_s=1.6, seed=7)
    said = result.table()
    assert (result.ghosts, result.doubles, result.unplayable, result.unexplained) == ([], [], [], []), said
    assert set(result.ends) == {"STOPPED"}, said
    found = [loss for kind in result.losses.values() for loss in kind]
    assert found, said  # what is hit again before it has recovered is one loss: how many is a matter of the machine
    assert statistics.median(loss.lost for loss in found) < 1.0, said
