"""What is written down of a hostile page, and what is seen of its recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorders.errors import RecorderError
from recorders.progress import Progress

_PAGES = Path(__file__).with_name("pages")
# What `settle` below shows: while it tries, when nothing has worked, when something has.
TRYING, HELD, ESCAPED = (0, 0, 0xCC), (0, 0x88, 0), (0xCC, 0, 0)

# In every page: `settle({name: promise, ...})` shows and tells which of the attempts have worked ("nothing"), once all
# have ended or had their time; `show(colour)` fills the page.
HEAD = """<!doctype html><meta charset=utf-8><link rel=icon href=data:,><style>html,body{margin:0;height:100%}</style>
<body style="background:#00c"><script>
const show = colour => { document.body.style.background = colour; };
const within = (seconds, promise) => Promise.race([promise, new Promise((_, no) => setTimeout(no, 1000 * seconds))]);
const told = what => fetch("@SITE@/told", {method: "POST", mode: "no-cors", body: what});
const settle = async attempts => {
  const names = Object.keys(attempts);
  const ends = await Promise.allSettled(names.map(name => within(8, attempts[name])));
  const worked = names.filter((_, n) => ends[n].status === "fulfilled").join(" ") || "nothing";
  show(worked === "nothing" ? "#080" : "#c00");
  await told(worked);
};
</script>
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answers at one path, after so many seconds."""

    body: str = ""
    after: float = field(default=0.0, kw_only=True)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    type: str = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of a recording that has ended."""

    folder: Path
    progress: Progress
    error: RecorderError | None
    told: str | None
    last: tuple[int, int, int] | None
    """The middle of its last picture, RGB."""
    pictures: int
    seconds: float
    """From the start to the end of it all."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One page. `name` is its id and its path; `tries` one sentence for people.

    `page` follows `HEAD`, by default the file pages/NAME.html; `more` are other paths below it. `url` is what is
    recorded. `fails` is the sentence with which it must fail (the whole of it, as a regular expression); without, it
    must be STOPPED when it has been recorded for `seconds`, counted from what it `tells` where it does. `refused`: at
    least so many of its connections were refused. `web` are settings of section `web` for it.
    """

    name: str
    tries: str
    page: str | None = None
    more: Mapping[str, Answer] = field(default_factory=dict)
    url: str = "@SITE@/"
    fails: str | None = None
    retryable: bool = False
    tells: str | None = None
    shows: tuple[int, int, int] | None = None
    seconds: float = 1.5
    refused: int = 0
    web_gl: bool = False
    web: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Seen], None] | None = None

    def answers(self) -> dict[str, Answer]:
        """By path below the page's own."""
        if "" in self.more:
            return dict(self.more)
        page = file(f"{self.name}.html") if self.page is None else self.page
        return {"": Answer(HEAD + page), **self.more}


def file(name: str) -> str:
    """What is in a file of the folder pages."""
    return (_PAGES / name).read_text()
