"""Who looks at the pages, who may act on them, and what a form leads to.

Without an API token everything may be read and nothing done. With one, people log in and get a cookie; programs send
the token itself. A form counts only where it comes from a page of ours: the browser says so (``Origin``), and it
carries what no other page can know.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import orjson
from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from driftwatch import acting, pages
from driftwatch.errors import DriftwatchError
from driftwatch.pages.doing import Form
from driftwatch.pages.rendering import Viewer, render
from driftwatch.pages.session import COOKIE, LENGTH, LONGEST_NAME, Session, Sessions
from driftwatch.show import as_json, safe

if TYPE_CHECKING:
    from driftwatch.config import Api
    from driftwatch.daemon import Daemon

MOST_OF_A_FORM = 1 << 16
"""Bytes."""
HTML = "text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""No script but our own files, nothing from outside, nothing written into a page."""
CHART_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
    "img-src 'self'", "img-src 'self' data:"
)
"""Of pages whose charts can be zoomed: the library writes styles of its own, and tries out a picture. It needs no more:
neither inline scripts nor `eval`.
"""
NOT_OURS = "this form did not come from a page of ours"
TOO_LONG = "a form has 64 KiB at most"


class Pages:
    """The pages of one daemon."""

    def __init__(self, daemon: Daemon, settings: Api, sessions: Sessions | None) -> None:
        self.daemon = daemon
        self.settings = settings
        self.sessions = sessions

    # --- who -------------------------------------------------------------------------------------------------------

    def session(self, request: Request) -> Session | None:
        """Who has logged in."""
        cookie = request.cookies.get(COOKIE, "")
        return self.sessions.read(cookie, datetime.now(UTC)) if self.sessions is not None and cookie else None

    def viewer(self, request: Request) -> Viewer:
        """Who looks, and from where."""
        session, root = self.session(request), root_of(request)
        if session is None or self.sessions is None:
            return Viewer(root, may_log_in=self.sessions is not None)
        return Viewer(root, session.name, self.sessions.csrf(session))

    def refused(self, request: Request, form: Form) -> str:
        """Why a form is not done; empty: it is."""
        if self.sessions is None:
            return "these pages are read-only: set `api: token` to act from here"
        if request.state.bearer:
            return ""
        if not self.is_ours(request):
            return NOT_OURS
        session = self.session(request)
        if session is None:
            return "log in again"
        return (
            "" if self.sessions.is_csrf(session, form.get("csrf", "")) else "this form is too old: load its page again"
        )

    def is_ours(self, request: Request) -> bool:
        """Whether the browser says that a request comes from a page of ours."""
        origin = request.headers.get("origin", "")
        asked = urlsplit(origin)
        public = urlsplit(self.settings.public_url)
        if asked.scheme not in ("http", "https"):
            return False
        same = asked.netloc.lower() == request.headers.get("host", "").lower()
        return same or (bool(public.netloc) and (asked.scheme, asked.netloc) == (public.scheme, public.netloc))

    def author(self, request: Request, form: Form) -> str:
        """In whose name something is done."""
        session = self.session(request)
        given = session.name if session is not None else form.get("author", "")
        return safe(given)[:LONGEST_NAME] or acting.NOBODY

    # --- what is done ----------------------------------------------------------------------------------------------

    async def do(
        self,
        request: Request,
        work: Callable[[Form, str, datetime], Any],
        said: str,
        after: Callable[[Form], str] = lambda _form: "",
    ) -> Response:
        """Do what a form asks; then its page again (``after``), or JSON for a program."""
        form = await read_form(request)
        if form is None:
            return answer(413, TOO_LONG)
        if why := self.refused(request, form):
            return answer(403, why)
        try:
            made = await run_in_threadpool(work, form, self.author(request, form), datetime.now(UTC))
        except DriftwatchError as error:
            return await run_in_threadpool(self.again, request, after(form), str(error))
        if not wants_html(request):
            return Response(as_json({"done": made}), media_type="application/json")
        return Response(status_code=303, headers={"Location": f"{root_of(request) or './'}{after(form)}?said={said}"})

    def again(self, request: Request, after: str, wrong: str) -> Response:
        """The page that a form was on, with what was wrong."""
        if not wants_html(request):
            return answer(422, wrong)
        watch, store, viewer = self.daemon.watch, self.daemon.store, self.viewer(request)
        name = unquote(after.removeprefix("incidents/"))
        incident = store.decisions.incident(name) if name else None
        now = datetime.now(UTC)
        if incident is None:
            return page(pages.render_overview(watch, store, now, viewer, wrong=wrong), 422)
        return page(pages.render_incident(watch, store, incident, now, viewer, wrong=wrong), 422)

    # --- logging in ------------------------------------------------------------------------------------------------

    def login(self, request: Request, form: Form) -> Response:
        """A session for whoever knows the token."""
        now, name = datetime.now(UTC), safe(form.get("name", ""))[:LONGEST_NAME]
        if self.sessions is None:
            return answer(404, "there is no token to log in with")
        if not self.is_ours(request):
            return answer(403, NOT_OURS)
        if self.sessions.must_wait(now):
            return self.login_page(request, form.get("next", ""), "Too many have failed. Wait a minute.", name, 429)
        if not name:
            return self.login_page(request, form.get("next", ""), "A name is needed.", name, 422)
        if not self.sessions.admits(form.get("token", ""), now):
            return self.login_page(request, form.get("next", ""), "That is not the token.", name, 401)
        made = Response(status_code=303, headers={"Location": f".{following(form.get('next', ''))}"})
        seconds = int(LENGTH.total_seconds())
        made.set_cookie(
            COOKIE,
            self.sessions.open(name, now),
            max_age=seconds,
            httponly=True,
            samesite="strict",
            secure=self.secure(request),
        )
        return made

    def login_page(
        self, request: Request, next_page: str, wrong: str = "", name: str = "", status: int = 200
    ) -> Response:
        """Where the token is asked for."""
        text = pages.render_login(
            self.daemon.watch, Viewer(root_of(request)), following(next_page), wrong=wrong, name=name
        )
        return page(text, status)

    def secure(self, request: Request) -> bool:
        """Whether browsers reach us over https only: then the cookie goes no other way."""
        public = urlsplit(self.settings.public_url)
        return public.scheme == "https" and public.netloc == request.headers.get("host", "")


