"""serve.py under load, beside a bare FastAPI function around the same model.

usage: python benchmarks/serve_load.py FOLDER [--clients 200] [--seconds 60] [--rounds 1]

FOLDER is a model of train.py. Each client sends one text after the other over one connection; every answer is compared
with what infer.py's Predictor says of the text. The two servers take turns, in so many rounds. Then twice as many
clients as the queue has room for come at once, and the server's memory is read before and after. Clients and server
share the machine's cores. Writes results/serve_load.md.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from common import HERE, RESULTS, commit

from tfbert.common.files import write_text
from tfbert.inference.predicting import Predictor

PORT = 8765
SURE = 0.7
WORDS = ("a", "film", "story", "with", "dull", "and", "lovely", "actors", "that", "nobody", "will", "forget", "the",
         "music", "was", "awful", "but", "charming", "ending", "of", "two", "brilliant", "hours")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="FOLDER")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    rows, rng = [], random.Random(0)
    for words in (20, 200):
        texts = [" ".join(rng.choices(WORDS, k=words)) + f" {number}" for number in range(400)]
        for quantize in (False, True):
            wanted = [each["probabilities"] for each in Predictor(arguments.model, quantize)(texts)]
            both = commands(arguments.model, quantize)
            took, seconds, lost, wrong = {who: [] for who in both}, Counter(), Counter(), Counter()
            for who in list(both) * arguments.rounds:
                with running(both[who]):
                    begun = time.perf_counter()
                    some, *errors, _ = asyncio.run(load(texts, wanted, arguments.clients, arguments.seconds))
                    seconds[who] += time.perf_counter() - begun
                took[who] += some
                lost[who] += errors[0]
                wrong[who] += errors[1]
            rates = {who: len(took[who]) / seconds[who] for who in both}
            for who in both:
                p50, p99 = np.percentile(took[who], [50, 99])
                rows.append(f"| {words} | {'int8' if quantize else 'float32'} | {who} | {rates[who]:.1f} | "
                            f"{1000 * p50:.0f} | {1000 * p99:.0f} | {lost[who]} | {wrong[who]} | "
                            f"{rates[who] / rates['bare function']:.2f} |")  # fmt: skip
                print(rows[-1], flush=True)
    overload = overloaded(arguments.model, texts)
    head = [
        "# Many clients at once\n",
        f"`python benchmarks/serve_load.py FOLDER`, commit {commit()}: {arguments.clients} clients, "
        f"{arguments.rounds} times {arguments.seconds:g} s, clients and server on the same two CPU cores; bare "
        "function: FastAPI, contestants/bare_server.py. Lost: no answer, or an error; wrong: another label than the "
        f"Predictor's, where that has a probability above {SURE} (int8 depends a little on what else is in a batch).\n",
        "| words | numbers | server | requests/s | p50, ms | p99, ms | lost | wrong | times the bare function |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    write_text(RESULTS / "serve_load.md", "\n".join([*head, *rows, "", overload, ""]))


def commands(model, quantize):
    bare = [HERE / "contestants" / "bare_server.py", model, PORT, *["quantize"] * quantize]
    ours = [HERE.parent / "serve.py", "--model_dir", model, "--port", PORT, *["--quantize"] * quantize]
    return {"bare function": bare, "serve.py": ours}


@contextmanager
def running(command):
    """A server's process, once it answers."""
    server = subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, cwd=HERE.parent)  # fmt: skip
    try:
        asyncio.run(until_up())
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


async def until_up():
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", PORT)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.1)
    sys.exit("the server does not answer")


async def ask(reader, writer, text):
    """Status and the answer's JSON, over a connection that stays open."""
    body = json.dumps({"texts": [text]}).encode()
    writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                 % len(body) + body)  # fmt: skip
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split("\r\n")[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def load(texts, wanted, clients, seconds, once=False):
    """Seconds of each answered request, how many were lost and how many wrong, and the statuses of all."""
    took, statuses, lost, wrong = [], [], 0, 0
    end = time.perf_counter() + seconds

    async def client(number):
        nonlocal lost, wrong
        rng = random.Random(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        while time.perf_counter() < end:
            row = rng.randrange(len(texts))
            begun = time.perf_counter()
            try:
                status, answer = await asyncio.wait_for(ask(reader, writer, texts[row]), 60)
            except (OSError, EOFError, TimeoutError):
                lost += 1
                break
            statuses.append(status)
            if status == 200:
                took.append(time.perf_counter() - begun)
                said = answer[0]["probabilities"]
                sure = max(wanted[row], key=wanted[row].get) if wanted[row] else None
                wrong += sure is not None and wanted[row][sure] > SURE and said[sure] < 0.5
            else:
                lost += 1
            if once:
                break
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return took, lost, wrong, statuses


def overloaded(model, texts):
    """A sentence on twice as many clients as the queue holds, ten times."""
    room, statuses = 128, []
    with running([*commands(model, False)["serve.py"], "--waiting", room]) as server:
        before = memory(server.pid)
        for _ in range(10):
            *_, some = asyncio.run(load(texts, [{}] * len(texts), 2 * room, 30, once=True))
            statuses += some
        after = memory(server.pid)
    told, done = statuses.count(503), statuses.count(200)
    return (f"Overload: ten times {2 * room} clients at once, where {room} texts may wait: {done:,} answered, {told:,} "
            f"told to come again (503, Retry-After), {20 * room - done - told} neither; memory {before:.0f} MB before, "
            f"{after:.0f} MB after.")  # fmt: skip


def memory(process):
    """Of a process, in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
