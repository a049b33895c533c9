"""optuna-dashboard over our studies, with notes, pictures and reports, for browsers on this machine only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import optuna
import optuna_dashboard
from optuna.storages import BaseStorage

from ..storage.mistakes import Mistake
from . import records
from .forecast_plots import refresh_plots
from .local_only import local_only, plain_answer
from .notes import REPORT_PATH, refresh_note, report_file

HOST = "127.0.0.1"
REFRESH_SECONDS = 30.0

_log = logging.getLogger(__name__)


def serve(storage: BaseStorage, *, port: int, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. Notes and pictures of all studies are brought up to date before and meanwhile.

    Args:
        storage: already open, so that no address of a database stands in a list of processes.
        port: on 127.0.0.1; 0 takes a free one.
        say: is told the address, as soon as the dashboard answers there.

    Raises:
        Mistake: the port cannot be used.
    """
    try:
        server = make_server(HOST, port, application(storage), server_class=_Server, handler_class=_Handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Mistake(f"Port {port} cannot be used: {reason}. Use another --port.") from None
    ended = threading.Event()
    try:
        refresh_notes(storage)
        threading.Thread(target=_keep_fresh, args=(storage, ended), daemon=True).start()
        say(f"http://{HOST}:{server.server_port}/dashboard  (Ctrl-C ends it)")
        server.serve_forever()
    except KeyboardInterrupt:
        pass  # how it is meant to end
    finally:
        ended.set()
        server.server_close()


def application(storage: BaseStorage) -> WSGIApplication:
    """The dashboard, the reports, and the gate before both."""
    return local_only(_with_reports(optuna_dashboard.wsgi(storage), storage))


def refresh_notes(storage: BaseStorage) -> None:
    """Bring notes and pictures of all studies up to date; a study that cannot be shown does not hide the others.

    Raises:
        StorageUnavailable: the database has not answered for as long as an outage may last.
    """
    for name in records.study_names(storage):
        try:
            study = optuna.load_study(study_name=name, storage=storage)
            refresh_note(study)
            refresh_plots(study)
        except Mistake:
            raise
        except Exception:  # noqa: BLE001 (the dashboard is worth having without this note)
            _log.exception("The note of the study '%s' is not up to date.", name)


def _keep_fresh(storage: BaseStorage, ended: threading.Event) -> None:
    while not ended.wait(REFRESH_SECONDS):
        try:
            refresh_notes(storage)
        except Mistake as mistake:
            _log.warning("The notes of the studies are not up to date. %s", mistake)
        except Exception:  # noqa: BLE001 (the next round may do better)
            _log.exception("The notes of the studies are not up to date.")


def _with_reports(app: WSGIApplication, storage: BaseStorage) -> WSGIApplication:
    """Put the reports beside the application: ``/report/STUDY`` is ``report.html`` of that study and nothing else."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if not path.startswith(REPORT_PATH):
            return app(environ, start_response)
        name = path.removeprefix(REPORT_PATH).encode("latin-1").decode(errors="replace")
        page = _report(storage, name)
        if page is None:
            return plain_answer(start_response, "404 Not Found", "There is no report on a study of this name here.")
        # The page has no scripts; should somebody have put another one there, its scripts must not reach the dashboard.
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))]
        start_response("200 OK", [*headers, ("Content-Security-Policy", policy), ("X-Content-Type-Options", "nosniff")])
        return [page]

    return answer


def _report(storage: BaseStorage, name: str) -> bytes | None:
    """The page, found by the exact name of a study: no part of a path ever comes from the request."""
    for study in storage.get_all_studies():
        if study.study_name == name and records.SPEC in study.user_attrs:
            file = report_file(study.user_attrs)
            try:
                return None if file is None else file.read_bytes()
            except OSError:
                return None
    return None


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request: a browser opens several connections at once, and a slow one must not hold up the others."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("A request from %s ended early.", client_address, exc_info=True)


class _Handler(WSGIRequestHandler):
    """Says nothing of every single request."""

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)
