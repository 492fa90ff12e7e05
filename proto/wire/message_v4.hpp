// DHCPv4 leasequery messages: RFC 4388, 6148, 6926, 7724, and the options they carry.
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"
#include "proto/numbers_v4.hpp"
#include "proto/result.hpp"
#include "proto/status.hpp"
#include "proto/time.hpp"
#include "proto/wire/decode_error.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace leasemirror {

/// One option, or one sub-option of option 82. Pieces that arrived apart are already joined (RFC 3396 §7).
struct RawOptionV4 {
    std::uint8_t code = 0;
    ByteView data;
};

/// Option 221 or sub-option 151 (RFC 6607 §3): type and VPN information.
struct VssV4 {
    std::uint8_t type = 255;
    ByteView info;
};

/// A whole message, every known option typed and checked. As the result of decode() all views point into the
/// frame or into the scratch, and live until either changes. As the input of encode() they are the caller's.
/// Times in the wire's form: ages and remaining seconds count from base-time (RFC 6926 §6.2).
struct MessageV4 {
    std::uint8_t op = 0;  ///< 1 request, 2 reply
    std::uint8_t htype = 0;
    std::uint8_t hlen = 0;
    std::uint8_t hops = 0;
    std::uint32_t xid = 0;
    IpAddress ciaddr, yiaddr, siaddr, giaddr;
    ByteView chaddr;  ///< `hlen` octets; none of a longer address, which does not fit
    MessageTypeV4 type{};

    std::optional<Status> status;                              ///< 151
    std::optional<IpAddress> server_identifier;                ///< 54
    std::optional<ServerTime> base_time;                       ///< 152
    std::optional<std::uint32_t> lease_time;                   ///< 51, remaining; 0xffffffff is infinite
    std::optional<std::uint32_t> renewal_time;                 ///< 58, remaining
    std::optional<std::uint32_t> rebinding_time;               ///< 59, remaining
    std::optional<std::uint32_t> client_last_transaction_age;  ///< 91
    std::optional<std::uint32_t> start_time_of_state_age;      ///< 153
    std::optional<ServerTime> query_start_time;                ///< 154
    std::optional<ServerTime> query_end_time;                  ///< 155
    std::optional<std::uint8_t> dhcp_state;                    ///< 156
    std::optional<std::uint8_t> data_source;                   ///< 157
    std::optional<VssV4> vss;                                  ///< 221
    ByteView client_id;                                        ///< 61
    ByteView parameter_request_list;                           ///< 55
    ByteView relay_agent_information;                          ///< 82, joined, not yet taken apart
    ByteView associated_ip;                                    ///< 92
    std::string_view host_name;                                ///< 12
    ByteView client_fqdn;                                      ///< 81: flags, two RCODEs, name
    /// Every option but pad and end, the typed ones included, in the order of first appearance. encode()
    /// writes those whose typed field above is not set (a simulated server can so send a malformed one).
    std::span<const RawOptionV4> options;
    /// The first option that could not be read and was left out, since neither address, VPN, client, state nor time
    /// depends on it.
    std::optional<DecodeError> left_out;
};

/// Sub-options of option 82 (RFC 3046, 3527, 6925, 6607). Views into what was given. Of a repeated sub-option the
/// first counts. `vss` stays empty beside a VSS-Control sub-option, which has no data: the server did not look at it
/// (RFC 6607 §3.3). Code 152 with data is an older use of the number, and controls nothing.
struct RelayAgentInformation {
    ByteView circuit_id, remote_id, subscriber_id, relay_id;
    std::optional<IpAddress> link_selection;
    std::optional<VssV4> vss;
    std::optional<DecodeError> fault;  ///< the first sub-option that could not be read; the others count
    bool vpn_unreadable = false;       ///< a VPN was named, or may have been, and cannot be read
};

/// Room for joined options and option lists, reused from message to message.
class ScratchV4 {
public:
    ScratchV4();
    ~ScratchV4();
    ScratchV4(ScratchV4&&) noexcept;
    ScratchV4& operator=(ScratchV4&&) noexcept;
    struct Impl;
    [[nodiscard]] Impl& impl() { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

/// Decodes one whole message, without its frame length. Option overload (52) and split options are put
/// together in the order options, file, sname (RFC 2131 §4.1, RFC 3396 §5-7). Unknown options are kept in
/// `options`. A known option of impossible length, or octets that are no option, are an error where address, VPN,
/// client, state or time depend on them, and else `left_out`.
[[nodiscard]] Result<MessageV4, DecodeError> decode_v4(ByteView message, ScratchV4& scratch);

/// The type of a message that decode_v4() refuses, where that much can be read.
[[nodiscard]] std::optional<MessageTypeV4> message_type_v4(ByteView message);

/// Offsets in the fault count from the start of the option's data. Pad octets between sub-options are skipped, and a
/// sub-option without data tells nothing.
[[nodiscard]] RelayAgentInformation decode_relay_agent_information(ByteView option_82);

/// How encode_v4() lays options out; the defaults are what RFC 3396 asks of a sender.
struct LayoutV4 {
    std::size_t split_at = 255;  ///< longest piece of one option
    bool overload = false;       ///< put options into file and sname too (option 52), for tests of peers
};

/// Writes a whole message, without its frame length. Fails (writer not ok) when it does not fit.
void encode_v4(const MessageV4& m, ByteWriter& out, const LayoutV4& layout = {});

}  // namespace leasemirror
