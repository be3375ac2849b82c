"""Texts of many requests, labelled together where that is faster."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

CALLS = 2  # at a time: one makes tokens of texts, or answers of logits, while the model reads for the other
SIDE_BY_SIDE = 16  # of those with one text: a core that waits for the others in one call works in another
ONE = 512  # tokens of a text, at most, that is read beside others: so many times the memory is needed
SIGNS_OF_TOKEN = 4  # of a text, about
SHORT, LONG = 24, 256  # tokens of the texts that are timed
GAIN = 1.1  # times as fast must texts be together, or each is labelled alone
ROOM = 4096  # tokens in a call


class Full(Exception):
    """Too many texts wait already."""


@dataclass
class Job:
    """One request's texts, on their way."""

    texts: list  # of tuples of one text, or two
    done: asyncio.Future
    since: float = field(default_factory=time.perf_counter)

    @property
    def tokens(self):
        return sum(len(part) for parts in self.texts for part in parts) // SIGNS_OF_TOKEN + 2 * len(self.texts)


class Batcher:
    """A queue in front of a function that labels texts.

    compute: from a list of tuples of texts to a list of results, called in threads; share: requests of so many tokens,
    about, at most, share a call of ROOM tokens, CALLS at a time; a larger one has its own, `alone` at a time; most:
    texts that may wait; seen: called with how many texts a call had, and how long each of its requests had waited, in
    seconds.
    """

    def __init__(self, compute, share, most, seen=lambda texts, waits: None, alone=CALLS):
        self.compute, self.share, self.most, self.seen = compute, share, most, seen
        self.waiting, self.count = deque(), 0
        self.arrived = asyncio.Event()
        self.threads = ThreadPoolExecutor(CALLS + alone, "labels")
        self.shared, self.alone = asyncio.Semaphore(CALLS), asyncio.Semaphore(alone)
        self.task, self.calls = None, set()

    def start(self):
        self.task = asyncio.create_task(self.work())

    async def stop(self):
        """Ends once all that waits is done."""
        while self.count:
            await asyncio.sleep(0.01)
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self.threads.shutdown()

    async def __call__(self, texts, seconds):
        """The results of some texts. Raises Full at once, TimeoutError after so many seconds."""
        if self.count + len(texts) > self.most:
            raise Full
        job = Job(texts, asyncio.get_running_loop().create_future())
        self.waiting.append(job)
        self.count += len(texts)
        self.arrived.set()
        return await asyncio.wait_for(job.done, seconds)

    def next_jobs(self):
        """Those of the next call; the ones that nobody waits for any more are dropped."""
        jobs, tokens = [], 0
        while self.waiting:
            job = self.waiting[0]
            if not job.done.done():
                if jobs and (max(job.tokens, jobs[0].tokens) > self.share or tokens + job.tokens > ROOM):
                    break
                jobs.append(job)
                tokens += job.tokens
            else:
                self.count -= len(job.texts)
            self.waiting.popleft()
        return jobs

    async def work(self):
        while True:
            await self.arrived.wait()
            free = self.shared if self.waiting[0].tokens <= self.share else self.alone
            await free.acquire()
            jobs = self.next_jobs()
            if not self.waiting:
                self.arrived.clear()
            call = asyncio.create_task(self.call(jobs, free))
            self.calls.add(call)  # else it could be collected before its end
            call.add_done_callback(self.calls.discard)

    async def call(self, jobs, free):
        now, texts = time.perf_counter(), [parts for job in jobs for parts in job.texts]
        try:
            if jobs:
                self.seen(len(texts), [now - job.since for job in jobs])
                results = iter(await asyncio.get_running_loop().run_in_executor(self.threads, self.compute, texts))
        except Exception as error:  # belongs to those who asked
            for job in jobs:
                if not job.done.done():
                    job.done.set_exception(error)
            return
        finally:
            self.count -= len(texts)  # what nobody waits for any more counts until it is done
            free.release()
        for job in jobs:
            of_job = [next(results) for _ in job.texts]
            if not job.done.done():
                job.done.set_result(of_job)


def batches_in_turn(logits_of_batch, beside=0):
    """A model's function of batches, of which one at a time is read, by all cores; but for those of a single text of
    `beside` tokens at most.
    """
    lock = threading.Lock()

    def call(batch):
        texts, tokens = batch["input_ids"].shape
        with contextlib.nullcontext() if texts == 1 and tokens <= beside else lock:
            return logits_of_batch(batch)

    return call


def share_by_measurement(predictor):
    """Tokens up to which texts are faster together than one by one on this machine, an int: 0 for none."""
    word = predictor.encoder.tokens(["a"])[0][:1] or [0]

    def gain(tokens, together):
        """How many times as fast so many texts are together."""
        ids = predictor.encoder.prefix + (tokens - 2) * word + predictor.encoder.suffix
        starts = [tokens // 2] * together if predictor.encoder.has_types and predictor.pair else None

        def seconds(size):
            took = []
            for _ in range(3):
                begun = time.perf_counter()
                for first in range(0, together, size):
                    predictor.logits_of_windows([ids] * size, size, starts and starts[first : first + size])
                took.append(time.perf_counter() - begun)
            return min(took)

        return seconds(1) / seconds(together)

    if gain(min(LONG, predictor.encoder.max_seq_length), 4) > GAIN:
        return ROOM
    return LONG // 2 if gain(min(SHORT, predictor.encoder.max_seq_length), 8) > GAIN else 0
