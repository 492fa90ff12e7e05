#include "proto/udp/questions.hpp"

#include "proto/session/session.hpp"

#include <cassert>
#include <utility>

namespace leasemirror {

UdpQuestions::UdpQuestions(UdpSettings settings, BulkQuery query)
    : settings_(std::move(settings)), query_(std::move(query)), random_(settings_.seed) {
    assert(!udp_objection(settings_, query_));
}

UdpPending UdpQuestions::draft(std::optional<std::size_t> server, const UdpEndpoint& to) const {
    UdpPending question(settings_.family, settings_.transmissions_max);
    question.server = server;
    question.to = to;
    question.query = query_;
    return question;
}

/// v6: the same query on that link (RFC 5007 §4.3.3). v4: that address, by IP (RFC 4388 §5).
BulkQuery UdpQuestions::query_about(const IpAddress& about) const {
    auto query = query_;
    query.address = about;
    if (settings_.family == Family::v4) {
        query.kind = QueryKind::address;
        query.id.clear();
    }
    return query;
}

UdpPending& UdpQuestions::add(UdpPending question, ByteView only_server) {
    question.xid = new_xid();
    auto wire = described(question);
    wire.server_id = only_server;
    [[maybe_unused]] const bool fits = append_udp_request(question.datagram, wire);
    by_xid_.emplace(question.xid, list_.size());
    return list_.emplace_back(std::move(question));
}

UdpQuestion UdpQuestions::described(const UdpPending& question) const {
    UdpQuestion out;
    out.family = settings_.family;
    out.xid = question.xid;
    out.query = question.query;
    out.link_address = settings_.link_address;
    out.giaddr = settings_.giaddr;
    out.requestor_duid = settings_.requestor_duid;
    out.request_options = settings_.request_options;
    return out;
}

bool UdpQuestions::is_confined() const {
    return query_.kind == QueryKind::address && !settings_.link_address.is_unspecified();
}

std::uint32_t UdpQuestions::new_xid() {
    for (;;) {
        const auto xid = static_cast<std::uint32_t>(random_() >> 32) & transaction_id_mask(settings_.family);
        if (by_xid_.find(xid) == by_xid_.end()) return xid;
    }
}

UdpPending* UdpQuestions::find(std::uint32_t xid) {
    const auto found = by_xid_.find(xid);
    return found == by_xid_.end() ? nullptr : &list_[found->second];
}

}  // namespace leasemirror
