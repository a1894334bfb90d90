"""The verbs of reports: `driftwatch report …`. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from driftwatch.verbs import HERE, AsJson, Config

report_app = typer.Typer(help="A week in numbers and pictures; `list` says what is kept.", invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Give ``app`` the verbs of this module."""
    app.add_typer(report_app, name="report")


@report_app.callback()
def report(
    context: typer.Context,
    config: Config = HERE,
    week: Annotated[str, typer.Option("--week", help="Such as 2026-W47; without it, the last that is over.")] = "",
    form: Annotated[
        str, typer.Option("--format", help="html, markdown or json; without it, that of --out, or a summary.")
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", help="Write it there instead of to standard output.")] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="From the database again, even where the week's report is kept.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make the report of a week and keep it; what is kept is drawn again from its own numbers."""
    if context.invoked_subcommand is None:
        from driftwatch.commands import reports

        reports.report(config, week, reports.Wanted(form or ("json" if json else ""), out), anew=anew)


@report_app.command("list")
def report_list(config: Config = HERE, json: AsJson = False) -> None:
    """The reports that are kept, the newest first."""
    from driftwatch.commands import reports

    reports.listed(config, json=json)
