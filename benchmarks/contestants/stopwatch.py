"""What every contestant reports: one JSON object on the last line of its output."""

import json
import resource
import sys
import time

STARTED = float(sys.argv[1])  # time.time() when the process was started


class StepTimes:
    """Call `step` after every training step; `report` prints the figures."""

    def __init__(self):
        self.ends = []

    def step(self):
        self.ends.append(time.time())

    def report(self, reviews, batch_size, tokens, **more):
        """reviews: trained on; tokens: of all reviews, without padding and after truncation."""
        first, last = self.ends[0], self.ends[-1]
        steady = (reviews - batch_size) / (last - first)
        figures = {
            "process_seconds": last - STARTED,
            "first_step_seconds": first - STARTED,
            "reviews_per_second": reviews / (last - STARTED),
            "steady_reviews_per_second": steady,
            "steady_tokens_per_second": steady * tokens / reviews,
            "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        }
        print(json.dumps(figures | more))