def page(text: str, status: int = 200, *, charts: bool = False) -> Response:
    """One page, without what no text can hold; ``charts``: there are some that can be zoomed."""
    headers = {"Content-Security-Policy": CHART_POLICY if charts else POLICY}
    return Response(text.encode("utf-8", "replace"), status, headers=headers, media_type=HTML)


def answer(status: int, message: str) -> Response:
    """A refusal in one sentence, never repeating what was asked."""
    return Response(orjson.dumps({"error": message}), status, media_type="application/json")


def missing(shown: Pages, request: Request, message: str) -> Response:
    """404, as a page where one was wanted."""
    if not wants_html(request):
        return answer(404, message)
    return page(render("missing.html", shown.daemon.watch, shown.viewer(request), "", message=message), 404)


def wants_html(request: Request) -> bool:
    """Whether a person is on the other side."""
    return "text/html" in request.headers.get("accept", "")


def root_of(request: Request) -> str:
    """What leads from this page to the first one: pages may live below any address."""
    return "../" * (raw_path(request).count("/") - 1)


def raw_path(request: Request) -> str:
    """The path as it was asked for: a slash in a name is no step down."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.split(b"?")[0].decode("ascii", "replace")


def following(given: str) -> str:
    """The page that comes after logging in, an address below ours whatever was given."""
    return quote(given, safe="/?&=%.~-_*+") if given.startswith("/") and not given.startswith(("//", "/\\")) else "/"


def to_login(request: Request) -> Response:
    """Where somebody goes who has not logged in.

    A link from elsewhere (a chat, a mail) brings no strict cookie: the page then loads itself once more, and that
    brings it.
    """
    if request.headers.get("sec-fetch-site") == "cross-site":
        return page('<!doctype html><html lang="en"><meta http-equiv="refresh" content="0"><title>driftwatch</title>')
    asked = raw_path(request) + (f"?{request.url.query}" if request.url.query else "")
    return Response(
        status_code=303, headers={"Location": f"{root_of(request) or './'}login?next={quote(asked, safe='/')}"}
    )


async def read_form(request: Request) -> dict[str, str] | None:
    """The fields of a form, or of a flat JSON object; None: it is too long."""
    size, parts = 0, []
    async for part in request.stream():
        size += len(part)
        if size > MOST_OF_A_FORM:
            return None
        parts.append(part)
    body = b"".join(parts)
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            read = orjson.loads(body)
        except orjson.JSONDecodeError:
            return {}
        return {name: value for name, value in read.items() if isinstance(value, str)} if isinstance(read, dict) else {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50))
