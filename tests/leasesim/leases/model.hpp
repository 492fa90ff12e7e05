// The leases of one simulated DHCP server, computed and not stored: whatever the number of bindings, the model
// takes the same few hundred octets. It reads no clock (`now` is true UTC and an argument) and draws every choice
// from a hash of (seed, unit, visit), so any state, past or present, can be computed at any time in any order.
//
// A *unit* is one client on one link with its leases: in v4 one address; in v6 one to three of an address, a
// temporary address and a delegated prefix. Churn (churn.hpp) visits units. Visits come in blocks of eight, each of
// which begins with a new client that gets all leases of its unit, so that the state after any visit follows from at
// most eight steps of a small state machine: renew, move to another relay, release, expire, be declined, ...
//
// Times. A lease whose next visit is "expire" lasts until that visit; it expires by the clock if churn was stopped
// meanwhile. Other leases last past their next visit, a few for ever. Whether a lease is in force is decided in whole
// seconds of the server's clock, as a server that counts in seconds would: from the second of its expiry on it is not.
#pragma once

#include "proto/binding.hpp"
#include "proto/ip_address.hpp"
#include "proto/numbers_v4.hpp"
#include "proto/query.hpp"
#include "tests/leasesim/leases/churn.hpp"
#include "tests/leasesim/leases/clock.hpp"
#include "tests/leasesim/leases/inline_bytes.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace leasemirror::leasesim {

struct ModelOptions {
    Family family = Family::v4;
    std::uint64_t bindings = 1000;
    std::uint64_t seed = 1;
    double churn = 0;    ///< visits per second, over all units
    Skew skew{0};        ///< server clock minus true time
    unsigned links = 8;  ///< v6 links, each with a relay that clients use by default
    unsigned relays = 4;
    unsigned unrelayed_one_in = 16;  ///< one unit in so many is attached directly: nothing of a relay is known of it
    unsigned vpns = 0;               ///< v4: further VPNs beside the default one; their addresses overlap with its own
    /// So many neighbouring units, from a multiple of that number on, have one client, as long as their visits are in
    /// the same block: a client with several addresses, in v6 with one unit on each of several links. At most `links`.
    unsigned units_per_client = 1;
    double occupied = 0.75;          ///< share of the units that hold leases at the beginning
    std::uint8_t v4_prefix_len = 8;  ///< room for addresses, from 10.0.0.0 or `v4_base` on
    IpAddress v4_base = IpAddress::v4(0x0a000000);
    /// Preferred lifetimes of a quarter of the valid one, so that they pass long before (Kea does so).
    bool short_preferred = false;
    /// What a step of the clock leaves as it was: the times that the server wrote down, and not how long ago they were.
    bool absolute_times = false;
};

inline constexpr unsigned leases_per_unit_max = 3;

/// What does not depend on time: which address or prefix binding number i is.
struct LeaseName {
    BindingKind kind = BindingKind::address;
    IpAddress address;
    std::uint8_t prefix_len = 32;
    unsigned vpn = 0;  ///< 0: the default VPN, else its number
};

/// Everything the server knows of one unit at one moment. Instants are true time; the clock shows them. With
/// ModelOptions::absolute_times they are moved so that the clock of that moment shows what was written down.
struct UnitState {
    std::uint64_t unit = 0;
    std::uint64_t first_binding = 0;
    UtcMillis as_of;         ///< that moment
    bool configured = true;  ///< false: no answer shows it
    unsigned size = 1;       ///< leases of this unit
    std::uint8_t held = 0;   ///< bit j: lease number j is in force
    /// Leases that were in force before the latest visit and are not now.
    std::uint8_t ended = 0;
    BindingState state = BindingState::available;
    DataSource source = DataSource::local;
    bool known_client = false;  ///< a client, present or last, is on record
    InlineBytes<40> client_id;  ///< v4 option 61 (may be empty), v6 DUID
    std::uint16_t hw_type = hw_type_ethernet;
    InlineBytes<8> hw_addr;  ///< v4 chaddr; v6 option 79 of the relay where the DUID holds none
    std::optional<UtcMillis> last_seen;
    UtcMillis since;    ///< start of state
    UtcMillis changed;  ///< the later of the two: the latest change
    std::optional<UtcMillis> expires, preferred_until, renew_at, rebind_at;  ///< of the leases held; none: infinite
    bool relayed = false;
    unsigned relay_depth = 1;
    IpAddress link_address, relay_address;
    InlineBytes<24> relay_id, remote_id, circuit_id, subscriber_id;
    InlineBytes<40> hostname, vendor_class;
};

class LeaseModel {
public:
    LeaseModel(const ModelOptions& options, UtcMillis t0);

    // The world moves.
    void step_clock(std::chrono::milliseconds delta, UtcMillis now) { clock_.step(delta, now); }
    void set_churn(double events_per_second, UtcMillis now) { churn_.set_rate(events_per_second, now); }
    void stop_churn(UtcMillis now) { churn_.set_rate(0, now); }
    /// Takes neighbouring units out of the configuration, `count` bindings at least: they and their leases are gone.
    void unconfigure(std::uint64_t count, UtcMillis now);

