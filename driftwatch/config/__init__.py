"""The whole YAML as one object.

``load_watch(path)`` reads the file, its check files, the environment and the secret files, and reports everything that
is wrong with them at once; ``problems(watch)`` says what loads and still cannot work, or hardly.
"""

from driftwatch.config.crosschecks import Problem, problems
from driftwatch.config.loading import load_watch, read_watch
from driftwatch.config.sections import (
    Api,
    BaselineSettings,
    Budget,
    Expected,
    Heartbeat,
    Privacy,
    Report,
    Retention,
)
from driftwatch.config.upcoming import agenda, job_of, remembered, schedule_of
from driftwatch.config.watch import Origin, Watch
from driftwatch.retrain.settings import Gate, Retrain

__all__ = [
    "Api",
    "BaselineSettings",
    "Budget",
    "Expected",
    "Gate",
    "Heartbeat",
    "Origin",
    "Privacy",
    "Problem",
    "Report",
    "Retention",
    "Retrain",
    "Watch",
    "agenda",
    "job_of",
    "load_watch",
    "problems",
    "read_watch",
    "remembered",
    "schedule_of",
]
