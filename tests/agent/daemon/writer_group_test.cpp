// Several writers as one (agent/daemon/writer_group.hpp).
#include "agent/daemon/writer_group.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace leasemirror;

namespace {

Writer::Opened opened(std::vector<ServerId> ids, Bytes duid = {}) {
    Writer::Opened out;
    for (const auto id : ids) {
        out.resume.emplace_back();
        out.resume.back().id = id;
    }
    out.requestor_duid = std::move(duid);
    return out;
}

Swept removed(std::uint64_t bindings, bool around) {
    Swept out;
    out.ended = 1;
    out.removed_bindings = bindings;
    out.around = around;
    return out;
}

}  // namespace

TEST_CASE("servers are spread over the writers in turn, and none has no server") {
    const WriterGroup group(3, 7);
    CHECK(group.size() == 3);
    const std::vector<int> servers{0, 1, 2, 3, 4, 5, 6};
    CHECK(group.part_of(0, servers) == std::vector<int>{0, 3, 6});
    CHECK(group.part_of(1, servers) == std::vector<int>{1, 4});
    CHECK(group.part_of(2, servers) == std::vector<int>{2, 5});
    for (const auto server : servers) {
        const auto part = group.part_of(group.writer_of(static_cast<std::size_t>(server)), servers);
        CHECK(std::find(part.begin(), part.end(), server) != part.end());
    }
    CHECK(WriterGroup(8, 2).size() == 2);
    CHECK(WriterGroup(0, 2).size() == 1);
    CHECK(WriterGroup(4, 0).size() == 1);
}

TEST_CASE("all begins when the last writer has opened its store, with the servers in their order") {
    WriterGroup group(2, 5);
    CHECK_FALSE(group.on_opened(1, opened({20, 40})));
    const auto all = group.on_opened(0, opened({10, 30, 50}, {0, 4}));
    REQUIRE(all);
    CHECK(all->requestor_duid == Bytes{0, 4});
    std::vector<ServerId> ids;
    for (const auto& point : all->resume)
        ids.push_back(point.id);
    CHECK(ids == std::vector<ServerId>{10, 20, 30, 40, 50});
}

TEST_CASE("a sweep is over when the last writer has swept, and around when each of them was since the last time") {
    WriterGroup group(2, 2);
    CHECK_FALSE(group.on_swept(0, removed(1, true)));
    auto all = group.on_swept(1, removed(2, false));
    REQUIRE(all);
    CHECK(all->ended == 2);
    CHECK(all->removed_bindings == 3);
    CHECK_FALSE(all->around);
    CHECK_FALSE(group.on_swept(1, removed(4, true)));
    all = group.on_swept(0, removed(0, false));
    REQUIRE(all);
    CHECK(all->removed_bindings == 4);
    CHECK(all->around);
    CHECK_FALSE(group.on_swept(0, removed(0, true)));
    all = group.on_swept(1, removed(0, false));
    REQUIRE(all);
    CHECK_FALSE(all->around);
}

TEST_CASE("what is asked of the servers of all writers is told with the end of the sweep, and once") {
    WriterGroup group(2, 2);
    auto swept = removed(0, false);
    swept.orders = {{7, {true, 0}}};
    CHECK_FALSE(group.on_swept(1, swept));
    swept.orders = {{5, {false, 3}}};
    auto all = group.on_swept(0, swept);
    REQUIRE(all);
    REQUIRE(all->orders.size() == 2);
    CHECK(all->orders[0].server == 7);
    CHECK(all->orders[1].orders.resync == 3);
    CHECK_FALSE(group.on_swept(1, removed(0, false)));
    all = group.on_swept(0, removed(0, false));
    REQUIRE(all);
    CHECK(all->orders.empty());
}

TEST_CASE("what several writers meet for the same cause is said once, and once when it is over") {
    WriterGroup group(3, 3);
    CHECK(group.on_trouble(0, "away"));
    CHECK_FALSE(group.on_trouble(1, "away"));
    CHECK_FALSE(group.on_trouble(0, ""));
    CHECK_FALSE(group.on_trouble(2, "away"));
    CHECK_FALSE(group.on_trouble(1, ""));
    CHECK(group.on_trouble(2, ""));
    CHECK_FALSE(group.on_trouble(2, ""));
    CHECK(group.on_trouble(1, "away"));
}

TEST_CASE("what goes on is said again by the first of those who are in it") {
    WriterGroup group(3, 3);
    CHECK(group.on_trouble(1, "away"));
    CHECK_FALSE(group.on_trouble(2, "away"));
    CHECK(group.on_trouble(1, "away"));
    CHECK_FALSE(group.on_trouble(2, "away"));
    CHECK_FALSE(group.on_trouble(0, "away"));
    CHECK(group.on_trouble(0, "away"));
    CHECK_FALSE(group.on_trouble(1, "away"));
}

TEST_CASE("different causes are said each, and end each for itself") {
    WriterGroup group(2, 2);
    CHECK(group.on_trouble(0, "away"));
    CHECK(group.on_trouble(1, "too many connections"));
    CHECK(group.on_trouble(0, "full"));
    CHECK(group.on_trouble(0, ""));
    CHECK(group.on_trouble(1, ""));
}
