"""What the winner is worth, in figures, pictures, a page, and a bundle that loads itself back.

Names are imported when they are first used: the command line must start without Keras and matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundle import check_folder, write_bundle
    from .content import ReportContent
    from .evaluation import Evaluation, evaluate, predict_part
    from .forecaster import Forecaster
    from .layout import BundleError
    from .page import write_report
    from .verify import verify_bundle

__all__ = [
    "BundleError",
    "Evaluation",
    "Forecaster",
    "ReportContent",
    "check_folder",
    "evaluate",
    "predict_part",
    "verify_bundle",
    "write_bundle",
    "write_report",
]

_WHERE = {
    "BundleError": "layout",
    "Evaluation": "evaluation",
    "Forecaster": "forecaster",
    "ReportContent": "content",
    "check_folder": "bundle",
    "evaluate": "evaluation",
    "predict_part": "evaluation",
    "verify_bundle": "verify",
    "write_bundle": "bundle",
    "write_report": "page",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
