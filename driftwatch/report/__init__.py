"""The weekly report: its numbers, how they are drawn, and how reports are kept.

``week.build_week(store, about, name)`` makes a ``reported.Week`` of what is in the store; nothing there reads the clock
or the disk. ``render.render(week)`` makes the files that people read of it, file name -> content: ``report.html`` (one
self-contained page), ``report.md``, and the pictures of the Slack message (``*.png``); the same week gives the same
bytes. ``kept.Reports`` keeps both, below ``reports/`` in the folder of the state::

    reports/2026-W47/report.json     the week itself (``reported.form``): whatever else is here is drawn from it
    reports/2026-W47/report.html
    reports/2026-W47/report.md
    reports/2026-W47/*.png
"""
