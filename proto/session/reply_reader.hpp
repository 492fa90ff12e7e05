// From octets to records, one at a time: the part that bulk and active sessions have in common.
//
// A ReplyReader cuts the stream into messages, decodes one, and then hands out what the message says of bindings
// record by record. Only one message is decoded at a time, and all views into it live until the next next_message()
// or feed().
#pragma once

#include "proto/session/session.hpp"
#include "proto/wire/fill_binding.hpp"
#include "proto/wire/frame_buffer.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"

#include <cassert>
#include <optional>
#include <variant>

namespace leasemirror {

class ReplyReader {
public:
    ReplyReader(Family family, Via via, std::vector<std::uint16_t> keep_options);

    /// What the stream holds next: nothing yet, a message of either family, or something that is none.
    struct Nothing {};
    struct FramingLost {
        std::size_t length;
    };
    struct Garbled {
        DecodeError error;
        std::uint32_t xid = 0;                 ///< out of the fixed header, which is there
        std::optional<MessageTypeV6> type_v6;  ///< likewise
        std::optional<MessageTypeV4> type_v4;  ///< v4 has its type in an option, which may be readable
        std::optional<IpAddress> address;      ///< the ciaddr of a v4 message whose options cannot be read

        [[nodiscard]] bool is_done() const {
            return type_v6 == MessageTypeV6::lease_query_done || type_v4 == MessageTypeV4::lease_query_done;
        }
        /// A binding may have been in it.
        [[nodiscard]] bool lease_lost() const { return !is_done() && type_v4 != MessageTypeV4::lease_query_status; }
    };
    using Next = std::variant<Nothing, FramingLost, Garbled, const MessageV4*, const MessageV6*>;

    /// Octets that can be fed now; 0 while a decoded message still waits to be read out.
    [[nodiscard]] std::size_t space() const { return reading_ ? 0 : frames_.space(); }
    /// `in` must not exceed space().
    void feed(ByteView in) {
        assert(in.size() <= space());
        frames_.append(in);
    }
    [[nodiscard]] Next next_message();
    /// The octets of the current message.
    [[nodiscard]] ByteView message() const { return message_; }
    [[nodiscard]] bool inside_message() const { return reading_; }
    [[nodiscard]] std::size_t broken_off_bytes() const { return frames_.pending(); }

    /// Begins to read the bindings of the current message out; `server_now` is the base for a message without base-time.
    void begin_records(ServerTime server_now);
    /// The same for a message that tells of no bindings: only what was left out of it comes.
    void begin_faults();
    /// The next Deliver, ClientListed or Quarantine, or nothing when the message is exhausted.
    [[nodiscard]] std::optional<SessionAction> next_record();

private:
    /// How far the current message has been read out.
    struct Place {
        bool record_read = false;    // v4: the one binding has been handed out,
        bool left_out_told = false;  //     and what was left out of the message
        bool faults_only = false;
        std::size_t fault = 0;                   // v6: next of the faults,
        std::size_t client = 0;                  //     current CLIENT_DATA,
        std::size_t lease = 0;                   //     next lease in it,
        std::uint32_t listed = 0;                //     leases of it delivered so far
        bool lost_in_client = false;             //     and whether one of them could not be
        std::optional<DecodeError> relay_fault;  // to be reported after the binding it belongs to
    };

    [[nodiscard]] Next decode(ByteView message);
    [[nodiscard]] std::optional<SessionAction> next_record_v4();
    [[nodiscard]] std::optional<SessionAction> next_record_v6();
    [[nodiscard]] SessionAction next_lease(const ClientDataV6& client);
    [[nodiscard]] bool lists_are_complete() const;
    [[nodiscard]] std::optional<SessionAction> client_listed(const ClientDataV6& client);
    /// Of what something that cannot be read tells, as far as that can be told.
    struct About {
        std::optional<IpAddress> address;
        ByteView client_id;
        std::optional<std::string> vpn_id = std::string();
    };
    [[nodiscard]] About about(const ClientDataV6& client, std::optional<IpAddress> address) const;
    [[nodiscard]] SessionAction quarantine(const std::string& reason, bool lease_lost, About about) const;
    [[nodiscard]] std::optional<std::string> vpn_id_of(const std::optional<VssV6>& of_client, bool unreadable) const;
    [[nodiscard]] FillContext context() const { return {server_now_, via_, keep_options_}; }

    Family family_;
    Via via_;
    std::vector<std::uint16_t> keep_options_;
    FrameBuffer frames_;
    ScratchV4 scratch_v4_;
    ScratchV6 scratch_v6_;
    MessageV4 v4_;
    MessageV6 v6_;
    ByteView message_;
    Binding binding_;
    ServerTime server_now_{};
    bool reading_ = false;  // the current message is being read out
    Place place_;
};

}  // namespace leasemirror
