"""The verbs of retraining: `driftwatch retrain …`. Each imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from driftwatch.verbs import HERE, AsJson, Config

retrain_app = typer.Typer(
    help="From a lasting drift to a better model, which a person switches on.", no_args_is_help=True
)

Job = Annotated[str, typer.Option("--job", help="The job; without it, the newest that is not over.")]


def add_to(app: typer.Typer) -> None:
    """Give ``app`` the verbs of this module."""
    app.add_typer(retrain_app, name="retrain")


@retrain_app.command()
def status(config: Config = HERE, json: AsJson = False) -> None:
    """What is in use, how far each job is, and what speaks against beginning one now."""
    from driftwatch.commands import retrain

    retrain.status(config, json=json)


@retrain_app.command()
def pairs(config: Config = HERE, json: AsJson = False) -> None:
    """Collect questions with known answers for a new job: feedback in the log, labelled files, written ones."""
    from driftwatch.commands import retrain

    raise typer.Exit(retrain.pairs(config, json=json))


@retrain_app.command()
def mine(config: Config = HERE, job: Job = "", json: AsJson = False) -> None:
    """Find what must not be taken for the answers, and seal the dataset."""
    from driftwatch.commands import retrain

    raise typer.Exit(retrain.step(config, job, "mine", json=json))


@retrain_app.command()
def train(config: Config = HERE, job: Job = "", json: AsJson = False) -> None:
    """Train, here or where `trainer:` says; goes on where it was when it was killed."""
    from driftwatch.commands import retrain

    raise typer.Exit(retrain.step(config, job, "train", json=json))


@retrain_app.command()
def gate(config: Config = HERE, job: Job = "", json: AsJson = False) -> None:
    """Old model against new on questions that neither has seen; says yes or no, with its reasons. Exit code 1: no."""
    from driftwatch.commands import retrain

    raise typer.Exit(retrain.gate(config, job, json=json))


@retrain_app.command()
def run(config: Config = HERE, job: Job = "", json: AsJson = False) -> None:
    """Every step that is left of a job, up to the question whether its model is switched on."""
    from driftwatch.commands import retrain

    raise typer.Exit(retrain.step(config, job, "", json=json))


@retrain_app.command()
def promote(
    job: Annotated[str, typer.Option("--job", help="The job whose model is switched on.")],
    by: Annotated[str, typer.Option("--by", envvar="USER", help="Who approves it; kept with the release.")],
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """Approve a model: embed every document anew into an index beside the old one, then switch both at once."""
    from driftwatch.commands import retrain

    raise typer.Exit(retrain.promote(config, job, by, json=json))


@retrain_app.command()
def reject(
    job: Annotated[str, typer.Option("--job", help="The job whose model is not wanted.")],
    by: Annotated[str, typer.Option("--by", envvar="USER", help="Who says so.")],
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """End a job: its model is not switched on, and the cool-down begins."""
    from driftwatch.commands import retrain

    raise typer.Exit(retrain.reject(config, job, by, json=json))


@retrain_app.command()
def rollback(
    by: Annotated[str, typer.Option("--by", envvar="USER", help="Who wants it; kept.")],
    leave: Annotated[
        str, typer.Option("--from", help="Only from this release: said twice, it goes back once.", show_default=False)
    ] = "",
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """Model, index and cut-off as they were before the last switch, in one step."""
    from driftwatch.commands import retrain

    raise typer.Exit(retrain.rollback(config, by, leave, json=json))
