"""Builders are found by their keys."""

from __future__ import annotations

import pytest

from greentune.models import ModelError, builder_keys, get_builder


def test_every_builder_is_found_by_its_own_key() -> None:
    assert builder_keys() == ("advanced_lstm", "stacked_lstm")
    assert [get_builder(key).key for key in builder_keys()] == list(builder_keys())


def test_an_unknown_builder_names_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"There is no model 'stacked_lstn'. Did you mean 'stacked_lstm'\?"):
        get_builder("stacked_lstn")
