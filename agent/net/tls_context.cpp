#include "agent/net/tls_context.hpp"

#include "agent/config/secret_file.hpp"
#include "agent/config/time_text.hpp"
#include "agent/net/tls_loaded.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <new>
#include <system_error>
#include <tuple>
#include <utility>

namespace leasemirror {
namespace {

/// What RFC 9325 §4.2 recommends for TLS 1.2, and ChaCha20 beside it; TLS 1.3 has good ones only.
constexpr const char* ciphers_of_tls_1_2 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
/// 112 bits: RSA from 2048 bits on, and no SHA-1 in signatures.
constexpr int security_level = 2;

struct Unusable {
    std::string why;
};

/// "tls.key /etc/leasemirror/agent.key"
std::string file_name(std::string_view key, const std::string& path) {
    return "tls." + std::string(key) + " " + path;
}

struct FileStamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    mode_t mode = 0;
    uid_t owner = 0;
    std::array<long, 4> times{};

    friend bool operator==(const FileStamp&, const FileStamp&) = default;
};
using FileStamps = std::array<std::optional<FileStamp>, 4>;  // ca, cert, key, crl

std::optional<FileStamp> stamp_of(const std::string& path) {
    struct stat s {};
    if (path.empty() || ::stat(path.c_str(), &s) != 0) return std::nullopt;
    return FileStamp{s.st_dev,  s.st_ino, s.st_size,
                     s.st_mode, s.st_uid, {s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ctim.tv_sec, s.st_ctim.tv_nsec}};
}

FileStamps stamps_of(const TlsConfig& config) {
    return {stamp_of(config.ca), stamp_of(config.cert), stamp_of(config.key), stamp_of(config.crl)};
}

std::string text_of(const FileStamps& stamps) {
    std::string out;
    const auto add = [&](auto number) { out += std::to_string(number) + ' '; };
    for (const auto& stamp : stamps) {
        if (stamp) {
            add(stamp->device);
            add(stamp->inode);
            add(stamp->size);
            add(stamp->mode);
            add(stamp->owner);
            for (const auto time : stamp->times)
                add(time);
        }
        out += ';';
    }
    return out;
}

SslPtr<BIO> open_file(std::string_view key, const std::string& path) {
    struct stat s {};
    if (::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode))
        throw Unusable{file_name(key, path) + " is a directory; a PEM file is expected"};
    errno = 0;
    SslPtr<BIO> in(BIO_new_file(path.c_str(), "r"));
    if (!in) throw Unusable{file_name(key, path) + " cannot be read: " + std::generic_category().message(errno)};
    return in;
}

void check_key_mode(const std::string& path) {
    if (const auto fault = fault_of_secret_file(path)) throw Unusable{file_name("key", path) + " " + *fault};
}

/// A file may end, or hold something else; but not end at a block that cannot be read, for those behind it would be
/// missing, and nobody would know.
void check_read_to_end(const std::string& file, const std::string& what, int read) {
    const auto error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
        if (read == 0) throw Unusable{file + " holds no " + what + " in PEM form"};
        return;
    }
    const char* const reason = ERR_reason_error_string(error);
    throw Unusable{file + " has a block that is damaged, " + what + " " + std::to_string(read + 1) + ": " +
                   (reason ? reason : "it cannot be read")};
}

void load_authorities(const TlsConfig& config, SSL_CTX* context) {
    const auto in = open_file("ca", config.ca);
    auto* const store = SSL_CTX_get_cert_store(context);
    int count = 0;
    ERR_clear_error();
    while (const SslPtr<X509> certificate{PEM_read_bio_X509_AUX(in.get(), nullptr, nullptr, nullptr)}) {
        X509_STORE_add_cert(store, certificate.get());
        ++count;
    }
    check_read_to_end(file_name("ca", config.ca), "certificate", count);
}

void load_revocations(const TlsConfig& config, SSL_CTX* context) {
    if (config.crl.empty()) return;
    const auto in = open_file("crl", config.crl);
    auto* const store = SSL_CTX_get_cert_store(context);
    int count = 0;
    ERR_clear_error();
    while (auto* const list = PEM_read_bio_X509_CRL(in.get(), nullptr, nullptr, nullptr)) {
        X509_STORE_add_crl(store, list);
        X509_CRL_free(list);
        ++count;
    }
    check_read_to_end(file_name("crl", config.crl), "revocation list", count);
    // Of all of the chain, each by the list of its issuer: that of an authority in `ca` is its own.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

int no_passphrase(char*, int, int, void*) {
    return 0;  // there is nobody to ask
}

void load_own(const TlsConfig& config, SSL_CTX* context) {
    open_file("cert", config.cert);
    if (SSL_CTX_use_certificate_chain_file(context, config.cert.c_str()) != 1)
        throw Unusable{file_name("cert", config.cert) + " holds no certificate in PEM form that can be used"};
    check_key_mode(config.key);
    open_file("key", config.key);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    ERR_clear_error();
    if (SSL_CTX_use_PrivateKey_file(context, config.key.c_str(), SSL_FILETYPE_PEM) != 1) {
        if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
            throw Unusable{file_name("key", config.key) + " is not the key of the certificate in " +
                           file_name("cert", config.cert)};
        throw Unusable{file_name("key", config.key) + " holds no private key in PEM form without a passphrase"};
    }
    if (SSL_CTX_check_private_key(context) != 1)
        throw Unusable{file_name("key", config.key) + " is not the key of the certificate in " +
                       file_name("cert", config.cert)};
}

/// Why our own certificate is not good at this moment.
std::optional<std::string> out_of_its_time(const LoadedTls& loaded) {
    const auto* const own = SSL_CTX_get0_certificate(loaded.context.get());
    const auto which = "the certificate in " + file_name("cert", loaded.config.cert) + " (" + loaded.names.own + ")";
    if (X509_cmp_current_time(X509_get0_notAfter(own)) <= 0)
        return which + " expired on " + iso_utc(certificate_end(own)) + "; renew it";
    if (X509_cmp_current_time(X509_get0_notBefore(own)) > 0)
        return which + " is not valid before " + iso_utc(certificate_begin(own)) + "; is the clock of this host right?";
    return std::nullopt;
}

std::string without_last_dot(std::string name) {
    if (name.ends_with('.')) name.pop_back();
    return name;
}

/// Whom the server's certificate must be for.
void expect_name(const TlsNames& names, SSL_CTX* context) {
    auto* const param = SSL_CTX_get0_param(context);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, names.expected.c_str()) == 1) return;
    // Not the subject's common name, which says nothing of what it is a name of (RFC 9525 §6.3, §2).
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set1_host(param, names.expected.data(), names.expected.size()) != 1) throw std::bad_alloc();
}

