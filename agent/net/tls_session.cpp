#include "agent/net/tls_session.hpp"

#include "agent/config/tls_pin.hpp"
#include "agent/net/public_key.hpp"
#include "agent/net/tls_loaded.hpp"
#include "proto/ip_address.hpp"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>
#include <new>
#include <utility>

namespace leasemirror {
namespace {

int length_of(std::size_t octets) {
    assert(octets <= std::numeric_limits<int>::max());
    return static_cast<int>(octets);
}

class OpenSslSession final : public TlsSession {
public:
    explicit OpenSslSession(std::shared_ptr<const LoadedTls> credentials)
        : credentials_(std::move(credentials)), ssl_(SSL_new(credentials_->context.get())) {
        auto* const in = BIO_new(BIO_s_mem());
        auto* const out = BIO_new(BIO_s_mem());
        if (!ssl_ || in == nullptr || out == nullptr) throw std::bad_alloc();
        BIO_set_mem_eof_return(in, -1);  // an empty buffer is not the end: more may be fed
        SSL_set_bio(ssl_.get(), in, out);
        SSL_set_app_data(ssl_.get(), this);
        SSL_set_verify(ssl_.get(), SSL_VERIFY_PEER, on_certificate);
        SSL_set_info_callback(ssl_.get(), on_info);
        SSL_set_msg_callback(ssl_.get(), on_message);
        SSL_set_msg_callback_arg(ssl_.get(), this);
        SSL_set_connect_state(ssl_.get());
        const auto& name = credentials_->names.expected;
        if (!IpAddress::parse(name)) SSL_set_tlsext_host_name(ssl_.get(), name.c_str());  // RFC 6066 §3: no addresses
    }

    Handshake handshake() override {
        if (failed()) return Handshake::failed;
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl_.get());
        if (result == 1) return check_peer();
        if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return Handshake::wants_more;
        fail(failure_text());
        return Handshake::failed;
    }

    void feed(ByteView arrived) override {
        if (!arrived.empty()) BIO_write(SSL_get_rbio(ssl_.get()), arrived.data(), length_of(arrived.size()));
    }

    Bytes take_output() override {
        auto* const out = SSL_get_wbio(ssl_.get());
        Bytes octets(BIO_ctrl_pending(out));
        if (!octets.empty()) BIO_read(out, octets.data(), length_of(octets.size()));
        return octets;
    }

    void write(ByteView octets) override {
        if (failed() || octets.empty()) return;
        ERR_clear_error();
        const int written = SSL_write(ssl_.get(), octets.data(), length_of(octets.size()));
        // Into memory, all of it, unless the session is broken; then the next read says so too.
        if (written <= 0) fail(failure_text());
    }

    Read read(std::span<std::uint8_t> into) override {
        if (failed()) return {Read::What::failed};
        ERR_clear_error();
        const int count = SSL_read(ssl_.get(), into.data(), length_of(into.size()));
        if (renegotiation_asked_) {
            fail("TLS: the server asked for a renegotiation, which is not done here (RFC 9325 §3.4)");
            return {Read::What::failed};
        }
        if (count > 0) return {Read::What::octets, static_cast<std::size_t>(count)};
        switch (SSL_get_error(ssl_.get(), count)) {
            case SSL_ERROR_WANT_READ:
                return {Read::What::nothing};
            case SSL_ERROR_ZERO_RETURN:
                return {Read::What::closed};
            default:
                fail(failure_text());
                return {Read::What::failed};
        }
    }

    void close() override {
        ERR_clear_error();
        if (!failed()) SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }

    [[nodiscard]] const std::string& why() const override { return why_; }
    [[nodiscard]] bool refused_by_server() const override { return failed() && alert_.has_value(); }
    [[nodiscard]] CertificateEnd first_end() const override { return first_end_; }

private:
    [[nodiscard]] bool failed() const { return !why_.empty(); }
    void fail(std::string why) {
        if (!failed()) why_ = std::move(why);
    }

    /// The callbacks know most of why; what they do not know, OpenSSL's error says.
    std::string failure_text() {
        if (!verification_.empty()) return verification_;
        if (alert_) return alert_error(*alert_, credentials_->names);
        return library_error(credentials_->names);
    }

    /// The handshake fails by itself unless the certificate is good; that it was there and good is the one thing that
    /// must never be left to an option of the library alone.
    Handshake check_peer() {
        const auto* const peer = SSL_get0_peer_certificate(ssl_.get());
        if (peer == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK || !verified_) {
            fail("TLS: the server showed no certificate that was verified");
            return Handshake::failed;
        }
        const auto theirs = certificate_end(peer);
        const auto ours = credentials_->expires_at;
        first_end_ = ours < theirs ? CertificateEnd{ours, CertificateEnd::Whose::ours}
                                   : CertificateEnd{theirs, CertificateEnd::Whose::the_servers};
        return Handshake::done;
    }

    static int on_certificate(int good, X509_STORE_CTX* context) {
        auto* const ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
        auto& self = *static_cast<OpenSslSession*>(SSL_get_app_data(ssl));
        if (good == 0) {
            if (self.verification_.empty()) self.verification_ = verification_error(context, self.credentials_->names);
            return 0;
        }
        if (X509_STORE_CTX_get_error_depth(context) != 0) return 1;
        return self.check_pin(context) ? 1 : 0;
    }

    bool check_pin(X509_STORE_CTX* context) {
        const auto* const certificate = X509_STORE_CTX_get_current_cert(context);
        const auto& pins = credentials_->config.pins;
        const auto hash = public_key_hash(certificate);
        verified_ = pins.empty() || std::find(pins.begin(), pins.end(), hash) != pins.end();
        if (verified_) return true;
        verification_ = pin_error(certificate, pin_text(hash));
        X509_STORE_CTX_set_error(context, X509_V_ERR_APPLICATION_VERIFICATION);
        return false;
    }

    static void on_info(const SSL* ssl, int where, int what) {
        constexpr int fatal = 2;
        if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT || (what >> 8) != fatal) return;
        static_cast<OpenSslSession*>(SSL_get_app_data(ssl))->alert_ = what & 0xff;
    }

    /// TLS 1.2 has the server ask by HelloRequest (RFC 5246 §7.4.1.1), which OpenSSL would answer and forget.
    static void on_message(int sent, int, int content, const void* octets, std::size_t count, SSL*, void* self) {
        const auto* const first = static_cast<const std::uint8_t*>(octets);
        if (sent == 0 && content == SSL3_RT_HANDSHAKE && count > 0 && first[0] == SSL3_MT_HELLO_REQUEST)
            static_cast<OpenSslSession*>(self)->renegotiation_asked_ = true;
    }

    const std::shared_ptr<const LoadedTls> credentials_;
    SslPtr<SSL> ssl_;
    std::string verification_;  // what was wrong with the server's certificate
    bool verified_ = false;
    std::optional<int> alert_;  // a fatal one, from the server
    bool renegotiation_asked_ = false;
    std::string why_;
    CertificateEnd first_end_;
};

}  // namespace

std::unique_ptr<TlsSession> open_tls_session(std::shared_ptr<const LoadedTls> credentials) {
    return std::make_unique<OpenSslSession>(std::move(credentials));
}

}  // namespace leasemirror
