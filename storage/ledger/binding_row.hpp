// A row of the table `binding` as both engines read and write it: times in our clock, texts as they are stored.
#pragma once

#include "proto/binding.hpp"
#include "storage/ledger/record_order.hpp"
#include "storage/resume_point.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace leasemirror {

/// Why a binding is no longer in force (agent/README.md, "Ended bindings"), and besides, for `assignment` alone, why a
/// client's hold on an address ended although the address stayed in force: another client has it, or the same one
/// elsewhere.
enum class EndReason : std::uint8_t { none, reported, expired, reconciled, unlisted, asked, replaced, moved };
[[nodiscard]] std::string_view to_string(EndReason reason);  // "reported", ...; empty for none
/// The word in a column `end_reason`; NULL reads as the empty word.
[[nodiscard]] EndReason end_reason_from_word(std::string_view word);
/// The word in a column `state`; the database allows no other than those of BindingState.
[[nodiscard]] BindingState state_from_word(std::string_view word);

struct BindingRow {
    std::int64_t binding_id = 0;  ///< 0: not in the table yet
    BindingKey key;               ///< its vpn_id as storable_text() makes it
    BindingState state = BindingState::active;
    EndReason end_reason = EndReason::none;  ///< none: in force
    Bytes client_id;
    std::optional<std::int64_t> hw_type;
    std::string hw_addr;  ///< lower-case hex with colons
    std::optional<UtcSeconds> client_last_seen, state_since, expires_at, preferred_until, renew_at, rebind_at;
    std::optional<IpAddress> link_address, relay_address;
    Bytes relay_id, remote_id, circuit_id, subscriber_id;  ///< empty: not told, stored as NULL
    std::string hostname;                                  ///< as storable_host_name() makes it; empty: NULL
    std::string options;                                   ///< JSON (options_json()); empty: NULL
    DataSource data_source = DataSource::local;
    Doubt doubt = Doubt::none;  ///< why it is not settled whether it is so; none: it is
    RecordAge age;              ///< columns epoch, base_time, via
    UtcSeconds updated_at{};
    std::int64_t seen_run = 0;  ///< the last bulk that listed it, or had begun when it was told; 0: none
    std::int64_t scope = 0;     ///< the bulk query that last listed it; 0: none did
    /// The open row of `assignment`, while in force; 0: none.
    std::int64_t assignment_id = 0;
    /// In force: when its assignment began; else when the last one ended (none: there was none). No boundary of an
    /// assignment of this address lies before an earlier one.
    std::optional<UtcSeconds> boundary_at;

    [[nodiscard]] bool in_force() const { return end_reason == EndReason::none; }
};

/// Whom to ask about, as this row has it.
[[nodiscard]] DoubtfulBinding doubtful(const BindingRow& row);

}  // namespace leasemirror
