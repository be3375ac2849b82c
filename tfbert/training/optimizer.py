"""AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101) and the schedule of its learning rate."""

import re

import keras
from keras import ops


class WarmupLinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """From 0 up to `peak` in `warmup_steps`, then straight down to 0 at `total_steps` (Devlin et al. 2018)."""

    def __init__(self, peak, warmup_steps, total_steps):
        self.peak, self.warmup_steps, self.total_steps = peak, warmup_steps, total_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        up = (step + 1) / max(self.warmup_steps, 1)
        down = (self.total_steps - step) / max(self.total_steps - self.warmup_steps, 1)
        return self.peak * ops.clip(ops.minimum(up, down), 0.0, 1.0)

    def get_config(self):
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "total_steps": self.total_steps}


class LayerwiseAdamW(keras.optimizers.AdamW):
    """Keras's AdamW with a learning rate for each variable.

    shares: factors of the schedule's rate, in the order of the variables that it is built with; None for 1.
    """

    compiled = False  # whether XLA compiles the update; step.py says so

    def __init__(self, *arguments, shares=None, **settings):
        super().__init__(*arguments, **settings)
        self.shares = shares

    def rate_of(self, variable, learning_rate):
        return learning_rate * self.shares[self._get_variable_index(variable)] if self.shares else learning_rate

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, self.rate_of(variable, learning_rate))


class TensorFlowAdamW(LayerwiseAdamW):
    """The same with TensorFlow's own Adam kernel, a few passes over a variable instead of fifteen.

    With several devices, the gradients are clipped after they were summed, so that the step is that of one device.
    """

    def _clip_gradients(self, grads):
        return grads

    def _apply_weight_decay(self, variables):
        pass

    def _all_reduce_sum_gradients(self, grads_and_vars):
        import tensorflow as tf

        grads, variables = zip(*super()._all_reduce_sum_gradients(grads_and_vars))
        grads = [tf.convert_to_tensor(grad) for grad in grads]  # that of an embedding table is sparse
        norm = norm_by_rows(grads) if self.compiled else None
        grads, _ = tf.clip_by_global_norm(grads, self.global_clipnorm, norm)
        return list(zip(grads, variables))

    def update_step(self, gradient, variable, learning_rate):
        import tensorflow as tf

        index, step = self._get_variable_index(variable), ops.cast(self.iterations + 1, "float32")
        learning_rate = self.rate_of(variable, learning_rate)
        if self._use_weight_decay(variable):
            variable.assign(variable * (1 - learning_rate * self.weight_decay))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def norm_by_rows(tensors):
    """As tf.linalg.global_norm: the root of the sum of all squares, float32, in few kernels where XLA compiles it.

    XLA makes two for each sum down to one number. Here are one for each matrix, and few for all vectors and what the
    rows of the matrices sum up to: 100 fewer for BERT-base, 0.5 of a step's 31 ms (benchmarks/results/gpu.md).
    """
    import tensorflow as tf

    vectors = tf.concat([tf.reshape(each, [-1]) for each in tensors if each.shape.rank < 2], 0)
    rows = [tf.reshape(tf.reduce_sum(tf.square(each), axis=-1), [-1]) for each in tensors if each.shape.rank > 1]
    return tf.sqrt(tf.reduce_sum(tf.concat([*rows, tf.square(vectors)], 0)))


AdamW = TensorFlowAdamW if keras.backend.backend() == "tensorflow" else LayerwiseAdamW


def new_optimizer(model, settings, total_steps):
    """AdamW with warmup and linear decay; biases and LayerNorm do not decay.

    The learning rate falls by settings.layerwise_lr_decay from each layer to the one below it, down to the embeddings
    (Howard and Ruder 2018, arXiv:1801.06146, section 3.2; Sun et al. 2019, arXiv:1905.05583, section 5.3.4).
    """
    accumulated, depth = settings.gradient_accumulation_steps, model.config.num_hidden_layers
    optimizer = AdamW(
        WarmupLinearDecay(settings.learning_rate, int(settings.warmup_ratio * total_steps), total_steps),
        shares=[settings.layerwise_lr_decay ** (depth + 1 - layer_of(v, depth)) for v in model.trainable_variables],
        weight_decay=settings.weight_decay,
        epsilon=1e-6,
        global_clipnorm=settings.max_grad_norm,
        gradient_accumulation_steps=accumulated if accumulated > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def layer_of(variable, depth):
    """0 for the embeddings, 1 to `depth` for the blocks, depth + 1 for the head. ALBERT's only block counts as 1."""
    if number := re.search(r"/layer_(\d+)/", variable.path):
        return int(number[1]) + 1
    return 0 if "embeddings/" in variable.path or "relative/" in variable.path else depth + 1
