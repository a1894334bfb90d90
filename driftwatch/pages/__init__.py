"""The pages for a person: what is wrong now, why, and what can be done about it.

Rendered here from templates in which everything is escaped; they work without script, and nothing comes from outside.
What a page shows is read in a handful of queries, so that a year of history makes no page slow.
"""

from driftwatch.pages.canaries import Chosen, render_canaries, render_canary
from driftwatch.pages.check import render_check
from driftwatch.pages.incident import render_incident, render_incidents
from driftwatch.pages.index import render_index
from driftwatch.pages.jobs import render_job, render_jobs
from driftwatch.pages.overview import render_overview
from driftwatch.pages.rendering import Viewer, render_login
from driftwatch.pages.reports import render_reports

__all__ = [
    "Chosen",
    "Viewer",
    "render_canaries",
    "render_canary",
    "render_check",
    "render_incident",
    "render_incidents",
    "render_index",
    "render_job",
    "render_jobs",
    "render_login",
    "render_overview",
    "render_reports",
]
