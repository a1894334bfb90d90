"""The verbs. What a verb needs is imported when it runs, so that `--help` answers at once."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from driftwatch import __version__, verbs_report, verbs_retrain
from driftwatch.errors import DriftwatchError
from driftwatch.verbs import HERE, AsJson, Config, add_to

EXIT_ERROR = 3

app = typer.Typer(
    name="driftwatch",
    help="Notices when retrieval rots, finds out why, and tells the right person once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
baseline_app = typer.Typer(help="What 'normal' is.", no_args_is_help=True)
alerts_app = typer.Typer(help="What is wrong now; acknowledge or silence it.", invoke_without_command=True)
notify_app = typer.Typer(help="Who is told.", no_args_is_help=True)
app.add_typer(baseline_app, name="baseline")
app.add_typer(alerts_app, name="alerts")
app.add_typer(notify_app, name="notify")
add_to(app)
verbs_retrain.add_to(app)
verbs_report.add_to(app)


@app.callback()
def common(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Set up logging on standard error."""
    if version:
        typer.echo(f"driftwatch {__version__}")
        raise typer.Exit
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("apscheduler", "httpx", "httpcore", "alembic", "urllib3", "sentence_transformers"):
        logging.getLogger(noisy).setLevel(logging.DEBUG if verbose else logging.WARNING)
    if not verbose:
        logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)  # what it reports, delivery reports


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to write.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a commented driftwatch.yaml, checks/ and three canaries."""
    from driftwatch.commands import project

    project.init(directory, force=force)


@app.command()
def validate(
    config: Config = HERE,
    offline: Annotated[bool, typer.Option("--offline", help="Read everything, reach nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Read everything, reach everything, change nothing; show the next three runs of each job."""
    from driftwatch.commands import project

    raise typer.Exit(project.validate(config, offline=offline, json=json))


@app.command()
def kinds(kind: Annotated[str, typer.Argument(help="One kind, such as 'canary'.")] = "", json: AsJson = False) -> None:
    """Every kind and its settings, from the classes themselves."""
    from driftwatch.commands import project

    project.kinds(kind, json=json)


