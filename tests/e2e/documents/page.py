"""What stands in a page of this repository: its sections, its tables, and the SQL that a reader would paste."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]


def text_of(page):
    return (ROOT / page).read_text()


def section_of(page, heading):
    """The lines below a heading, up to the next one that is no deeper."""
    lines = text_of(page).splitlines()
    start = lines.index(heading) + 1
    depth = len(heading) - len(heading.lstrip("#"))
    for end in range(start, len(lines)):
        mark = re.match("(#+) ", lines[end])
        if mark and len(mark[1]) <= depth:
            return lines[start:end]
    return lines[start:]


def first_cells(lines):
    """The first column of the tables among these lines, without their headings."""
    rows = [line for line in lines if line.startswith("|")]
    return [row.split("|")[1].strip() for n, row in enumerate(rows)
            if not set(row) <= set("|-: ") and not (n + 1 < len(rows) and set(rows[n + 1]) <= set("|-: "))]


def first_table(lines):
    rows = [n for n, line in enumerate(lines) if line.startswith("|")]
    end = next((n for n in range(rows[0], len(lines)) if not lines[n].startswith("|")), len(lines))
    return lines[rows[0]:end]


def in_backticks(texts):
    return [name for text in texts for name in re.findall("`([^`]+)`", text)]


def statements_of(lines):
    """Each SQL statement of indented blocks, and for which engines the words before it say that it is.

    "both engines", "SQLite and then PostgreSQL" (the next two), "SQLite:", "PostgreSQL:"; a new bold heading is for both
    until it says otherwise, and what says nothing goes on as before.
    """
    both = ("sqlite", "postgresql")
    found, engines, pending, block = [], both, [], []

    def finish():
        text = "\n".join(line[4:] for line in block)
        block.clear()
        if not re.match("(SELECT|WITH) ", text):
            return
        for statement in re.findall(r"[^;]+;", text):
            found.append((statement.strip(), (pending.pop(0),) if pending else engines))

    for line in lines + [""]:
        if line.startswith("    "):
            block.append(line)
            continue
        if block:
            finish()
        if line.startswith("**"):
            engines, pending = both, []
        if "both engines" in line:
            engines = both
        if re.search("SQLite,? (in seconds, )?and then PostgreSQL", line):
            pending[:] = both
        elif re.search("SQLite[:;]", line):
            engines = ("sqlite",)
        elif re.search("PostgreSQL:", line):
            engines = ("postgresql",)
    return found
