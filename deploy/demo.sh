#!/usr/bin/env bash
# deploy/demo.sh [--keep]: leasemirror at work, on this machine alone.
#
# Installs what is missing, builds, starts two simulated DHCP servers (DHCPv4 and DHCPv6, 20,000 bindings each, with
# clients that come and go) and the agent on an SQLite file, shows the load and live changes, and stops all of it within
# a minute. The database stays. --keep leaves everything running and says how to stop it. Listens on loopback only.
set -euo pipefail
cd "$(dirname "$0")/.."

bindings=20000
churn=40  # visits of clients per second, at each server

keep=no
case ${1-} in
    "")     ;;
    --keep) keep=yes ;;
    *)      echo "usage: deploy/demo.sh [--keep]" >&2; exit 2 ;;
esac

step() { printf '\n\033[1m%s\033[0m\n\n' "$*"; }
[ -t 1 ] || step() { printf '\n== %s\n\n' "$*"; }

# ---- build ----

step "Building (some minutes the first time)"
deploy/packages.sh build demo
configured=$(cmake --preset release 2>&1) || { echo "$configured"; exit 1; }
nice cmake --build --preset release --parallel "$(nproc)" --target leasemirror leasesim
leasemirror=$PWD/build/release/agent/leasemirror
leasesim=$PWD/build/release/tests/leasesim/leasesim

# ---- start ----

folder=$PWD/build/demo
config=$folder/demo.yaml
database=$folder/leases.db
mkdir -p "$folder"
running=()
for pid in $(cat "$folder/pids" 2>/dev/null); do
    case $(readlink "/proc/$pid/exe") in
        "$leasemirror"* | "$leasesim"*) running+=("$pid") ;;
    esac
done
if [ ${#running[@]} -gt 0 ]; then
    echo "The demo is still running from before. To stop it: kill ${running[*]}" >&2
    exit 1
fi
rm -f "$database" "$database"-* "$folder"/*.log "$folder/pids"

pids=()
stop() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -f "$folder/pids"
    pids=()
}
trap stop EXIT
trap 'exit 130' INT TERM

# Prints the port: the first line of a simulated server is "listening ADDRESS:PORT".
port_of() {
    local line=
    for _ in {1..100}; do
        read -r line <"$1" && [[ $line =~ ^listening\ .*:([0-9]+)$ ]] && echo "${BASH_REMATCH[1]}" && return
        sleep 0.1
    done
    echo "a simulated server did not start; see $1" >&2
    return 1
}

step "Starting two simulated DHCP servers, $bindings bindings each, and the agent"
# The rates (messages per second on one connection; v6 has one for each link) make a load that can be looked at.
"$leasesim" --family v4 --bindings $bindings --occupied 1 --churn $churn --rate-limit 2500 \
    --listen 127.0.0.1:0 </dev/null >"$folder/v4.log" 2>&1 &
pids+=($!)
"$leasesim" --family v6 --bindings $bindings --occupied 1 --churn $churn --rate-limit 500 --links 4 \
    --listen 127.0.0.1:0 </dev/null >"$folder/v6.log" 2>&1 &
pids+=($!)
port4=$(port_of "$folder/v4.log")
port6=$(port_of "$folder/v6.log")
cat >"$config" <<END
storage:
  url: sqlite://$database
servers:
  - name: demo-v4
    family: v4
    address: 127.0.0.1
    port: $port4
  - name: demo-v6
    family: v6
    address: 127.0.0.1
    port: $port6
    bulk:
      queries: [ { link: "2001:db8::1" }, { link: "2001:db8:1::1" }, { link: "2001:db8:2::1" }, { link: "2001:db8:3::1" } ]
      covers: all
admin: { listen: off }
END
"$leasemirror" run -c "$config" </dev/null >"$folder/agent.log" 2>&1 &
pids=($! "${pids[@]}")  # the agent is the first to stop
echo "${pids[*]}" >"$folder/pids"
cat "$config"

# ---- show ----

sql() { sqlite3 -readonly -cmd ".timeout 5000" "$@"; }
give_up() {
    echo "$1. The end of the agent's log, $folder/agent.log:" >&2
    tail -n 20 "$folder/agent.log" >&2
    exit 1
}

step "Loading: each server is asked for everything it has"
for second in {0..40}; do
    phases=$(sql "$database" "SELECT group_concat(printf('%s %-10s %6d bindings', name, phase, bindings), '     ')
                              FROM server" 2>/dev/null || true)
    [ -z "$phases" ] || printf '%3d s   %s\n' "$second" "$phases"
    [ "$(sql "$database" "SELECT count(*) FROM server WHERE phase = 'live'" 2>/dev/null)" != 2 ] || break
    kill -0 "${pids[0]}" 2>/dev/null || give_up "The agent has ended"
    [ "$second" -lt 40 ] || give_up "The load did not end"
    sleep 1
done

step "leasemirror status"
"$leasemirror" status -c "$config"

step "A few leases: server, address or prefix, hardware address, expiry, host name"
for which in "family = 'v4'" "family = 'v6' AND kind = 'address'" "kind = 'prefix'"; do
    sql "$database" -noheader -column ".width 8 24 17 20 24" \
        "SELECT server, iif(kind = 'prefix', address || '/' || prefix_len, address), hw_addr, expires_at, hostname
         FROM lease WHERE $which AND hostname IS NOT NULL ORDER BY address_key LIMIT 3"
done

step "Live: what changes at the servers arrives here, about $churn visits of clients a second at each"
seen=$(sql "$database" "SELECT max(updated_at) FROM binding")
for _ in {1..6}; do
    sleep 1
    now=$(sql "$database" "SELECT max(updated_at) FROM binding")
    changed="updated_at > $seen AND updated_at <= $now"
    sql "$database" "SELECT strftime('%H:%M:%S', $now, 'unixepoch') || '  ' || count(*) || ' rows changed, among them'
                     FROM binding WHERE $changed"
    sql "$database" -noheader -column ".width 8 7 24 13 17 20" \
        "SELECT '', s.name, address, state, hw_addr, strftime('%Y-%m-%dT%H:%M:%SZ', expires_at, 'unixepoch')
         FROM binding JOIN server AS s USING (server_id) WHERE $changed ORDER BY random() LIMIT 3"
    seen=$now
done
echo
"$leasemirror" status -c "$config"

# ---- end ----

if [ $keep = yes ]; then
    step "Still running. To stop it: kill ${pids[*]}"
    trap - EXIT
else
    stop
    step "All is stopped; what was mirrored stays"
fi
cat <<END
The database is $database
What to type next:

  cd $PWD
  db=${database#"$PWD"/}
  sqlite3 -readonly -box \$db "SELECT server, address, hw_addr, expires_at FROM lease LIMIT 5"
  sqlite3 -readonly -line \$db "SELECT * FROM lease LIMIT 1"
  sqlite3 -readonly -box \$db "SELECT name, phase, bindings, coverage FROM server_overview"
  ${leasemirror#"$PWD"/} status -c ${config#"$PWD"/}
  ${leasemirror#"$PWD"/} who -c ${config#"$PWD"/} 10.0.0.2
END
