#include "storage/ledger/reader_columns.hpp"

#include <array>

namespace leasemirror {
namespace {

using enum ColumnType;

constexpr std::array lease{
    ReaderColumn{"server", "l.server", text},
    ReaderColumn{"also_on", "l.also_on", text},
    ReaderColumn{"fresh_as_of", "l.fresh_as_of", time},
    ReaderColumn{"vpn_id", "l.vpn_id", text},
    ReaderColumn{"kind", "l.kind", text},
    ReaderColumn{"family", "l.family", text},
    ReaderColumn{"address", "l.address", address},
    ReaderColumn{"prefix_len", "l.prefix_len", number},
    ReaderColumn{"state", "l.state", text},
    ReaderColumn{"doubt", "l.doubt", text},
    ReaderColumn{"client_id", "l.client_id", bytes},
    ReaderColumn{"client_id_text", "l.client_id_text", text},
    ReaderColumn{"hw_type", "l.hw_type", number},
    ReaderColumn{"hw_addr", "l.hw_addr", text},
    ReaderColumn{"hostname", "l.hostname", text},
    ReaderColumn{"began_at", "a.began_at", time},
    ReaderColumn{"inferred", "a.inferred", flag},
    ReaderColumn{"client_last_seen", "l.client_last_seen", time},
    ReaderColumn{"state_since", "l.state_since", time},
    ReaderColumn{"expires_at", "l.expires_at", time},
    ReaderColumn{"preferred_until", "l.preferred_until", time},
    ReaderColumn{"renew_at", "l.renew_at", time},
    ReaderColumn{"rebind_at", "l.rebind_at", time},
    ReaderColumn{"link_address", "l.link_address", address},
    ReaderColumn{"relay_address", "l.relay_address", address},
    ReaderColumn{"relay_id", "l.relay_id", bytes},
    ReaderColumn{"relay_id_text", "l.relay_id_text", text},
    ReaderColumn{"remote_id", "l.remote_id", bytes},
    ReaderColumn{"remote_id_text", "l.remote_id_text", text},
    ReaderColumn{"circuit_id", "l.circuit_id", bytes},
    ReaderColumn{"circuit_id_text", "l.circuit_id_text", text},
    ReaderColumn{"subscriber_id", "l.subscriber_id", bytes},
    ReaderColumn{"options", "l.options", json},
    ReaderColumn{"data_source", "l.data_source", text},
    ReaderColumn{"base_time", "l.base_time", time},
    ReaderColumn{"via", "l.via", text},
    ReaderColumn{"updated_at", "l.updated_at", time},
    ReaderColumn{"server_id", "l.server_id", number},
};

constexpr std::array assignment{
    ReaderColumn{"server", "s.name", text},
    ReaderColumn{"vpn_id", "a.vpn_id", text},
    ReaderColumn{"kind", "a.kind", text},
    ReaderColumn{"address", "a.address", address},
    ReaderColumn{"prefix_len", "a.prefix_len", number},
    ReaderColumn{"client_id", "a.client_id", bytes},
    ReaderColumn{"hw_addr", "a.hw_addr", text},
    ReaderColumn{"remote_id", "a.remote_id", bytes},
    ReaderColumn{"relay_id", "a.relay_id", bytes},
    ReaderColumn{"circuit_id", "a.circuit_id", bytes},
    ReaderColumn{"subscriber_id", "a.subscriber_id", bytes},
    ReaderColumn{"hostname", "a.hostname", text},
    ReaderColumn{"began_at", "a.began_at", time},
    ReaderColumn{"ended_at", "a.ended_at", time},
    ReaderColumn{"end_reason", "a.end_reason", text},
    ReaderColumn{"began_inferred", "a.began_inferred", flag},
    ReaderColumn{"ended_inferred", "a.ended_inferred", flag},
    ReaderColumn{"inferred", "a.inferred", flag},
    ReaderColumn{"server_id", "a.server_id", number},
};

constexpr std::array change{
    ReaderColumn{"seq", "c.seq", number},
    ReaderColumn{"at", "c.at", time},
    ReaderColumn{"server", "s.name", text},
    ReaderColumn{"vpn_id", "c.vpn_id", text},
    ReaderColumn{"kind", "c.kind", text},
    ReaderColumn{"address", "c.address", address},
    ReaderColumn{"prefix_len", "c.prefix_len", number},
    ReaderColumn{"change", "c.change", text},
    ReaderColumn{"state", "c.state", text},
    ReaderColumn{"client_id", "c.client_id", bytes},
    ReaderColumn{"expires_at", "c.expires_at", time},
    ReaderColumn{"detail", "c.detail", json},
    ReaderColumn{"inferred", "c.inferred", flag},
    ReaderColumn{"server_id", "c.server_id", number},
};

}  // namespace

constinit const std::span<const ReaderColumn> lease_columns{lease};
constinit const std::span<const ReaderColumn> assignment_columns{assignment};
constinit const std::span<const ReaderColumn> change_columns{change};

std::string_view column_of(HolderSought::By by) {
    switch (by) {
        case HolderSought::By::hw_addr:
            return "hw_addr";
        case HolderSought::By::client_id:
            return "client_id";
        case HolderSought::By::remote_id:
            return "remote_id";
        case HolderSought::By::circuit_id:
            break;
    }
    return "circuit_id";
}

}  // namespace leasemirror
