"""Forks: what a new process must not share with the one that it was forked from."""

import os
import weakref
from collections.abc import Callable
from typing import Any, Final

_ACTS: Final[list["weakref.WeakMethod[Callable[[], Any]]"]] = []


def in_every_child(act: Callable[[], Any]) -> None:
    """Call a bound method first thing in every forked process, as long as its object lives."""
    _ACTS[:] = [one for one in _ACTS if one() is not None]
    _ACTS.append(weakref.WeakMethod(act))


def _begin_anew() -> None:
    for one in _ACTS:
        act = one()
        if act is not None:
            act()


os.register_at_fork(after_in_child=_begin_anew)
