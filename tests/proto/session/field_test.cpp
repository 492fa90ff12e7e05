// Answers that servers in the field give (tests/golden/field), from the octets to what is stored.
#include "proto/session/bulk.hpp"
#include "tests/golden/hex.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace leasemirror {
namespace {

using golden::hex;
using test::address;
using test::Asked;
using test::BulkTalk;
using test::settings_for;

constexpr std::int64_t base = 1795600000;

/// What a bulk session asks for when it hears the answer in the file.
Asked heard(const std::string& name, std::vector<std::uint16_t> request_options = {}) {
    std::ifstream file(LEASEMIRROR_GOLDEN_DIR "/field/" + name + ".hex");
    REQUIRE(file);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto family = name.starts_with("v4") ? Family::v4 : Family::v6;
    auto settings = settings_for(family);
    settings.first_xid = 1;
    settings.request_options = std::move(request_options);
    if (family == Family::v6) settings.requestor_duid = hex("0003 0001 020000000002");
    BulkTalk talk(settings);
    CHECK(talk.asks(family) == "send");
    (void)talk.hears(hex(text));
    CHECK(talk.all.words.ends_with("complete"));
    for (const auto& b : talk.all.bindings) {
        CHECK(b.in_force());
        CHECK(b.base_time == server_time_from_unix(base));
        CHECK(b.expires_at == server_time_from_unix(base + 3600));
        CHECK(b.client_last_seen == server_time_from_unix(base - 60));
    }
    return talk.all;
}

}  // namespace

TEST_CASE("a hardware address that does not fit into the header is none, and the lease is good") {
    const auto out = heard("v4-long-hlen");
    CHECK(out.quarantined.empty());
    REQUIRE(out.bindings.size() == 2);
    CHECK(out.bindings[0].key.address == address("192.0.2.1"));
    CHECK(out.bindings[0].hw_addr.empty());
    CHECK_FALSE(out.bindings[0].hw_type);
    CHECK(out.bindings[0].client_id.size() == 21);
    CHECK(out.bindings[1].hw_addr == hex("02005e100001"));
}

TEST_CASE("a pad octet and an empty sub-option in option 82 cost nothing") {
    const auto out = heard("v4-pad-behind-suboptions");
    CHECK(out.quarantined.empty());
    REQUIRE(out.bindings.size() == 2);
    for (const auto& b : out.bindings) {
        CHECK(b.circuit_id == hex("\"eth0\""));
        CHECK(b.remote_id == hex("\"host\""));
        CHECK_FALSE(b.link_address);
    }
}

TEST_CASE("of a renewal time that comes twice the first counts") {
    const auto out = heard("v4-renewal-time-twice");
    CHECK(out.quarantined.empty());
    REQUIRE(out.bindings.size() == 2);
    for (const auto& b : out.bindings)
        CHECK(b.renew_at == server_time_from_unix(base + 1800));
}

TEST_CASE("a dot inside a label makes another name than a dot between two") {
    const auto out = heard("v6-label-with-dot");
    CHECK(out.quarantined.empty());
    REQUIRE(out.bindings.size() == 2);
    CHECK(out.bindings[0].hostname == R"(host\.prod.lan)");
    CHECK(out.bindings[1].hostname == "host.prod.lan");
}

TEST_CASE("one odd option of a relay costs itself, and sends its message to quarantine") {
    const auto out = heard("v6-odd-relay-option");
    REQUIRE(out.quarantined.size() == 2);
    for (const auto& q : out.quarantined)
        CHECK_FALSE(q.lease_lost);
    REQUIRE(out.bindings.size() == 2);
    for (const auto& b : out.bindings) {
        CHECK(b.link_address == address("2001:db8:1::"));
        CHECK(b.circuit_id == hex("\"ge-0/0/1.100\""));
        CHECK(b.remote_id.empty());
        CHECK(b.relay_id.empty());
    }
}

TEST_CASE("every instance of an option that was asked for is kept, in its order") {
    const auto out = heard("v6-option-instances", {17});
    CHECK(out.quarantined.empty());
    REQUIRE(out.bindings.size() == 1);
    CHECK(out.bindings[0].options == hex("0011 0009 00000009 0001000161 0011 0009 00000137 0001000162"));
}

}  // namespace leasemirror
