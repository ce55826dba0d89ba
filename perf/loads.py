"""Makes the page and the figures of a report of perf/loads out of the reports
of its runs: python3 perf/loads.py WORK OUT, by perf/loads."""

import glob
import json
import os
import platform
import re
import statistics
import subprocess
import sys

work, out = sys.argv[1], sys.argv[2]
runs = {}
for path in sorted(glob.glob(os.path.join(work, "*.json"))):
    name = os.path.basename(path)[: -len(".json")]
    with open(path) as file:
        runs[name] = json.load(file)


def phase(report, name):
    return next(p for p in report["phases"] if p["name"] == name)


def figures(report):
    """What is told of a run: of its steady state and of its registrations."""
    steady, register = phase(report, "steady state"), phase(report, "registering")
    answers = sum(o["count"] for o in steady["operations"])
    registrations = sum(o["count"] for o in register["operations"])
    resolve = [o for o in steady["operations"] if o["name"].startswith("resolve")]
    worst = lambda quantile: max(o["latency_us"][quantile] for o in resolve)
    cpu = steady["registrar_cpu_seconds"]
    return {
        "result": report["result"],
        "answers_per_second": answers / steady["seconds"],
        "cpu_us_per_answer": cpu * 1e6 / answers,
        "registrar_cores": cpu / steady["seconds"],
        "loadgen_cpu_us_per_answer": steady["loadgen_cpu_seconds"] * 1e6 / answers,
        "registrations_per_second": registrations / register["seconds"],
        "cpu_us_per_registration": register["registrar_cpu_seconds"] * 1e6 / registrations,
        "p50_us": worst("p50"),
        "p99_us": worst("p99"),
        "p999_us": worst("p99_9"),
        "unsent": steady["unsent"],
        "send_lag_p99_us": (steady["send_lag_us"] or {}).get("p99"),
        "bytes_per_element": (report["memory"] or {}).get("bytes_per_element"),
        "warnings": report["warnings"],
    }


told = {name: figures(report) for name, report in runs.items()}
bad = [name for name, figure in told.items() if figure["result"] != "passed"]
assert not bad, f"not passed: {bad}"


def median(prefix, figure):
    values = [f[figure] for name, f in told.items() if re.fullmatch(prefix + r"-\d+", name)]
    return statistics.median(values)


def spread(prefix, figure):
    values = [f[figure] for name, f in told.items() if re.fullmatch(prefix + r"-\d+", name)]
    return f"{min(values):.2f} to {max(values):.2f}"


def command(name):
    with open(os.path.join(work, name + ".command")) as file:
        return "`" + file.read().strip() + "`"


def table(head, rows):
    line = lambda cells: "| " + " | ".join(str(cell) for cell in cells) + " |\n"
    return line(head) + line(["---"] * len(head)) + "".join(line(row) for row in rows) + "\n"


def text(name):
    path = os.path.join(work, name)
    return open(path).read() if os.path.exists(path) else None


