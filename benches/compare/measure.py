"""One measurement: what a contestant's processor time bought, in a window inside a steady load."""

import http.client
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import load
from children import PROXY_CORE

TICK = os.sysconf("SC_CLK_TCK")
# Connections are made and handshakes done before the window opens, and the load ends after it has closed.
BEFORE, AFTER = 0.6, 0.4


@dataclass
class Sample:
    """One contestant, one scenario, one round."""

    requests: int
    seconds: float
    cpu: float  # µs a request
    user: float  # the share of it outside the kernel, 0 to 1
    p50: float
    p99: float
    foreign: float  # share of the proxy's core that others used
    errors: str

    @property
    def rate(self):
        """Requests a second."""
        return self.requests / self.seconds


class Counter:
    """The backend's own count of requests. Every contestant sends it one for each that its client sends."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    def read(self):
        """Requests so far, this one left out."""
        self.connection.request("GET", "/counter")
        body = self.connection.getresponse().read().decode()
        return int(re.search(r"requests\n \d+ \d+ (\d+)", body).group(1))


def measure(children, scenario, contestant, counter, seconds, folder):
    """Loads one contestant for a moment to warm up, then measures `seconds` of a longer run."""
    window = whole(BEFORE + seconds + AFTER)
    process = load.start(children, scenario, contestant, window, folder)
    time.sleep(BEFORE)
    before = reading(contestant, counter)
    time.sleep(seconds)
    after = reading(contestant, counter)
    latency = load.finish(children, process, scenario, folder)

    requests = after["requests"] - before["requests"] - 1
    spent = {name: after[name] - before[name] for name in before}
    errors = latency.errors if requests > 0 else f"no requests; {latency.errors}"
    return Sample(
        requests=requests,
        seconds=spent["time"],
        cpu=spent["cpu"] * 1e6 / max(requests, 1),
        user=spent["user"] / max(spent["user"] + spent["system"], 1e-9),
        p50=latency.p50,
        p99=latency.p99,
        foreign=max(0.0, (spent["core"] - spent["cpu"]) / spent["time"]),
        errors=errors,
    )


def whole(seconds):
    """The next whole number: wrk takes no other."""
    return int(-(-seconds // 1))


def reading(contestant, counter):
    """Everything that a window is the difference of two of."""
    requests = counter.read()
    return {"requests": requests, "time": time.monotonic(), "core": core_time(), **process_time(contestant.process.pid)}


def process_time(root):
    """Processor time of a process and its children, in seconds. `cpu` is exact; the kernel splits it by sampling."""
    cpu = user = system = 0
    for pid in family(root):
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                cpu += int((task / "schedstat").read_text().split()[0])
                fields = (task / "stat").read_text().rpartition(")")[2].split()
            except FileNotFoundError:
                continue
            user += int(fields[11])
            system += int(fields[12])
    return {"cpu": cpu / 1e9, "user": user / TICK, "system": system / TICK}


def family(root):
    """A process and its descendants: nginx works in a child."""
    pids = [root]
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            pids.extend(int(child) for child in (task / "children").read_text().split())
    return pids


def core_time():
    """Time that the proxy's core was not idle, in seconds, whoever used it."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{PROXY_CORE} "))
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK
