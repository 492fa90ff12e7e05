#include "agent/cli/decode/decode.hpp"

#include "agent/cli/decode/message_text.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/values.hpp"
#include "proto/binding.hpp"
#include "proto/wire/frame_buffer.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <system_error>

namespace leasemirror {
namespace {

/// Length, and the part of the first message that tells its family.
constexpr std::size_t head_bytes = 2 + header_bytes_v4;

Bytes read_some(std::istream& in, std::size_t bytes_max) {
    Bytes out(bytes_max);
    in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(bytes_max));
    out.resize(static_cast<std::size_t>(in.gcount()));
    return out;
}

/// By the magic cookie; of a capture too short to hold one, by the first octet, which is 1 or 2 in v4 and never in a
/// leasequery message of v6.
Family detect_family(ByteView head) {
    ByteReader in(head);
    const auto length = in.u16();
    const auto first = in.u8();
    if (head.size() < head_bytes) return in.ok() && length >= header_bytes_v4 && first <= 2 ? Family::v4 : Family::v6;
    ByteReader cookie(head.last(4));
    return cookie.u32() == magic_cookie_v4 ? Family::v4 : Family::v6;
}

std::string transaction_text(std::uint32_t xid, int digits) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        out += hex[xid >> shift & 0xfU];
    return "0x" + out;
}

/// What it seems to be, where it is no leasequery stream at all; else empty.
std::string seems_to_be(ByteView head) {
    const auto text = as_text(head);
    const auto begins = [&](std::string_view magic) { return text.starts_with(magic); };
    using namespace std::string_view_literals;
    // Either byte order, micro- and nanoseconds; pcapng.
    const auto captures = {"\xd4\xc3\xb2\xa1"sv, "\xa1\xb2\xc3\xd4"sv, "\x4d\x3c\xb2\xa1"sv, "\xa1\xb2\x3c\x4d"sv,
                           "\x0a\x0d\x0d\x0a"sv};
    if (std::any_of(captures.begin(), captures.end(), begins))
        return "a capture of packets (pcap); take the octets of one TCP direction out of it, with Wireshark's "
               "'Follow TCP Stream', saved as raw";
    if (begins("\x1f\x8b"sv)) return "compressed by gzip; unpack it first";
    if (begins("SQLite format 3"sv)) return "an SQLite database; 'leasemirror status' and 'who' read ours";
    const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
    const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ':'; };
    const auto is_text = [&](char c) { return (c >= ' ' && c <= '~') || is_space(c); };
    if (text.size() < 8 || !std::all_of(text.begin(), text.end(), is_text)) return {};
    if (std::all_of(text.begin(), text.end(), [&](char c) { return is_hex(c) || is_space(c); }))
        return "hex; 'xxd -r -p FILE > octets.bin' makes octets of it";
    return "text";
}

class StreamPrinter {
public:
    StreamPrinter(Family family, std::ostream& out)
        : family_(family), frames_(family == Family::v4 ? header_bytes_v4 : header_bytes_v6), out_(out) {}

    void take(ByteView octets) {
        while (!octets.empty() && !frames_.bad_length()) {
            const auto part = octets.first(std::min(octets.size(), frames_.space()));
            frames_.append(part);
            octets = octets.subspan(part.size());
            while (const auto message = frames_.next())
                print(*message);
        }
    }
    [[nodiscard]] bool lost() const { return frames_.bad_length().has_value(); }
    /// `suspicion`: what the stream seems to be instead, if none of its messages could be read.
    [[nodiscard]] int finish(const std::string& suspicion) {
        const int code = say_the_end();
        if (!any_read_ && !suspicion.empty()) out_ << "it seems to be " << suspicion << '\n';
        return code;
    }

private:
    [[nodiscard]] int say_the_end() {
        if (const auto length = frames_.bad_length()) {
            out_ << "framing lost at octet " << offset_ << ": a message of " << *length << " octets, and "
                 << to_string(family_) << " has none below "
                 << (family_ == Family::v4 ? header_bytes_v4 : header_bytes_v6) << "; is this one direction of a "
                 << to_string(family_) << " TCP stream? (--family)\n";
            return exit_found_wrong;
        }
        if (frames_.pending() > 0) {
            out_ << "the stream breaks off at octet " << offset_ + frames_.pending() << ", inside message "
                 << number_ + 1 << " that begins at octet " << offset_ << '\n';
            return exit_found_wrong;
        }
        if (number_ == 0) out_ << "no messages: the stream is empty\n";
        return exit_fine;
    }

    void print(ByteView message) {
        ++number_;
        if (family_ == Family::v4)
            print_decoded(message, decode_v4(message, scratch_v4_), 8);
        else
            print_decoded(message, decode_v6(message, scratch_v6_), 6);
        offset_ += 2 + message.size();
    }

    template <class Message>
    void print_decoded(ByteView message, const Result<Message, DecodeError>& decoded, int xid_digits) {
        out_ << "message " << number_ << ", octet " << offset_ << ", " << message.size() << " octets: ";
        TextOutline outline;
        if (decoded) {
            any_read_ = true;
            out_ << message_name(decoded->type) << " xid " << transaction_text(decoded->xid, xid_digits) << '\n';
            describe(*decoded, outline);
        } else {
            out_ << "malformed\n";
            outline.line("reason", to_string(decoded.error()));
            outline.line("octets", to_hex(message));
        }
        out_ << outline.text();
    }

    Family family_;
    FrameBuffer frames_;
    ScratchV4 scratch_v4_;
    ScratchV6 scratch_v6_;
    std::ostream& out_;
    std::size_t number_ = 0;
    std::size_t offset_ = 0;
    bool any_read_ = false;
};

}  // namespace

int decode_stream(std::istream& in, std::optional<Family> family, std::ostream& out) {
    auto octets = read_some(in, head_bytes);
    StreamPrinter printer(family.value_or(detect_family(octets)), out);
    const auto suspicion = seems_to_be(octets);
    while (!octets.empty() && !printer.lost()) {
        printer.take(octets);
        octets = read_some(in, FrameBuffer::read_bytes_max);
    }
    return printer.finish(suspicion);
}

int execute(const DecodeCommand& command, std::ostream& out, std::ostream& err) {
    if (command.file == "-") return decode_stream(std::cin, command.family, out);
    std::error_code fault;
    if (std::filesystem::is_directory(command.file, fault)) {
        err << "leasemirror decode: " << in_quotes(command.file) << " is a directory; expected a capture\n";
        return exit_usage;
    }
    std::ifstream in(command.file, std::ios::binary);
    if (!in) {
        err << "leasemirror decode: " << in_quotes(command.file)
            << " cannot be read: " << std::generic_category().message(errno) << '\n';
        return exit_usage;
    }
    return decode_stream(in, command.family, out);
}

}  // namespace leasemirror
