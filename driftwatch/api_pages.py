"""Every page, file and form over HTTP, and the data of charts that can be zoomed."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from driftwatch import acting, pages
from driftwatch.api_forms import NOT_OURS, TOO_LONG, Pages, answer, missing, page, read_form
from driftwatch.pages import doing, reports, statics
from driftwatch.pages.canaries import canary_data
from driftwatch.pages.check import course_data
from driftwatch.pages.distributions import distribution, distribution_data
from driftwatch.pages.doing import Form
from driftwatch.pages.rendering import segment as one_segment
from driftwatch.pages.session import COOKIE
from driftwatch.show import as_json

FOR_EVER = "public, max-age=31536000, immutable"
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""A report carries all that it shows, and runs nothing."""
ATTACHED_POLICY = f"{REPORT_POLICY}; sandbox allow-scripts; script-src 'unsafe-inline' 'unsafe-eval'"
"""What others draw (Evidently) brings scripts of its own: they run as nobody, see no cookie and reach nothing."""


def add_pages(app: FastAPI, shown: Pages) -> None:
    """Every page, form and file."""
    _add_reading(app, shown)
    _add_more(app, shown)
    _add_files(app, shown)
    _add_login(app, shown)
    _add_actions(app, shown)
    _add_data(app, shown)


def _add_reading(app: FastAPI, shown: Pages) -> None:
    daemon = shown.daemon

    @app.get("/")
    def overview(request: Request, said: str = "") -> Response:
        trouble = daemon.engine.observer.trouble
        told = doing.SAID.get(said, "")
        viewer, now = shown.viewer(request), datetime.now(UTC)
        return page(pages.render_overview(daemon.watch, daemon.store, now, viewer, said=told, trouble=trouble))

    @app.get("/incidents")
    def incidents(request: Request) -> Response:
        return page(pages.render_incidents(daemon.watch, daemon.store, datetime.now(UTC), shown.viewer(request)))

    @app.get("/incidents/{incident_id}")
    def incident(request: Request, incident_id: str, said: str = "") -> Response:
        found = daemon.store.decisions.incident(incident_id)
        if found is None:
            return missing(shown, request, "there is no such incident")
        viewer, told = shown.viewer(request), doing.SAID.get(said, "")
        return page(pages.render_incident(daemon.watch, daemon.store, found, datetime.now(UTC), viewer, said=told))

    @app.get("/checks/{name:path}")
    def check(request: Request, name: str, segment: str = "", days: str = "14") -> Response:
        text = pages.render_check(daemon.watch, daemon.store, name, shown.viewer(request), at=segment, span=days)
        return missing(shown, request, "there is no such check") if text is None else page(text, charts=True)


def _add_more(app: FastAPI, shown: Pages) -> None:
    daemon = shown.daemon

    @app.get("/canaries")
    def canaries(request: Request, source: str = "", lang: str = "", state: str = "") -> Response:
        number = request.query_params.get("page", "")
        wanted = int(number) if number.isascii() and number.isdecimal() and len(number) < 7 else 1
        viewer = shown.viewer(request)
        chosen = pages.Chosen(source, lang, state, wanted)
        return page(pages.render_canaries(daemon.watch, daemon.store, viewer, chosen))

    @app.get("/canaries/{source}/{query_id:path}")
    def canary(request: Request, source: str, query_id: str) -> Response:
        text = pages.render_canary(daemon.watch, daemon.store, source, query_id, shown.viewer(request))
        return missing(shown, request, "there is no such canary") if text is None else page(text, charts=True)

    @app.get("/index")
    def index(request: Request) -> Response:
        return page(pages.render_index(daemon.watch, daemon.store, shown.viewer(request)))

    @app.get("/jobs")
    def jobs(request: Request) -> Response:
        return page(pages.render_jobs(daemon.watch, daemon.store, shown.viewer(request)))

    @app.get("/jobs/{job_id}")
    def job(request: Request, job_id: str) -> Response:
        text = pages.render_job(daemon.watch, daemon.store, job_id, shown.viewer(request))
        return missing(shown, request, "there is no such job") if text is None else page(text)


