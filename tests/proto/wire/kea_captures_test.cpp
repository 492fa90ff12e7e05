// Every stream that ISC Kea 3.3.1 sent (tests/golden/kea/README.md), message by message: what we decode must be what
// the independent decoder of the capture wrote down, and what we record must be the lease row behind it in Kea.
#include "proto/wire/fill_binding.hpp"
#include "proto/wire/frame_buffer.hpp"
#include "tests/golden/hex.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <utility>

namespace leasemirror {
namespace {

using nlohmann::json;

const std::filesystem::path folder = std::filesystem::path(LEASEMIRROR_GOLDEN_DIR) / "kea";

struct Capture {
    std::string name;
    json told;
    Bytes replies;
    Bytes requests;
};

Bytes read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    REQUIRE(in);
    return Bytes(std::istreambuf_iterator<char>(in), {});
}

std::vector<Capture> captures(int family) {
    std::vector<Capture> out;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
        if (file.path().extension() != ".json") continue;
        auto told = json::parse(std::ifstream(file.path()));
        if (told["family"] != family) continue;
        auto replies = file.path();
        auto requests = file.path();
        out.push_back({file.path().stem(), std::move(told), read_file(replies.replace_extension(".bin")),
                       read_file(requests.replace_extension(".req.bin"))});
    }
    std::sort(out.begin(), out.end(), [](const Capture& a, const Capture& b) { return a.name < b.name; });
    REQUIRE(out.size() == 8);
    return out;
}

/// Messages of a stream, fed in pieces of `step` octets.
std::vector<Bytes> messages(ByteView stream, std::size_t header_bytes, std::size_t step) {
    std::vector<Bytes> out;
    FrameBuffer frames(header_bytes);
    for (std::size_t at = 0; at < stream.size(); at += step) {
        frames.append(stream.subspan(at, std::min(step, stream.size() - at)));
        while (const auto message = frames.next())
            out.emplace_back(message->begin(), message->end());
    }
    CHECK_FALSE(frames.bad_length());
    CHECK(frames.pending() == 0);
    return out;
}

