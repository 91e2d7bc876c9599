"""perf/kit.py: what the measuring scripts share: running programs, watching the machine, tables."""
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

TIMEOUT_S = 100
SAY_S = 30


class Machine:
    """Watches how much of the machine others used while the programs ran."""

    def __init__(self):
        self.busy = self.ours = self.wall = 0.0

    @staticmethod
    def sample():
        fields = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
        busy = sum(fields) - fields[3] - fields[4]
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (busy / os.sysconf("SC_CLK_TCK"), children.ru_utime + children.ru_stime,
                time.monotonic())

    def add(self, before):
        after = self.sample()
        self.busy += after[0] - before[0]
        self.ours += after[1] - before[1]
        self.wall += after[2] - before[2]

    def others(self):
        """Processors that others kept busy, on average."""
        return max(0.0, self.busy - self.ours) / max(self.wall, 0.1)


class Progress:
    """One line that is overwritten; where that can't be, a line now and then."""

    def __init__(self):
        self.on, self.start = sys.stderr.isatty(), time.monotonic()
        self.said = self.start

    def show(self, text):
        now = time.monotonic()
        line = "%4d s  %s" % (now - self.start, text)
        if self.on:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r" + line[:width].ljust(width))
        elif now > self.said + SAY_S:
            self.said = now
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def clear(self):
        if self.on:
            sys.stderr.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")


def start(argv, cpu=None):
    pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=pin)


def finish(child):
    """Its output, or raises RuntimeError with the reason."""
    try:
        out, err = child.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise RuntimeError("over %d s" % TIMEOUT_S)
    if child.returncode != 0:
        last = err.strip().splitlines()[-1:] or [""]
        how = "signal %d" % -child.returncode if child.returncode < 0 else \
            "exit %d" % child.returncode
        raise RuntimeError("%s %s" % (how, last[0][:80]))
    return out


def middle(values):
    """Median, first and third quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    return statistics.median(values), quartiles[0], quartiles[2]


def ratios(numerator, denominator):
    return [a / b for a, b in zip(numerator, denominator) if b > 0]


def table(head, rows, file=sys.stdout):
    """Columns aligned: text to the left, figures to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    numeric = [all(not row[i] or row[i][0] in "-.0123456789" for row in rows)
               for i in range(len(head))]
    for number, row in enumerate([head] + rows):
        cells = [cell.rjust(w) if right else cell.ljust(w)
                 for cell, w, right in zip(row, widths, numeric)]
        print("  ".join(cells).rstrip(), file=file)
        if number == 0:
            print("  ".join("-" * w for w in widths), file=file)


def write_tsv(path, head, rows):
    with open(path, "w") as out:
        for row in [head] + rows:
            print("\t".join(str(cell) for cell in row), file=out)


def digits(value):
    return "%.0f" % value if value >= 1000 else "%.3g" % value if value < 1 else "%.4g" % value
