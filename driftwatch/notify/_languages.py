"""What a segment is called in a message."""

from __future__ import annotations

from driftwatch.segment_names import LANGUAGES as LANGUAGES
from driftwatch.segment_names import segment_name as segment_name
