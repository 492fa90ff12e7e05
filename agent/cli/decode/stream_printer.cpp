#include "agent/cli/decode/stream_printer.hpp"

#include "agent/config/exit_codes.hpp"
#include "proto/binding.hpp"

#include <algorithm>
#include <ostream>
#include <utility>

namespace leasemirror {
namespace {

std::string transaction_text(std::uint32_t xid, int digits) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        out += hex[xid >> shift & 0xfU];
    return "0x" + out;
}

template <class Message>
std::string line_and_outline(const Message& m, int xid_digits) {
    TextOutline outline;
    describe(m, outline);
    return message_name(m.type) + " xid " + transaction_text(m.xid, xid_digits) + '\n' + outline.text();
}

std::string malformed(ByteView message, const DecodeError& why) {
    TextOutline outline;
    outline.line("reason", to_string(why));
    outline.line("octets", to_hex(message));
    return "malformed\n" + outline.text();
}

bool asks_for_tls(const MessageV4& m) {
    return m.type == MessageTypeV4::tls;
}
bool asks_for_tls(const MessageV6& m) {
    return m.type == MessageTypeV6::start_tls || m.type == MessageTypeV6::reply;
}

bool is_of_leasequery(MessageTypeV4 type) {
    return type >= MessageTypeV4::lease_query && type <= MessageTypeV4::tls;
}
bool is_of_leasequery(MessageTypeV6 type) {
    return (type >= MessageTypeV6::lease_query && type <= MessageTypeV6::lease_query_data) ||
           type == MessageTypeV6::active_lease_query || type == MessageTypeV6::start_tls;
}

template <class Message>
bool print_alone(const Result<Message, DecodeError>& decoded, std::size_t octets, int xid_digits, std::ostream& out,
                 const std::function<void()>& before) {
    if (!decoded || !is_of_leasequery(decoded->type)) return false;
    before();
    out << "datagram, " << octets << " octets: " << line_and_outline(*decoded, xid_digits);
    return true;
}

}  // namespace

Family detect_family(ByteView head) {
    ByteReader in(head);
    const auto length = in.u16();
    const auto first = in.u8();
    if (head.size() < family_head_bytes)
        return in.ok() && length >= header_bytes_v4 && first <= 2 ? Family::v4 : Family::v6;
    ByteReader cookie(head.subspan(family_head_bytes - 4, 4));
    return cookie.u32() == magic_cookie_v4 ? Family::v4 : Family::v6;
}

bool begins_as_tls(ByteView octets) {
    constexpr std::uint8_t first_type = 20, last_type = 23, version = 3;
    return octets.size() >= 3 && octets[0] >= first_type && octets[0] <= last_type && octets[1] == version &&
           octets[2] <= 4;
}

StreamPrinter::StreamPrinter(Family family, std::ostream& out, std::function<void()> before)
    : family_(family),
      frames_(family == Family::v4 ? header_bytes_v4 : header_bytes_v6),
      out_(out),
      before_(std::move(before)) {}

void StreamPrinter::take(ByteView octets) {
    while (!octets.empty() && !frames_.bad_length() && !secured_) {
        if (asked_for_tls_ && frames_.pending() == 0) {
            secured_ = begins_as_tls(octets);
            if (secured_) return;
        }
        const auto wanted = until_message_ends(octets);
        const auto part = octets.first(std::min({octets.size(), wanted, frames_.space()}));
        message_left_ = wanted - part.size();
        length_begins_with_ = octets[0];
        frames_.append(part);
        octets = octets.subspan(part.size());
        while (const auto message = frames_.next())
            print(*message);
    }
}

/// What follows the message may be TLS, and is not to be taken for a length. `octets` are not empty.
std::size_t StreamPrinter::until_message_ends(ByteView octets) const {
    if (frames_.pending() == 0)
        return octets.size() < 2 ? std::size_t{1} : std::size_t{2} + (std::size_t{octets[0]} << 8U | octets[1]);
    if (frames_.pending() == 1) return std::size_t{1} + (std::size_t{length_begins_with_} << 8U | octets[0]);
    return message_left_;
}

void StreamPrinter::miss(std::size_t octets) {
    missing_ += octets;
}

int StreamPrinter::finish(const std::string& suspicion) {
    const int code = say_the_end();
    if (!any_read_ && !suspicion.empty()) out_ << "it seems to be " << suspicion << '\n';
    return code;
}

int StreamPrinter::say_the_end() {
    if (secured_) {
        out_ << "TLS from octet " << offset_ << " on: what it says cannot be read here\n";
        return exit_fine;
    }
    if (const auto length = frames_.bad_length()) {
        out_ << "framing lost at octet " << offset_ << ": a message of " << *length << " octets, and "
             << to_string(family_) << " has none below " << (family_ == Family::v4 ? header_bytes_v4 : header_bytes_v6)
             << "; is this one direction of a " << to_string(family_) << " TCP stream? (--family)\n";
        return exit_found_wrong;
    }
    if (missing_ > 0) {
        out_ << missing_ << " octets or more after octet " << offset_ + frames_.pending()
             << " are not in the capture, and nothing can be made of what follows\n";
        return exit_found_wrong;
    }
    if (frames_.pending() > 0) {
        out_ << "the stream breaks off at octet " << offset_ + frames_.pending() << ", inside message " << number_ + 1
             << " that begins at octet " << offset_ << '\n';
        return exit_found_wrong;
    }
    if (number_ == 0) out_ << "no messages: the stream is empty\n";
    return exit_fine;
}

void StreamPrinter::print(ByteView message) {
    ++number_;
    if (before_) before_();
    out_ << "message " << number_ << ", octet " << offset_ << ", " << message.size() << " octets: ";
    const auto say = [&](const auto& decoded, int xid_digits) {
        if (!decoded) {
            out_ << malformed(message, decoded.error());
            return;
        }
        any_read_ = true;
        asked_for_tls_ = asks_for_tls(*decoded);
        out_ << line_and_outline(*decoded, xid_digits);
    };
    if (family_ == Family::v4)
        say(decode_v4(message, scratch_v4_), 8);
    else
        say(decode_v6(message, scratch_v6_), 6);
    offset_ += 2 + message.size();
}

bool StreamPrinter::is_leasequery(Family family, ByteView message) {
    if (family == Family::v4) {
        ScratchV4 scratch;
        const auto decoded = decode_v4(message, scratch);
        return decoded && is_of_leasequery(decoded->type);
    }
    ScratchV6 scratch;
    const auto decoded = decode_v6(message, scratch);
    return decoded && is_of_leasequery(decoded->type);
}

bool StreamPrinter::print_datagram(Family family, ByteView message, std::ostream& out,
                                   const std::function<void()>& before) {
    if (family == Family::v4) {
        ScratchV4 scratch;
        return print_alone(decode_v4(message, scratch), message.size(), 8, out, before);
    }
    ScratchV6 scratch;
    return print_alone(decode_v6(message, scratch), message.size(), 6, out, before);
}

}  // namespace leasemirror
