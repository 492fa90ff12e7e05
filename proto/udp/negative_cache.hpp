// What servers said they do not have, so that they are not asked again too soon (RFC 4388 §6.5 and §7: the answers
// DHCPLEASEUNASSIGNED and DHCPLEASEUNKNOWN; RFC 5007 §5 asks for the same in v6).
#pragma once

#include "proto/query.hpp"
#include "proto/udp/answer.hpp"

#include <map>

namespace leasemirror {

class NegativeCache {
public:
    /// "a relatively short lifetime, approximately 5 minutes" (RFC 4388 §6.5, of DHCPLEASEUNKNOWN); ours for the others too.
    static constexpr std::chrono::minutes lifetime{5};

    /// `entries_max` bounds the memory: the entry that expires first makes room for a new one.
    explicit NegativeCache(std::size_t entries_max = 10000) : entries_max_(entries_max) {}

    struct Entry {
        UdpOutcome outcome = UdpOutcome::unknown;  ///< unassigned, unknown, no_binding; refused: v6 NotConfigured
        StatusCode status = StatusCode::success;
        /// None: until forgotten or pushed out. A remote-id that a v4 server does not know is not asked again
        /// (RFC 6148 §4.6).
        std::optional<SteadyTime> expires_at;
    };

    /// Takes note of an outcome that says "nothing here"; others are ignored.
    void remember(const UdpEndpoint& server, const BulkQuery& query, UdpOutcome outcome, StatusCode status,
                  SteadyTime now);
    [[nodiscard]] std::optional<Entry> find(const UdpEndpoint& server, const BulkQuery& query, SteadyTime now) const;
    /// To be called when a lease for it was seen elsewhere (RFC 4388 §6.5): every server may be asked again.
    void forget(const BulkQuery& query);
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    struct Key {
        BulkQuery query;
        UdpEndpoint server;
    };
    friend bool operator<(const Key& a, const Key& b);
    using Entries = std::map<Key, Entry>;
    void erase(Entries::iterator entry);

    std::size_t entries_max_;
    Entries entries_;
    std::multimap<SteadyTime, Key> by_expiry_;  // what never expires stands at the latest time of all
};

}  // namespace leasemirror
