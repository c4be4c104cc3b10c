# SPDX-License-Identifier: Apache-2.0
"""Runs commands by turns, and keeps what each run took."""
import json, os, shlex, shutil, statistics, subprocess, sys, time

RUNS = int(os.environ.get("RUNS", "5"))
NULL = os.open("/dev/null", os.O_RDWR)
rows = []  # what was measured: see record()


def measure(argv, env):
    """Seconds, seconds of CPU, and MiB at the most."""
    nothing = [(os.POSIX_SPAWN_DUP2, NULL, fd) for fd in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, env, file_actions=nothing)
    _, status, used = os.wait4(pid, 0)
    took = time.perf_counter() - start
    if status:
        sys.exit("bench: %s: status %#x" % (shlex.join(argv), status))
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def race(name, contenders, runs=RUNS):
    """contenders: who -> (what to do before each run or None, argv, environment)."""
    times = {who: [] for who in contenders}
    for _ in range(runs):
        for who, (before, argv, env) in contenders.items():
            if before:
                before()
            times[who].append(measure(argv, env))
    record(name, times)


def race_short(name, commands, env):
    """who -> command line, of a few milliseconds: hyperfine starts them with less of its own than this interpreter does, and
    20 in a row, RUNS times in turns."""
    if not shutil.which("hyperfine"):
        print("bench: no hyperfine here: the interpreter that starts the commands weighs on them")
        return race(name, {who: (None, argv, env) for who, argv in commands.items()}, 20 * RUNS)
    times = {who: [] for who in commands}
    for _ in range(RUNS):
        for who, argv in commands.items():
            run = subprocess.run(["hyperfine", "-N", "-w", "2", "-r", "20", "--style", "none", "--export-json", "/dev/stdout",
                                  shlex.join(argv)], env=env, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            said = json.loads(run.stdout)["results"][0]
            times[who] += [(wall, said["user"] + said["system"], 0) for wall in said["times"]]
    record(name, times)


def quarters(values):
    """Lower and upper quartile."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def record(name, times):
    """One row for each contender; times: who -> list of (wall, CPU, peak). Prints them."""
    theirs = statistics.median(wall for wall, _, _ in times["go"]) if "go" in times else None
    print("\n%s" % name)
    for who, runs in times.items():
        walls = [wall for wall, _, _ in runs]
        wall, cpu, peak = (statistics.median(column) for column in zip(*runs))
        low, high = quarters(walls)
        rows.append({"what": name, "who": who, "wall": wall, "low": low, "high": high, "cpu": cpu, "peak-mib": peak, "runs": len(runs)})
        memory = "  %7.1f MiB" % peak if peak else " " * 13
        ratio = "   %.2f of Go's" % (wall / theirs) if theirs and who != "go" else ""
        print("  %-14s %9.2f ms (%.2f to %.2f)  %9.2f ms of CPU%s%s" %
              (who, wall * 1e3, low * 1e3, high * 1e3, cpu * 1e3, memory, ratio), flush=True)