/// "01:02" or "0x0102" or "0102", in either case, as lower-case digits.
std::string digits(std::string text) {
    if (text.starts_with("0x")) text.erase(0, 2);
    std::erase(text, ':');
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

/// The capture's form of an option: an object with one entry.
std::pair<std::string, json> only_entry(const json& option) {
    REQUIRE(option.size() == 1);
    return {option.begin().key(), option.begin().value()};
}

bool within_a_second(const std::optional<ServerTime>& ours, std::int64_t theirs) {
    return ours && std::llabs(unix_seconds(*ours) - theirs) <= 1;
}

constexpr std::int64_t infinite = 0xffffffff;

/// A lease whose last transaction lies in the future goes out as one of this very moment, its lifetime unreduced
/// by Kea 3.3.1: that is all that the wire can say.
std::int64_t last_seen(const json& row, ServerTime base) {
    return std::min(row["cltt"].get<std::int64_t>(), unix_seconds(base));
}

// ---- v4 ----

const std::map<std::string, MessageTypeV4> types_v4{{"LEASEACTIVE", MessageTypeV4::lease_active},
                                                    {"LEASEQUERYDONE", MessageTypeV4::lease_query_done}};

std::string option_digits(const MessageV4& m, unsigned code) {
    for (const auto& option : m.options)
        if (option.code == code) return to_hex(option.data);
    return "absent";
}

void check_option_v4(const MessageV4& m, const std::string& code, const json& value) {
    CAPTURE(code);
    if (code == "51")
        CHECK(m.lease_time == value.get<std::uint32_t>());
    else if (code == "54")
        CHECK(m.server_identifier->to_string() == value.get<std::string>());
    else if (code == "58")
        CHECK(m.renewal_time == value.get<std::uint32_t>());
    else if (code == "59")
        CHECK(m.rebinding_time == value.get<std::uint32_t>());
    else if (code == "91")
        CHECK(m.client_last_transaction_age == value.get<std::uint32_t>());
    else if (code == "152")
        CHECK(unix_seconds(*m.base_time) == value.get<std::int64_t>());
    else if (code == "151")
        CHECK((m.status->number == value[0].get<unsigned>() && m.status->text == value[1].get<std::string>()));
    else
        CHECK(option_digits(m, static_cast<unsigned>(std::stoul(code))) == value.get<std::string>());
}

void check_decoded_v4(const MessageV4& m, const json& told) {
    CHECK(m.op == told["op"]);
    CHECK(m.htype == told["htype"]);
    CHECK(m.hlen == told["hlen"]);
    CHECK(m.xid == told["xid"]);
    CHECK(m.ciaddr.to_string() == told["ciaddr"]);
    CHECK(m.giaddr.to_string() == told["giaddr"]);
    CHECK(to_hex(m.chaddr, ':') == told["chaddr"]);
    CHECK(m.type == types_v4.at(told["type"]));
    // The capture lists the pieces of a split option one by one: join them before comparing (RFC 3396 §7).
    std::map<std::string, json> joined;
    for (const auto& option : told["opts"]) {
        if (!option.is_object()) continue;
        const auto [code, value] = only_entry(option);
        if (joined.contains(code))
            joined[code] = joined[code].get<std::string>() + value.get<std::string>();
        else
            joined[code] = value;
    }
    CHECK(m.options.size() == joined.size() + 1);
    for (const auto& [code, value] : joined)
        check_option_v4(m, code, value);
}

void check_row_v4(const Binding& b, const json& row) {
    CHECK(b.key.address.to_string() == row["address"]);
    CHECK(b.state == BindingState::active);
    CHECK(to_hex(b.client_id, ':') == row.value("client_id", ""));
    const auto hw_addr = row.value("hwaddr", "");
    CHECK(to_hex(b.hw_addr, ':') == (hw_addr.size() > 16 * 3 - 1 ? "" : hw_addr));
    CHECK(b.hw_type.has_value() == !b.hw_addr.empty());
    const auto cltt = last_seen(row, b.base_time);
    CHECK(within_a_second(b.client_last_seen, cltt));
    const auto lifetime = row["valid_lifetime"].get<std::int64_t>();
    if (lifetime == infinite)
        CHECK_FALSE(b.expires_at);
    else
        CHECK(within_a_second(b.expires_at, cltt + lifetime));
    const auto context = row.value("user_context", json());
    if (!context.is_object() || !context.contains("ISC")) return;
    const auto& relay = context["ISC"]["relay-agent-info"];
    if (!relay.is_object()) return;  // an older form of Kea's: one string, without its parts
    const auto field = [&](const char* name) { return digits(relay.value(name, "")); };
    CHECK(to_hex(b.relay_id) == field("relay-id"));
    CHECK(to_hex(b.remote_id) == field("remote-id"));
    // Sub-option 1 comes first where it is there at all.
    const auto sub_options = field("sub-options");
    if (sub_options.starts_with("01"))
        CHECK(to_hex(b.circuit_id) == sub_options.substr(4, std::stoul(sub_options.substr(2, 2), nullptr, 16) * 2));
}

// ---- v6 ----

const std::map<std::string, MessageTypeV6> types_v6{{"LEASEQUERY-REPLY", MessageTypeV6::lease_query_reply},
                                                    {"LEASEQUERY-DATA", MessageTypeV6::lease_query_data},
                                                    {"LEASEQUERY-DONE", MessageTypeV6::lease_query_done}};

void check_lease_v6(const LeaseV6& lease, const json& told) {
    const auto prefix = lease.kind == BindingKind::prefix ? "/" + std::to_string(lease.prefix_len) : "";
    CHECK(lease.address.to_string() + prefix == told[0].get<std::string>());
    CHECK(lease.preferred == told[2].get<std::uint32_t>());
    CHECK(lease.valid == told[4].get<std::uint32_t>());
}

void check_client_v6(const ClientDataV6& client, const json& told) {
    CHECK(client.options.size() == told.size());
    for (const auto& option : told) {
        const auto entry = only_entry(option);
        const auto& name = entry.first;
        const auto& value = entry.second;
        CAPTURE(name);
        if (name == "CLIENTID") CHECK(to_hex(client.client_id) == value.get<std::string>());
        if (name == "CLT_TIME") CHECK(client.client_last_transaction_age == value.get<std::uint32_t>());
        if (name == "IAADDR" || name == "IAPREFIX") {
            REQUIRE(client.leases.size() == 1);
            CHECK((client.leases[0].kind == BindingKind::prefix) == (name == "IAPREFIX"));
            check_lease_v6(client.leases[0], value);
        }
        if (name == "LQ_RELAY_DATA") {
            const auto relay = decode_relay_data(client.relay_data);
            REQUIRE(relay);
            CHECK(relay->peer_address.to_string() == value["peer"].get<std::string>());
        }
    }
}

void check_decoded_v6(const MessageV6& m, const json& told) {
    CHECK(m.type == types_v6.at(told["type"]));
    CHECK(m.xid == told["xid"]);
    CHECK(m.faults.empty());
    CHECK(m.options.size() == told["opts"].size());
    for (const auto& option : told["opts"]) {
        const auto entry = only_entry(option);
        const auto& name = entry.first;
        const auto& value = entry.second;
        CAPTURE(name);
        if (name == "CLIENTID") CHECK(to_hex(m.client_id) == value.get<std::string>());
        if (name == "SERVERID") CHECK(to_hex(m.server_id) == value.get<std::string>());
        if (name == "STATUS")
            CHECK((m.status->number == value[0].get<unsigned>() && m.status->text == value[1].get<std::string>()));
        if (name == "CLIENT_DATA") {
            REQUIRE(m.client_data.size() == 1);
            check_client_v6(m.client_data[0], value);
        }
    }
}

/// Kea lists the relays outermost first; of what several say, the one nearest to the client counts.
void check_relays_v6(const Binding& b, const json& row) {
    const auto context = row.value("user_context", json());
    if (!context.is_object() || !context.contains("ISC") || !context["ISC"].contains("relay-info")) return;
    auto relays = context["ISC"]["relay-info"];
    std::reverse(relays.begin(), relays.end());
    const auto nearest = [&](const char* field) {
        for (const auto& relay : relays)
            if (relay.contains(field)) return digits(relay[field].get<std::string>());
        return std::string();
    };
    CHECK(to_hex(b.relay_id) == nearest("relay-id"));
    CHECK(to_hex(b.remote_id) == nearest("remote-id"));
    CHECK(b.relay_address->to_string() == relays.back()["peer"].get<std::string>());
    std::string link;
    for (const auto& relay : relays)
        if (link.empty() && relay["link"] != "::") link = relay["link"];
    CHECK((b.link_address ? b.link_address->to_string() : "") == link);
    for (const auto& relay : relays) {
        const auto options = digits(relay.value("options", ""));
        if (!options.starts_with("0012")) continue;
        CHECK(to_hex(b.circuit_id) == options.substr(8, std::stoul(options.substr(4, 4), nullptr, 16) * 2));
        break;
    }
}

/// Kea's rows count from their own time; without a base-time ours count from when the capture was made.
void check_row_v6(const Binding& b, const json& row) {
    CHECK(b.key.address.to_string() == row["address"]);
    CHECK(b.key.prefix_len == row["prefix_len"]);
    CHECK((b.key.kind == BindingKind::prefix) == (row["lease_type"] == 2));
    CHECK(b.state == BindingState::active);
    CHECK(to_hex(b.client_id, ':') == row["duid"]);
    const auto cltt = last_seen(row, b.base_time);
    CHECK(within_a_second(b.client_last_seen, cltt));
    const auto valid = row["valid_lifetime"].get<std::int64_t>();
    const auto preferred = row["pref_lifetime"].get<std::int64_t>();
    if (valid == infinite)
        CHECK_FALSE(b.expires_at);
    else
        CHECK(within_a_second(b.expires_at, cltt + valid));
    if (preferred == infinite) {
        CHECK(b.preferred_until == b.expires_at);
    } else if (cltt + preferred > unix_seconds(b.base_time)) {
        CHECK(within_a_second(b.preferred_until, cltt + preferred));
    } else {
        REQUIRE(b.preferred_until);  // it has run out, and Kea sends it unreduced or as 0: only the bounds are known
        CHECK(*b.preferred_until >= b.base_time);
        if (b.expires_at) CHECK(*b.preferred_until <= *b.expires_at);
    }
    check_relays_v6(b, row);
}

}  // namespace

