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
    app.command()(compare)


def compare(
    old: Annotated[
        str,
        typer.Argument(help="What is in use: 'retriever', 'index', a dual run, or a YAML file with one retriever."),
    ] = "",
    new: Annotated[str, typer.Argument(help="What may replace it, named the same way.")] = "",
    config: Config = HERE,
    k: Annotated[int, typer.Option(help="How many documents count.", min=1, max=1000)] = 10,
    queries: Annotated[int, typer.Option(help="How many sampled live queries to ask.", min=0, max=100_000)] = 200,
    source: Annotated[str, typer.Option(help="The source of those queries, where there are several.")] = "",
    canaries: Annotated[str, typer.Option(help="Only the canaries of this source.")] = "",
    section: Annotated[Path | None, typer.Option(help="Also write it as Markdown, for a report.")] = None,
    trend: Annotated[
        bool, typer.Option("--trend", help="Ask nobody: print what a dual run (OLD) has found, day by day.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Two retrievers, indexes or models side by side, over canaries and sampled queries. Writes nothing."""
    from driftwatch.commands import compare as verb

    if trend:
        verb.trend(config, old, json=json)
        return
    if not old or not new:
        raise typer.BadParameter("Name both: driftwatch compare OLD NEW.")
    verb.compare(config, old, new, k=k, count=queries, source=source, canaries=canaries, section=section, json=json)
