// For session tests: messages that say the same thing in both families.
#pragma once

#include "tests/proto/session/script.hpp"

namespace leasemirror::test {

inline constexpr auto both = {Family::v4, Family::v6};

inline Bytes keep_alive(Family family, std::optional<std::int64_t> base) {
    return family == Family::v4 ? status4(StatusCode::connection_active, base).bytes() : V6{.base = base}.bytes();
}
inline Bytes marker(Family family, StatusCode status, std::optional<std::int64_t> base = std::nullopt) {
    return family == Family::v4 ? status4(status, base).bytes() : V6{.base = base, .status = status}.bytes();
}
inline Bytes update(Family family, std::optional<std::int64_t> base) {
    return family == Family::v4 ? active4("192.0.2.1", base).bytes()
                                : V6{.clients = {Client{{ia("2001:db8::1")}}}, .base = base}.bytes();
}
inline std::string update_words(Family family) {
    return family == Family::v4 ? "binding 192.0.2.1 active @5"
                                : "binding 2001:db8::1 active @5; listed 1 of 00030001cc";
}
inline Bytes end_of_query(Family family, std::optional<StatusCode> status,
                          std::optional<std::int64_t> base = std::nullopt) {
    return family == Family::v4 ? done4(status, base).bytes() : done6({.base = base, .status = status}).bytes();
}

/// The first message of a good answer, which more will follow.
inline Bytes first_reply(Family family) {
    if (family == Family::v4) return active4("192.0.2.1", 5).bytes();
    return reply6({.clients = {Client{{ia("2001:db8::1")}}}, .base = 5}).bytes();
}
inline Bytes last_reply(Family family) {
    return end_of_query(family, std::nullopt);
}

inline BulkTalk listing(Family family) {
    auto talk = BulkTalk::asked(family);
    (void)talk.hears(first_reply(family));
    CHECK(talk.session.state() == BulkState::listing);
    return talk;
}

}  // namespace leasemirror::test
