"""The machine: what computes, in which precision, compiled or not."""

import os
import platform
from dataclasses import dataclass

from tfbert.common.errors import UserError
from tfbert.model.backend import load_keras
from tfbert.training.team import ONE_DEVICE, THIS_MACHINE, Team, join


@dataclass(frozen=True)
class Device:
    """What training runs on.

    precision: float32, bfloat16 or float16, the arithmetic of the products; weights are always float32.
    hint: a line for the user where a GPU stands idle, or None.
    team: all devices that train together.
    """

    description: str
    is_gpu: bool
    precision: str
    xla: bool
    hint: str | None = None
    team: Team = ONE_DEVICE

    @property
    def in_words(self):
        return f"{self.description}, {self.precision} products, XLA {'on' if self.xla else 'off'}"

    @property
    def policy(self):
        """The name of the Keras dtype policy."""
        return self.precision if self.precision == "float32" else f"mixed_{self.precision}"


def find_device(precision="auto", xla="auto", cluster=THIS_MACHINE):
    """The Device of this machine; "auto" chooses what is fast and safe on it. Waits for the rest of the cluster.

    Raises UserError where the choice cannot be had.
    """
    load_keras()
    import keras

    team = ONE_DEVICE
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        if gpus:
            compile_without_triton()
        team = join(cluster, [f"GPU:{number}" for number in range(len(gpus))])
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        names = [detail.get("device_name", "GPU") for detail in details]
        capability = min((detail.get("compute_capability", (8, 0)) for detail in details), default=None)
    else:
        if len(cluster.workers) > 1:
            raise UserError("several machines (TF_CONFIG) need Keras's TensorFlow backend: unset KERAS_BACKEND")
        names = [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]
        capability = (8, 0)
    if names:
        best = "bfloat16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else "float32"
        description = f"{len(names)} x {names[0]}" if team.strategy and len(names) > 1 else names[0]
    else:
        best = "bfloat16" if cpu_multiplies_bfloat16() else "float32"
        description = f"CPU, {available_cores()} cores"
    if team.strategy:
        # Keras's loss scaling looks at the gradients of one device only
        best = "float32" if best == "float16" else best
        if precision == "float16" or xla == "on":
            flag = "--precision float16" if precision == "float16" else "--xla on"
            raise UserError(f"{flag} works on one device only: leave it out, or set CUDA_VISIBLE_DEVICES=0")
    if len(cluster.workers) > 1:
        description = f"{len(cluster.workers)} machines, {description}"
    return Device(
        description=description,
        is_gpu=bool(names),
        precision=best if precision == "auto" else precision,
        xla=xla == "on" or xla == "auto" and bool(names) and not team.strategy,
        hint=None if names else idle_gpu_hint(),
        team=team,
    )


def compile_without_triton():
    """Has XLA take cuBLAS's products only, before it compiles anything: trying Triton's beside them takes half of its
    time, and the step is no faster (benchmarks/results/gpu.md).
    """
    if "xla_gpu_enable_triton_gemm" not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_enable_triton_gemm=false".strip()


def idle_gpu_hint():
    """What to install where an NVIDIA GPU is present that TensorFlow does not see, or None."""
    if platform.system() == "Windows":
        return "TensorFlow finds no GPU on native Windows since 2.11: run this under WSL2 to use one."
    if os.path.exists("/proc/driver/nvidia/version") or os.path.exists("/dev/nvidiactl"):
        return 'An NVIDIA GPU is here but TensorFlow does not see it: pip install "tensorflow[and-cuda]==2.21.0"'
    return None


def cpu_multiplies_bfloat16():
    """True where the CPU has bfloat16 products (AVX512-BF16, AMX); elsewhere they are slower than float32."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            flags = next((line for line in file if line.startswith("flags")), "").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def available_cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
