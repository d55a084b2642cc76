"""Several runs in one process that wait for one another, so that what they all ask for can be computed at once.

Each run is an ordinary piece of code in a coroutine of its own (greenlet). It calls `wait` with a request; once
every run waits, or has ended, `answer` is asked for what some of them get, and those continue. Only one runs at a
time, and each finds the global random generators and stdout as it left them: it computes what it would alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import greenlet

from dassl.utils.environment import random_state, restore_random_state

Answer = Callable[[Sequence[Any]], Mapping[int, Any]]
"""Requests of all waiting runs -> answers by place in that list; at least one."""


def wait(request: Any) -> Any:
    """Called by a run: let the others continue until this is answered.

    Raises:
        RuntimeError: not called from a run of `in_lockstep`.
    """
    hub = greenlet.getcurrent().parent
    if hub is None:
        raise RuntimeError("wait() is for runs that in_lockstep() has started")
    generators, stdout = random_state(), sys.stdout
    answer = hub.switch(request)
    restore_random_state(generators)
    sys.stdout = stdout
    if isinstance(answer, BaseException):
        raise answer
    return answer


def in_lockstep(runs: Sequence[Callable[[], Any]], answer: Answer) -> list[Any]:
    """Run them all to their ends; what each returned, in their order.

    An error of `answer` is raised in every run that waits. An error that leaves a run ends all: a run that may
    fail by itself is to catch what it raises.
    """
    stdout, results = sys.stdout, {}
    waiting: dict[int, Any] = {}  # run -> its request
    coroutines = [greenlet.greenlet(run) for run in runs]

    def go_on(i: int, *value: Any) -> None:
        sys.stdout = stdout
        try:
            outcome = coroutines[i].switch(*value)
        finally:
            sys.stdout = stdout
        if coroutines[i].dead:
            results[i] = outcome
            waiting.pop(i, None)
        else:
            waiting[i] = outcome

    for i in range(len(runs)):
        go_on(i)
    while waiting:
        places = list(waiting)
        try:
            answers = answer([waiting[i] for i in places])
        except Exception as error:  # belongs to the runs that asked, whose log and record it goes to
            answers = dict.fromkeys(range(len(places)), error)
        for place, value in answers.items():
            go_on(places[place], value)
    return [results[i] for i in range(len(runs))]
