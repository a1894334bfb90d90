"""The weekly report of one watched service: what joins its numbers, its drawing and its keeping with a ``Watch``."""
