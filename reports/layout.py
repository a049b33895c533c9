"""What stands in a bundle, under which names, and what is said when it does not."""

from __future__ import annotations

from ..storage.mistakes import Mistake

KIND = "greentune bundle"
FORMAT_VERSION = 1
"""Raised when an older greentune could no longer read a new bundle."""

MODEL = "model.keras"
SAVED_MODEL = "saved_model"
WEIGHTS = "model.weights.h5"
ARCHITECTURE = "architecture.json"
SCALERS = "scalers.json"
SCALERS_JOBLIB = "scalers.joblib"
MODEL_INFO = "model_info.json"
METRICS = "metrics.json"
PREDICTIONS = "test_predictions.csv"
CURVES = "curves.png"
RESIDUALS = "residuals.png"
README = "README.md"

FILES: dict[str, str] = {
    MODEL: "the whole model; Keras 3 loads it on JAX and on TensorFlow",
    SAVED_MODEL: "the same model as a TensorFlow SavedModel, for serving without Keras",
    WEIGHTS: "the weights alone",
    ARCHITECTURE: "the architecture alone, as JSON",
    SCALERS: "how features and target were scaled: z = (x − offset) / scale",
    SCALERS_JOBLIB: "the same as scikit-learn scalers, for notebooks; greentune never reads it",
    MODEL_INFO: "model, training, search, data and versions, read off the trained model",
    METRICS: "the test figures and those of the baselines",
    PREDICTIONS: "every forecast of the test part beside what was observed",
    CURVES: "training curves",
    RESIDUALS: "residuals of the test part",
    README: "this page",
}


class BundleError(Mistake):
    """A bundle that cannot be written, or that does not load back."""
