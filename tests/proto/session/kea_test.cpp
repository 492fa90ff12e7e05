// The streams that ISC Kea 3.3.1 sent (tests/golden/kea/README.md), played to a BulkSession: one query after the other on
// one connection, with the transaction-ids that the session uses.
#include "tests/proto/session/script.hpp"

#include "proto/wire/frame_buffer.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

namespace leasemirror {
namespace {

using nlohmann::json;
using test::BulkTalk;

const std::filesystem::path folder = std::filesystem::path(LEASEMIRROR_GOLDEN_DIR) / "kea";

Bytes read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    REQUIRE(in);
    return Bytes(std::istreambuf_iterator<char>(in), {});
}

/// Where the transaction-id stands in a framed message.
void set_xid(Bytes& framed, Family family, std::uint32_t id) {
    if (family == Family::v4) {
        ByteWriter(std::span(framed).subspan(2 + 4)).u32(id);
    } else {
        ByteWriter(std::span(framed).subspan(2 + 1)).u24(id);
    }
}
std::uint32_t xid_of(ByteView message, Family family) {
    return family == Family::v4 ? ByteReader(message.subspan(4)).u32() : ByteReader(message.subspan(1)).u24();
}

struct Capture {
    Family family = Family::v4;
    json told;
    std::vector<std::uint32_t> xids;                 // in the order of the queries
    std::map<std::uint32_t, std::vector<Bytes>> by;  // the framed replies to each
    Bytes requestor_duid;
};

std::vector<Bytes> frames(const Bytes& stream, Family family) {
    FrameBuffer buffer(family == Family::v4 ? header_bytes_v4 : header_bytes_v6);
    std::vector<Bytes> out;
    for (std::size_t at = 0; at < stream.size();) {
        const auto room = std::min(buffer.space(), stream.size() - at);
        buffer.append(ByteView(stream).subspan(at, room));
        at += room;
        while (const auto message = buffer.next()) {
            auto& framed = out.emplace_back(2);
            ByteWriter(framed).u16(static_cast<std::uint16_t>(message->size()));
            framed.insert(framed.end(), message->begin(), message->end());
        }
    }
    return out;
}

Capture read_capture(const std::filesystem::path& file) {
    Capture out;
    out.told = json::parse(std::ifstream(file));
    out.family = out.told["family"] == 4 ? Family::v4 : Family::v6;
    auto path = file;
    for (const auto& request : frames(read_file(path.replace_extension(".req.bin")), out.family)) {
        const auto message = ByteView(request).subspan(2);
        out.xids.push_back(xid_of(message, out.family));
        if (out.family == Family::v4) continue;
        ScratchV6 scratch;
        if (const auto decoded = decode_v6(message, scratch); decoded && !decoded->client_id.empty())
            out.requestor_duid.assign(decoded->client_id.begin(), decoded->client_id.end());
    }
    for (auto& reply : frames(read_file(path.replace_extension().replace_extension(".bin")), out.family))
        out.by[xid_of(ByteView(reply).subspan(2), out.family)].push_back(std::move(reply));
    return out;
}

/// "complete", or the status that the README says.
std::string expected_end(const std::string& name) {
    if (name == "v4-all-refused") return "failed NotAllowed";
    if (name == "v4-malformed-multi") return "failed MalformedQuery";
    if (name == "v6-qtype-unknown") return "failed UnknownQueryType";
    return "complete";
}

TEST_CASE("every stream that Kea sent is delivered whole, and ends as it ended there") {
    std::size_t streams = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
        if (file.path().extension() != ".json") continue;
        ++streams;
        const auto name = file.path().stem().string();
        CAPTURE(name);
        auto capture = read_capture(file.path());
        auto settings = test::settings_for(capture.family);
        settings.requestor_duid = capture.requestor_duid;
        BulkTalk talk(settings);
        auto id = test::xid;
        for (const auto asked : capture.xids) {
            REQUIRE(talk.asks(capture.family) == "send");
            Bytes stream;
            for (auto& reply : capture.by[asked]) {
                set_xid(reply, capture.family, id);
                stream.insert(stream.end(), reply.begin(), reply.end());
            }
            ++id;
            if (capture.told["end"] == "eof") {
                CHECK(stream.empty());
                CHECK(talk.loses_its_peer() == "close refused silently");
                continue;
            }
            const auto words = talk.hears(stream, 1000);
            CHECK(words.ends_with("; " + expected_end(name)));
            CHECK(talk.session.state() == BulkState::idle);
        }
        CHECK(talk.all.bindings.size() == capture.told["bindings"].size());
        CHECK(talk.all.quarantined.empty());
    }
    CHECK(streams == 16);
}

TEST_CASE("a stream of Kea that breaks off is closed after all that was whole") {
    const auto capture = read_capture(folder / "v6-link-1.json");
    auto settings = test::settings_for(Family::v6);
    settings.requestor_duid = capture.requestor_duid;
    BulkTalk talk(settings);
    REQUIRE(talk.asks(Family::v6) == "send");
    std::size_t whole = 0;
    for (auto reply : capture.by.at(capture.xids.at(0))) {
        set_xid(reply, Family::v6, test::xid);
        if (++whole == 11) {
            (void)talk.hears(ByteView(reply).first(reply.size() / 2));
            break;
        }
        (void)talk.hears(reply);
    }
    CHECK(talk.loses_its_peer() == "close peer closed");
    CHECK(talk.all.bindings.size() == 10);
}

}  // namespace
}  // namespace leasemirror
