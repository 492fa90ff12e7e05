#include "tests/leasesim/model_connection.hpp"

#include "tests/leasesim/connection_impl.hpp"

#include <algorithm>

namespace leasemirror::leasesim {

namespace {

std::size_t header_bytes(Family f) {
    return f == Family::v4 ? header_bytes_v4 : header_bytes_v6;
}

void earlier(std::optional<UtcMillis>& best, const std::optional<UtcMillis>& at) {
    if (at && (!best || *at < *best)) best = at;
}

}  // namespace

ModelConnection::Impl::Impl(ModelServer& s, ModelConnection* self_, bool refused, UtcMillis now)
    : server(s),
      self(self_),
      state(refused ? ConnectionState::closing : ConnectionState::awaiting),
      in(header_bytes(s.model().family())),
      out(s.options().chunk_bytes),
      last_activity(now),
      last_made(now) {
    if (!refused && server.options().tls == TlsMode::direct) begin_securing(now);
}

ModelConnection::ModelConnection(ModelServer& server, bool refused, UtcMillis now)
    : impl_(std::make_unique<Impl>(server, this, refused, now)) {}

ModelConnection::~ModelConnection() {
    impl_->server.forget(this);
}

std::size_t ModelConnection::space() const {
    const auto& c = *impl_;
    // RFC 6926 §8.4: a server reads no more queries than it is prepared to process.
    if (c.state == ConnectionState::bulk && c.in.pending() > 0) return 0;
    if (c.state == ConnectionState::securing) return 0;
    return c.state == ConnectionState::closed || c.end_of_stream ? 0 : c.in.space();
}

void ModelConnection::on_bytes(ByteView in, UtcMillis now) {
    auto& c = *impl_;
    c.last_activity = now;
    if (c.state == ConnectionState::closing || c.state == ConnectionState::closed) return;
    c.in.append(in);
}

void ModelConnection::on_end_of_stream(UtcMillis now) {
    auto& c = *impl_;
    c.end_of_stream = true;
    c.last_activity = now;
    // RFC 5460 §7.4 has a v6 server finish what was asked; RFC 6926 §8.5 and RFC 7653 §9.5 have it close.
    if (c.state == ConnectionState::bulk && !c.v4()) return;
    if (c.state == ConnectionState::awaiting && !c.v4() && c.in.pending() > 0) return;
    c.close(false);
}

void ModelConnection::on_writable(UtcMillis now) {
    auto& c = *impl_;
    if (!c.written_at) return;
    c.written_at.reset();
    c.last_activity = now;
    c.out.reuse();
}

void ModelConnection::on_deadline(UtcMillis now) {
    auto& c = *impl_;
    if (c.blocked_too_long(now)) return c.close(true);
    // RFC 7724 §8.1: nor does a handshake take longer.
    const bool idle = (c.state == ConnectionState::awaiting || c.state == ConnectionState::securing) && c.out.empty();
    if (idle && now >= c.last_activity + c.server.options().data_timeout) c.close(false);  // RFC 6926 §8.5
}

bool ModelConnection::Impl::blocked_too_long(UtcMillis now) const {
    if (!written_at || state == ConnectionState::closed) return false;
    const auto& o = server.options();
    return now >= *written_at + (state == ConnectionState::active ? o.send_timeout : o.data_timeout);
}

void ModelConnection::Impl::close(bool abort_) {
    if (state == ConnectionState::closed) return;
    state = ConnectionState::closing;
    abort = abort || abort_;
    replay.reset();
}

std::optional<Output> ModelConnection::poll(UtcMillis now) {
    auto& c = *impl_;
    if (c.state == ConnectionState::closed) return std::nullopt;
    if (c.blocked_too_long(now)) c.close(true);
    if (c.abort) {
        c.state = ConnectionState::closed;
        c.server.forget(this);
        return Close{true};
    }
    if (c.written_at) return std::nullopt;
    if (c.out.empty() || c.hold_until) c.produce(now);
    if (c.abort) return poll(now);
    const bool held = c.hold_until && now < *c.hold_until && c.frames_waiting < c.frames_to_hold;
    if (held && c.state != ConnectionState::closing) return std::nullopt;
    if (!c.out.empty()) {
        c.hold_until.reset();
        c.frames_waiting = 0;
        const auto bytes = c.out.take(c.tiny_octets > 0 ? 1 : SIZE_MAX);
        c.tiny_octets -= std::min<std::size_t>(c.tiny_octets, 1);
        c.written_at = now;
        return Send{bytes};
    }
    if (c.state == ConnectionState::securing && c.handshake) {
        const BeginTls begin{*c.handshake};
        c.handshake.reset();
        return begin;
    }
    if (c.state != ConnectionState::closing) return std::nullopt;
    c.state = ConnectionState::closed;
    c.server.forget(this);
    return Close{false, c.unannounced};
}

void ModelConnection::Impl::produce(UtcMillis now) {
    scan_goes_on = false;
    while (!out.full()) {
        if (has_faults() && !flow_faults(now)) return;
        auto step = Step::idle;
        switch (state) {
            case ConnectionState::awaiting:
                step = read_next(now);
                break;
            case ConnectionState::bulk:
                step = produce_bulk(now);
                break;
            case ConnectionState::active:
                step = produce_active(now);
                break;
            case ConnectionState::securing:
            case ConnectionState::closing:
            case ConnectionState::closed:
                return;
        }
        scan_goes_on = step == Step::more;
        if (step != Step::made) break;
    }
    if (end_of_stream && state == ConnectionState::awaiting) close(false);
}

ModelConnection::Impl::Step ModelConnection::Impl::read_next(UtcMillis now) {
    const auto frame = in.next();
    if (in.bad_length()) close(false);
    if (!frame) return Step::idle;
    read_request(*frame, now);
    return Step::made;
}

void ModelConnection::Impl::read_request(ByteView frame, UtcMillis now) {
    const auto& model = server.model();
    const auto& p = server.options().personality;
    auto asked = v4() ? read_request_v4(frame, scratch_v4, model, p)
                      : read_request_v6(frame, scratch_v6, model, p, server.server_id());
    first = true;
    replies = 0;
    ++requests;
    if (const auto* upgrade = std::get_if<Upgrade>(&asked)) return on_upgrade(upgrade->xid, now);
    if (in_clear()) {
        ++server.stats_.clear_queries;
        // RFC 7653 §9.1, RFC 7724 §8.1: in secure mode it MUST close connections that are not secured.
        if (!server.options().clear_text_allowed) return close(false);
    }
    if (auto* q = std::get_if<Request>(&asked))
        return q->active ? start_active(std::move(*q), now) : start_bulk(std::move(*q), now);
    if (const auto* r = std::get_if<Refusal>(&asked)) return refuse(*r, now);
    if (std::holds_alternative<CloseNow>(asked)) close(false);
}

UtcMillis ModelConnection::Impl::allowed_at(UtcMillis began, std::uint64_t sent) const {
    const auto rate = server.options().messages_per_second;
    if (!(rate > 0)) return began;
    return began + std::chrono::milliseconds{static_cast<std::int64_t>(static_cast<double>(sent) * 1000 / rate)};
}

std::optional<UtcMillis> ModelConnection::Impl::active_deadline(UtcMillis now) const {
    if (silent_until && now < *silent_until) return silent_until;
    if (losing_until && now < *losing_until) return losing_until;
    std::optional<UtcMillis> next = last_made + server.options().idle_timeout;
    if (replay) earlier(next, allowed_at(replay->began, replay->sent));
    if (const auto event = server.model().churn().peek(live)) earlier(next, event->at);
    if (!delayed.empty()) earlier(next, delayed.front().due);
    return next;
}

std::optional<UtcMillis> ModelConnection::next_deadline(UtcMillis now) const {
    const auto& c = *impl_;
    const auto& o = c.server.options();
    if (c.state == ConnectionState::closed) return std::nullopt;
    if (c.written_at) return *c.written_at + (c.state == ConnectionState::active ? o.send_timeout : o.data_timeout);
    std::optional<UtcMillis> next;
    if (c.has_faults()) next = c.server.next_timed_fault(now);
    if (c.hold_until && !c.out.empty()) return c.hold_until;
    if (!c.out.empty() || c.scan_goes_on) return now;
    switch (c.state) {
        case ConnectionState::securing:
            if (c.handshake) return now;
            earlier(next, c.last_activity + o.data_timeout);
            break;
        case ConnectionState::awaiting:
            earlier(next, c.last_activity + o.data_timeout);
            break;
        case ConnectionState::bulk:
            earlier(next, c.silent_until ? *c.silent_until : c.allowed_at(c.bulk.began, c.bulk.sent));
            break;
        case ConnectionState::active:
            earlier(next, c.active_deadline(now));
            break;
        case ConnectionState::closing:
            return now;
        case ConnectionState::closed:
            break;
    }
    return next;
}

void ModelConnection::inject(const Fault& fault) {
    impl_->own_faults.push_back(fault);
}

void ModelConnection::on_shutdown(UtcMillis now) {
    auto& c = *impl_;
    constexpr std::string_view text = "the server is shutting down";
    if (c.state == ConnectionState::bulk) c.finish_bulk(StatusCode::query_terminated, text, true, now);
    if (c.state == ConnectionState::active) c.end_active(StatusCode::query_terminated, text, now);
    c.close(false);
}

void ModelConnection::on_crash() {
    impl_->close(true);
}

bool ModelConnection::is_active_query() const {
    return impl_->state == ConnectionState::active;
}

bool ModelConnection::catching_up() const {
    return is_active_query() && impl_->replay.has_value();
}

bool ModelConnection::closed() const {
    return impl_->state == ConnectionState::closed;
}

std::uint64_t ModelConnection::messages_sent() const {
    return impl_->messages;
}

}  // namespace leasemirror::leasesim
