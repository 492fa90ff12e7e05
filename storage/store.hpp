// The database as the agent writes it: batches in, resume points out. These comments are the contract that every
// engine keeps and that tests/storage checks over each of them.
#pragma once

#include "storage/batch.hpp"
#include "storage/heartbeat.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace leasemirror {

struct ServerSpec {
    std::string name;
    Family family = Family::v4;
    std::string endpoint;  ///< "2001:db8::1 port 547": for people
};

/// One connection to the database. Not thread-safe: one thread at a time owns it.
class Store {
public:
    Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    virtual ~Store() = default;

    /// A sign of life of the agent, which several stores of one agent have in common. Throws StoreError `claimed`
    /// while another one of its name is alive on another host, or as another process. Removes the rows of agents that are long gone.
    virtual void beat(const Heartbeat& heartbeat) = 0;

    /// Creates the rows of servers that are new, takes all of them over from whatever agent had them (its later
    /// batches are fenced), and returns where to go on, in the order of `servers`. Several stores of one agent may
    /// each open a part of the servers, and one store some more of them later, or some of its own anew. Throws StoreError `claimed`, and takes none over, while another store is
    /// at work on one of them.
    virtual std::vector<ResumePoint> open_servers(std::span<const ServerSpec> servers, const std::string& owner) = 0;

    /// Gives up servers that this store has opened, marked 'disabled': other stores may open them, and batches for them
    /// are fenced. Those that it does not have are left alone.
    virtual void release_servers(std::span<const std::string> names) = 0;

    /// Marks servers that are in the database but not named here 'disabled', but for those that another store is at work
    /// on: no agent is at work on them. Their old owner's later batches are fenced.
    virtual void disable_servers_except(std::span<const std::string> names) = 0;

    /// Applies a batch in one transaction: all of it is visible and durable, or nothing is (durable: against a crash
    /// of this process always; against loss of power all that a checkpoint stands for is lost or kept together with
    /// it). A batch applied twice leaves the same rows as once, in the feed too. An active binding whose expiry has
    /// passed on arrival is stored ended, with reason 'expired'. The same key may occur many times in a batch; every
    /// change of state or client takes effect in order. A change whose values the database refuses goes to
    /// quarantine alone. Throws StoreError; the batch may then be given again, and after `in_doubt` that settles it.
    virtual Applied apply(const Batch& batch) = 0;

    /// One bounded step of housekeeping, each step going on where the last one ended, round and round. Looks at the
    /// next `rows` bindings of the servers that this store has opened: those in force whose expiry is at or before
    /// `now` end, with reason 'expired' (agent/README.md, "Ended bindings"), and those that ended longer ago than
    /// StoreSettings::retention says are removed. Of the change feed and of ended assignments at most `rows` each that
    /// are older than it says are removed. Bindings of the servers in `held` stay as they are: their times may be in
    /// another clock than `now` is. Tells what is asked of the agent about the servers that this store has opened.
    virtual Swept sweep(UtcSeconds now, std::size_t rows, std::span<const ServerId> held) = 0;
    Swept sweep(UtcSeconds now, std::size_t rows) { return sweep(now, rows, {}); }

    /// The DUID that this installation presents to DHCPv6 servers: the stored one, or `proposal` stored now.
    virtual Bytes requestor_duid(ByteView proposal) = 0;
};

}  // namespace leasemirror
