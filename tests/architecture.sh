#!/usr/bin/env bash
# The rules about folders that a grep can hold: who may include whom, and where time, chance, sockets and threads come from.
# Prints each line that breaks one, and fails if there is any. agent/README.md, "Rooms", says why.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob globstar

broken=0

# forbid RULE REGEX [--but REGEX] FOLDER...: no line of the C++ files below the folders matches the first, unless it matches
# the second. FOLDER/ means the files in that folder alone.
forbid() {
    local rule=$1 regex=$2 but='^$' files=()
    shift 2
    if [ "$1" = --but ]; then but=$2; shift 2; fi
    local folder
    for folder in "$@"; do
        case $folder in
            */) files+=("$folder"*.[ch]pp) ;;
            *) files+=("$folder"/**/*.[ch]pp) ;;
        esac
    done
    local found
    found=$(grep -nE "$regex" /dev/null "${files[@]}" | grep -vE ":[0-9]+:.*$but" || true)
    [ -n "$found" ] || return 0
    echo "$rule"
    sed 's/^/    /' <<<"$found"
    broken=1
}

product=(proto storage agent)
pure=(proto storage agent/sync agent/config)

# may_include FOLDER OTHER...: of our own headers, those of itself and of these folders.
may_include() {
    local folder=$1 allowed
    allowed=$(IFS='|'; echo "$*")
    forbid "$folder/ includes of ours only: $*" '^#include +"' --but "#include \"($allowed)/" "$folder"
}
may_include proto
may_include storage proto
may_include agent/config proto storage
may_include agent/sync agent/config proto storage
may_include agent/net agent/config proto
may_include agent/query agent/net agent/sync agent/config proto storage
may_include agent/verify agent/query agent/net agent/config proto storage
may_include agent/daemon agent/verify agent/query agent/net agent/sync agent/config proto storage
may_include agent/cli agent/daemon agent/verify agent/query agent/net agent/sync agent/config proto storage

forbid "proto/ includes nothing but the standard library and itself:" '^#include +<[^>]*[./]' proto
forbid "what stands in proto/ itself knows none of its rooms:" '^#include +"proto/(wire|session|udp)/' proto/
forbid "proto/wire knows no session:" '^#include +"proto/(session|udp)/' proto/wire
forbid "proto/session knows no questions over UDP:" '^#include +"proto/udp/' proto/session
forbid "the contract of storage/ knows no ledger:" '^#include +"storage/ledger/' storage/
forbid "the ledger knows no database:" '^#include +"storage/(sqlite|postgres)/' storage/ledger
forbid "storage/ knows no session and no wire format:" '^#include +"proto/(wire|session|udp)/' storage
forbid "an engine's headers stay in its folder and below the factory:" \
    '^#include +"storage/(sqlite|postgres)/' agent
forbid "a database is known to its engine alone:" '^#include +<(pqxx|SQLiteCpp|sqlite3)' proto agent
forbid "SQLite is known to storage/sqlite alone:" '^#include +<(SQLiteCpp|sqlite3)' storage/postgres
forbid "PostgreSQL is known to storage/postgres alone:" '^#include +<(pqxx|libpq)' storage/sqlite
forbid "sync knows no library of sockets, TLS, databases or YAML:" \
    '^#include +<(asio|openssl|pqxx|SQLiteCpp|sqlite3|yaml-cpp|httplib)' agent/sync
forbid "sockets and threads stay in the shells:" \
    '^#include +<(asio|thread|mutex|condition_variable|future|sys/socket)' "${pure[@]}"
forbid "cli has no sockets of its own:" '^#include +<(asio|sys/socket)' agent/cli
forbid "time and chance are handed in (now, a seed):" \
    '(system_clock|steady_clock|high_resolution_clock)::now|random_device|[^_a-z]time\((NULL|nullptr|0)\)|[^_a-z]s?rand\(' \
    "${pure[@]}"
# A header that shows a library is private to its folder and the one above, which opens it.
for header in $(grep -lE '^#include +<(pqxx|libpq|SQLiteCpp|sqlite3|yaml-cpp|asio|openssl|CLI|spdlog|fmt|nlohmann)' \
    {proto,storage,agent}/**/*.hpp); do
    folder=$(dirname "$header")
    found=$(grep -nF "#include \"$header\"" {proto,storage,agent}/**/*.[ch]pp | grep -vE "^($folder|$(dirname "$folder"))/[^/]*:" || true)
    [ -n "$found" ] || continue
    echo "$header shows a library and is private to $folder:"
    sed 's/^/    /' <<<"$found"
    broken=1
done
forbid "the product knows nothing of its tests:" '^#include +"tests/|^#include +<doctest' "${product[@]}"
forbid "no test sleeps:" 'sleep_for|sleep_until|usleep|nanosleep|[^_a-z]sleep\(' tests

# A unit is a .cpp and its .hpp together: in a circle of units none can be understood, built or tested before the others.
circles=$(tests/include_circles.py) || { echo "$circles"; broken=1; }

exit $broken
