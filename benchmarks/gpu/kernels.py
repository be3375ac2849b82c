"""Says where the time of a training step goes: the kernels of a profile that measure.py left, longest first.

usage, in the project's environment:  python benchmarks/gpu/kernels.py PROFILE.pb.gz [--steps 4] [--rows 40]
"""

import argparse
import gzip
import re
from collections import Counter

from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--merge", action="store_true", help="count kernels together whose names differ in a number")
    arguments = parser.parse_args()
    space = XSpace.FromString(gzip.decompress(open(arguments.profile, "rb").read()))
    for plane in space.planes:
        if not plane.name.startswith("/device:GPU"):
            continue
        for line in plane.lines:
            if not line.name.startswith("Stream"):
                continue
            times, calls = Counter(), Counter()
            starts, ends = [], []
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                name = re.sub(r"_\d+$", "", name) if arguments.merge else name
                times[name] += event.duration_ps / 1e9
                calls[name] += 1
                starts.append(event.offset_ps)
                ends.append(event.offset_ps + event.duration_ps)
            span = (max(ends) - min(starts)) / 1e9
            print(f"{line.name}: {span:.1f} ms, busy {sum(times.values()):.1f}, {sum(calls.values())} kernels")
            for name, time in times.most_common(arguments.rows):
                print(f"{time / arguments.steps:8.3f} ms {calls[name] / arguments.steps:6.1f} x  {name[:90]}")


if __name__ == "__main__":
    main()
