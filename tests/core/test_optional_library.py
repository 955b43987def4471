from __future__ import annotations

import math

import pytest

from tpos_live.core.optional_library import MissingLibraryError, optional_library


def test_a_library_that_is_missing_is_named_with_its_extra() -> None:
    assert optional_library("math", "train") is math
    with pytest.raises(MissingLibraryError, match=r'^this needs no_such_library: pip install "tpos-live\[train\]"$'):
        optional_library("no_such_library.part", "train")