    [[nodiscard]] const ModelOptions& options() const { return options_; }
    [[nodiscard]] Family family() const { return options_.family; }
    [[nodiscard]] std::uint64_t bindings() const { return options_.bindings; }
    [[nodiscard]] std::uint64_t units() const { return churn_.units(); }
    [[nodiscard]] const SteppedClock& clock() const { return clock_; }
    [[nodiscard]] const Churn& churn() const { return churn_; }
    [[nodiscard]] ServerTime server_now(UtcMillis now) const { return clock_.reads(now); }

    // Names.
    [[nodiscard]] LeaseName name(std::uint64_t binding) const;
    /// The binding of an address, or of the prefix that contains it.
    [[nodiscard]] std::optional<std::uint64_t> find(const IpAddress& address) const;
    [[nodiscard]] std::uint64_t unit_of(std::uint64_t binding) const;
    [[nodiscard]] std::uint64_t first_binding(std::uint64_t unit) const;
    [[nodiscard]] unsigned unit_size(std::uint64_t unit) const;
    [[nodiscard]] IpAddress link_address(unsigned link) const;  ///< the address that names v6 link 0, 1, ...
    [[nodiscard]] unsigned link_of(std::uint64_t unit) const;
    /// The v6 link that contains `address`; none if no configured one does.
    [[nodiscard]] std::optional<unsigned> find_link(const IpAddress& address) const;
    [[nodiscard]] Bytes relay_id(unsigned relay) const;

    // States.
    void state_of(std::uint64_t unit, UtcMillis now, UnitState& out) const;
    /// Whether `event`, whose time has come, changed anything; `out` is the state right after it.
    [[nodiscard]] bool apply(const ChurnEvent& event, UnitState& out) const;

    // Truth, for tests: what a mirror of this server should hold, in the server's clock as it runs at `now`.
    // Attributes are complete, as if everything had been asked for. Not comparable: `via`; `base_time` (here:
    // `now`); and T1, T2, given here only while still to come.
    void truth(std::uint64_t binding, UtcMillis now, Binding& out,
               std::span<const std::uint16_t> keep_options = {}) const;
    [[nodiscard]] Binding truth(std::uint64_t binding, UtcMillis now,
                                std::span<const std::uint16_t> keep_options = {}) const;
    void for_each_in_force(UtcMillis now, const std::function<void(const Binding&)>& visit,
                           std::span<const std::uint16_t> keep_options = {}) const;
    [[nodiscard]] std::uint64_t count_in_force(UtcMillis now) const;
    /// Whether the latest change of this binding was stamped within the window, both bounds inclusive.
    [[nodiscard]] bool changed_in(std::uint64_t binding, const QueryWindow& window, UtcMillis now) const;
    [[nodiscard]] bool changed_in(const UnitState& s, const QueryWindow& window) const;
    /// What the server wrote down for an instant of `s`.
    [[nodiscard]] ServerTime stamp(const UnitState& s, UtcMillis at) const;
    /// Whether the unit is configured at `now`.
    [[nodiscard]] bool configured(std::uint64_t unit, UtcMillis now) const;

private:
    static constexpr std::uint64_t visits_per_block = 8;
    struct Life;  // what the state machine steps
    [[nodiscard]] std::uint64_t roll(std::uint64_t unit, std::uint64_t visit, std::uint64_t salt) const;
    [[nodiscard]] Life begin_block(std::uint64_t unit, std::uint64_t visit) const;
    [[nodiscard]] Life initial(std::uint64_t unit) const;
    void step(Life& life, std::uint64_t unit, std::uint64_t visit) const;
    [[nodiscard]] Life life_after(std::uint64_t unit, std::uint64_t visits, std::uint8_t& held_before) const;
    [[nodiscard]] bool expires_next(const Life& life) const;
    [[nodiscard]] UtcMillis instant(std::uint64_t unit, std::uint64_t visit, std::chrono::seconds age) const;
    void set_lifetimes(const Life& life, UnitState& out) const;
    void set_identity(const Life& life, UnitState& out) const;
    void set_relay_v4(const Life& life, UnitState& out) const;
    void set_relay_v6(const Life& life, UnitState& out) const;
    void keep_written(UnitState& out, UtcMillis now) const;
    void lapse(UnitState& out, UtcMillis now) const;
    static void take_away(UnitState& out);
    void fill(const UnitState& s, std::uint64_t binding, UtcMillis now, Binding& out,
              std::span<const std::uint16_t> keep_options) const;

    ModelOptions options_;
    UtcMillis t0_;
    Churn churn_;
    SteppedClock clock_;
    struct Removed {
        std::uint64_t first, end;  // units
        UtcMillis at;
    };
    std::vector<Removed> removed_;
};

/// "ascii:vpn-1", ...: the name of VPN number `vpn` as column `vpn_id` has it; '' for 0. Even numbers are
/// RFC 2685 identifiers.
[[nodiscard]] std::string vpn_name(unsigned vpn);

}  // namespace leasemirror::leasesim
