import os

from tfbert.training.device import compile_without_triton


def test_xla_is_told_once_and_a_users_own_word_counts(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=there")
    compile_without_triton()
    compile_without_triton()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=there --xla_gpu_enable_triton_gemm=false"
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=true")
    compile_without_triton()
    assert os.environ["XLA_FLAGS"] == "--xla_gpu_enable_triton_gemm=true"
