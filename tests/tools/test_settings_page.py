"""docs/settings.md is what the yaml files say."""

import re

import pytest

from runs.protocol import methods
from runs.sources import sources_of
from tools import settings_page

NAMED = [name for name in methods() if sources_of(name)]
WRITTEN = settings_page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("method", NAMED)
def test_every_method_with_sources_stands_there_as_it_is(method):
    section = "\n".join(settings_page._method(method))
    assert section in WRITTEN, "write the page anew: python -m tools.settings_page"


def test_what_is_unread_is_marked():
    (tcp,) = re.findall(r"^## TCP\n(.*?)^## ", WRITTEN, re.S | re.M)
    assert re.search(r"`OPTIM.ADAM_EPS` \| 0.001 \| 0.001 \| 0.001", tcp)
    assert re.search(r"`OPTIM.MAX_EPOCH` \| 50 \| 50 \*\*\?\*\* \|", tcp)
    assert "[ctx] person doing {}." in tcp
