"""Runs that wait for one another."""

import sys

import numpy as np
import pytest
import torch

from dassl.utils.logger import Labelled
from trainers.steps.lockstep import in_lockstep, wait


def test_each_gets_its_own_answer_and_all_are_asked_at_once():
    asked = []

    def answer(requests):
        asked.append(list(requests))
        return {i: request * 10 for i, request in enumerate(requests)}

    def run(numbers):
        return lambda: [wait(number) for number in numbers]

    assert in_lockstep([run([1, 2]), run([3]), run([]), run([4, 5])], answer) == [[10, 20], [30], [], [40, 50]]
    assert asked == [[1, 3, 4], [2, 5]]


def test_some_may_be_answered_later():
    def first_only(requests):
        return {len(requests) - 1: sorted(requests)}

    def run(name):
        return lambda: wait(name)

    assert in_lockstep([run("a"), run("b"), run("c")], first_only) == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_random_numbers_are_those_of_a_run_alone():
    def run(seed):
        def draw():
            torch.manual_seed(seed)
            np.random.seed(seed)
            found = []
            for _ in range(4):
                found += [torch.rand(()).item(), np.random.rand()]
                wait(seed)
            return found

        return draw

    alone = [in_lockstep([run(seed)], lambda requests: {0: None})[0] for seed in (1, 2, 3)]

    def noisy(requests):
        torch.rand(7)
        return dict.fromkeys(range(len(requests)))

    assert in_lockstep([run(1), run(2), run(3)], noisy) == alone
    assert alone[0] != alone[1]


def test_what_a_run_prints_says_whose_it_is(capsys):
    def run(name):
        def talk():
            sys.stdout = Labelled(sys.stdout, f"[{name}] ")
            print("begins")
            wait(name)
            print("ends")

        return talk

    in_lockstep([run("a"), run("b")], lambda requests: dict.fromkeys(range(len(requests))))
    print("after")
    assert capsys.readouterr().out.splitlines() == ["[a] begins", "[b] begins", "[a] ends", "[b] ends", "after"]


def test_an_error_of_the_common_step_reaches_every_run():
    def run():
        with pytest.raises(ArithmeticError, match="common"):
            wait(1)
        return "caught"

    def answer(requests):
        raise ArithmeticError("common")

    assert in_lockstep([run, run], answer) == ["caught", "caught"]


def test_waiting_outside_says_so():
    with pytest.raises(RuntimeError, match="in_lockstep"):
        wait(1)
