#!/bin/bash
# On the GPU machine, in the kit's folder: lets TensorFlow 2.21, built for CUDA 12, find the image's CUDA 13 libraries,
# and looks what works.   usage: bash tf_remote.sh                          the checks, each in a process of its own
#                                bash tf_remote.sh NAME ... [--budget S]    begins stages of measure.py on TensorFlow
cd "$(dirname "$(readlink -f "$0")")" || exit
mkdir -p links out
log=out/tf_log.txt

# What TensorFlow asks for by name -> the first such library that the machine has. The CUDA runtime is the carried one.
mapfile -t folders < <(python3 -c '
import glob, sysconfig
site = sysconfig.get_path("purelib")
print(*sorted(glob.glob(f"{site}/nvidia/*/lib")), *sorted(glob.glob("/usr/local/cuda*/lib64")), sep="\n")')
link() {
    for folder in "${folders[@]}"; do
        for file in "$folder/$2".so.*; do
            [ -e "$file" ] && ln -sf "$file" "links/$1" && echo "$1 -> ${file##*/}" && return
        done
    done
    echo "$1: not found"
}
ln -sf "$PWD"/tf/nvidia/cuda_{runtime/lib/libcudart,cupti/lib/libcupti}.so.12 links/
for name in cublas.so.12 cublasLt.so.12 cufft.so.11 cusolver.so.11 cusparse.so.12 cudnn.so.9 nccl.so.2; do
    link "lib$name" "lib${name%%.*}"
done
export LD_LIBRARY_PATH=$PWD/links:$(IFS=:; echo "${folders[*]}")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PYTHONPATH=$PWD/tf:$PWD/site:$PWD/project PYTHONUNBUFFERED=1 KERAS_BACKEND=tensorflow

# What XLA needs: ptxas on the PATH, and libdevice.
for folder in /usr/local/cuda* "${folders[@]%/lib}"; do
    [ -e "$folder/nvvm/libdevice/libdevice.10.bc" ] && cuda=$folder && break
done
ptxas=$(command -v ptxas || ls /usr/local/cuda*/bin/ptxas 2>/dev/null | head -1)
echo "libdevice: ${cuda:-not found}; ptxas: ${ptxas:-not found}"
[ -n "$ptxas" ] && PATH=$(dirname "$ptxas"):$PATH
[ -n "$cuda" ] && export XLA_FLAGS="--xla_gpu_cuda_data_dir=$cuda $XLA_FLAGS"

if [ $# -gt 0 ]; then
    setsid python3 measure.py run "$@" >tf_out.txt 2>&1 &
    sleep 1
    exit
fi

check() {  # name, seconds, program, its arguments
    echo "== $1" | tee -a "$log"
    TF_CPP_MIN_LOG_LEVEL=0 timeout "$2" python3 -c "${@:3}" >last.txt 2>&1
    local status=$?
    grep '^OK' last.txt
    [ $status = 0 ] || (echo "FAILED with $status"; tail -n 12 last.txt | cut -c1-300)
    cat last.txt >>"$log"
    [ -z "$OUT" ] || cp "$log" "$OUT"
    return $status
}
step='
import sys, time
import numpy as np, keras
from tfbert.model import modeling
from tfbert.model.configs import ModelConfig
from tfbert.training.settings import TrainSettings
from tfbert.training.step import compile_classifier

policy, xla = sys.argv[1], sys.argv[2] == "xla"
keras.utils.set_random_seed(0)
keras.config.set_dtype_policy(policy)
model = modeling.SequenceClassifier(ModelConfig(num_hidden_layers=2, hidden_size=768, intermediate_size=3072))
model.build()
compile_classifier(model, TrainSettings(learning_rate=1e-4), 20, xla)
rng = np.random.default_rng(0)
ids = rng.integers(1000, 2000, (32, 128)).astype("int32")
batch = {"input_ids": ids, "attention_mask": np.ones_like(ids)}, (ids[:, 0] > 1500).astype("int32")
losses, times = [], []
for _ in range(12):
    start = time.time()
    losses.append(float(model.train_on_batch(*batch)[0]))
    times.append(time.time() - start)
    model.reset_metrics()
assert losses[-1] < losses[0], losses
optimizer = model.optimizer
scale = float(optimizer.dynamic_scale) if hasattr(optimizer, "dynamic_scale") else "none"
print(f"OK: losses {losses[0]:.3f} to {losses[-1]:.3f}, first step {times[0]:.1f} s, last {1000 * times[-1]:.1f} ms,",
      type(optimizer).__name__, "loss scale", scale)'

check "devices" 90 '
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
assert gpus, "TensorFlow sees no GPU"
print("OK:", tf.__version__, gpus, tf.config.experimental.get_device_details(gpus[0]))' || exit
check "products, a reduction, XLA" 120 '
import tensorflow as tf
tf.config.experimental.set_memory_growth(tf.config.list_physical_devices("GPU")[0], True)
with tf.device("GPU:0"):
    a = tf.random.normal((1024, 1024))
    print("OK: a reduction", float(tf.reduce_sum(tf.nn.softmax(a))), "(1024 expected)")
    for kind in (tf.float32, tf.bfloat16, tf.float16):
        b = tf.cast(a, kind)
        error = tf.reduce_max(tf.abs(tf.cast(tf.matmul(b, b), tf.float32) - tf.matmul(a, a)))
        print("OK:", kind.name, "product, largest difference from float32", float(error))
    f = lambda x: tf.math.erf(tf.matmul(x, x)) * tf.math.rsqrt(1 + x * x)
    x = a / 30
    print("OK: XLA differs by", float(tf.reduce_max(tf.abs(tf.function(f, jit_compile=True)(x) - f(x)))))'
check "train steps, bfloat16, XLA" 120 "$step" mixed_bfloat16 xla
check "train steps, bfloat16, XLA for chains only" 90 "$step" mixed_bfloat16 no
check "train steps, float16, XLA" 90 "$step" mixed_float16 xla
check "train steps, float16, XLA for chains only" 90 "$step" mixed_float16 no