TEST_CASE("every v4 message that Kea sent decodes to what the capture says, and to the lease row behind it") {
    for (const auto& capture : captures(4)) {
        CAPTURE(capture.name);
        const auto stream = messages(capture.replies, header_bytes_v4, 4096);
        REQUIRE(stream.size() == capture.told["messages"].get<std::size_t>());
        std::map<std::size_t, json> rows;
        for (const auto& binding : capture.told["bindings"])
            rows[binding["msg"]] = binding["row"];
        ScratchV4 scratch;
        std::size_t bindings = 0;
        for (std::size_t i = 0; i < stream.size(); ++i) {
            CAPTURE(i);
            const auto m = decode_v4(stream[i], scratch);
            REQUIRE(m);
            check_decoded_v4(*m, capture.told["decoded"][i]);
            if (m->type != MessageTypeV4::lease_active) continue;
            Binding b;
            std::optional<DecodeError> relay_fault;
            REQUIRE_FALSE(fill_binding(*m, {}, b, relay_fault));
            CHECK_FALSE(relay_fault);
            REQUIRE(rows.contains(i));
            check_row_v4(b, rows[i]);
            ++bindings;
        }
        CHECK(bindings == rows.size());
    }
}

TEST_CASE("every v6 message that Kea sent decodes to what the capture says, and to the lease row behind it") {
    for (const auto& capture : captures(6)) {
        CAPTURE(capture.name);
        const auto stream = messages(capture.replies, header_bytes_v6, 4096);
        REQUIRE(stream.size() == capture.told["messages"].get<std::size_t>());
        std::map<std::size_t, json> rows;
        for (const auto& binding : capture.told["bindings"])
            rows[binding["msg"]] = binding["row"];
        const auto taken_at =
            server_time_from_unix(static_cast<std::int64_t>(capture.told["captured_at"][0].get<double>()));
        ScratchV6 scratch;
        std::size_t bindings = 0;
        for (std::size_t i = 0; i < stream.size(); ++i) {
            CAPTURE(i);
            const auto m = decode_v6(stream[i], scratch);
            REQUIRE(m);
            check_decoded_v6(*m, capture.told["decoded"][i]);
            for (const auto& client : m->client_data)
                for (const auto& lease : client.leases) {
                    Binding b;
                    std::optional<DecodeError> relay_fault;
                    REQUIRE_FALSE(fill_binding(*m, client, lease, {taken_at, Via::bulk, {}}, b, relay_fault));
                    CHECK_FALSE(relay_fault);
                    REQUIRE(rows.contains(i));
                    check_row_v6(b, rows[i]);
                    ++bindings;
                }
        }
        CHECK(bindings == rows.size());
    }
}

TEST_CASE("Kea's streams come out the same one octet at a time") {
    for (const auto& capture : captures(4))
        CHECK(messages(capture.replies, header_bytes_v4, 1) == messages(capture.replies, header_bytes_v4, 65536));
    for (const auto& capture : captures(6))
        CHECK(messages(capture.replies, header_bytes_v6, 1) == messages(capture.replies, header_bytes_v6, 65536));
}

TEST_CASE("the queries that Kea was asked decode too") {
    ScratchV4 v4;
    for (const auto& capture : captures(4))
        for (const auto& message : messages(capture.requests, header_bytes_v4, 4096)) {
            const auto m = decode_v4(message, v4);
            REQUIRE(m);
            CHECK((m->type == MessageTypeV4::bulk_lease_query || m->type == MessageTypeV4::active_lease_query));
        }
    ScratchV6 v6;
    for (const auto& capture : captures(6))
        for (const auto& message : messages(capture.requests, header_bytes_v6, 4096)) {
            const auto m = decode_v6(message, v6);
            REQUIRE(m);
            CHECK((m->type == MessageTypeV6::start_tls || m->query.has_value()));
        }
}

}  // namespace leasemirror
