"""Scenario files: weeks of a simulated service in time lapse, and what the checks must say about them.

A scenario is the unit test of a rule. ``reading`` reads the file, ``simulated`` is the service and everybody who uses
it, ``play`` lets the clock run through the daemon's own agenda, and ``outcomes`` compares what was said with what had
to be said.
"""
