"""Whether an error means that memory is full: the trial was too large, and nothing else is wrong. No Keras."""

from __future__ import annotations

from collections.abc import Iterator

_XLA_ERRORS = ("JaxRuntimeError", "XlaRuntimeError")
_STATUS, _SENTENCE = "RESOURCE_EXHAUSTED", "Out of memory"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, its cause or what it was raised in the wake of tells that the memory of CPU or GPU is full.

    Args:
        error: whatever ended a training: Python's and NumPy's MemoryError, TensorFlow's ResourceExhaustedError, or the
            error with which JAX hands on a status of XLA.
    """
    return any(_tells_it(link) for link in _chain(error))


def _tells_it(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    # By name, because the libraries must not be imported here, and one of them is not even there in a worker.
    kinds = {(kind.__name__, kind.__module__.partition(".")[0]) for kind in type(error).__mro__}
    if ("ResourceExhaustedError", "tensorflow") in kinds:
        return True
    # JAX has one class for every failure of XLA, and what failed stands in the message only: as the status before it,
    # or, where one computation waited for another, as the sentence at the end of "INTERNAL: Error dispatching
    # computation: …". Keras may write around it, and turns an error that it cannot make again into RuntimeError.
    if not isinstance(error, RuntimeError):
        return False
    text = str(error)
    return _STATUS in text or (_SENTENCE in text and any(name in _XLA_ERRORS for name, _ in kinds))


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set[int]()
    while waiting:
        link = waiting.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        # Keras raises `from None`, which hides the context from a traceback and leaves it where it is.
        waiting += [further for further in (link.__cause__, link.__context__) if further is not None]
        if isinstance(link, BaseExceptionGroup):
            waiting += link.exceptions
