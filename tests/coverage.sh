#!/usr/bin/env bash
# tests/coverage.sh: which share of the lines of each folder the fast tests reach (see tests/run.sh). Builds in
# build/coverage, where details.html then shows each line.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/packages.sh build fast coverage
configured=$(cmake --preset coverage 2>&1) || { echo "$configured"; exit 1; }
nice cmake --build --preset coverage --parallel "$(nproc)" --target fast_tests
# Counts of earlier runs would be added to those of this one.
find build/coverage -name '*.gcda' -delete
nice ctest --preset coverage --parallel "$(nproc)"

summary=build/coverage/summary.json
gcovr --root . --filter '(proto|storage|agent)/' --object-directory build/coverage \
    --json-summary "$summary" --html-details build/coverage/details.html build/coverage
python3 - "$summary" <<'PYTHON'
import collections, json, os, sys

covered, total = collections.Counter(), collections.Counter()
for file in json.load(open(sys.argv[1]))["files"]:
    for folder in (os.path.dirname(file["filename"]), "all"):
        covered[folder] += file["line_covered"]
        total[folder] += file["line_total"]
print(f"\n{'FOLDER':<20} {'LINES':>6} {'REACHED':>8}")
for folder in sorted(total, key=lambda name: (name == "all", name)):
    print(f"{folder:<20} {total[folder]:>6} {covered[folder] / max(total[folder], 1):>8.1%}")
PYTHON
