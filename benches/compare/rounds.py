"""One round: all are started anew, and then have the core in turns so short that the machine is the same for all.

A virtual machine is faster in one second than in the next, by far more than the contestants differ. Loads that are
stopped and continued (SIGSTOP, SIGCONT) let them take turns of a tenth of a second, without new connections: a turn is
compared with the base's that is next to it.
"""

import random
import signal
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import contestants
import load
from children import Children
from measure import Counter, core_time, process_time, reading

# Connections are made and handshakes done in BEFORE seconds; a load outlasts its last turn by AFTER.
BEFORE, AFTER = 0.6, 0.5
LATENCY_SECONDS = 2
# A contestant is at rest once it has taken no time for RESTING seconds; how long that takes as a rule, and at most.
RESTING, REST, REST_AT_MOST = 0.002, 0.02, 0.1


@dataclass
class Bench:
    """What all rounds have in common."""

    children: Children
    folder: Path
    backend: int  # port
    redis: int  # port
    counter: Counter

    def asked(self, contestant):
        """How many commands Redis has carried out for the contestants that keep their sessions there."""
        return contestants.commands(self.redis) if contestant.in_redis else 0


@dataclass
class Turn:
    """What one turn of one contestant took, all of its processes together."""

    cpu: float  # seconds of processor time
    seconds: float  # how long its load ran
    requests: int
    asked: int  # commands that its Redis carried out

    @property
    def cost(self):
        """µs of processor time a request."""
        return self.cpu * 1e6 / self.requests


@dataclass
class Sample:
    """One contestant, one scenario, one round."""

    turns: list = field(default_factory=list)
    user: float = 0.0  # the share of its time outside the kernel, 0 to 1
    foreign: float = 0.0  # the share of the core that was no contestant's, while they took turns
    p50: float = 0.0  # ms
    p99: float = 0.0
    errors: str = ""

    @property
    def cpu(self):
        """µs of processor time a request: the median of the turns."""
        return statistics.median(turn.cost for turn in self.turns)

    @property
    def rate(self):
        """Requests a second."""
        return sum(turn.requests for turn in self.turns) / sum(turn.seconds for turn in self.turns)

    @property
    def asked(self):
        """Commands to Redis a request."""
        return sum(turn.asked for turn in self.turns) / sum(turn.requests for turn in self.turns)

    def beside(self, base):
        """Its cost in the base's: the median of the turns' ratios, each of two turns of the same time."""
        return statistics.median(own.cost / other.cost for own, other in zip(self.turns, base.turns))


def run(bench, scenario, entered, seconds):
    """Starts everybody, asks for latencies, has turns of `seconds` in all taken, ends everybody. By name."""
    samples = {one.name: Sample() for one in entered}
    for one in entered:
        contestants.start(one, bench.children, bench.folder, bench.backend, bench.redis)
        contestants.log_in(one)
        contestants.check_session(one)
    for one in entered:
        process = load.start(bench.children, scenario, one, LATENCY_SECONDS, bench.folder)
        latency = load.finish(bench.children, process, scenario, one, bench.folder)
        samples[one.name].p50, samples[one.name].p99 = latency.p50, latency.p99
        samples[one.name].errors = latency.errors
    take_turns(bench, scenario, entered, seconds, samples)
    for one in entered:
        contestants.check_session(one)
        bench.children.end(one.process)
    return samples


def take_turns(bench, scenario, entered, seconds, samples):
    """Gives each contestant a load of its own, and lets one of them run at a time, in an order that changes."""
    number = max(1, round(seconds / scenario.turn))
    lasting = whole(len(entered) * (BEFORE + number * (scenario.turn + REST)) + AFTER)
    deadline = time.monotonic() + lasting - AFTER
    loads = {one.name: stopped_load(bench, scenario, one, lasting) for one in entered}

    core, began = core_time(), time.monotonic()
    first = {one.name: process_time(one.process.pid) for one in entered}
    order, shuffler = list(entered), random.Random(1)
    for _ in range(number):
        if time.monotonic() + len(entered) * (scenario.turn + REST_AT_MOST) > deadline:
            break
        shuffler.shuffle(order)
        for one in order:
            samples[one.name].turns.append(turn(bench, scenario, one, loads[one.name]))
    used = 0.0
    for one in entered:
        last = process_time(one.process.pid)
        spent = {name: last[name] - first[one.name][name] for name in last}
        used += spent["cpu"]
        samples[one.name].user = spent["user"] / max(spent["user"] + spent["system"], 1e-9)
    foreign = max(0.0, (core_time() - core - used) / (time.monotonic() - began))

    for one in entered:
        # One after the other: who is continued last has no time left, and ends at once.
        loads[one.name].send_signal(signal.SIGCONT)
        ended = load.finish(bench.children, loads[one.name], scenario, one, bench.folder)
        sample = samples[one.name]
        sample.foreign = foreign
        sample.errors = sample.errors or ended.errors or missing(sample)


def missing(sample):
    """What is wrong with a sample of which nothing can be computed."""
    return "" if sample.turns and all(turn.requests > 0 for turn in sample.turns) else "a turn without a request"


def stopped_load(bench, scenario, contestant, seconds):
    """A load whose connections are open, and which waits for SIGCONT."""
    process = load.start(bench.children, scenario, contestant, seconds, bench.folder)
    time.sleep(BEFORE)
    process.send_signal(signal.SIGSTOP)
    rest(contestant)
    return process


def turn(bench, scenario, contestant, process):
    """Continues a load for a moment, and waits until what it has asked for is done."""
    asked = bench.asked(contestant)
    before = reading(contestant, bench.counter)
    process.send_signal(signal.SIGCONT)
    time.sleep(scenario.turn)
    process.send_signal(signal.SIGSTOP)
    ended = time.monotonic()
    rest(contestant)
    after = reading(contestant, bench.counter)
    return Turn(
        cpu=after["cpu"] - before["cpu"],
        seconds=ended - before["time"],
        requests=after["requests"] - before["requests"] - 1,
        asked=bench.asked(contestant) - asked,
    )


def rest(contestant):
    """Returns when the contestant has nothing left to do."""
    until = time.monotonic() + REST_AT_MOST
    seen, now = -1.0, 0.0
    while seen != now and time.monotonic() < until:
        seen = process_time(contestant.process.pid)["cpu"]
        time.sleep(RESTING)
        now = process_time(contestant.process.pid)["cpu"]


def whole(seconds):
    """The next whole number: wrk takes no other."""
    return int(-(-seconds // 1))
