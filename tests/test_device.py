import os
import platform

import keras
import pytest

from tfbert.training.device import compile_without_triton


def test_xla_is_told_once_and_a_users_own_word_counts(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=there")
    compile_without_triton()
    compile_without_triton()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=there --xla_gpu_enable_triton_gemm=false"
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=true")
    compile_without_triton()
    assert os.environ["XLA_FLAGS"] == "--xla_gpu_enable_triton_gemm=true"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="these are TensorFlow's operators")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="elsewhere TensorFlow chooses by itself")
@pytest.mark.skipif(os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0", reason="switched off by the user")
def test_products_are_onednns_on_every_x86_cpu():
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        matrix, found = v1.placeholder(tf.float32, (64, 64)), v1.RunMetadata()
        feed = {matrix: [[1.0] * 64] * 64}
        session.run(matrix @ matrix, feed, v1.RunOptions(output_partition_graphs=True), found)
    assert "_MklMatMul" in {node.op for graph in found.partition_graphs for node in graph.node}
