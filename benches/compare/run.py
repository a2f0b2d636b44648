#!/usr/bin/env python3
"""Compares nginx, HAProxy and the gateway in front of one backend, in turn, on one core each round."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import contestants
import hot_spots
import idle
import instructions
import load
import machine
import report
import rounds
from children import LOAD_CORE, Children
from contestants import Contestant
from measure import Counter
from rounds import Bench

ROOT = Path(__file__).resolve().parent.parent.parent
RELEASE = ROOT / "target/release/session-gateway"
IN_REDIS = 'kind = "redis"\nurl = "redis://127.0.0.1:@REDIS@/0"'
LOGGED = {"nginx + access log", "gateway + access log"}
IDLE = "idle"


def main():
    """Starts everything, measures each scenario round by round, prints and perhaps writes the report."""
    options = arguments()
    machine.install_missing()
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: two cores are needed, one for the proxy and one for its client and backend")
    field = lined_up(options)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name, Children() as children:
        folder = Path(name)
        contestants.make_certificate(folder)
        backend, redis = contestants.start_backend(children, folder), contestants.start_redis(children, folder)
        if options.instructions:
            return instructions.count(children, folder, field, backend, redis, chosen([options.instructions])[0])
        if options.profile:
            contestants.start(field[0], children, folder, backend, redis)
            contestants.log_in(field[0])
            return hot_spots.profile(children, folder, field, Counter(backend), chosen([options.profile])[0], options)
        bench = Bench(children, folder, backend, redis, Counter(backend))
        return compare(bench, field, options)


def compare(bench, field, options):
    """Every scenario, every round, every contestant in turn; then what their idle connections take."""
    # What measures stays away from the proxies' core.
    os.sched_setaffinity(0, {LOAD_CORE})
    ciphers = check_tls(bench, field)
    tables, valid = [], True
    for scenario in chosen([name for name in options.only if name != IDLE], all_of=not options.only):
        entered = entrants(scenario, field)
        if not entered:
            continue
        results = {one.name: [] for one in entered}
        for number in range(options.rounds):
            for name, sample in rounds.run(bench, scenario, entered, options.seconds).items():
                results[name].append(sample)
                said = sample.errors or f"{sample.cpu:9.2f} µs {sample.rate:9.0f}/s"
                print(f"{scenario.name:11} {number + 1:3} {name:29} {said}", file=sys.stderr)
                valid = valid and not sample.errors
        tables.append(report.table(scenario, results))
    if IDLE in options.only or not options.only:
        entered = [one for one in field if not one.in_redis and one.name not in LOGGED]
        tables.append(idle.compare(bench.children, bench.folder, entered, bench.backend, options.idle))

    facts = [
        ("TLS", f"1.3, {', '.join(sorted(ciphers))}, ECDSA P-256"),
        ("command", f"`benches/compare/run.py {' '.join(sys.argv[1:])}`".replace(" `", "`")),
        ("rounds", f"{options.rounds}, in each {options.seconds} s for each contestant, in turns"),
    ]
    markdown = report.whole(machine.description(), facts, tables)
    print(markdown)
    if options.write and valid:
        report.write(markdown)
    if not valid:
        print("bench: INVALID: there were errors or answers other than 2xx; see above", file=sys.stderr)
    return 0 if valid else 1


def entrants(scenario, field):
    """Who is compared in a scenario; nobody where there is nothing to compare."""
    if scenario.redis:
        entered = [one for one in field if one.kind == "gateway" and one.name not in LOGGED]
        return entered if any(one.in_redis for one in entered) else []
    # The access log's price is asked once: in clear text, where it weighs most.
    return [one for one in field if not one.in_redis and (one.name not in LOGGED or scenario.name == "h1")]


def check_tls(bench, field):
    """The ciphers that the contestants choose."""
    ciphers = set()
    for one in field:
        contestants.start(one, bench.children, bench.folder, bench.backend, bench.redis)
        ciphers.add(contestants.check_tls(one))
        bench.children.end(one.process)
    return ciphers


def lined_up(options):
    """The contestants asked for, in order. A gateway that is not built is left out, loudly."""
    field = [
        Contestant("nginx", "nginx"),
        Contestant("HAProxy", "haproxy"),
        Contestant("gateway", "gateway", binary=str(options.gateway)),
        Contestant("gateway + Redis", "gateway", binary=str(options.gateway), store=IN_REDIS),
        Contestant("gateway + Redis without near cache", "gateway", binary=str(options.gateway),
                   store=f"{IN_REDIS}\nnear_cache = false"),
        Contestant("nginx + access log", "nginx", access_log=True),
        Contestant("gateway + access log", "gateway", access_log=True, binary=str(options.gateway)),
    ]
    if options.contestants:
        wanted = [name.strip().lower() for name in options.contestants.split(",")]
        field = [one for one in field if one.name.lower() in wanted]
    for also in options.also:
        name, _, binary = also.partition("=")
        field.append(Contestant(name, "gateway", binary=binary))
    if options.profile or options.instructions:
        field = [one for one in field if one.name == "gateway"] or field[:1]
    if options.build and any(one.binary == str(RELEASE) for one in field):
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "session-gateway"], cwd=ROOT, check=True)
    for one in field:
        if one.kind == "gateway" and not Path(one.binary).exists():
            sys.exit(f"bench: {one.name}: {one.binary} does not exist")
    if not field:
        sys.exit("bench: no such contestants")
    return field


def chosen(names, all_of=False):
    """The scenarios of these names, or all of them."""
    known = {scenario.name: scenario for scenario in load.SCENARIOS}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"bench: no scenario {', '.join(unknown)}; there are {', '.join([*known, IDLE])}")
    return load.SCENARIOS if all_of else [known[name] for name in names]


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="SCENARIO",
                        help=f"this scenario only, may be repeated: {', '.join(one.name for one in load.SCENARIOS)}, "
                             f"{IDLE}")
    parser.add_argument("--contestants", metavar="A,B", help="these only, such as nginx,gateway")
    parser.add_argument("--rounds", type=int, default=5, help="how often all are started anew and measured (5)")
    parser.add_argument("--seconds", type=int, default=4, help="how long each contestant is measured in a round (4)")
    parser.add_argument("--idle", type=int, default=idle.CONNECTIONS, metavar="N",
                        help=f"how many idle connections ({idle.CONNECTIONS})")
    parser.add_argument("--quick", action="store_true", 
                        help="2 rounds of 1 s, 500 idle connections: to see that it works, not for numbers")
    parser.add_argument("--write", action="store_true", help="put the results into benches/README.md, where valid")
    parser.add_argument("--gateway", type=Path, default=RELEASE, metavar="PATH", help="the gateway's binary")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=PATH",
                        help="another build of the gateway as one more contestant")
    parser.add_argument("--no-build", dest="build", action="store_false", help="do not run cargo build first")
    parser.add_argument("--profile", metavar="SCENARIO", help="show where the gateway's time goes, instead")
    parser.add_argument("--instructions", metavar="SCENARIO", help="count them with callgrind, instead")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.idle = 2, 1, 500
    return options


if __name__ == "__main__":
    sys.exit(main())
