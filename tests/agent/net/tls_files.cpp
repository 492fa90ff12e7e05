#include "tests/agent/net/tls_files.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

namespace leasemirror::test {
namespace {

std::shared_ptr<EVP_PKEY> new_key() {
    return {EVP_EC_gen("P-256"), EVP_PKEY_free};
}

void add_extension(X509* certificate, X509* issuer, int what, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    auto* const extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
    REQUIRE(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

std::shared_ptr<X509> new_certificate(const CertificateSpec& spec, EVP_PKEY* key) {
    static long serial = 0;
    std::shared_ptr<X509> certificate(X509_new(), X509_free);
    auto* const c = certificate.get();
    X509_set_version(c, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c), static_cast<long>(spec.begins.count()));
    X509_gmtime_adj(X509_getm_notAfter(c), static_cast<long>(spec.ends.count()));
    X509_set_pubkey(c, key);
    const auto* const name = reinterpret_cast<const unsigned char*>(spec.common_name.c_str());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8, name, -1, -1, 0);
    return certificate;
}

template <class Write>
std::string pem(Write write) {
    const std::unique_ptr<BIO, int (*)(BIO*)> out(BIO_new(BIO_s_mem()), BIO_free);
    REQUIRE(write(out.get()) == 1);
    char* data = nullptr;
    const auto size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
    char path[] = "/tmp/leasemirror-tls-XXXXXX";
    REQUIRE(::mkdtemp(path) != nullptr);
    path_ = path;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

Identity::Identity(const std::string& common_name)
    : key_(new_key()), certificate_(new_certificate({common_name, {}}, key_.get())) {
    auto* const c = certificate_.get();
    X509_set_issuer_name(c, X509_get_subject_name(c));
    add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE");
    REQUIRE(X509_sign(c, key_.get(), EVP_sha256()) > 0);
}

Identity::Identity(const CertificateSpec& spec, const Identity& issuer)
    : key_(new_key()), certificate_(new_certificate(spec, key_.get())) {
    auto* const c = certificate_.get();
    X509_set_issuer_name(c, X509_get_subject_name(issuer.certificate()));
    if (spec.authority) add_extension(c, issuer.certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
    if (!spec.alternative.empty()) add_extension(c, issuer.certificate_.get(), NID_subject_alt_name, spec.alternative);
    REQUIRE(X509_sign(c, issuer.key(), EVP_sha256()) > 0);
}

std::string Identity::certificate_pem() const {
    return pem([this](BIO* out) { return PEM_write_bio_X509(out, certificate_.get()); });
}

std::string Identity::key_pem() const {
    return pem(
        [this](BIO* out) { return PEM_write_bio_PrivateKey(out, key_.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

std::string revocation_list_pem(const Identity& authority, const std::vector<const Identity*>& revoked) {
    const std::unique_ptr<X509_CRL, void (*)(X509_CRL*)> list(X509_CRL_new(), X509_CRL_free);
    const std::unique_ptr<ASN1_TIME, void (*)(ASN1_TIME*)> time(X509_gmtime_adj(nullptr, -3600), ASN1_TIME_free);
    X509_CRL_set_version(list.get(), 1);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(authority.certificate()));
    X509_CRL_set1_lastUpdate(list.get(), time.get());
    for (const auto* const one : revoked) {
        auto* const entry = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(entry, const_cast<ASN1_INTEGER*>(X509_get0_serialNumber(one->certificate())));
        X509_REVOKED_set_revocationDate(entry, time.get());
        REQUIRE(X509_CRL_add0_revoked(list.get(), entry) == 1);
    }
    X509_gmtime_adj(time.get(), 86400);
    X509_CRL_set1_nextUpdate(list.get(), time.get());
    REQUIRE(X509_CRL_sign(list.get(), authority.key(), EVP_sha256()) > 0);
    return pem([&](BIO* out) { return PEM_write_bio_X509_CRL(out, list.get()); });
}

void put_file(const std::string& path, const std::string& content) {
    const auto fresh = path + ".new";
    std::ofstream(fresh) << content;
    std::filesystem::permissions(fresh, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    std::filesystem::rename(fresh, path);
}

ServerConfig server_over_tls(const TemporaryDirectory& directory, const Identity& authority, const Identity& agent) {
    ServerConfig server;
    server.name = "s";
    server.address = "127.0.0.1";
    server.tls.mode = TlsMode::direct;
    server.tls.ca = directory / "ca.pem";
    server.tls.cert = directory / "agent.pem";
    server.tls.key = directory / "agent.key";
    put_file(server.tls.ca, authority.certificate_pem());
    put_file(server.tls.cert, agent.certificate_pem());
    put_file(server.tls.key, agent.key_pem());
    return server;
}

}  // namespace leasemirror::test
