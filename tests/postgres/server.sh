#!/usr/bin/env bash
# tests/postgres/server.sh start|stop|restart|crash DIR: a PostgreSQL server of the tests' own, with everything it has in DIR.
#
#   start    stops what an earlier run left in DIR, makes a new cluster and starts it on a free port of 127.0.0.1. Writes
#            its URL to DIR/url, with a role that may do everything. It stops by itself soon after the process that asked
#            for it (the parent of this script, or $WATCH) is gone.
#   stop     stops it and removes DIR
#   crash    ends it with SIGKILL, all of its processes; restart brings it back, on the same port, with what was committed
#
# Whatever other servers there are on this host, they are left alone. As root it runs as the user postgres.
set -euo pipefail

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
[ $# -eq 2 ] || usage
command=$1
dir=$2

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -x "${bin:-}/initdb" ] || bin=$(dirname "$(command -v initdb || true)")
[ -x "$bin/initdb" ] || { echo "$0: PostgreSQL is not installed: deploy/packages.sh test" >&2; exit 1; }

as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        # Not where the caller stands: that user may have no right to be there.
        (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/ "$@")
    else
        "$@"
    fi
}

# The directory of the cluster is elsewhere where that user cannot reach DIR.
cluster() { cat "$dir/cluster" 2>/dev/null || true; }
postmaster() { head -n 1 "$(cluster)/data/postmaster.pid" 2>/dev/null || true; }

# Whether that process is the server of this cluster, and not a later one that got its number.
is_ours() { [ -n "$1" ] && { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF -- "$(cluster)/data"; }

crash() {
    local pid children
    pid=$(postmaster)
    is_ours "$pid" || return 0
    children=$(cat /proc/"$pid"/task/*/children 2>/dev/null || true)
    # shellcheck disable=SC2086
    kill -KILL "$pid" $children 2>/dev/null || true
    while [ -e "/proc/$pid" ]; do sleep 0.02; done
    for child in $children; do
        while [ -e "/proc/$child" ]; do sleep 0.02; done
    done
}

stop() {
    local home
    home=$(cluster)
    [ -n "$home" ] || return 0
    if is_ours "$(postmaster)"; then
        as_postgres "$bin/pg_ctl" -D "$home/data" -m immediate -t 20 -w stop >/dev/null 2>&1 || crash
    fi
    rm -rf "$home"
}

launch() {
    as_postgres "$bin/pg_ctl" -D "$(cluster)/data" -l "$(cluster)/log" -t 60 -w start >/dev/null 2>&1 </dev/null
}

make_cluster() {
    mkdir -p "$dir"
    local home=$dir
    # A socket's path has to be short, and that user has to get there.
    if [ ${#dir} -gt 60 ] || ! { chmod 755 "$dir" && as_postgres test -x "$dir"; }; then
        home=$(mktemp -d /tmp/leasemirror-pg.XXXXXX)
    else
        home=$dir/cluster.d
        mkdir -p "$home"
    fi
    [ "$(id -u)" -ne 0 ] || chown postgres "$home"
    echo "$home" >"$dir/cluster"
    as_postgres "$bin/initdb" -D "$home/data" -U leasemirror_test -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    # Roles that have a password are asked for it.
    cat >"$home/data/pg_hba.conf" <<HBA
local all,replication all                           trust
host  all             +with_password 127.0.0.1/32   scram-sha-256
host  all,replication all            127.0.0.1/32   trust
HBA
    cat >>"$home/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$home'
fsync = off
full_page_writes = off
shared_buffers = 128MB
max_wal_size = 1GB
max_connections = 100
autovacuum_naptime = 5s
timezone = 'Europe/Berlin'
log_line_prefix = '%m [%p] %q%u@%d '
CONF
}

# A port that nobody listens on now; that somebody takes it in between is why it is tried more than once.
start_on_free_port() {
    local port
    for _ in $(seq 20); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 40000))
        ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || continue
        sed -i '/^port = /d' "$(cluster)/data/postgresql.conf"
        echo "port = $port" >>"$(cluster)/data/postgresql.conf"
        if launch; then
            echo "$port" >"$dir/port"
            return 0
        fi
    done
    cat "$(cluster)/log" >&2
    echo "$0: PostgreSQL does not start" >&2
    return 1
}

# Ends the server when nobody is there any more to do so; but not one that was started later in the same place.
watch_over() {
    local token=$$.$RANDOM
    echo "$token" >"$dir/token"
    setsid bash -c '
        while [ "$(cat "$3/token" 2>/dev/null)" = "$4" ]; do
            kill -0 "$1" 2>/dev/null || exec "$2" stop "$3"
            sleep 1
        done' watch "$1" "$(realpath "$0")" "$dir" "$token" </dev/null >/dev/null 2>&1 &
}

case $command in
    start)
        stop
        rm -rf "$dir"
        mkdir -p "$dir"
        dir=$(realpath "$dir")
        make_cluster
        start_on_free_port
        as_postgres "$bin/psql" -q -h "$(cluster)" -p "$(cat "$dir/port")" -U leasemirror_test -d postgres \
            -c 'CREATE DATABASE leasemirror_test' -c 'CREATE ROLE with_password NOLOGIN'
        echo "postgresql://leasemirror_test@127.0.0.1:$(cat "$dir/port")/leasemirror_test" >"$dir/url.new"
        mv "$dir/url.new" "$dir/url"
        watch_over "${WATCH:-$PPID}"
        ;;
    stop)
        stop
        rm -rf "$dir"
        ;;
    crash) crash ;;
    restart)
        is_ours "$(postmaster)" && as_postgres "$bin/pg_ctl" -D "$(cluster)/data" -m fast -t 60 -w stop >/dev/null 2>&1
        launch || { cat "$(cluster)/log" >&2; exit 1; }
        ;;
    *) usage ;;
esac
