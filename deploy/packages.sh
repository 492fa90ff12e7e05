#!/usr/bin/env bash
# deploy/packages.sh GROUP...: installs those Debian packages of the groups that are missing. The one list of them.
#
#   build      what CMake asks for to compile the program and its tests, the simulated servers among them
#   demo       what deploy/demo.sh needs besides
#   fast       what tests/run.sh --fast needs besides
#   test       what tests/run.sh needs besides
#   tidy       what tests/tidy.sh needs besides
#   coverage   what tests/coverage.sh needs besides
#
# With nothing missing it takes no rights, no network and no time.
set -euo pipefail

build=(g++ cmake ninja-build pkg-config
       libasio-dev libcli11-dev libfmt-dev libpcap-dev libpqxx-dev libspdlog-dev libsqlite3-dev libsqlitecpp-dev libssl-dev
       libyaml-cpp-dev nlohmann-json3-dev doctest-dev python3)
demo=(sqlite3)
fast=(clang-format openssl python3-scapy)
tidy=(clang clang-tidy)
test=("${fast[@]}" "${tidy[@]}" libclang-rt-dev ccache pgbouncer postgresql tshark)
coverage=(gcovr)

groups="build|demo|fast|test|tidy|coverage"
wanted=()
for group in "$@"; do
    case $group in
        build)    wanted+=("${build[@]}") ;;
        demo)     wanted+=("${demo[@]}") ;;
        fast)     wanted+=("${fast[@]}") ;;
        test)     wanted+=("${test[@]}") ;;
        tidy)     wanted+=("${tidy[@]}") ;;
        coverage) wanted+=("${coverage[@]}") ;;
        *)        echo "deploy/packages.sh: no group '$group'; there are: $groups" >&2; exit 2 ;;
    esac
done
[ ${#wanted[@]} -gt 0 ] || { echo "usage: deploy/packages.sh $groups ..." >&2; exit 2; }

if ! command -v dpkg-query >/dev/null; then
    echo "deploy/packages.sh: this is not Debian. Install the equivalents of: ${wanted[*]}" >&2
    exit 1
fi

# dpkg-query complains of packages it has never heard of; those are missing like the others.
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
    grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deploy/packages.sh: some packages are missing, and this is neither root nor a user with sudo. As root:" >&2
        echo "    apt-get update && apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

echo "Installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get -qq update </dev/null
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "${missing[@]}" </dev/null >/dev/null
