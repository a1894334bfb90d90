"""The same story over recorded time: what these checks would have said, and how often they would have woken you.

Nothing here writes to the user's database or tells anybody anything.
"""
