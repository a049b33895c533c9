"""What a builder is: a key, parameters with rules, a search space, and the way from parameters to a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..storage.mistakes import Mistake, nearest

if TYPE_CHECKING:
    import keras


class ModelError(Mistake):
    """An unknown builder, an unknown parameter or a value that breaks a parameter's rule."""


@dataclass(frozen=True)
class Parameter:
    """One number, name or list that shapes a model.

    Args:
        name: the key under which users and studies know it.
        default: its value where nobody says anything; in normal form.
        rule: what a value must be, as a noun phrase: ``a number in [0, 1)``.
        read: turns a valid value into its normal form (JSON types: int, float, bool, str, list, None) and raises
            ValueError or TypeError for any other.
        description: what the parameter does, in one line.
    """

    name: str
    default: object
    rule: str
    read: Callable[[object], object]
    description: str

    def mistake(self, value: object) -> str | None:
        """The sentence that says why `value` cannot be taken, or None when it can."""
        try:
            self.read(value)
        except (TypeError, ValueError):
            return f"Parameter '{self.name}' must be {self.rule}; got {value!r}. The default is {self.default!r}."
        return None


class Builder(Protocol):
    """Turns parameters into a compiled Keras model. Keras is imported in `build` only."""

    @property
    def key(self) -> str:
        """The name in studies, databases and bundles; never an import path."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Every parameter by its name."""

    @property
    def space(self) -> Mapping[str, object]:
        """The default search space, in the notation of the study file.

        A list holds choices, a table a range (``{"low": 1e-4, "high": 1e-2, "log": True}``), and a table with
        ``choices`` may carry a condition ``when``. It may hold ``batch_size``, which is no parameter of a builder.
        """

    def disagreements(self, parameters: Mapping[str, object]) -> list[str]:
        """What is wrong with complete, singly valid `parameters` taken together; empty when nothing is."""

    def build(self, parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
        """Builds and compiles the model, with the metrics ``mse`` and ``mae``.

        Args:
            parameters: any of the builder's parameters; the others take their defaults.
            input_shape: (lookback, n_features).
            n_outputs: width of the last, linear layer.

        Returns:
            a model from (n, lookback, n_features) to (n, n_outputs), both in scaled units.

        Raises:
            ModelError: with every mistake in the parameters.
        """


class Builds(Protocol):
    """As much of a builder as a training needs."""

    def build(self, parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
        """See `Builder.build`."""


@runtime_checkable
class FitsItself(Protocol):
    """A builder that trains its models with its own code instead of ``model.fit``."""

    def fit(self, model: keras.Model, **arguments: Any) -> object:
        """Trains; takes what ``model.fit`` takes, hands the callbacks on, and returns whatever it likes."""


def value_mistakes(builder: Builder, parameters: Mapping[str, object]) -> list[str]:
    """A sentence for each unknown name and each invalid value; whether values agree is not asked."""
    known = builder.parameters
    mistakes = [
        f"The model '{builder.key}' has no parameter '{name}'. {nearest(name, tuple(known))}"
        for name in parameters
        if name not in known
    ]
    for name, parameter in known.items():
        if name in parameters and (mistake := parameter.mistake(parameters[name])) is not None:
            mistakes.append(mistake)
    return mistakes


def complete(builder: Builder, parameters: Mapping[str, object]) -> dict[str, object]:
    """Checks parameters and fills in the defaults.

    Args:
        builder: the builder whose parameters they are.
        parameters: values by name; tuples and NumPy numbers are taken as well.

    Returns:
        every parameter of the builder in normal form, in the builder's order.

    Raises:
        ModelError: with a sentence for each unknown name and each invalid value.
    """
    if mistakes := value_mistakes(builder, parameters):
        raise ModelError(mistakes)
    values = {name: rule.read(parameters.get(name, rule.default)) for name, rule in builder.parameters.items()}
    if disagreements := builder.disagreements(values):
        raise ModelError(disagreements)
    return values
