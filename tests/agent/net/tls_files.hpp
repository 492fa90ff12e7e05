// Certificates made in memory and put into files, for tests of TLS: authorities, good ones and bad ones.
#pragma once

#include "agent/config/config.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

struct evp_pkey_st;
struct x509_st;

namespace leasemirror::test {

/// A directory that goes with the test.
class TemporaryDirectory {
public:
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    [[nodiscard]] std::string operator/(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

/// What a certificate says. Times count from now.
struct CertificateSpec {
    std::string common_name;
    std::string alternative;  ///< "IP:127.0.0.1,DNS:a.example"; empty: none
    std::chrono::seconds begins = -std::chrono::hours{1};
    std::chrono::seconds ends = std::chrono::days{90};
    bool authority = false;  ///< may sign others
};

/// A key and its certificate (P-256).
class Identity {
public:
    /// Signed by itself: an authority.
    explicit Identity(const std::string& common_name);
    Identity(const CertificateSpec& spec, const Identity& issuer);
    [[nodiscard]] std::string certificate_pem() const;
    [[nodiscard]] std::string key_pem() const;
    [[nodiscard]] const x509_st* certificate() const { return certificate_.get(); }
    [[nodiscard]] evp_pkey_st* key() const { return key_.get(); }

private:
    std::shared_ptr<evp_pkey_st> key_;
    std::shared_ptr<x509_st> certificate_;
};

/// What `authority` has revoked, good from an hour ago for a day.
[[nodiscard]] std::string revocation_list_pem(const Identity& authority, const std::vector<const Identity*>& revoked);

/// Replaces the file by a new one, as a tool that renews certificates does; nobody else may read it.
void put_file(const std::string& path, const std::string& content);

/// The files of an authority, and of an agent that it has signed: a server at 127.0.0.1 as `tls` configures it.
[[nodiscard]] ServerConfig server_over_tls(const TemporaryDirectory& directory, const Identity& authority,
                                           const Identity& agent);

}  // namespace leasemirror::test
