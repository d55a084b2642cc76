"""Errors from outside the code, in words for people."""

import pytest
import torch

from safeio.errors import for_people


def test_a_tensor_that_no_computer_holds():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**31 - 1, 2**20)
    said = for_people(caught.value)
    assert "allocate" in said and "enforce fail" not in said and "A smaller batch needs less" in said


def test_errors_of_the_code_have_no_message():
    assert for_people(RuntimeError("mat1 and mat2")) is None and for_people(KeyError("x")) is None
