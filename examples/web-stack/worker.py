"""The worker: takes a job from redis, counts the words of its text, writes the result to SQLite.

SQLite knows which jobs are unfinished, redis only hands them over: what a crash cut short is done again.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter

import redis
import store

QUEUE = redis.Redis.from_url(os.environ["REDIS_URL"])


def count_words(text: str) -> dict[str, object]:
    """What there is to say about a text."""
    words = re.findall(r"\w+", text.lower())
    return {"characters": len(text), "words": len(words), "most_common": Counter(words).most_common(3)}


def fill_queue() -> None:
    """Put every unfinished job into the queue, and nothing else."""
    QUEUE.delete("jobs")
    for job in store.unfinished():
        QUEUE.lpush("jobs", job)
        print(f"job {job} was left unfinished")


def work_on(job: int) -> None:
    """One job, from the queue to its result."""
    began = time.monotonic()
    result = count_words(store.text_of(job))
    store.finish(job, result)
    print(f"job {job}: {result['words']} words in {(time.monotonic() - began) * 1000:.1f} ms")


def main() -> None:
    """Work until SIGTERM or SIGINT; the job under way is finished first."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    fill_queue()
    print("waiting for jobs")
    done = 0
    while not stop.is_set():
        if taken := QUEUE.brpop(["jobs"], timeout=1):
            work_on(int(taken[1]))
            done += 1
    print(f"worker stopped; jobs done: {done}")


if __name__ == "__main__":
    main()
