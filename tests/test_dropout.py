import keras
import numpy as np
import pytest
from keras import ops

from tfbert.model.dropout import Dropout, keep_factors

SHAPE, RATE = (2000, 64), 0.1


def zeros(seed):
    return np.asarray(keep_factors(SHAPE, "float32", ops.convert_to_tensor(seed, "int32"), RATE)) == 0


def test_the_same_seed_drops_the_same_tenth_and_keeps_the_mean():
    factors = np.asarray(keep_factors(SHAPE, "float32", ops.convert_to_tensor([42, 1], "int32"), RATE))
    assert np.unique(factors).tolist() == pytest.approx([0, 1 / 0.9])
    assert factors.mean() == pytest.approx(1, abs=0.005)
    np.testing.assert_array_equal(factors == 0, zeros([42, 1]))


def test_masks_of_other_steps_layers_and_places_tell_nothing_of_each_other():
    mask = zeros([42, 1])
    others = [zeros([42, 2]), zeros([42, 3]), zeros([43, 1]), np.roll(mask, 1), np.roll(mask, 1, axis=0)]
    others += [np.roll(zeros([42, 2]), -1), zeros([1, 42]), zeros([2**31 - 1, 1])]
    for other in others:
        correlation = np.corrcoef(mask.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(mask.size)
    shares = np.concatenate([mask.mean(axis=0), mask.mean(axis=1)])
    errors = np.concatenate([np.full(64, 0.09 / 2000), np.full(2000, 0.09 / 64)]) ** 0.5
    assert np.max(np.abs(shares - RATE) / errors) < 5


def test_each_step_drops_others_and_prediction_none():
    keras.utils.set_random_seed(0)
    layer, x = Dropout(RATE), np.ones(SHAPE, np.float32)
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert (first != second).mean() == pytest.approx(0.18, abs=0.01)
    np.testing.assert_array_equal(layer(x), x)
    assert not Dropout(0.0).variables
