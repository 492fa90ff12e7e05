// From a decoded message to the owning record: the one place where the wire's ages and remaining seconds
// become points in the server's time (RFC 6926 §6.2, RFC 7653 §6.3.1).
#pragma once

#include "proto/binding.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"

#include <optional>
#include <span>

namespace leasemirror {

struct FillContext {
    /// Best guess of what the server's clock shows now: base of all times where a message carries no base-time.
    ServerTime server_now{};
    Via via = Via::bulk;
    std::span<const std::uint16_t> keep_options;  ///< codes whose raw value goes into Binding::options
};

/// Refills `out` from a DHCPLEASEACTIVE or DHCPLEASEUNASSIGNED. A non-zero status of the message or lease is not
/// looked at: that is the caller's to judge. The error means that the message speaks of no address we can record
/// (ciaddr 0, contradicting state, a VPN that option 221 or 82 does not name readably), and `out` is then unusable.
/// `relay_fault` is set when only a part of option 82 or of a name could not be read: the lease is good, that part is
/// empty.
[[nodiscard]] std::optional<DecodeError> fill_binding(const MessageV4& m, const FillContext& context, Binding& out,
                                                      std::optional<DecodeError>& relay_fault);

/// The same for one lease of one OPTION_CLIENT_DATA. Relay data is looked for inside the CLIENT_DATA, then at
/// message level; remote-id, subscriber-id and relay-id may also stand in the CLIENT_DATA itself. A valid lifetime of 0 or a binding status other than active is an ended binding.
[[nodiscard]] std::optional<DecodeError> fill_binding(const MessageV6& m, const ClientDataV6& client,
                                                      const LeaseV6& lease, const FillContext& context, Binding& out,
                                                      std::optional<DecodeError>& relay_fault);

/// What an OPTION_CLIENT_DATA without any lease says: whose it is, on which link, at which base-time. The rest of `out`
/// is empty.
[[nodiscard]] std::optional<DecodeError> fill_client_list(const MessageV6& m, const ClientDataV6& client,
                                                          const FillContext& context, Binding& out,
                                                          std::optional<DecodeError>& relay_fault);

/// Hardware type and address out of a DUID-LLT or DUID-LL (RFC 8415 §11.2, §11.4), and the time out of a DUID-LLT.
struct DuidHardware {
    std::uint16_t hw_type = 0;
    ByteView address;
    std::optional<ServerTime> time;
};
[[nodiscard]] std::optional<DuidHardware> duid_hardware(ByteView duid);

/// The VPN names of storage/README.md, "Table `binding`": '' default, "ascii:NAME", "rfc2685:HEX" (RFC 6607 §3); nothing for a type
/// that only a query may carry or whose value is malformed.
[[nodiscard]] std::optional<std::string> vpn_id_from_vss(std::uint8_t type, ByteView info);
/// Of what a message tells, even if nothing else of it can be read; nothing where one was named and cannot be.
[[nodiscard]] std::optional<std::string> vpn_id_of(const MessageV4& m);

}  // namespace leasemirror
