import keras
import numpy as np
import pytest

from tfbert.training.optimizer import AdamW, WarmupLinearDecay, norm_by_rows


def test_five_steps_equal_those_of_keras():
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype(np.float32) for shape in ((4, 3), (3,))]
    gradients = [[5 * rng.normal(size=value.shape).astype(np.float32) for value in start] for _ in range(5)]

    def after_training(optimizer_class):
        variables = [keras.Variable(start[0], name="kernel"), keras.Variable(start[1], name="bias")]
        optimizer = optimizer_class(
            WarmupLinearDecay(0.1, 2, 6), weight_decay=0.3, beta_2=0.9, epsilon=1e-6, global_clipnorm=1.0
        )
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        optimizer.build(variables)
        for each in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(value) for value in each], variables)
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    for ours, theirs, before in zip(after_training(AdamW), after_training(keras.optimizers.AdamW), start, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        assert np.abs(ours - before).max() > 0.05


def test_the_rate_rises_then_falls_to_zero():
    rate = WarmupLinearDecay(1.0, 10, 110)
    assert [round(float(rate(step)), 4) for step in (0, 4, 9, 10, 60, 109, 110)] == [0.1, 0.5, 1.0, 1.0, 0.5, 0.01, 0.0]


def test_the_norm_by_rows_is_the_global_norm():
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(0)
    tensors = [tf.constant(rng.normal(size=shape), "float32") for shape in ((50, 8), (7,), (3, 4, 5), (1,), (9, 2))]
    np.testing.assert_allclose(norm_by_rows(tensors), tf.linalg.global_norm(tensors), rtol=1e-6)
