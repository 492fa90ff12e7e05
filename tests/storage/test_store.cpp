#include "tests/storage/test_store.hpp"

#include "storage/opening.hpp"

#include <doctest/doctest.h>
#include <exception>

namespace leasemirror::testing {

Fixture::Fixture(const EngineFactory& factory, std::vector<std::string> servers)
    : engine(factory.make()), settings(engine->settings()), now(utc(1000)) {
    for (auto& name : servers)
        specs.push_back({std::move(name), Family::v4, "192.0.2.1 port 67"});
    reopen();
}

Fixture::~Fixture() {
    if (check.skip || std::uncaught_exceptions() > 0) return;
    try {
        check_history();
    } catch (const std::exception& e) {
        FAIL_CHECK(std::string(e.what()));
    }
}

void Fixture::check_history() const {
    for (const auto& fault : faults_of_history(*engine, check))
        FAIL_CHECK(fault);
}

void Fixture::reopen() {
    store.reset();
    store = open_store(settings);
    resume = store->open_servers(specs, "test");
}

Batch Fixture::batch(std::vector<Change> changes, std::size_t index) const {
    Batch out;
    out.server = resume.at(index).id;
    out.now = now;
    for (auto& change : changes)
        out.changes.push_back(std::move(change));
    return out;
}

std::vector<std::string> Fixture::states() const {
    return engine->rows(
        "SELECT host(address) || ' ' || state || coalesce(' ' || end_reason, '') FROM binding "
        "ORDER BY server_id, sortable(address), prefix_len");
}

std::vector<std::string> Fixture::doubts() const {
    return engine->rows(
        "SELECT host(address) || ' ' || doubt FROM binding WHERE doubt IS NOT NULL "
        "ORDER BY server_id, sortable(address), prefix_len, vpn_id");
}

std::int64_t Fixture::counted() const {
    CHECK(engine->rows("SELECT s.bindings FROM server s ORDER BY server_id") ==
          engine->rows("SELECT (SELECT count(*) FROM binding b WHERE b.server_id = s.server_id AND state = 'active') "
                       "FROM server s ORDER BY server_id"));
    return std::stoll(engine->value("SELECT sum(bindings) FROM server"));
}

StoreFault Fixture::fault_of(const std::function<void()>& work, std::string* what) const {
    try {
        work();
    } catch (const StoreError& e) {
        if (what != nullptr) *what = e.what();
        return e.fault();
    }
    FAIL("no StoreError");
    return {};
}

UtcSeconds utc(std::int64_t seconds) {
    return UtcSeconds{std::chrono::seconds{test_epoch + seconds}};
}
ServerTime at(std::int64_t seconds) {
    return server_time_from_unix(test_epoch + seconds);
}

Bytes id(std::string_view text) {
    return {text.begin(), text.end()};
}

Change told(const std::string& address, std::int64_t base) {
    Change out;
    const auto slash = address.find('/');
    out.binding.key.address = IpAddress::parse(address.substr(0, slash)).value();
    const bool v6 = out.binding.key.address.family() == Family::v6;
    out.binding.key.prefix_len = v6 ? 128 : 32;
    if (slash != std::string::npos) {
        out.binding.key.kind = BindingKind::prefix;
        out.binding.key.prefix_len = static_cast<std::uint8_t>(std::stoi(address.substr(slash + 1)));
    }
    out.binding.client_id = id("client of " + address);
    out.binding.base_time = at(base);
    out.binding.via = Via::active;
    return out;
}
Change told(const std::string& address, std::int64_t base, BindingState state) {
    auto out = told(address, base);
    out.binding.state = state;
    return out;
}
Change listed(const std::string& address, std::int64_t base, std::uint64_t run, std::uint32_t scope) {
    auto out = told(address, base);
    out.binding.via = Via::bulk;
    out.run = run;
    out.scope = scope;
    return out;
}

Change list_end(std::string_view client, const std::string& link, std::int64_t base, std::uint32_t count) {
    Change out;
    out.kind = Change::Kind::client_list_end;
    out.listed = count;
    out.binding.client_id = id(client);
    if (!link.empty()) out.binding.link_address = IpAddress::parse(link).value();
    out.binding.base_time = at(base);
    out.binding.via = Via::active;
    return out;
}

GapChange open_gap(std::uint64_t number, std::int64_t from, std::int64_t to) {
    GapChange out;
    out.gap = {number, at(from), at(to), "data missing"};
    return out;
}

GapChange close_gap(std::uint64_t number, std::uint64_t recovered) {
    GapChange out;
    out.kind = GapChange::Kind::close;
    out.gap.number = number;
    out.outcome = "recovered";
    out.recovered = recovered;
    return out;
}

Reconcile everything(std::uint64_t run, std::int64_t listed_from) {
    Reconcile out;
    out.run = run;
    out.listed_from = at(listed_from);
    out.everything = true;
    return out;
}

}  // namespace leasemirror::testing
