#!/usr/bin/env python3
"""Finds circles of includes, with the .cpp and .hpp of one unit taken together.

A unit is a path without its suffix: proto/query.hpp and proto/query.cpp are the unit proto/query. Units that
include each other, over any number of steps, can only be understood, and tested, together.

    tests/include_circles.py [FOLDER...]     (default: proto storage agent) prints each circle, and fails if there is one
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def unit(path):
    return str(pathlib.PurePosixPath(path).with_suffix(""))


def read_units(folders):
    """Which units each unit includes."""
    units = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.[ch]pp")):
            name = unit(path.relative_to(ROOT))
            found = INCLUDE.findall(path.read_text(encoding="utf-8"))
            units.setdefault(name, set()).update(unit(include) for include in found)
    return {name: sorted(target for target in targets if target in units and target != name)
            for name, targets in units.items()}


def circles(units):
    """The strongly connected components of more than one unit (Tarjan), each sorted."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in units[name]:
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            at = stack.index(name)
            component = sorted(stack[at:])
            del stack[at:]
            if len(component) > 1:
                found.append(component)

    for name in units:
        if name not in index:
            visit(name)
    return sorted(found)


def main(folders):
    units = read_units(folders)
    if not units:
        sys.exit(f"no sources in {' '.join(folders)}")
    found = circles(units)
    for circle in found:
        print("these include each other, .cpp and .hpp taken together:")
        for name in circle:
            print(f"    {name} -> {', '.join(target for target in units[name] if target in circle)}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main(sys.argv[1:] or ["proto", "storage", "agent"])
