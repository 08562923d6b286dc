"""Hostile and odd pages, as data, and the world in which they are recorded.

A page is one `Hostile` (entry.py): what it is, what it tries, and how its recording must end; its HTML is there, or in
the folder pages. Pages of a kind lie in one module's `PAGES` (addresses.py, ...); the module is added to `ALL` below.
Nothing else is needed: `test_hostile.py` records all of them, a few at a time, beside one recording that must not be
harmed, and looks at

- how each ended: STOPPED after its time, or failed with one sentence (`fails`);
- what its last picture shows in the middle (`shows`), and what the page told of what it could do (`tells`);
- listeners (world.py) on addresses that no page may reach, which must have seen nothing at all, and every address that
  the recorders have tried to connect to;
- whatever else the page's own `check` asserts of what was `Seen`.

Pages come from a server on 127.8.8.8, the only special address that they may reach. In everything that is served these
words are replaced:

- `@SITE@`: the page's own place there (http://127.8.8.8:PORT/NAME), with `@HOST@` and `@PORT@`;
- `@TLS@`: the same over TLS, with a certificate that nobody has signed;
- hosts with a second name: `pages.example` is 127.8.8.8, others are in `world.NAMES`.

The listeners listen at `@PORT@` of 127.0.0.1, 127.0.0.2 and ::1, TCP and UDP; at 127.0.0.3 is one that a page may reach
by its settings, so that it is known that they would hear it. 169.254.169.254 has none: other processes of the machine
ask it, too.
"""

from __future__ import annotations

from tests.e2e.hostile import addresses, oddities
from tests.e2e.hostile.entry import Hostile

ALL: tuple[Hostile, ...] = (*addresses.PAGES, *oddities.PAGES)
