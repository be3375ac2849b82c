"""What every contestant reports: one JSON object on the last line of its output."""

import json
import resource
import time


class StepTimes:
    """Call `step` after every training step; `report` prints the figures.

    started: time.time() when the process was started.
    """

    def __init__(self, started):
        self.started = started
        self.ends = []

    def step(self):
        self.ends.append(time.time())

    def report(self, reviews, batch_size, tokens, **more):
        """reviews: trained on; tokens: of all reviews, without padding and after truncation."""
        first, last = self.ends[0], self.ends[-1]
        steady = (reviews - batch_size) / (last - first)
        figures = {
            "process_seconds": last - self.started,
            "first_step_seconds": first - self.started,
            "reviews_per_second": reviews / (last - self.started),
            "steady_reviews_per_second": steady,
            "steady_tokens_per_second": steady * tokens / reviews,
            "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        }
        print(json.dumps(figures | more))


def calls_per_second(function):
    """How often `function` can be called in a second, measured in 0.2 s after a first call."""
    function()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < 0.2:
        function()
        count += 1
    return count / (time.perf_counter() - start)


def matmul_rate(precision, rows=4096, inner=384, columns=1536):
    """Floating-point operations per second of a matrix product of an encoder's kind, measured in 0.2 s."""
    from keras import ops

    left, right = ops.ones((rows, inner), precision), ops.ones((inner, columns), precision)

    def multiply():
        return float(ops.cast(ops.matmul(left, right)[0, 0], "float32"))  # waits until the device is done

    return 2 * rows * inner * columns * calls_per_second(multiply)
