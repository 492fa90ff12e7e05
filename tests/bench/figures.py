"""The figures of a run, how several runs become a median with a spread, and how they are shown."""

import dataclasses
import statistics


@dataclasses.dataclass
class Figure:
    """One thing that a case measured in one run, and its baseline where there is one.

    Rates are what is compared: `ratio` is value / against_value, and more is better. Processor time is in microseconds for
    each `unit` of work (a binding, an event), of the agent or the database server; that of a baseline is of all together.
    """

    what: str
    value: float
    unit: str
    against: str = ""
    against_value: float | None = None
    agent_cpu_us: float | None = None
    server_cpu_us: float | None = None
    against_cpu_us: float | None = None
    details: dict = dataclasses.field(default_factory=dict)

    @property
    def ratio(self):
        return self.value / self.against_value if self.against_value else None

    @property
    def cpu_ratio(self):
        """As `ratio`, of the processor time that everything together took."""
        if self.against_cpu_us is None or self.agent_cpu_us is None:
            return None
        return self.against_cpu_us / (self.agent_cpu_us + (self.server_cpu_us or 0))

    @property
    def key(self):
        return self.what, self.against


class Row:
    """The same figure over all runs."""

    def __init__(self, case, figures):
        self.case = case
        self.figures = figures
        self.what, self.unit, self.against = figures[0].what, figures[0].unit, figures[0].against

    def median(self, name):
        found = [v for v in (getattr(f, name) for f in self.figures) if v is not None]
        return statistics.median(found) if found else None

    def spread(self, name):
        found = [v for v in (getattr(f, name) for f in self.figures) if v is not None]
        return (min(found), max(found)) if found else None

    def as_json(self):
        medians = {name: self.median(name) for name in ("value", "against_value", "ratio", "agent_cpu_us", "server_cpu_us",
                                                        "against_cpu_us", "cpu_ratio")}
        return {"case": self.case, "what": self.what, "unit": self.unit, "against": self.against, **medians,
                "value_spread": self.spread("value"), "ratio_spread": self.spread("ratio"),
                "runs": [dataclasses.asdict(f) for f in self.figures]}

    def cells(self):
        return [self.case, self.what, short(self.median("value")), span(self.spread("value"), len(self.figures)), self.unit,
                self.against, short(self.median("against_value")), short(self.median("ratio"), 2),
                span(self.spread("ratio"), len(self.figures), 2), short(self.median("agent_cpu_us")),
                short(self.median("server_cpu_us")), short(self.median("against_cpu_us")),
                short(self.median("cpu_ratio"), 2)]


HEAD = ["case", "what", "median", "spread", "unit", "baseline", "its median", "ratio", "spread", "agent CPU µs",
        "server CPU µs", "baseline CPU µs", "CPU ratio"]
NUMBERS = {2, 3, 6, 7, 8, 9, 10, 11, 12}  # columns that stand to the right


def rows_of(case, runs):
    """`runs`: a list of figures for each run. In the order of the first one."""
    return [Row(case, [f for run in runs for f in run if f.key == first.key]) for first in runs[0]]


def short(value, digits=None):
    if value is None:
        return ""
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def span(ends, runs, digits=None):
    return f"{short(ends[0], digits)}–{short(ends[1], digits)}" if ends and runs > 1 else ""


def table(rows):
    cells = [HEAD] + [row.cells() for row in rows]
    used = [c for c in range(len(HEAD)) if any(line[c] for line in cells[1:])]
    width = {c: max(len(line[c]) for line in cells) for c in used}
    lines = ["  ".join(line[c].rjust(width[c]) if c in NUMBERS else line[c].ljust(width[c]) for c in used).rstrip()
             for line in cells]
    lines.insert(1, "  ".join("-" * width[c] for c in used))
    return "\n".join(lines)


def markdown(rows):
    rule = "|".join("--:" if c in NUMBERS else "---" for c in range(len(HEAD)))
    lines = [f"| {' | '.join(HEAD)} |", f"|{rule}|"]
    return "\n".join(lines + ["| " + " | ".join(row.cells()) + " |" for row in rows])
