#include "tests/leasesim/program/tls_pipe.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace leasemirror::leasesim {

namespace {

constexpr std::uint8_t handshake_record = 22;  // RFC 8446 §5.1
constexpr std::string_view no_tls_at_all = "HTTP/1.1 400 Bad Request\r\n\r\n";

/// The oldest error that OpenSSL remembers, which is the cause; forgets all of them.
std::string latest_error(std::string_view otherwise) {
    const auto code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return std::string(otherwise);
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : "error " + std::to_string(code);
}

void require(bool done, const std::string& what) {
    if (!done) throw std::runtime_error(what + ": " + latest_error("cannot be used"));
}

int version_number(TlsVersion v) {
    switch (v) {
        case TlsVersion::tls_1_1:
            return TLS1_1_VERSION;
        case TlsVersion::tls_1_2:
            return TLS1_2_VERSION;
        case TlsVersion::tls_1_3:
            return TLS1_3_VERSION;
    }
    return TLS1_3_VERSION;
}

}  // namespace

struct TlsContext::Impl {
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> ssl{SSL_CTX_new(TLS_server_method()), &SSL_CTX_free};
};

TlsContext::TlsContext(const TlsOptions& o) : impl_(std::make_unique<Impl>()) {
    auto* ssl = impl_->ssl.get();
    require(ssl != nullptr, "TLS");
    const bool old = o.newest == TlsVersion::tls_1_1;
    require(SSL_CTX_set_min_proto_version(ssl, old ? TLS1_1_VERSION : TLS1_2_VERSION) == 1, "TLS version");
    require(SSL_CTX_set_max_proto_version(ssl, version_number(o.newest)) == 1, "TLS version");
    // OpenSSL 3 speaks 1.1 at security level 0 alone.
    if (old) require(SSL_CTX_set_cipher_list(ssl, "ALL:@SECLEVEL=0") == 1, "TLS ciphers");
    require(SSL_CTX_use_certificate_chain_file(ssl, o.certificate.c_str()) == 1, o.certificate);
    require(SSL_CTX_use_PrivateKey_file(ssl, o.key.c_str(), SSL_FILETYPE_PEM) == 1, o.key);
    require(SSL_CTX_check_private_key(ssl) == 1, o.key);
    // A session that is resumed shows no certificate again.
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ssl, 0);
    if (!o.asks_for_certificate) return;
    require(SSL_CTX_load_verify_locations(ssl, o.ca.c_str(), nullptr) == 1, o.ca);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
}

TlsContext::~TlsContext() = default;

struct TlsPipe::Impl {
    explicit Impl(SSL_CTX* context) : ssl(SSL_new(context), &SSL_free) {
        require(ssl != nullptr, "TLS");
        in = BIO_new(BIO_s_mem());
        out = BIO_new(BIO_s_mem());
        require(in != nullptr && out != nullptr, "TLS");
        SSL_set_bio(ssl.get(), in, out);  // which owns them from now on
        SSL_set_accept_state(ssl.get());
    }

    void handshake() {
        ERR_clear_error();
        const int done = SSL_do_handshake(ssl.get());
        if (done == 1) {
            state = State::open;
            // Asks for another one: a HelloRequest goes out (RFC 5246 §7.4.1.1). In TLS 1.3 there is no such thing.
            if (trouble == TlsTrouble::renegotiate && SSL_renegotiate(ssl.get()) == 1) {
                (void)SSL_do_handshake(ssl.get());
                ERR_clear_error();
            }
            return;
        }
        const auto why = SSL_get_error(ssl.get(), done);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) fail(latest_error("the handshake ended"));
    }
    void fail(std::string why) {
        state = State::failed;
        error = std::move(why);
    }

    std::unique_ptr<SSL, decltype(&SSL_free)> ssl;
    BIO* in = nullptr;
    BIO* out = nullptr;
    TlsTrouble trouble = TlsTrouble::none;
    State state = State::handshaking;
    std::string error;
    bool begun = false;
    bool in_clear = false;
    Bytes instead;  ///< for the wire, in the place of what OpenSSL would have said
};

TlsPipe::TlsPipe(const TlsContext& context, TlsTrouble trouble)
    : impl_(std::make_unique<Impl>(context.impl_->ssl.get())) {
    impl_->trouble = trouble;
}

TlsPipe::~TlsPipe() = default;

void TlsPipe::on_wire(ByteView in) {
    auto& p = *impl_;
    if (in.empty() || p.state == State::failed) return;
    if (!p.begun) p.in_clear = in.front() != handshake_record;
    const bool first = !p.begun;
    p.begun = true;
    if (p.trouble == TlsTrouble::stall) return;
    if (p.trouble == TlsTrouble::garbage) {
        if (first) p.instead.assign(no_tls_at_all.begin(), no_tls_at_all.end());
        return;
    }
    (void)BIO_write(p.in, in.data(), static_cast<int>(in.size()));
    if (p.state == State::handshaking) p.handshake();
    if (p.trouble != TlsTrouble::truncated || p.state == State::failed) return;
    p.instead = take_output();
    p.instead.resize(p.instead.size() / 2);
    if (!p.instead.empty()) p.fail("broken off on purpose");
}

TlsPipe::State TlsPipe::state() const {
    return impl_->state;
}

const std::string& TlsPipe::error() const {
    return impl_->error;
}

bool TlsPipe::in_clear() const {
    return impl_->in_clear;
}

Bytes TlsPipe::take_output() {
    auto& p = *impl_;
    if (!p.instead.empty()) return std::exchange(p.instead, {});
    Bytes out(BIO_ctrl_pending(p.out));
    if (!out.empty()) (void)BIO_read(p.out, out.data(), static_cast<int>(out.size()));
    return out;
}

std::size_t TlsPipe::read(std::span<std::uint8_t> out) {
    auto& p = *impl_;
    if (p.state != State::open || out.empty()) return 0;
    ERR_clear_error();
    std::size_t n = 0;
    if (SSL_read_ex(p.ssl.get(), out.data(), out.size(), &n) == 1) return n;
    const auto why = SSL_get_error(p.ssl.get(), 0);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return 0;
    if (why == SSL_ERROR_ZERO_RETURN) {
        p.state = State::ended;
        return 0;
    }
    p.fail(latest_error("the connection cannot be read"));
    return 0;
}

void TlsPipe::write(ByteView frames) {
    auto& p = *impl_;
    ERR_clear_error();
    while (!frames.empty() && (p.state == State::open || p.state == State::ended)) {
        auto n = frames.size();
        if (n >= 2) n = std::min(n, 2 + (std::size_t{frames[0]} << 8U | frames[1]));
        std::size_t written = 0;
        if (SSL_write_ex(p.ssl.get(), frames.data(), n, &written) != 1)
            return p.fail(latest_error("the connection cannot be written"));
        frames = frames.subspan(written);
    }
}

void TlsPipe::shut() {
    if (impl_->state == State::open || impl_->state == State::ended) (void)SSL_shutdown(impl_->ssl.get());
    ERR_clear_error();
}

}  // namespace leasemirror::leasesim
