#include "proto/session/exchange.hpp"

#include <utility>

namespace leasemirror {
namespace {

std::string in_seconds(std::chrono::milliseconds time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

}  // namespace

Exchange::Exchange(SessionSettings settings, const ExchangeKind& kind)
    : settings_(std::move(settings)),
      kind_(kind),
      reader_(settings_.family, kind.via, settings_.request_options),
      xid_((settings_.first_xid - 1) & transaction_id_mask(settings_.family)) {}

std::uint32_t Exchange::next_xid(SessionNow now) {
    assert(state_ == ExchangeState::idle);
    now_ = now;
    return xid_ = (xid_ + 1) & transaction_id_mask(settings_.family);
}

void Exchange::ask(Bytes request) {
    assert(state_ == ExchangeState::idle);
    request_ = std::move(request);
    request_waits_ = true;
    enter(ExchangeState::asking);
}

void Exchange::on_sent(SessionNow now) {
    now_ = now;
    if (state_ == ExchangeState::asking || state_ == ExchangeState::waiting) enter(ExchangeState::waiting);
}

void Exchange::on_bytes(ByteView in, SessionNow now) {
    if (state_ == ExchangeState::closed || in.empty()) return;
    now_ = now;
    anything_received_ = true;
    reader_.feed(in);
}

void Exchange::on_disconnected(const std::string& how, SessionNow now) {
    if (state_ == ExchangeState::closed) return;
    now_ = now;
    disconnected_ = how;
}

void Exchange::set_reading(bool reading, SessionNow now) {
    now_ = now;
    if (std::exchange(reading_, reading) != reading && state_ == ExchangeState::waiting) enter(state_);
}

std::optional<Exchange::Broken> Exchange::on_deadline(SessionNow now) {
    if (!deadline_ || now.steady < *deadline_) return std::nullopt;
    now_ = now;
    switch (state_) {
        case ExchangeState::idle:
        case ExchangeState::closed:
            return std::nullopt;
        case ExchangeState::asking:  // RFC 5460 §6.2, RFC 6926 §7.2, RFC 7653 §8.3, RFC 7724 §7.3
            return Broken{CloseReason::query_blocked, "the " + std::string(kind_.query) + " could not be written"};
        case ExchangeState::waiting:  // RFC 5460 §6.3, RFC 6926 §7.3, RFC 7653 §8.4, RFC 7724 §7.4
            return Broken{CloseReason::peer_silent,
                          std::string(kind_.silence) + " for " + in_seconds(settings_.*kind_.answer_timeout)};
    }
    return std::nullopt;
}

std::optional<SessionAction> Exchange::next_action() {
    if (std::exchange(request_waits_, false)) return action::Send{request_};
    if (auto next = before_.pop()) return next;
    if (auto record = reader_.next_record()) return record;
    return after_.pop();
}

/// Nothing when no more can be done before the next event.
std::optional<Exchange::Arrival> Exchange::next_arrival() {
    using Reader = ReplyReader;
    if (state_ == ExchangeState::closed) return std::nullopt;
    return std::visit(Overload{
                          [this](Reader::Nothing) {
                              return disconnected_ ? std::optional<Arrival>(after_disconnect()) : std::nullopt;
                          },
                          [](const Reader::FramingLost& lost) -> std::optional<Arrival> {
                              return Broken{CloseReason::framing_lost, framing_lost_text(lost.length)};
                          },
                          [this](const Reader::Garbled& garbled) -> std::optional<Arrival> {
                              return reply_with(garbled.xid, garbled);
                          },
                          [this](const MessageV4* m) -> std::optional<Arrival> { return reply_with(m->xid, m); },
                          [this](const MessageV6* m) -> std::optional<Arrival> { return reply_with(m->xid, m); },
                      },
                      reader_.next_message());
}

/// `message`, if it is a reply to our query. RFC 6926 §7.3 makes us close else; RFC 5460 §6.3 too, for LEASEQUERY-DONE.
/// We do so for every message, over active connections too: nothing behind it can be relied on.
Exchange::Arrival Exchange::reply_with(std::uint32_t xid, Arrival message) {
    if (state_ == ExchangeState::idle) {
        return Broken{CloseReason::unknown_transaction, "a message arrived " + std::string(kind_.nothing_asked)};
    }
    enter(ExchangeState::waiting);  // and so the query was written, told or not
    if (xid != xid_) return Broken{CloseReason::unknown_transaction, foreign_transaction_text(xid, xid_)};
    return message;
}

/// Why a server says nothing at all, the likeliest first.
std::string Exchange::likely_causes() const {
    return std::string("the wrong port or family, ") + (settings_.secured ? "" : "a server that wants TLS, ") +
           "a requestor that it does not permit, " + std::string(kind_.unknown_there) + ", or too many connections";
}

Exchange::Broken Exchange::after_disconnect() const {
    if (!anything_received_) {
        return {CloseReason::refused_silently, "the server closed the connection without an answer (" + *disconnected_ +
                                                   "): perhaps " + likely_causes()};
    }
    if (state_ == ExchangeState::idle) return {CloseReason::peer_closed, "the server closed the idle connection"};
    const auto cut = reader_.broken_off_bytes() > 0 ? ", in the middle of a message" : "";
    return {CloseReason::peer_closed, std::string(kind_.broken_off) + ": " + *disconnected_ + cut};
}

void Exchange::heard(std::optional<ServerTime> base_time, ByteView identity) {
    before_.push(action::Heard{reader_.message(), base_time, identity});
}

void Exchange::heard(const MessageV4& m) {
    heard(m.base_time, m.server_identifier ? m.server_identifier->bytes() : ByteView{});
}

void Exchange::quarantine(std::string reason, bool lease_lost, std::optional<IpAddress> address) {
    before_.push(action::Quarantine{reader_.message(), std::move(reason), lease_lost, address, {}, std::nullopt});
}

void Exchange::end_query() {
    enter(ExchangeState::idle);
}

void Exchange::close(CloseReason why, std::string text, StatusCode status) {
    request_waits_ = false;
    after_.push(action::Close{why, status, std::move(text)});
    enter(ExchangeState::closed);
}

void Exchange::enter(ExchangeState next) {
    state_ = next;
    switch (state_) {
        case ExchangeState::idle:
        case ExchangeState::closed:
            deadline_.reset();
            return;
        case ExchangeState::asking:
            deadline_ = now_.steady + settings_.data_timeout;
            return;
        case ExchangeState::waiting:
            deadline_ = reading_ ? std::optional(now_.steady + settings_.*kind_.answer_timeout) : std::nullopt;
            return;
    }
}

}  // namespace leasemirror
