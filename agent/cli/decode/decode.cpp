#include "agent/cli/decode/decode.hpp"

#include "agent/cli/decode/capture.hpp"
#include "agent/cli/decode/stream_printer.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/values.hpp"
#include "proto/wire/frame_buffer.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <system_error>

namespace leasemirror {
namespace {

Bytes read_some(std::istream& in, std::size_t bytes_max) {
    Bytes out(bytes_max);
    in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(bytes_max));
    out.resize(static_cast<std::size_t>(in.gcount()));
    return out;
}

/// What it seems to be, where it is no leasequery stream at all; else empty.
std::string seems_to_be(ByteView head) {
    const auto text = as_text(head);
    const auto begins = [&](std::string_view magic) { return text.starts_with(magic); };
    using namespace std::string_view_literals;
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

/// What is left of `in`, after what was read of it, as a file.
std::FILE* as_file(ByteView head, std::istream& in) {
    auto* const file = std::tmpfile();
    if (file == nullptr) return nullptr;
    for (Bytes octets(head.begin(), head.end()); !octets.empty(); octets = read_some(in, FrameBuffer::read_bytes_max))
        if (std::fwrite(octets.data(), 1, octets.size(), file) != octets.size()) {
            (void)std::fclose(file);
            return nullptr;
        }
    std::rewind(file);
    return file;
}

}  // namespace

int decode_stream(std::istream& in, std::optional<Family> family, std::ostream& out, std::ostream& err) {
    auto octets = read_some(in, family_head_bytes);
    if (begins_as_capture(octets)) {
        if (auto* const file = as_file(octets, in)) return decode_capture(file, family, out, err);
        err << "leasemirror decode: no room for a copy of the capture: " << std::generic_category().message(errno)
            << '\n';
        return exit_found_wrong;
    }
    StreamPrinter printer(family.value_or(detect_family(octets)), out);
    const auto suspicion = seems_to_be(octets);
    while (!octets.empty() && !printer.lost() && !printer.is_secured()) {
        printer.take(octets);
        octets = read_some(in, FrameBuffer::read_bytes_max);
    }
    return printer.finish(suspicion);
}

int execute(const DecodeCommand& command, std::ostream& out, std::ostream& err) {
    if (command.file == "-") return decode_stream(std::cin, command.family, out, err);
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
    return decode_stream(in, command.family, out, err);
}

}  // namespace leasemirror
