"""The verbs of experiments: `probe`, `compare`, `threshold`, `canaries`. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="DRIFTWATCH_CONFIG", help="The configuration file.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output instead of a table.")]
HERE = Path("driftwatch.yaml")

canaries_app = typer.Typer(help="Questions with known answers: where more are needed.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Give ``app`` the verbs of this module."""
    app.add_typer(canaries_app, name="canaries")
