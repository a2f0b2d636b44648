"""The report: medians, ratios to nginx, and the table in benches/README.md."""

import statistics
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
# The bounds that the gateway's processor time a request keeps: beside nginx's, and in Redis beside its memory store's.
TARGETS = {"h1": {"gateway": 1.05}, "tls": {"gateway": 0.90}, "h2": {"gateway": 0.85},
           "redis": {"gateway + Redis": 1.03, "gateway + Redis without near cache": 1.25}}


def table(scenario, results):
    """One scenario as Markdown. `results` maps a contestant's name to its samples, one a round."""
    base = base_of(scenario)
    lines = [
        f"### {scenario.title} (`{scenario.name}`)",
        "",
        f"| | CPU µs/request | user | kernel | ÷ {base} | spread | requests/s | p50 ms | p99 ms |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, samples in results.items():
        errors = [sample.errors for sample in samples if sample.errors]
        if errors:
            lines.append(f"| {name} | invalid: {errors[0]} | | | | | | | |")
            continue
        cpu = median(sample.cpu for sample in samples)
        user = median(sample.cpu * sample.user for sample in samples)
        lines.append(
            f"| {name} | {cpu:.2f} | {user:.2f} | {cpu - user:.2f} | {ratio_cells(name, base, results)} "
            f"| {median(sample.rate for sample in samples):,.0f} "
            f"| {median(sample.p50 for sample in samples):.2f} | {median(sample.p99 for sample in samples):.2f} |")
    return "\n".join([*lines, "", *remarks(scenario, results)])


def base_of(scenario):
    """Whom the others are compared with."""
    return "gateway" if scenario.redis else "nginx"


def ratio_cells(name, base, results):
    """The median of the rounds' ratios to the base, and the least and greatest of them."""
    rounds = ratios(name, base, results)
    if not rounds:
        return "– | –"
    return f"**{median(rounds):.2f}** | {min(rounds):.2f}–{max(rounds):.2f}"


def ratios(name, base, results):
    """Processor time a request beside the base's, of every round."""
    base = results.get(base, [])
    if any(sample.errors for sample in [*base, *results[name]]):
        return []
    return [sample.beside(other) for sample, other in zip(results[name], base)]


def remarks(scenario, results):
    """Whether the target is met, and what makes the numbers doubtful."""
    lines = []
    for name, target in TARGETS.get(scenario.name, {}).items():
        found = ratios(name, base_of(scenario), results) if name in results else []
        if found:
            verdict = "met" if median(found) <= target else "missed"
            lines.append(f"Target for the {name}: {target:.2f} × {base_of(scenario)}: {verdict}.")
    if scenario.redis:
        lines += [f"Redis was asked {median(sample.asked for sample in samples):.2f} times a request by the {name}."
                  for name, samples in results.items() if "Redis" in name and not any(one.errors for one in samples)]
    foreign = max(sample.foreign for samples in results.values() for sample in samples)
    if foreign > 0.05:
        lines.append(f"The proxy's core was shared: others took up to {foreign:.0%} of it in a round.")
    return [*lines, ""] if lines else []


def median(values):
    """The middle value."""
    return statistics.median(list(values))


def whole(machine, facts, tables):
    """The whole report as Markdown."""
    head = [f"- {name}: {value}" for name, value in [*machine, *facts]]
    return "\n".join([*head, "", *tables]).rstrip() + "\n"


def write(markdown):
    """Puts the report between the markers of benches/README.md."""
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n\n{markdown}\n{END}{after}")
