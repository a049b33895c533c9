"""The page inside a bundle that tells a colleague how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import layout
from .evaluation import Evaluation
from .wording import interval


def bundle_readme(information: Mapping[str, Any], evaluation: Evaluation) -> str:
    """Markdown: what the model does, how good it is, how to load it with greentune, with Keras and with TensorFlow.

    Args:
        information: the content of ``model_info.json``.
    """
    data, model = information["data"], information["model"]
    steps = ", ".join(str(step) for step in data["steps_ahead"])
    what = (
        f"the {data['spec'].get('target') or 'target'} {steps} step(s) ahead" if steps else "the target of its arrays"
    )
    listed = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in layout.FILES.items())
    return f"""# Forecaster `{information["builder"]}`

Made by greentune {information["versions"].get("greentune", "")} on {information["created"]}. It forecasts {what}
in {data["unit"]} from windows of {data["lookback"]} steps × {data["n_features"]} features
({model["n_parameters"]:,} parameters).

{_figures(evaluation)}

## With greentune

{_with_greentune(data)}

    python -m greentune.reports.verify THIS_FOLDER     # does it still give the same figures?

## With Keras 3 alone (JAX or TensorFlow)

```python
import json
import keras

model = keras.saving.load_model("{layout.MODEL}", compile=False)
scalers = json.load(open("{layout.SCALERS}"))
# x: (n, {data["lookback"]}, {data["n_features"]}), features in the order of model_info.json → data → feature_names,
# each scaled: (value - offset) / scale, with the lists names, offset, scale of scalers['x'];
# NAME_sin, NAME_cos: of an angle or a time; NAME@+3: the value three steps after the row
scaled = model.predict(x)
{_unscale(data)}
```
{_own_code(model)}
## With TensorFlow alone

```python
import tensorflow as tf

loaded = tf.saved_model.load("{layout.SAVED_MODEL}")
scaled = loaded.serve(x)
```

## Files

| file | what it is |
|---|---|
{listed}

`{layout.SCALERS_JOBLIB}` is a pickle: load it only if you trust where this folder comes from. The JSON holds the same
numbers.
"""


def _figures(evaluation: Evaluation) -> str:
    rmse, skill = evaluation.metrics.get("rmse"), evaluation.metrics.get("skill")
    if rmse is None:
        return "Its error on the test part could not be computed."
    between = interval(evaluation.intervals.get("rmse"), lambda value: f"{value:.4g}")
    text = f"On {evaluation.n:,} test windows: RMSE {rmse:.4g} {evaluation.unit}"
    text += f" (95 % interval {between})" if between else ""
    text += "." if skill is None else f", skill {skill:+.3f} against persistence."
    return text if evaluation.best_baseline is None else f"{text} {evaluation.best_baseline.sentence}"


def _with_greentune(data: Mapping[str, Any]) -> str:
    if not data["steps_ahead"]:
        return "    # trained on ready arrays: give windows of the same features, scaled in the same way\n" + _code(
            "forecast = Forecaster.load('THIS_FOLDER').predict_windows(x)"
        )
    return (
        "    tune predict THIS_FOLDER series.csv --out forecasts.csv\n\n"
        + _weather(data["spec"])
        + _code("forecasts = Forecaster.load('THIS_FOLDER').predict('series.csv')")
    )


def _weather(spec: Mapping[str, Any]) -> str:
    """What the newest forecast needs of columns that are known ahead."""
    if not spec.get("known_ahead"):
        return ""
    n_rows = int(spec["horizon"]) + int(spec.get("known_ahead_beyond", 0))
    return (
        f"The newest forecast needs {n_rows} row(s) after the last known target, with the weather forecast in "
        f"{', '.join(f'`{name}`' for name in spec['known_ahead'])} and the target empty.\n\n"
    )


def _code(line: str) -> str:
    return f"```python\nfrom greentune.reports import Forecaster\n\n{line}\n```"


def _unscale(data: Mapping[str, Any]) -> str:
    if data["unit"] == "scaled units":
        return "# no scaler of the target is known: the forecast stays in scaled units"
    return f"y = scaled * scalers['y']['scale'] + scalers['y']['offset']   # {data['unit']}"


def _own_code(model: Mapping[str, Any]) -> str:
    names = model.get("own_layers") or ()
    if not names:
        return ""
    return f"""
Import the code of {", ".join(names)} before: Keras needs it. Without it use the SavedModel, as greentune does.
"""
