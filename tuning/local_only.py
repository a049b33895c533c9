"""A gate before a web application without authentication: only browsers on this machine, only its own pages.

Binding to 127.0.0.1 keeps other machines out, but not the pages of other sites in a browser on this one. Such a page
can

- let its own name point to 127.0.0.1 and read everything as one origin (DNS rebinding): its Host header gives it away;
- send a form or a request to 127.0.0.1 unseen, say to delete a study: its Origin header gives it away;
- show the dashboard in a frame and lure clicks into it: X-Frame-Options forbids that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_READING = ("GET", "HEAD")


def local_only(app: WSGIApplication) -> WSGIApplication:
    """Put the gate before an application; what it refuses gets 403 and one sentence that says why."""

    def gate(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        reason = refusal(environ["REQUEST_METHOD"], environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN"))
        if reason is not None:
            return plain_answer(start_response, "403 Forbidden", reason)

        def start_unframed(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, ("X-Frame-Options", "SAMEORIGIN")], *more)

        return app(environ, start_unframed)

    return gate


def refusal(method: str, host: str, origin: str | None) -> str | None:
    """Why a request may not pass; None when it may.

    Args:
        method: of the request, in capitals.
        host: its Host header, with or without a port.
        origin: its Origin header. Programs send none; browsers send one with everything that writes.
    """
    if not _LOOPBACK.fullmatch(host):
        return "The dashboard answers only to 127.0.0.1, localhost and [::1]: open it under one of these names."
    if method not in _READING and origin is not None and origin.lower() != f"http://{host.lower()}":
        return "The dashboard takes changes only from its own pages: open it in a window of its own."
    return None


def plain_answer(start_response: StartResponse, status: str, sentence: str) -> list[bytes]:
    """An answer of one line of text."""
    body = f"{sentence}\n".encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
