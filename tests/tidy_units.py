#!/usr/bin/env python3
"""tests/tidy_units.py BUILD OUT: packs the product's sources for clang-tidy, and prints the packs, one a line.

clang-tidy 14 runs its checks over the whole of each header, the standard library's too. File by file that is most of its
time. So all files of one folder become one unit, which includes them, and each header is read once a folder. Names of an
anonymous namespace may then stand in two files: the second file goes into a further unit. tests/tidy.sh gets along with a
clash that is not seen here.

BUILD has the compile_commands.json of a build with clang. OUT gets the units, and a compile_commands.json for them.
"""

import json
import os
import pathlib
import re
import shlex
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PRODUCT = ("proto", "storage", "agent")


def commands_by_folder(build):
    """{folder: {file: its compiler's arguments}}, all paths below ROOT."""
    folders = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(os.path.normpath(os.path.join(entry["directory"], entry["file"])))
        if path.is_relative_to(ROOT) and (file := path.relative_to(ROOT)).parts[0] in PRODUCT:
            arguments = entry.get("arguments") or shlex.split(entry["command"])
            folders.setdefault(file.parent.as_posix(), {})[file.as_posix()] = arguments
    on_disk = {p.relative_to(ROOT).as_posix() for top in PRODUCT for p in (ROOT / top).rglob("*.cpp")}
    forgotten = on_disk - {file for files in folders.values() for file in files}
    if forgotten:
        sys.exit("tests/tidy_units.py: no build compiles " + ", ".join(sorted(forgotten)))
    return folders


def flags_of(commands):
    """What all these commands say of the language and of where headers are, each once."""
    flags = {"-I" + str(ROOT): None}
    for arguments in commands:
        arguments = iter(arguments)
        for argument in arguments:
            if argument == "-isystem":
                flags[f"-isystem{next(arguments)}"] = None
            elif re.match(r"-(std=|D|isystem|W|pthread)", argument) and argument != "-Werror":
                flags[argument] = None
    return list(flags)


def own_names(file):
    """{name: {types of parameters}} of what its anonymous namespaces declare in column 0, where the layout puts it."""
    names, inside = {}, False
    for line in (ROOT / file).read_text().splitlines():
        if line == "namespace {":
            inside = True
        elif line.startswith("}  // namespace"):
            inside = False
        elif inside and re.match(r"(?!using )[A-Za-z]", line):
            if declared := re.search(r"(\w+)(?:\[\w*\])?(?: final)?\s*(\([^)]*|[{;=]|: |$)", line):
                parameters = re.sub(r"\b\w+(?=,|$)", "", declared[2])  # their types
                names.setdefault(declared[1], set()).add(parameters)
    return names


def clash(ours, theirs):
    """Both have a name, and not as functions that overload each other."""
    return any(ours[name] & theirs[name] or not all(p.startswith("(") for p in ours[name] | theirs[name])
               for name in ours.keys() & theirs.keys())


def pack(files):
    """Lists of files, as few as are found by putting each into the first in which it clashes with nobody."""
    names, packs = {file: own_names(file) for file in files}, []
    for file in sorted(files):
        for others in packs:
            if not any(clash(names[file], names[other]) for other in others):
                others.append(file)
                break
        else:
            packs.append([file])
    return packs


def main():
    build, out = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.cpp"):
        old.unlink()
    units = []  # (how many files, path, flags)
    for folder, commands in commands_by_folder(build).items():
        for number, files in enumerate(pack(commands), 1):
            unit = out / f"{folder.replace('/', '_')}_{number}.cpp"
            unit.write_text("".join(f'#include "{file}"  // NOLINT(bugprone-suspicious-include)\n' for file in files))
            units.append((len(files), unit, flags_of(commands.values())))
    (out / "compile_commands.json").write_text(json.dumps(
        [{"directory": str(out), "file": str(unit), "arguments": ["clang++", *flags, "-c", str(unit)]}
         for _, unit, flags in units], indent=1))
    for _, unit, _ in sorted(units, key=lambda unit: -unit[0]):
        print(os.path.relpath(unit, ROOT))


if __name__ == "__main__":
    main()