@app.command()
def run(config: Config = HERE) -> None:
    """Watch, until told to stop."""
    from driftwatch.service import serve

    raise typer.Exit(serve(config))


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Only these checks.")] = None,
    config: Config = HERE,
    record: Annotated[
        bool, typer.Option("--record", help="Read the sources, record, and tell, as the daemon would.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Look once, now. Exit code: 0 ok, 1 fail, 2 warn, 3 unknown or error.

    Canaries are asked now and not stored; a log is judged as far as the daemon has read it. With --record the sources
    are read first and everything is kept, which needs the daemon to be stopped.
    """
    from driftwatch.commands import watching

    raise typer.Exit(watching.check(config, tuple(names or ()), record=record, json=json))


@app.command()
def replay(
    config: Config = HERE,
    log: Annotated[
        list[str] | None,
        typer.Option("--log", help="Replay this log (JSON lines) instead of the stored history; may be repeated."),
    ] = None,
    canaries: Annotated[
        list[str] | None,
        typer.Option(help="Replay these recorded canary runs (JSON lines, or a directory of them); may be repeated."),
    ] = None,
    start: Annotated[str, typer.Option("--from", help="Only from this day or time (UTC) on.")] = "",
    end: Annotated[str, typer.Option("--to", help="Only up to this day or time (UTC).")] = "",
    every: Annotated[str, typer.Option(help="Let every check look this often, such as 24h.")] = "",
    baseline: Annotated[
        str, typer.Option(help="What is normal: '14 days' (the first ones), or '2026-05-04 .. 2026-05-17'.")
    ] = "",
    events: Annotated[
        Path | None, typer.Option(help="What really happened: a list of {at, name, check?, segment?, until?}.")
    ] = None,
    quiet: Annotated[
        int,
        typer.Option("--ab", help="Play so many weeks drawn from quiet ones, and count the pages.", min=0, max=5200),
    ] = 0,
    tune: Annotated[
        bool, typer.Option("--tune", help="Propose `min_effect` and `every` that keep the budget.")
    ] = False,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", help="Where the log holds a field: ts=time, query=request.q; may be repeated."),
    ] = None,
    source: Annotated[str, typer.Option(help="The source that --log belongs to, where there are several.")] = "",
    json: AsJson = False,
) -> None:
    """What these checks would have said over recorded time, and how often they would have woken you.

    Nothing is written and nobody is told. Without driftwatch.yaml, --log judges a log by the shipped checks.
    """
    from driftwatch.commands import replay as verb

    verb.replay(
        config,
        logs=log or (),
        canaries=canaries or (),
        start=start,
        end=end,
        every=every,
        baseline=baseline,
        events=events,
        quiet_weeks=quiet,
        tune=tune,
        fields=field or (),
        source=source,
        json=json,
    )


@app.command()
def demo(
    directory: Annotated[Path | None, typer.Option("--state", help="Keep the demo's state here.")] = None,
    days: Annotated[int, typer.Option(help="How many days to play.", min=1, max=30)] = 30,
    json: AsJson = False,
) -> None:
    """Play a month of the help-centre example in time lapse."""
    from driftwatch.demo import run_demo

    raise typer.Exit(run_demo(directory, days=days, json=json))


@app.command("test")
def play_scenarios(
    files: Annotated[list[Path], typer.Argument(help="Scenario files.", metavar="FILE...", show_default=False)],
    looks: Annotated[str, typer.Option(help="How often to look, such as 6h, in place of what the files say.")] = "",
    jobs: Annotated[int, typer.Option(help="How many processes to use.", min=1, max=256)] = 1,
    json: AsJson = False,
) -> None:
    """Play weeks of a simulated service and compare what your checks say with what they must say.

    Exit code: 0 everything held, 1 something did not, 3 a file is wrong.
    """
    from driftwatch.commands import scenarios

    raise typer.Exit(scenarios.run(files, looks, jobs=jobs, json=json))


@app.command()
def explain(
    alert: Annotated[str, typer.Argument(help="An incident, or a check, or check:segment.")],
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """The evidence behind an alert and the queries to look at first."""
    from driftwatch.commands import judging

    judging.explain(config, alert, json=json)


@app.command()
def healthcheck(
    config: Config = HERE,
    url: Annotated[str, typer.Option(help="Where the daemon listens; default: as configured.")] = "",
) -> None:
    """Ask the running daemon whether it is well; exit code 0 or 1. For Docker's HEALTHCHECK."""
    from driftwatch.commands import watching

    raise typer.Exit(watching.healthcheck(config, url))


@baseline_app.command("show")
def baseline_show(config: Config = HERE, json: AsJson = False) -> None:
    """The stretch of time that each source is compared with, and how it came about."""
    from driftwatch.commands import judging

    judging.baseline_show(config, json=json)


@baseline_app.command("set")
def baseline_set(
    reason: Annotated[str, typer.Option(help="Why; it is kept and shown.")],
    start: Annotated[str, typer.Option("--from", help="First day or time (UTC), such as 2026-05-04.")] = "",
    end: Annotated[str, typer.Option("--to", help="Last day or time (UTC); default: now.")] = "",
    source: Annotated[str, typer.Option(help="Only this source.")] = "*",
    author: Annotated[str, typer.Option(help="Who decides.", envvar="USER")] = "",
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """Move the baseline by hand: what happened in this stretch is normal from now on."""
    from driftwatch.commands import judging

    judging.baseline_set(config, start, end, source, reason, author, json=json)


@alerts_app.callback()
def alerts(context: typer.Context, config: Config = HERE, json: AsJson = False) -> None:
    """Every alert that is not ok."""
    if context.invoked_subcommand is None:
        from driftwatch.commands import judging

        judging.alerts(config, json=json)


@alerts_app.command("ack")
def alerts_ack(
    alert: Annotated[str, typer.Argument(help="An incident, or a check, or check:segment.")],
    author: Annotated[str, typer.Option(help="Who looks after it.", envvar="USER")] = "",
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """Say that you look after it: no more reminders."""
    from driftwatch.commands import judging

    judging.acknowledge(config, alert, author, json=json)


@alerts_app.command("silence")
def alerts_silence(
    check: Annotated[str, typer.Argument(help="A check's name, or '*'.")],
    length: Annotated[str, typer.Option("--for", help="How long, such as 2h.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept and shown.")],
    segment: Annotated[str, typer.Option(help="A language, 'all', or '*'.")] = "*",
    author: Annotated[str, typer.Option(help="Who silences.", envvar="USER")] = "",
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """Tell nobody about matching alerts for a while; they are recorded all the same."""
    from driftwatch.commands import judging

    judging.silence(config, check, segment, length, reason, author, json=json)


@alerts_app.command("expect")
def alerts_expect(
    reason: Annotated[str, typer.Argument(help="Why; it is kept and shown.")],
    end: Annotated[str, typer.Option("--to", help="Until when: a day, which belongs to it, or a time; UTC.")],
    start: Annotated[str, typer.Option("--from", help="From when; without it, from now on.")] = "",
    author: Annotated[str, typer.Option(help="Who expects it.", envvar="USER")] = "",
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """Announce a change: nothing in its time is evidence. `alerts` lists what was announced."""
    from driftwatch.commands import judging

    judging.expect(config, start, end, reason, author, json=json)


@alerts_app.command("expected-end")
def alerts_expected_end(
    change: Annotated[str, typer.Argument(help="The id of an expected change.")],
    author: Annotated[str, typer.Option(help="Who ends it.", envvar="USER")] = "",
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """End an expected change before its time."""
    from driftwatch.commands import judging

    judging.end_expected(config, change, author, json=json)


@notify_app.command("test")
def notify_test(
    names: Annotated[list[str] | None, typer.Argument(help="Only these receivers.")] = None,
    config: Config = HERE,
    json: AsJson = False,
) -> None:
    """Send a sample incident to every receiver."""
    from driftwatch.commands import project

    raise typer.Exit(project.notify_test(config, tuple(names or ()), json=json))


def main() -> None:
    """The entry point: an error on purpose is one message and exit code 3, never a traceback."""
    try:
        app()
    except DriftwatchError as error:
        from driftwatch.show import harmless  # what an error quotes, somebody else wrote

        typer.echo(f"driftwatch: {harmless(str(error))}", err=True)
        sys.exit(EXIT_ERROR)
    except BrokenPipeError:
        sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
