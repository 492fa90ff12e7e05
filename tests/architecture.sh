#!/usr/bin/env bash
# The rules of DESIGN section 2 that a grep can hold: who may include whom, and where time and chance come from.
# Prints each line that breaks one, and fails if there is any.
set -euo pipefail
cd "$(dirname "$0")/.."

broken=0

# forbid RULE REGEX EXCEPTION FILE...: no line of the files matches, but for those that match EXCEPTION as path:line:text.
forbid() {
    local rule=$1 regex=$2 exception=$3
    shift 3
    local found
    found=$(grep -HnE "$regex" "$@" | grep -vE "$exception" || true)
    [ -n "$found" ] || return 0
    echo "$rule"
    sed 's/^/    /' <<<"$found"
    broken=1
}

never='^$'
shopt -s nullglob globstar
proto=(proto/**/*.[ch]pp)
storage=(storage/**/*.[ch]pp)
headers=({proto,storage,agent}/**/*.hpp)
product=({proto,storage,agent}/**/*.[ch]pp)
tests=(tests/**/*.[ch]pp)
# Everything in agent/ but the shell: these touch sockets, threads, the terminal or the clock, and decide nothing.
shell='^agent/(main\.cpp|(net|daemon)/.*|query/(probe|probe_connection|exchange)\.[ch]pp|cli/(check|decode|forget|query|run|schema|status|watch|who)\.cpp)$'
pure=("${proto[@]}" "${storage[@]}")
for file in agent/**/*.[ch]pp; do
    [[ $file =~ $shell ]] || pure+=("$file")
done

forbid "proto/ includes the standard library and itself:" \
    '^#include +("|<[^>]*[./])' ':#include "proto/' "${proto[@]}"
forbid "storage/ knows the records of proto/, and neither agent/ nor tests/:" \
    '^#include +"' ':#include "(storage|proto)/' "${storage[@]}"
forbid "storage/ knows no session and no wire format:" \
    '^#include +"proto/[a-z0-9_/]*(session|message|requests|reply_reader|frame_buffer|fill_|numbers_)' "$never" "${storage[@]}"
forbid "storage/ has no sockets and no event loop:" \
    '^#include +<asio' "$never" "${storage[@]}"
forbid "the product knows nothing of its tests:" \
    '^#include +"tests/|^#include +<doctest' "$never" "${product[@]}"
# The headers of an engine in storage/, and agent/config/reader.hpp, net/tls_loaded.hpp are private to their folder: see below.
private='^(storage/(sqlite|postgres)/[a-z_]+|agent/(config/reader|net/tls_loaded))\.hpp:'
forbid "libraries stay behind our headers:" \
    '^#include +<(pqxx|SQLiteCpp|sqlite3|yaml-cpp|asio|openssl|CLI|spdlog|fmt|nlohmann)' "$private" "${headers[@]}"
forbid "a private header of storage/ is included outside of it:" \
    '^#include +"storage/(sqlite|postgres)/' '^storage/' "${product[@]}"
forbid "an engine's headers stay in storage/:" \
    '^#include +<(pqxx|SQLiteCpp|sqlite3)' '^storage/' "${product[@]}"
forbid "time and chance are handed in (now, a seed), outside of the shell:" \
    '(system_clock|steady_clock|high_resolution_clock)::now|random_device|[^_a-z]time\((NULL|nullptr|0)\)|[^_a-z]s?rand\(' \
    "$never" "${pure[@]}"
forbid "sockets and threads stay in the shell:" \
    '^#include +<(asio|thread|mutex|condition_variable|future|sys/socket)' "$never" "${pure[@]}"
forbid "no test sleeps:" \
    'sleep_for|sleep_until|usleep|nanosleep|[^_a-z]sleep\(' "$never" "${tests[@]}"

exit $broken
