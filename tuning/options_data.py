"""The options that describe data, once for all commands that take them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import typer

_DATA = "Data"

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Series (CSV, .csv.gz, Parquet) or folder of arrays. Default: the packaged wind farm.",
        rich_help_panel=_DATA,
    ),
]
TargetOption = Annotated[str | None, typer.Option(help="Column to forecast.", rich_help_panel=_DATA)]
TimestampOption = Annotated[str | None, typer.Option(help="Column of the times.", rich_help_panel=_DATA)]
TimezoneOption = Annotated[
    str | None,
    typer.Option(help="Clock of times without an offset, e.g. Europe/Paris. [default: UTC]", rich_help_panel=_DATA),
]
UnitOption = Annotated[str | None, typer.Option(help="Unit of the target. [default: MW]", rich_help_panel=_DATA)]
CapacityOption = Annotated[
    float | None, typer.Option(help="Of the plant, in the unit, for nRMSE.", rich_help_panel=_DATA)
]
FeaturesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--features", help="Columns to learn from, comma-separated. Default: all numeric ones.", rich_help_panel=_DATA
    ),
]
KnownAheadOption = Annotated[
    list[str] | None,
    typer.Option(
        "--known-ahead",
        help="Features known at the target hour (weather forecasts), comma-separated.",
        rich_help_panel=_DATA,
    ),
]
KnownAheadBeyondOption = Annotated[
    int | None,
    typer.Option(
        help="Steps after the target of which --known-ahead is seen as well. [default: 0]", rich_help_panel=_DATA
    ),
]
CircularOption = Annotated[
    list[str] | None, typer.Option("--circular", help="Features in degrees, comma-separated.", rich_help_panel=_DATA)
]
LookbackOption = Annotated[int | None, typer.Option(help="Steps in a window. [default: 24]", rich_help_panel=_DATA)]
HorizonOption = Annotated[
    int | None, typer.Option(help="Steps ahead to forecast. [default: 1; packaged farm: 3]", rich_help_panel=_DATA)
]
OutputsOption = Annotated[
    str | None,
    typer.Option(
        help="last: only the step of the horizon; all: every step up to it. [default: last]", rich_help_panel=_DATA
    ),
]
ScalingOption = Annotated[str | None, typer.Option(help="minmax or standard. [default: minmax]", rich_help_panel=_DATA)]
TrustScalerOption = Annotated[
    bool | None,
    typer.Option("--trust-scaler", help="Arrays: read y_train_scaler.pkl, which can run code.", rich_help_panel=_DATA),
]

OPTIONS: dict[str, Any] = {
    "data": DataOption,
    "target": TargetOption,
    "timestamp": TimestampOption,
    "timezone": TimezoneOption,
    "unit": UnitOption,
    "capacity": CapacityOption,
    "features": FeaturesOption,
    "known_ahead": KnownAheadOption,
    "known_ahead_beyond": KnownAheadBeyondOption,
    "circular": CircularOption,
    "lookback": LookbackOption,
    "horizon": HorizonOption,
    "outputs": OutputsOption,
    "scaling": ScalingOption,
    "trust_scaler": TrustScalerOption,
}
"""Parameter of a command → its option."""

Given = Mapping[str, Any]
"""Setting by dotted name → value, None where its option was not given."""
NOTHING: Given = MappingProxyType({})


def with_data(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options on data in the place of its parameter `data`, where it gets them together."""
    own = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        if parameter.name != "data":
            parameters.append(parameter)
            continue
        parameters += [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=option)
            for name, option in OPTIONS.items()
        ]

    @functools.wraps(command)
    def gathered(**given: Any) -> None:
        data = {"data.path" if name == "data" else f"data.{name}": given.pop(name) for name in OPTIONS}
        command(data=data, **given)

    del gathered.__wrapped__  # whoever reads the signature must not look behind it
    gathered.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    gathered.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return gathered
