"""The scenarios, and the two load generators: how they are called, and what their output says."""

import math
import re
import subprocess
from dataclasses import dataclass

from children import LOAD_CORE

CONNECTIONS = 64


@dataclass(frozen=True)
class Scenario:
    """One kind of traffic."""

    name: str
    title: str
    tool: str  # wrk or h2load
    tls: bool
    path: str
    cookie: bool = True
    redis: bool = False  # Who keeps sessions in Redis enters, beside the gateway with its memory store.
    turn: float = 0.1  # Seconds that a contestant has the core for; more where few requests are done in them.


SCENARIOS = [
    Scenario("h1", "HTTP/1.1, clear text, 1 KiB", "wrk", tls=False, path="/1k"),
    Scenario("tls", "HTTP/1.1 over TLS, 1 KiB", "wrk", tls=True, path="/1k"),
    Scenario("h2", "HTTP/2 over TLS, 1 KiB", "h2load", tls=True, path="/1k"),
    Scenario("flood", "HTTP/1.1, clear text, 1 KiB, no cookie", "wrk", tls=False, path="/1k", cookie=False),
    Scenario("64k", "HTTP/1.1, clear text, 64 KiB", "wrk", tls=False, path="/64k"),
    Scenario("64k-tls", "HTTP/1.1 over TLS, 64 KiB", "wrk", tls=True, path="/64k"),
    Scenario("1m", "HTTP/1.1, clear text, 1 MiB", "wrk", tls=False, path="/1m", turn=0.5),
    Scenario("1m-tls", "HTTP/1.1 over TLS, 1 MiB", "wrk", tls=True, path="/1m", turn=0.5),
    Scenario("redis", "Sessions in Redis: an established session", "wrk", tls=False, path="/1k", redis=True),
    Scenario("redis-flood", "Sessions in Redis: no cookie", "wrk", tls=False, path="/1k", cookie=False, redis=True),
]


@dataclass
class Latency:
    """What the client saw, in milliseconds, and what went wrong."""

    p50: float
    p99: float
    errors: str


def start(children, scenario, contestant, seconds, folder):
    """Starts the scenario's load for whole `seconds`."""
    scheme, port = ("https", contestant.https) if scenario.tls else ("http", contestant.http)
    url = f"{scheme}://127.0.0.1:{port}{scenario.path}"
    header = ["-H", f"cookie: {contestant.cookie}"] if scenario.cookie else []
    if scenario.tool == "wrk":
        # While it is stopped, its requests age: they are not late by its own clock before a minute.
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout=60s", "--latency", *header, url]
    else:
        connections = 8
        command = ["h2load", "-t1", f"-c{connections}", f"-m{CONNECTIONS // connections}", "-D", str(seconds),
                   f"--log-file={request_log(contestant, folder)}", *header, url]
    return children.start(LOAD_CORE, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def request_log(contestant, folder):
    """Where h2load notes the requests that it sends to a contestant."""
    return folder / f"h2load.{contestant.https}.log"


def finish(children, process, scenario, contestant, folder):
    """Waits for the load to end, and reads what it reports."""
    output, _ = process.communicate(timeout=60)
    children.end(process)
    if process.returncode != 0:
        return Latency(math.nan, math.nan, f"{scenario.tool} exited with {process.returncode}: {output[-300:]}")
    return wrk_latency(output) if scenario.tool == "wrk" else h2load_latency(output, request_log(contestant, folder))


def wrk_latency(output):
    """Reads `wrk --latency`."""
    errors = [line.strip() for line in output.splitlines() if "Socket errors" in line or "Non-2xx" in line]
    return Latency(percentile_line(output, "50%"), percentile_line(output, "99%"), "; ".join(errors))


def percentile_line(output, percent):
    """One line of wrk's latency distribution, in milliseconds; `nan` where wrk counted nothing."""
    found = re.search(rf"^\s+{percent}\s+([\d.]+)(us|ms|s)$", output, re.MULTILINE)
    if not found:
        return math.nan
    return float(found.group(1)) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found.group(2)]


def h2load_latency(output, log):
    """Reads h2load's summary, and its log of every request for the percentiles."""
    errors = []
    summary = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    codes = re.search(r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    if not summary or not codes:
        errors.append("h2load reported nothing")
    elif any(map(int, summary.groups()[1:])) or any(map(int, codes.groups()[1:])):
        errors.append(f"{summary.group(0)}; {codes.group(0)}")
    if "Application protocol: h2" not in output:
        errors.append("HTTP/2 was not negotiated")
    micros = sorted(int(line.rsplit("\t", 1)[1]) for line in log.read_text().splitlines())
    log.unlink()
    if not micros:
        return Latency(math.nan, math.nan, "; ".join([*errors, "no requests"]))
    at = lambda share: micros[min(len(micros) - 1, int(len(micros) * share))] / 1e3
    return Latency(at(0.50), at(0.99), "; ".join(errors))
