"""How many examples hypothesis draws: a tenth where everything must be quick."""

from __future__ import annotations

from hypothesis import settings

QUICK = "quick"


def examples(usual: int) -> int:
    """``usual``, or a tenth of it, and never less than 5, under the profile ``quick``."""
    return max(5, usual // 10) if settings.get_current_profile_name() == QUICK else usual
