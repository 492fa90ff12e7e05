// Random lives of a few addresses, through everything that a store does to them: after each step the history must hold
// together, and every engine must tell the same one.
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>
#include <random>

using namespace leasemirror;
using namespace leasemirror::testing;
using namespace std::chrono_literals;
using Rows = std::vector<std::string>;

namespace {

/// What happens, drawn from one seed.
class Life {
public:
    explicit Life(std::uint64_t seed) : die_(seed) {}

    std::size_t up_to(std::size_t n) { return static_cast<std::size_t>(die_() % n); }
    bool one_in(std::size_t n) { return up_to(n) == 0; }

    Change change(std::int64_t now) {
        auto out = one_in(6) ? listing(now) : word(now);
        out.run = one_in(3) ? run : 0;
        out.scope = out.run != 0 ? static_cast<std::uint32_t>(1 + up_to(2)) : 0;
        return out;
    }

    std::uint64_t run = 1;

private:
    std::string client() { return std::string(1, static_cast<char>('A' + up_to(3))); }

    Change word(std::int64_t now) {
        static const char* const addresses[] = {"10.0.0.1",    "10.0.0.2",        "2001:db8::1",
                                                "2001:db8::2", "2001:db8:1::/48", "2001:db8:1::/56"};
        static const BindingState states[] = {BindingState::released, BindingState::available, BindingState::abandoned,
                                              BindingState::ended, BindingState::expired};
        auto out = told(addresses[up_to(6)], now - static_cast<std::int64_t>(up_to(20)));
        auto& binding = out.binding;
        binding.client_id = one_in(8) ? Bytes{} : id(client());
        if (one_in(3)) binding.state = states[up_to(5)];
        if (one_in(2)) binding.hw_addr = {2, static_cast<std::uint8_t>(up_to(3))};
        if (one_in(3)) binding.remote_id = id(client());
        if (one_in(3)) binding.relay_id = id(client());
        if (one_in(3)) binding.circuit_id = id(client());
        if (one_in(3)) binding.subscriber_id = id(client());
        if (one_in(3)) binding.hostname = client();
        if (one_in(2)) binding.expires_at = at(now - 5 + static_cast<std::int64_t>(up_to(40)));
        if (one_in(3)) binding.state_since = at(now - static_cast<std::int64_t>(up_to(60)));
        if (one_in(3)) binding.client_last_seen = at(now - static_cast<std::int64_t>(up_to(30)));
        if (one_in(4)) binding.hostname = client() + "|\"\\\x01";
        if (one_in(4)) binding.key.vpn_id = "ascii:red";
        if (one_in(3)) binding.link_address = IpAddress::parse("2001:db8:ff::").value();
        if (one_in(4)) binding.via = Via::bulk;
        out.late = one_in(5);
        if (one_in(3)) out.told_at = utc(now - static_cast<std::int64_t>(up_to(4)));
        return out;
    }

    Change listing(std::int64_t now) {
        static const Change::Kind kinds[] = {Change::Kind::sighting, Change::Kind::doubt, Change::Kind::absent};
        if (one_in(2)) {
            auto out = word(now);
            out.kind = kinds[up_to(3)];
            if (out.kind == Change::Kind::doubt || one_in(2)) out.doubt = Doubt::unreadable;
            return out;
        }
        auto out = list_end(client(), one_in(3) ? "" : "2001:db8:ff::", now, 0);
        if (one_in(2)) out.doubt = Doubt::unlisted;
        return out;
    }

    std::mt19937_64 die_;
};

/// One step of the agent's: mostly a batch, now and again housekeeping or a crash.
void step(Fixture& f, Life& life, std::int64_t now) {
    f.now = utc(now);
    if (life.one_in(10)) {
        f.store->sweep(f.now, 1000);  // all at once: in which order steps come by is the engine's own
        return;
    }
    if (life.one_in(20)) return f.reopen();
    const auto server = life.up_to(2);
    auto batch = f.batch({}, server);
    for (auto left = life.up_to(6); left > 0; --left)
        batch.changes.push_back(life.change(now));
    if (life.one_in(6)) batch.begin_run = ++life.run;
    if (life.one_in(15)) batch.fresh_start = true;
    if (life.one_in(6)) {
        batch.reconcile = everything(life.run, now - static_cast<std::int64_t>(life.up_to(30)));
        batch.reconcile->all_vpns = life.one_in(2);
        if (life.one_in(2)) {
            batch.reconcile->everything = false;
            batch.reconcile->scopes = {{1, {}, {}}, {0, {}, id("A")}};
            batch.reconcile->scopes[life.up_to(2)].unread = life.one_in(3);
        }
        batch.reconcile->unread = life.one_in(3);
        batch.reconcile->doubt_unreached = life.one_in(3);
    }
    batch.list_doubts = life.one_in(4);
    f.store->apply(batch);
    if (life.one_in(5)) f.store->apply(batch);
}

Rows dump(const Fixture& f) {
    auto out = f.engine->rows("SELECT name, doubts FROM server ORDER BY server_id");
    for (auto& row : f.doubts())
        out.push_back(std::move(row));
    const std::string key = "server_id, vpn_id, kind, host(address), prefix_len";
    for (auto& row : f.engine->rows("SELECT " + key +
                                    ", change, state, hex(client_id), epoch(expires_at), epoch(at), "
                                    "CAST(inferred AS INTEGER) FROM binding_change ORDER BY server_id, seq"))
        out.push_back(std::move(row));
    for (auto& row : f.engine->rows("SELECT " + key +
                                    ", hex(client_id), hw_addr, hex(remote_id), epoch(began_at), "
                                    "epoch(ended_at), end_reason, CAST(began_inferred AS INTEGER), "
                                    "CAST(ended_inferred AS INTEGER), hex(relay_id), hex(circuit_id), "
                                    "hex(subscriber_id), hostname FROM assignment ORDER BY assignment_id"))
        out.push_back(std::move(row));
    return out;
}

Rows live(const EngineFactory& factory, std::uint64_t seed, bool forgetful) {
    Fixture f(factory, {"east", "west"});
    f.settings.record_renewals = true;
    f.check.times = true;
    if (forgetful) {
        f.settings.retention = {20s, 100s, 40s};
        f.check.whole_feed = false;
        f.check.all_assignments = false;
    }
    f.reopen();
    Life life(seed);
    for (std::int64_t now = 1000; now < 1200; ++now) {
        CAPTURE(now);
        step(f, life, now);
        if (now % 20 == 0) f.check_history();
    }
    return dump(f);
}

}  // namespace

TEST_CASE("random histories hold together, and every engine tells the same one") {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        CAPTURE(seed);
        const auto first = live(engines().front(), seed, false);
        CHECK(first.size() > 50);
        for (std::size_t i = 1; i < engines().size(); ++i) {
            CAPTURE(engines()[i].name);
            const auto other = live(engines()[i], seed, false);
            REQUIRE(other.size() == first.size());
            for (std::size_t row = 0; row < first.size(); ++row)
                REQUIRE(other[row] == first[row]);
        }
    }
}

TEST_CASE("random histories hold together while what is past is removed") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        for (std::uint64_t seed = 101; seed <= 106; ++seed) {
            CAPTURE(seed);
            live(factory, seed, true);
        }
    }
}
