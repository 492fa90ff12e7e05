// What one DHCP server says of one address or delegated prefix: the record that travels from the decoder
// to the database, the same for both families (storage/README.md, "Table `binding`").
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"
#include "proto/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace leasemirror {

enum class BindingKind : std::uint8_t { address, prefix };

/// RFC 6926 §6.2.7 names the first eight; `ended` is ours, for an end that was not told as one of them.
enum class BindingState : std::uint8_t {
    active,
    available,
    expired,
    released,
    abandoned,
    reset,
    remote,
    transitioning,
    ended
};

/// RFC 6926 §6.2.8: whether the server itself changed the binding, or learned it from another server.
enum class DataSource : std::uint8_t { local, remote };

/// By which exchange a record came. The order is the order of trust at one and the same base-time
/// (storage/README.md, "Which record is newer").
enum class Via : std::uint8_t { bulk, query, active };

[[nodiscard]] std::string_view to_string(BindingKind k);   // "address", "prefix"
[[nodiscard]] std::string_view to_string(BindingState s);  // the words of storage/README.md, "Table `binding`"
[[nodiscard]] std::string_view to_string(DataSource s);    // "local", "remote"
[[nodiscard]] std::string_view to_string(Via v);           // "bulk", "query", "active"

/// What identifies a binding on one server.
struct BindingKey {
    std::string vpn_id;  ///< '' default VPN, "ascii:NAME" or "rfc2685:HEX" (RFC 6607 §3)
    BindingKind kind = BindingKind::address;
    IpAddress address;
    std::uint8_t prefix_len = 0;  ///< 32 or 128 for an address

    friend auto operator<=>(const BindingKey&, const BindingKey&) = default;
};

/// Owning: nothing in it points into a message. Meant to be refilled in place, so that a steady stream of
/// messages allocates nothing. All times are in the server's context; the store converts them with the skew
/// that is current when the record was received. An empty identifier means "not told".
struct Binding {
    BindingKey key;
    BindingState state = BindingState::active;
    Bytes client_id;                             ///< v4 option 61; v6 the client's DUID
    std::optional<std::uint16_t> hw_type;        ///< IANA hardware type
    Bytes hw_addr;                               ///< v4 chaddr; v6 from DUID-LL/LLT or option 79 of the relay
    std::optional<ServerTime> client_last_seen;  ///< base-time minus client-last-transaction-time
    std::optional<ServerTime> state_since;       ///< base-time minus start-time-of-state; v4 only
    std::optional<ServerTime> expires_at;        ///< none: infinite, or not told
    std::optional<ServerTime> preferred_until;   ///< v6 only; never later than expires_at
    std::optional<ServerTime> renew_at;          ///< v4 option 58
    std::optional<ServerTime> rebind_at;         ///< v4 option 59
    std::optional<IpAddress> link_address;       ///< option 82 sub-option 5, or innermost non-zero link-address
    std::optional<IpAddress> relay_address;      ///< giaddr, or the peer-address of LQ_RELAY_DATA
    Bytes relay_id;
    Bytes remote_id;  ///< v6: enterprise number and identifier
    Bytes circuit_id;
    Bytes subscriber_id;
    /// Option 12, 81 or 39, as printable text of which nothing is lost: \\ for a backslash, \xHH for an octet that is
    /// none, \. for a dot inside one DNS label (RFC 4343 §2.1).
    std::string hostname;
    /// The options that the operator asked to keep, each as code (u16), length (u16) and data.
    Bytes options;
    DataSource data_source = DataSource::local;
    ServerTime base_time{};  ///< of the message; `server_now` of the caller where it carried none
    Via via = Via::bulk;

    friend bool operator==(const Binding&, const Binding&) = default;

    /// In force: the server holds the address or prefix for a client. Expiry is not looked at.
    [[nodiscard]] bool in_force() const { return state == BindingState::active; }
    /// Back to a default-constructed record, keeping the capacity of its buffers.
    void clear();
    /// Octets this record holds, its own size included: what the queues are bounded by.
    [[nodiscard]] std::size_t memory_bytes() const;
};

/// One line for people: key, state and every field that is set. Identifiers in hex.
[[nodiscard]] std::string to_string(const Binding& b);

/// Lower-case hex, with `separator` between octets unless it is '\0'.
[[nodiscard]] std::string to_hex(ByteView in, char separator = '\0');

}  // namespace leasemirror
