"""The weekly report: its numbers, what is drawn of them, and the files it is kept in."""