def shell(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


host = next(iter(runs.values()))["host"]
page = [f"# The registrar under load, {os.path.basename(out)[:10]}\n"]
page.append(
    f"{host['processor']}, {host['cores']} cores, {host['kernel']}; {shell('rustc', '--version')}; "
    f"commit {shell('git', 'rev-parse', '--short=12', 'HEAD')}.\n"
    "Made by `perf/loads`. Client and registrar share the host's cores, so answers a second are those of both\n"
    "together; the registrar's processor time for each answer is the figure to compare. Medians of the rounds;\n"
    "every answer of every run was checked and right.\n"
)

page.append("## Beside a server that does nothing\n")
page.append(
    "`rserpool-bare measure`: resolution of one element over TCP; `perf/README.md` says what the bare servers do.\n"
)
page.append(text("bare.md"))

page.append("## Transports\n")
page.append("One shard, closed loop, resolutions of one element; " + command("transport16-sctp-udp-1") + " and the like.\n")
rows = []
for prefix, pipelined in (("transport", 1), ("transport16", 16)):
    base = median(f"{prefix}-tcp", "cpu_us_per_answer")
    for transport in ("tcp", "sctp-udp"):
        name = f"{prefix}-{transport}"
        cpu = median(name, "cpu_us_per_answer")
        rows.append([
            transport, pipelined, f"{median(name, 'answers_per_second'):,.0f}", f"{cpu:.2f}",
            spread(name, "cpu_us_per_answer"), f"{cpu / base:.2f}",
            f"{median(name, 'cpu_us_per_registration'):.2f}", f"{median(name, 'p50_us'):.0f}", f"{median(name, 'p99_us'):.0f}",
        ])
page.append(table(["transport", "unanswered each", "answers/s", "CPU us an answer", "of the rounds", "to tcp",
                   "CPU us a registration", "p50 us", "p99 us"], rows))

page.append("## One shard to two\n")
page.append("Closed loop, resolutions of 1, 3 and 10; half of all requests are for a pool of the other shard. "
            + command("shards-2-1") + "\n")
one = median("shards-1", "cpu_us_per_answer")
rows = [[n, f"{median(f'shards-{n}', 'answers_per_second'):,.0f}", f"{median(f'shards-{n}', 'cpu_us_per_answer'):.2f}",
         spread(f"shards-{n}", "cpu_us_per_answer"), f"{median(f'shards-{n}', 'cpu_us_per_answer') / one:.2f}"] for n in (1, 2)]
page.append(table(["shards", "answers/s", "CPU us an answer", "of the rounds", "to one shard"], rows))

page.append("## Latency against load\n")
rates = sorted(int(name.split("-")[1]) for name in told if name.startswith("rate-"))
page.append("One shard, open loop; latency counts from the time a request was due. " + command(f"rate-{rates[0]}") + " and so on.\n")
rows = []
for rate in rates:
    figure = told[f"rate-{rate}"]
    rows.append([f"{rate:,}", f"{figure['answers_per_second']:,.0f}", f"{figure['registrar_cores']:.2f}",
                 f"{figure['p50_us']:.0f}", f"{figure['p99_us']:.0f}", f"{figure['p999_us']:.0f}",
                 f"{figure['send_lag_p99_us']:.0f}", f"{figure['unsent']:,}"])
page.append(table(["resolutions/s due", "answers/s", "registrar cores", "p50 us", "p99 us", "p99.9 us", "sent late p99 us", "never sent"], rows))

page.append("## A thousand elements to a million\n")
sizes = sorted(int(name.split("-")[1]) for name in told if name.startswith("elements-"))
page.append("One shard, 20,000 resolutions a second due, all elements re-registered every 30 s and kept alive every 10 s:\nat a million elements that is 33,000 re-registrations and 100,000 keep-alives a second beside the resolutions. "
            + command(f"elements-{sizes[-1]}") + "\n")
rows = []
for size in sizes:
    figure = told[f"elements-{size}"]
    rows.append([f"{size:,}", f"{figure['answers_per_second']:,.0f}", f"{figure['cpu_us_per_answer']:.2f}", f"{figure['p50_us']:.0f}",
                 f"{figure['p99_us']:.0f}", f"{figure['p999_us']:.0f}", f"{figure['bytes_per_element']:.0f}"])
page.append(table(["elements", "answers/s", "CPU us an answer", "p50 us", "p99 us", "p99.9 us", "bytes an element"], rows))

neighbors = text("neighbors.md")
if neighbors:
    page.append("## Beside other registries\n")
    page.append("`perf/neighbors`; `perf/README.md` says what of this can be compared and what cannot.\n")
    page.append(neighbors)

warnings = sorted({f"{name}: {warning}" for name, figure in told.items() for warning in figure["warnings"]})
if warnings:
    page.append("## What the load generator says of these runs\n")
    page.append("".join(f"- {warning}\n" for warning in warnings))

with open(os.path.join(out, "README.md"), "w") as file:
    file.write("\n".join(page))
with open(os.path.join(out, "runs.json"), "w") as file:
    json.dump(told, file, indent=1)
    file.write("\n")
