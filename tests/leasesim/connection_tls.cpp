// STARTTLS and DHCPTLS: RFC 7653 §9.1, RFC 7724 §8.1, and what may go wrong with them.
#include "tests/leasesim/connection_impl.hpp"

#include <algorithm>
#include <array>

namespace leasemirror::leasesim {

namespace {

constexpr std::string_view no_tls = "this server runs without TLS";

Status refused(bool v4) {
    return v4 ? make_status_v4(StatusCode::tls_connection_refused, no_tls)
              : make_status_v6(StatusCode::tls_connection_refused, no_tls);
}

/// A status by its number, whether or not an RFC defines it.
Status numbered(bool v4, std::int64_t number) {
    const auto n = static_cast<std::uint16_t>(std::clamp<std::int64_t>(number, 0, v4 ? 255 : 65535));
    return {v4 ? status_code_v4(n) : status_code_v6(n), n, "injected"};
}

}  // namespace

void ModelConnection::Impl::on_upgrade(std::uint32_t xid, UtcMillis now) {
    const auto& o = server.options();
    if (o.tls == TlsMode::off) {
        // A server that knows only bulk, as Kea, does not know this message either.
        if (o.personality.on_active == OnActive::close) return close(false);
        return answer_upgrade(xid, refused(v4()), now);
    }
    if (secured) return close(false);  // nothing of it is said in the RFCs; there is nothing to upgrade
    ++server.stats_.upgrade_requests;
    // It MUST be the first message. What follows before the answer is not TLS, or not for us to guess.
    if (requests > 1 || in.pending() > 0) return close(false);
    const auto struck_by = [&](FaultKind kind) { return strike(kind, true, now).has_value(); };
    if (struck_by(FaultKind::tls_no_answer)) return;
    if (struck_by(FaultKind::tls_close)) return close(false);
    if (struck_by(FaultKind::tls_refused)) return answer_upgrade(xid, refused(v4()), now);
    if (const auto other = strike(FaultKind::tls_status, true, now))
        return answer_upgrade(xid, numbered(v4(), other->arg.value_or(1)), now);
    const auto mask = struck_by(FaultKind::tls_wrong_xid) ? 0x5a5a5aU : 0U;
    answer_upgrade(xid ^ mask, std::nullopt, now);
    // An attacker in the middle would have the requestor take this for an answer from within TLS.
    if (struck_by(FaultKind::tls_clear_octets)) {
        emit(now, [&](ByteWriter& w) {
            const auto c = context(now, {});
            if (v4()) return write_status_v4(c, MessageTypeV4::lease_query_done, std::nullopt, "", true, w);
            write_status_v6(c, MessageTypeV6::lease_query_reply, std::nullopt, "", true, w);
        });
    }
    begin_securing(now);
}

void ModelConnection::Impl::answer_upgrade(std::uint32_t xid, std::optional<Status> status, UtcMillis now) {
    request = Request{};
    request.xid = xid;
    emit(now, [&](ByteWriter& w) { write_upgrade_answer(server.model().family(), xid, status, w); });
}

void ModelConnection::Impl::begin_securing(UtcMillis now) {
    constexpr std::array troubles{std::pair{FaultKind::tls_truncated, TlsTrouble::truncated},
                                  std::pair{FaultKind::tls_garbage, TlsTrouble::garbage},
                                  std::pair{FaultKind::tls_stall, TlsTrouble::stall},
                                  std::pair{FaultKind::tls_renegotiate, TlsTrouble::renegotiate}};
    handshake = TlsTrouble::none;
    for (const auto& [kind, trouble] : troubles)
        if (strike(kind, true, now)) handshake = trouble;
    state = ConnectionState::securing;
}

void ModelConnection::on_secured(UtcMillis now) {
    auto& c = *impl_;
    if (c.state != ConnectionState::securing) return;
    ++c.server.stats_.handshakes;
    c.secured = true;
    c.state = ConnectionState::awaiting;
    c.last_activity = now;
}

void ModelConnection::on_handshake_failed(std::string_view why, bool in_clear, UtcMillis now) {
    auto& c = *impl_;
    ++c.server.stats_.handshakes_failed;
    c.server.stats_.handshake_error = why;
    if (in_clear) ++c.server.stats_.clear_queries;
    c.last_activity = now;
    c.close(false);
}

}  // namespace leasemirror::leasesim