void set_rules(SSL_CTX* context) {
    SSL_CTX_set_security_level(context, security_level);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, ciphers_of_tls_1_2);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // each connection proves itself anew
}

TlsNames names_of(const ServerConfig& server) {
    TlsNames names;
    names.mode = server.tls.mode;
    names.ca = server.tls.ca;
    names.cert = server.tls.cert;
    names.crl = server.tls.crl;
    names.expected = without_last_dot(server.tls.server_name.empty() ? server.address : server.tls.server_name);
    names.expected_key = server.tls.server_name.empty() ? "address" : "tls.server_name";
    return names;
}

class Credentials final : public TlsCredentials {
public:
    explicit Credentials(const ServerConfig& server) : config_(server.tls), names_(leasemirror::names_of(server)) {
        stamps_ = stamps_of(config_);
        loaded_ = read();
    }

    std::optional<std::string> refresh() override {
        const auto found = stamps_of(config_);
        if (found == stamps_) return std::nullopt;
        try {
            auto changed = read();
            // What is out of its time takes the place of nothing better, but not of what is in use.
            if (const auto why = out_of_its_time(*changed); why && !out_of_its_time(*loaded_)) throw Unusable{*why};
            loaded_ = std::move(changed);
            stamps_ = found;
            return std::nullopt;
        } catch (const Unusable& e) {
            auto told = std::pair(found, e.why);
            if (last_complaint_ == told) return std::nullopt;
            last_complaint_ = std::move(told);
            return "the TLS files have changed and cannot be used: " + e.why + "; those read before stay in use";
        }
    }

    [[nodiscard]] std::optional<std::string> own_certificate_trouble() const override {
        return out_of_its_time(*loaded_);
    }
    [[nodiscard]] std::string stamp() const override { return text_of(stamps_); }
    [[nodiscard]] UtcSeconds expires_at() const override { return loaded_->expires_at; }
    [[nodiscard]] std::shared_ptr<const LoadedTls> loaded() const override { return loaded_; }

private:
    [[nodiscard]] std::shared_ptr<const LoadedTls> read() const {
        auto out = std::make_shared<LoadedTls>();
        out->context.reset(SSL_CTX_new(TLS_client_method()));
        auto* const context = out->context.get();
        if (context == nullptr) throw std::bad_alloc();
        out->config = config_;
        out->names = names_;
        set_rules(context);
        load_authorities(config_, context);
        load_revocations(config_, context);
        load_own(config_, context);
        expect_name(names_, context);
        const auto* const own = SSL_CTX_get0_certificate(context);
        out->names.own = certificate_name(own);
        out->expires_at = certificate_end(own);
        ERR_clear_error();
        return out;
    }

    const TlsConfig config_;
    const TlsNames names_;
    FileStamps stamps_;  // of what is loaded
    std::shared_ptr<const LoadedTls> loaded_;
    std::optional<std::pair<FileStamps, std::string>> last_complaint_;
};

}  // namespace

Result<std::shared_ptr<TlsCredentials>, std::string> load_tls_credentials(const ServerConfig& server) {
    if (server.tls.mode == TlsMode::off) return std::shared_ptr<TlsCredentials>();
    try {
        return std::shared_ptr<TlsCredentials>(std::make_shared<Credentials>(server));
    } catch (const Unusable& e) {
        return Unexpected{e.why};
    }
}

Result<TlsOfServers, std::vector<std::string>> load_tls_credentials(const Config& config) {
    TlsOfServers out;
    std::vector<std::string> errors;
    for (const auto& server : config.servers) {
        auto credentials = load_tls_credentials(server);
        if (credentials)
            out.push_back(*std::move(credentials));
        else
            errors.push_back("server " + server.name + ": " + credentials.error());
    }
    if (!errors.empty()) return Unexpected{std::move(errors)};
    return out;
}

}  // namespace leasemirror
