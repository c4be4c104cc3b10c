# SPDX-License-Identifier: Apache-2.0
"""What was measured, as files: CSV and JSON, a table for people, and plots."""
import csv, datetime, json, os, platform, shutil, subprocess
from measure import rows

HERE = os.path.dirname(os.path.abspath(__file__))


def by_what():
    found = {}
    for row in rows:
        found.setdefault(row["what"], {})[row["who"]] = row
    return found


def machine(where):
    """One line: what it was measured on."""
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) / (1 << 20)
    system = subprocess.run(["stat", "-f", "-c", "%T", os.path.dirname(where)], stdout=subprocess.PIPE, text=True).stdout.strip()
    return "%d x %s, %.0f GiB, Linux %s, %s, %s" % (os.cpu_count(), model, memory, platform.release().split("-")[0], system,
                                                  datetime.date.today())


def version_of(command):
    if not command:
        return "none"
    said = subprocess.run([command, "version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    return next((line.split()[-1] for line in said.split("\n") if "ersion" in line), "unknown")


def milliseconds(seconds):
    return "%.1f" % (seconds * 1e3) if seconds < 1 else "%.0f" % (seconds * 1e3)


def table(where, go):
    lines = ["| | ours | Go | wall, of Go's | CPU, of Go's | peak, ours and Go's |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for what, by_who in by_what().items():
        ours = by_who.get("ours") or next(iter(by_who.values()))
        theirs = by_who.get("go")
        ratios = ["%.2f" % (ours[key] / theirs[key]) if theirs and theirs[key] else "" for key in ("wall", "cpu")]
        peaks = " / ".join("%.0f" % row["peak-mib"] for row in (ours, theirs) if row and row["peak-mib"])
        lines.append("| %s | %s (%s to %s) | %s | %s | %s |" % (
            what, milliseconds(ours["wall"]), milliseconds(ours["low"]), milliseconds(ours["high"]),
            milliseconds(theirs["wall"]) if theirs else "", " | ".join(ratios), peaks))
    return "%s; the Go command is %s. Milliseconds of wall time, medians with quartiles; MiB.\n\n%s\n" % (
        machine(where), version_of(go), "\n".join(lines))


# ---- plots ----

def gnuplot(out, name, data):
    """Draws bench/NAME.gp with what `data` says, as OUT/NAME.svg."""
    path = os.path.join(out, name + ".dat")
    with open(path, "w") as f:
        f.write(data)
    subprocess.run(["gnuplot", "-e", "data='%s'; svg='%s/%s.svg'" % (path, out, name), os.path.join(HERE, name + ".gp")], check=True)
    os.unlink(path)


def many_data():
    """Blocks for gnuplot, one for each verb and command: layers, milliseconds."""
    blocks = {}
    for row in rows:
        verb, _, layers = row["what"].rpartition(", ")
        if row["who"] in ("ours", "go") and layers.endswith(" layers") and layers.split()[0].isdigit():
            blocks.setdefault((verb.split(",")[0].replace(" with its 11 layers", ""), row["who"]), []).append(
                "%s %g %g %g" % (layers.split()[0], row["wall"] * 1e3, row["low"] * 1e3, row["high"] * 1e3))
    return "\n\n".join('"%s, %s"\n%s\n' % (verb, who, "\n".join(lines)) for (verb, who), lines in blocks.items())


def large_data():
    """A line for each row about whole layers: name, ours and Go's in seconds."""
    lines = []
    for what, by_who in by_what().items():
        if {"ours", "go"} <= set(by_who) and by_who["go"]["wall"] > 0.2 and not what.endswith(" layers"):
            lines.append('"%s" %g %g' % (what.replace("import-layer", "import"), by_who["ours"]["wall"], by_who["go"]["wall"]))
    return "\n".join(lines) + "\n"


def write_results(out, go, where):
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "results.csv"), "w", newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with open(os.path.join(out, "results.json"), "w") as f:
        json.dump({"machine": machine(where), "go": version_of(go), "rows": rows}, f, indent=1)
    with open(os.path.join(out, "table.md"), "w") as f:
        f.write(table(where, go))
    if not shutil.which("gnuplot"):
        print("bench: no gnuplot here: no plots")
        return
    for name, data in (("many", many_data()), ("large", large_data())):
        if data.strip():
            gnuplot(out, name, data)
    print("\n%s: results.csv, results.json, table.md, plots" % out)