def _add_files(app: FastAPI, shown: Pages) -> None:
    daemon = shown.daemon

    @app.get("/static/{name}")
    def static(request: Request, name: str) -> Response:
        content = statics.content(name)
        if content is None:
            return answer(404, "there is no such file")
        headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(content, media_type=statics.TYPES[name], headers={**headers, "Content-Encoding": "gzip"})
        return Response(gzip.decompress(content), media_type=statics.TYPES[name], headers=headers)

    @app.get("/reports")
    def all_reports(request: Request) -> Response:
        return page(pages.render_reports(daemon.watch, shown.viewer(request)))

    @app.get("/reports/{week}/{name}")
    def report(request: Request, week: str, name: str) -> Response:
        path = reports.report_file(daemon.watch, week, name)
        if path is None:
            return missing(shown, request, "there is no such report")
        policy = REPORT_POLICY if name == reports.FIRST else ATTACHED_POLICY
        return Response(
            path.read_bytes(), media_type=reports.TYPES[path.suffix], headers={"Content-Security-Policy": policy}
        )


def _add_login(app: FastAPI, shown: Pages) -> None:
    @app.get("/login")
    def login_page(request: Request, next: str = "") -> Response:  # noqa: A002 the name in the address
        if shown.sessions is None:
            return missing(shown, request, "there is no token to log in with")
        return shown.login_page(request, next)

    @app.post("/login")
    async def login(request: Request) -> Response:
        form = await read_form(request)
        if form is None:
            return answer(413, TOO_LONG)
        return await run_in_threadpool(shown.login, request, form)

    @app.post("/logout")
    async def logout(request: Request) -> Response:
        form = await read_form(request)
        if form is None or shown.refused(request, form):
            return answer(403, NOT_OURS)
        made = Response(status_code=303, headers={"Location": "./"})
        made.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return made


def _add_actions(app: FastAPI, shown: Pages) -> None:
    daemon = shown.daemon

    @app.post("/incidents/{incident_id}/acknowledge")
    async def acknowledge(request: Request, incident_id: str) -> Response:
        def work(form: Form, author: str, now: datetime) -> Any:
            del form
            return acting.acknowledge(daemon.watch, daemon.store, incident_id, author, now)

        return await shown.do(request, work, "acknowledged", lambda _form: f"incidents/{one_segment(incident_id)}")

    @app.post("/silences")
    async def silence(request: Request) -> Response:
        def work(form: Form, author: str, now: datetime) -> Any:
            return doing.silence(daemon.watch, daemon.store, form, author, now)

        return await shown.do(request, work, "silenced", _incident_of)

    @app.post("/silences/{silence_id}/end")
    async def end_silence(request: Request, silence_id: str) -> Response:
        def work(form: Form, author: str, now: datetime) -> Any:
            del form, author
            doing.end_silence(daemon.store, silence_id, now)
            return silence_id

        return await shown.do(request, work, "unsilenced")

    @app.post("/expected")
    async def expect(request: Request) -> Response:
        def work(form: Form, author: str, now: datetime) -> Any:
            return doing.expect(daemon.watch, daemon.store, form, author, now)

        return await shown.do(request, work, "expected")

    @app.post("/expected/{change_id}/end")
    async def end_expected(request: Request, change_id: str) -> Response:
        def work(form: Form, author: str, now: datetime) -> Any:
            del form
            acting.end_expected(daemon.store, change_id, author, now)
            return change_id

        return await shown.do(request, work, "ended")


def _add_data(app: FastAPI, shown: Pages) -> None:
    daemon = shown.daemon

    @app.get("/v1/checks/{name:path}/course")
    def course(name: str, segment: str = "all", days: int = 14) -> Response:
        return _data(course_data(daemon.watch, daemon.store, name, segment, min(max(days, 1), 3660)))

    @app.get("/v1/checks/{name:path}/distribution")
    def scores(name: str, segment: str = "all") -> Response:
        check = next((each for each in daemon.watch.checks if each.name == name), None)
        finding = daemon.store.decisions.last_findings([name]).get((name, segment)) if check is not None else None
        found = distribution(daemon.watch, daemon.store, check, finding) if check and finding else None
        return _data(distribution_data(found) if found is not None else None)

    @app.get("/v1/canaries/{source}/{query_id:path}")
    def ranks(source: str, query_id: str) -> Response:
        return _data(canary_data(daemon.store, source, query_id))


def _data(content: Any) -> Response:
    if content is None:
        return answer(404, "nothing is known of that")
    return Response(as_json(content, indent=False), media_type="application/json")


def _incident_of(form: Form) -> str:
    return f"incidents/{one_segment(form['incident'])}" if form.get("incident") else ""
