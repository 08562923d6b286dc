"""Processes as tests see them: each may end between any two looks at it."""

from __future__ import annotations

from pathlib import Path

import psutil


def title(process: psutil.Process) -> str:
    """The command line; empty when the process has gone."""
    return " ".join(arguments(process))


def arguments(process: psutil.Process) -> list[str]:
    """The words of the command line; none when the process has gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def program(process: psutil.Process) -> str:
    """The name of what it runs, without its folder; empty when the process has gone."""
    return Path(next(iter(arguments(process)), "")).name


def browser_of(ancestor: psutil.Process) -> psutil.Process:
    """The first process of the one browser that a process has started. Raises `psutil.NoSuchProcess`."""
    for each in chromium_of(ancestor):
        if kind(each) == "browser":
            return each
    raise psutil.NoSuchProcess(ancestor.pid, msg="it has no browser")


def chromium_of(ancestor: psutil.Process | None = None) -> list[psutil.Process]:
    """The processes of the browsers that a process, the present one by default, and its children have started."""
    return [
        process
        for process in (ancestor or psutil.Process()).children(recursive=True)
        if any(word.startswith("--user-data-dir=") for word in arguments(process))
    ]


def kind(process: psutil.Process) -> str:
    """What a process of Chromium is: `browser` is the one that began the others, `renderer` one of pages and so on."""
    return next((word.partition("=")[2] for word in arguments(process) if word.startswith("--type=")), "browser")
