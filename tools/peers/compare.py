#!/usr/bin/env python3
"""Times peers and hesse on the same work in one sitting.

    python tools/peers/compare.py [--threads N] [WORK ...]

Every side makes the same input, does the work once unmeasured, and must find the same answer; then
short batches alternate between all sides, so that a slow moment of the machine meets each of them.
Prints one JSON object a line and peer,

    {"work", "dtype", "threads", "ours_s", "peer", "peer_s", "ratio"}

with medians over all repetitions and ratio = peer_s / ours_s. WORK is a part of a work's name, or
name/dtype; without one, all works are done. A missing package is named on standard error.

Exit code: 0 all done; 1 a side disagrees, fails, or is missing a package; 2 wrong arguments.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", metavar="WORK")
    parser.add_argument("--threads", type=int, default=1, help="threads of every side (default 1)")
    parser.add_argument("--rounds", type=int, default=7, help="batches of every side (default 7)")
    parser.add_argument("--batch", type=float, default=0.2, help="seconds of one batch (default 0.2)")
    parser.add_argument("--ours", help="our side; by default it is built from this repository")
    parser.add_argument("--list", action="store_true", help="name the works and measure nothing")
    return parser.parse_args()


def limit_threads(threads):
    """One pool size for every library, and as many processors: to be called before any import."""
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["JAX_ENABLE_X64"] = "1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    if hasattr(os, "sched_setaffinity"):
        free = sorted(os.sched_getaffinity(0))
        if threads > len(free):
            sys.exit(f"compare: --threads: expected at most {len(free)}, got {threads}")
        os.sched_setaffinity(0, free[:threads])


class Failed(Exception):
    """A side that cannot do its work."""


class Ours:
    """Our side: a child that prepares a work once and then times repetitions on demand."""

    name = "hesse"

    def __init__(self, binary):
        self.child = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, request):
        try:
            self.child.stdin.write(request + "\n")
            self.child.stdin.flush()
            reply = self.child.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if not reply:
            raise Failed(f"our side ended with code {self.child.wait()}")
        reply = json.loads(reply)
        if "error" in reply:
            raise Failed(reply["error"])
        return reply

    def prepare(self, work):
        return self.ask(f"prepare {work.name} {work.dtype}")["answer"]

    def times(self, repetitions):
        return self.ask(f"run {repetitions}")["seconds"]


class Peer:
    """One peer in this process."""

    def __init__(self, name, make):
        self.name, self.make = name, make

    def prepare(self, work):
        self.run, answer = self.make()
        return answer(self.run()).tolist()

    def times(self, repetitions):
        seconds = []
        for _ in range(repetitions):
            start = time.perf_counter()
            self.run()
            seconds.append(time.perf_counter() - start)
        return seconds


def disagreement(answer, reference):
    """Largest difference relative to the largest entry of the reference; infinite if not comparable."""
    if len(answer) != len(reference):
        return float("inf")
    largest = max(map(abs, reference), default=0.0)
    worst = max((abs(a - b) for a, b in zip(answer, reference)), default=0.0)
    error = worst / largest if largest > 0 else worst
    return error if error == error else float("inf")


def measure(work, ours, missing, options):
    """Yields one result a peer."""
    reference = ours.prepare(work)
    sides = [ours]
    for name, make in work.peers.items():
        peer = Peer(name, make)
        try:
            answer = peer.prepare(work)
        except missing as error:
            yield Failed(f"{work.name} {work.dtype}: peer {name} needs the package {error}, which is not installed")
            continue
        error = disagreement(reference, answer)
        if error > work.tolerance:
            yield Failed(f"{work.name} {work.dtype}: we differ from {name} by {error:.1e}, tolerance {work.tolerance:.0e}")
            continue
        sides.append(peer)
    # The first repetition after the preparation warms up, and says how many fit into a batch.
    once = [min(side.times(2)) for side in sides]
    batches = [max(1, min(10_000, int(options.batch / max(seconds, 1e-9)))) for seconds in once]
    rounds = options.rounds if max(once) < 2 else min(options.rounds, 3)
    seconds = [[] for _ in sides]
    for turn in range(rounds):
        for step in range(len(sides)):
            # Nobody always comes after the same neighbour's cold caches.
            i = (turn + step) % len(sides)
            seconds[i] += sides[i].times(batches[i])
    medians = [statistics.median(s) for s in seconds]
    for side, median in zip(sides[1:], medians[1:]):
        yield {
            "work": work.name,
            "dtype": work.dtype,
            "threads": options.threads,
            "ours_s": medians[0],
            "peer": side.name,
            "peer_s": median,
            "ratio": median / medians[0],
        }


def build():
    """Our side of this repository, built for speed."""
    command = ["cargo", "build", "--release", "--package", "hesse-cli", "--example", "work", "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("compare: our side does not build")
    messages = map(json.loads, done.stdout.splitlines())
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "work")


def main():
    options = arguments()
    limit_threads(options.threads)
    try:
        import works
    except ImportError as error:
        sys.exit(f"compare: the package {error.name} is not installed")
    if "torch" in {peer for work in works.WORKS for peer in work.peers}:
        try:
            import torch

            torch.set_num_threads(options.threads)
        except ImportError:
            pass
    wanted = [
        work
        for work in works.WORKS
        if not options.works or any(part in f"{work.name}/{work.dtype}" for part in options.works)
    ]
    if not wanted:
        print(f"compare: no work contains {' '.join(options.works)!r}, --list names them", file=sys.stderr)
        return 2
    if options.list:
        for work in wanted:
            print(f"{work.name}/{work.dtype}: {', '.join(work.peers)}")
        return 0
    ours = Ours(options.ours or build())
    failures = 0
    for work in wanted:
        try:
            for result in measure(work, ours, works.Missing, options):
                if isinstance(result, Failed):
                    failures += 1
                    print(f"compare: {result}", file=sys.stderr)
                else:
                    print(json.dumps(result), flush=True)
        except Failed as error:
            failures += 1
            print(f"compare: {work.name} {work.dtype}: {error}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
