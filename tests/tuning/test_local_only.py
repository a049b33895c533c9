from __future__ import annotations

from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from greentune.tuning.local_only import local_only, refusal


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "localhost", "LocalHost:1", "[::1]", "[::1]:65535", "localhost:8080"]
)
def test_names_of_this_machine_pass(host: str) -> None:
    assert refusal("GET", host, None) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8080",
        "evil.example@127.0.0.1",
        "127.0.0.1:8080,evil.example",
        "127.0.0.2",
        "192.168.0.7:8080",
        "0.0.0.0",
        "::1",
        "localhost:",
        "localhost:8080\n",
        "127x0x0x1",
    ],
)
def test_every_other_host_is_refused(host: str) -> None:
    for method in ("GET", "POST"):
        assert "127.0.0.1" in (refusal(method, host, None) or "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_changes_come_from_our_own_pages_or_from_programs(method: str) -> None:
    assert refusal(method, "localhost:8080", None) is None
    assert refusal(method, "localhost:8080", "http://localhost:8080") is None
    foreign = ("http://evil.example", "null", "", "http://localhost", "http://localhost:3000", "http://127.0.0.1:8080")
    for origin in (*foreign, "https://localhost:8080"):
        assert "own pages" in (refusal(method, "localhost:8080", origin) or "")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_asks_for_no_origin(method: str) -> None:
    assert refusal(method, "localhost:8080", "http://evil.example") is None


def call(**environ: str) -> tuple[str, dict[str, str], bytes, list[str]]:
    """Status, headers and body, and the hosts that the application behind the gate has seen."""
    seen: list[str] = []
    answer: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["HTTP_HOST"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"inside"]

    complete: dict[str, Any] = dict(environ)
    setup_testing_defaults(complete)
    body = b"".join(local_only(app)(complete, lambda status, headers, *_: answer.extend((status, headers))))
    return answer[0], dict(answer[1]), body, seen


def test_refused_request_gets_one_line_and_never_reaches_the_application() -> None:
    status, headers, body, seen = call(HTTP_HOST="evil.example")
    assert status == "403 Forbidden"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert body.decode().count("\n") == 1
    assert seen == []


def test_passed_request_is_answered_by_the_application_and_may_not_be_framed() -> None:
    status, headers, body, seen = call(HTTP_HOST="localhost:8080")
    assert (status, body, seen) == ("200 OK", b"inside", ["localhost:8080"])
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
