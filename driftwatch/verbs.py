"""The verbs of experiments: `probe`, `compare`, `threshold`, `canaries`. Each imports what it needs when it runs."""

from __future__ import annotations

from math import isfinite
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
    app.command("threshold")(threshold)
    app.command()(probe)
    app.command()(compare)


def probe(
    config: Config = HERE,
    measure: Annotated[str, typer.Option(help="Such as R@10; without it, that of the first canary check.")] = "",
    documents: Annotated[
        int, typer.Option(help="Entries of the index that are embedded anew at most.", min=1, max=1_000_000)
    ] = 2000,
    seconds: Annotated[float, typer.Option(help="After which nothing new is begun.", min=1, max=86_400)] = 60.0,
    source: Annotated[str, typer.Option(help="Whose canaries; without it, the first source that has any.")] = "",
    json: AsJson = False,
) -> None:
    """What broke: canaries through stored and fresh vectors, approximate and exact search, and the service, now."""
    from driftwatch.commands import probe as verb

    raise typer.Exit(verb.probe(config, measure, documents, seconds, source, json=json))


def compare(
    old: Annotated[
        str,
        typer.Argument(help="What is in use: 'retriever', 'index', a dual run, or a YAML file with one retriever."),
    ] = "",
    new: Annotated[str, typer.Argument(help="What may replace it, named the same way.")] = "",
    config: Config = HERE,
    k: Annotated[int, typer.Option("-k", "--depth", help="How many documents count.", min=1, max=1000)] = 10,
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
    code = verb.compare(
        config, old, new, k=k, count=queries, source=source, canaries=canaries, section=section, json=json
    )
    raise typer.Exit(code)


# --- canaries ------------------------------------------------------------------------------------------------------

CanarySource = Annotated[str, typer.Option("--source", help="Only the canaries of this source.")]
LiveSource = Annotated[str, typer.Option("--source", help="Only the live queries of this source.")]
Days = Annotated[int, typer.Option("--days", help="How many days back to look.", min=1, max=366)]
Most = Annotated[int, typer.Option("--queries", help="How many live queries to look at, and embed.", min=100)]


@canaries_app.command("show")
def show_canaries(
    config: Config = HERE,
    source: CanarySource = "",
    days: Days = 14,
    every: Annotated[bool, typer.Option("--all", help="Also those that are well.")] = False,
    json: AsJson = False,
) -> None:
    """How each canary is: live, in quarantine (its documents are gone), flaky, never found, too easy."""
    from driftwatch.commands import canaries

    canaries.show(config, source, days, every=every, json=json)


@canaries_app.command("coverage")
def canary_coverage(
    config: Config = HERE, source: LiveSource = "", days: Days = 14, most: Most = 4000, json: AsJson = False
) -> None:
    """Which share of the live queries has a canary nearby, by language and cluster."""
    from driftwatch.commands import canaries

    canaries.coverage(config, source, days, most, json=json)


@canaries_app.command("propose")
def propose_canaries(
    out: Annotated[Path, typer.Option("--out", help="The file to write (JSON lines); it must not exist.")],
    config: Config = HERE,
    n: Annotated[int, typer.Option("--n", help="How many, at most.", min=1, max=10_000)] = 50,
    source: LiveSource = "",
    days: Days = 14,
    most: Most = 4000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed chooses the same.")] = 0,
    unredacted: Annotated[
        bool, typer.Option("--unredacted", help="Write the questions as they were kept, with numbers and addresses.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Live questions that would make good canaries, in a file for a person to name their documents."""
    from driftwatch.commands import canaries

    canaries.propose(config, out, source, days, most, n, seed, unredacted=unredacted, json=json)


@canaries_app.command("import")
def import_canaries(
    path: Annotated[Path, typer.Argument(help="A BEIR directory, or a file of questions.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write (JSON lines); it must not exist.")],
    form: Annotated[str, typer.Option("--form", help="auto, beir, trec, ragas or csv.")] = "auto",
    qrels: Annotated[Path | None, typer.Option(help="The judgements, where they lie elsewhere.")] = None,
    split: Annotated[str, typer.Option(help="Which judgements of a directory.")] = "test",
    lang: Annotated[str, typer.Option(help="The language of questions that do not say theirs (BCP 47).")] = "und",
    query_column: Annotated[str, typer.Option(help="CSV: the column of the question.")] = "query",
    lang_column: Annotated[str, typer.Option(help="CSV: the column of the language.")] = "lang",
    relevant_column: Annotated[
        str, typer.Option(help="CSV: the column of document ids, with ';' between.")
    ] = "relevant",
    id_column: Annotated[
        str, typer.Option(help="CSV: the column of the canary's id, where there is one.")
    ] = "query_id",
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", envvar="DRIFTWATCH_CONFIG", help="Looks for the documents in its index too."),
    ] = None,
    json: AsJson = False,
) -> None:
    """An evaluation set (BEIR, TREC, Ragas, CSV) as canaries; says what is wrong with it, and what the index lacks."""
    from driftwatch.commands import canary_files

    columns = (query_column, lang_column, relevant_column, id_column)
    given = canary_files.evaluation_set(path, form, qrels, split, lang, columns)
    canary_files.import_set(config or (HERE if HERE.exists() else None), given, out, json=json)


@canaries_app.command("export")
def export_canaries(
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")],
    config: Config = HERE,
    source: CanarySource = "",
    json: AsJson = False,
) -> None:
    """What the canaries were answered last, as a TREC run and qrels."""
    from driftwatch.commands import canary_files

    canary_files.export(config, source, out, json=json)


def threshold(
    config: Config = HERE,
    beta: Annotated[
        float, typer.Option(help="Aim at the best F-beta: recall counts beta times as much.", min=0.01)
    ] = 1.0,
    precision: Annotated[
        float | None, typer.Option(help="Aim at this precision, with all the recall that leaves.", min=0.01, max=1.0)
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(help="Aim at this recall of what is retrieved, with the highest cut-off.", max=1.0, min=0.01),
    ] = None,
    decides: Annotated[
        str, typer.Option("--of", help="What it decides: 'documents' that are kept, or whether there are 'answers'.")
    ] = "documents",
    current: Annotated[float | None, typer.Option(help="The cut-off in use, as the service calls it.")] = None,
    keep: Annotated[
        float | None, typer.Option(help="Without an old one: the share of the traffic to keep.", min=0.0001, max=1.0)
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Judged scores: JSON lines or CSV with query_id, score, relevant, lang.")
    ] = None,
    distance: Annotated[bool, typer.Option("--distance", help="Scores are distances: lower is better.")] = False,
    before: Annotated[str, typer.Option(help="FROM..TO before the change (UTC); else the baseline.")] = "",
    after: Annotated[str, typer.Option(help="FROM..TO after it; else the time since the newest change.")] = "",
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Of the resampling.", min=0)] = 0,
    json: AsJson = False,
) -> None:
    """What the score cut-off should be now, how sure that is, what it does, and what made the old one wrong.

    Chosen on labels where there are enough: canaries, a file, feedback. Else what keeps as much as before a change.
    """
    from driftwatch.commands import threshold as command
    from driftwatch.errors import ConfigError
    from driftwatch.show import now_utc
    from driftwatch.stats.cutoff import Aim
    from driftwatch.threshold import Wanted

    if precision is not None and recall is not None:
        raise ConfigError("--precision and --recall are both given.", remedy="Aim at one of them.")
    for option, given in (("--current", current), ("--beta", beta)):
        if given is not None and not isfinite(given):
            raise ConfigError(f"{option} {given} is no number.", remedy="Write a number such as 0.42.")
    if decides not in ("documents", "answers"):
        raise ConfigError(f"--of '{decides}' is neither 'documents' nor 'answers'.", remedy="Write one of them.")
    aim = Aim("F", beta)
    if precision is not None or recall is not None:
        aim = Aim("precision", precision) if precision is not None else Aim("recall", recall or 0.0)
    kind = "distance" if distance else None
    wanted = Wanted(aim, decides, current, keep, kind, seed=seed)  # type: ignore[arg-type]
    stretches = command.Stretch.parse(before), command.Stretch.parse(after)
    command.threshold(config, wanted, command.Where(*stretches, tuple(source or ()), labels), now_utc(), json=json)
