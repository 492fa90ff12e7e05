#include "agent/net/tls_errors.hpp"

#include "agent/config/time_text.hpp"
#include "proto/ip_address.hpp"
#include "proto/session/tls_upgrade.hpp"
#include "proto/status.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

namespace leasemirror {
namespace {

struct FreeBio {
    void operator()(BIO* p) const { BIO_free(p); }
};
struct FreeNames {
    void operator()(GENERAL_NAMES* p) const { GENERAL_NAMES_free(p); }
};

/// A server's certificate may carry hundreds.
constexpr int names_shown_max = 5;

std::string name_text(const X509_NAME* name) {
    const std::unique_ptr<BIO, FreeBio> out(BIO_new(BIO_s_mem()));
    // As RFC 2253 has it, but in UTF-8 where that would escape it; printable() sees to the rest.
    X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
    char* data = nullptr;
    const auto size = BIO_get_mem_data(out.get(), &data);
    return printable({data, static_cast<std::size_t>(size)}, 200);
}

UtcSeconds time_of(const ASN1_TIME* t) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(t, &parts) != 1) return {};
    return UtcSeconds{std::chrono::seconds{timegm(&parts)}};
}

std::string one_name(const GENERAL_NAME& name) {
    if (name.type == GEN_DNS) {
        const auto* const text = name.d.dNSName;
        return printable({reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                          static_cast<std::size_t>(ASN1_STRING_length(text))},
                         200);
    }
    if (name.type != GEN_IPADD) return {};
    const auto* const octets = name.d.iPAddress;
    const auto length = static_cast<std::size_t>(ASN1_STRING_length(octets));
    if (length != 4 && length != 16) return {};
    return IpAddress::from_bytes({ASN1_STRING_get0_data(octets), length}).to_string();
}

/// The names and addresses that it is for: "a.example, 192.0.2.1".
std::string names_of(const X509* certificate) {
    const std::unique_ptr<GENERAL_NAMES, FreeNames> names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    std::string out;
    const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
    int shown = 0;
    for (int i = 0; i < count; ++i) {
        const auto name = one_name(*sk_GENERAL_NAME_value(names.get(), i));
        if (name.empty()) continue;
        if (++shown > names_shown_max) return out + ", ...";
        out += (out.empty() ? "" : ", ") + name;
    }
    return out;
}

std::string revocation_error(int error, const std::string& whose, const TlsNames& names) {
    const auto fetch = "; fetch a current one for " + names.crl + " (tls.crl)";
    switch (error) {
        case X509_V_ERR_UNABLE_TO_GET_CRL:
            return whose + " cannot be checked for revocation: " + names.crl +
                   " (tls.crl) has no list of the authority that issued it";
        case X509_V_ERR_CRL_HAS_EXPIRED:
            return whose + " cannot be checked for revocation: the list is out of date" + fetch;
        case X509_V_ERR_CRL_NOT_YET_VALID:
            return whose +
                   " cannot be checked for revocation: the list is not valid yet; is the clock of this host right?";
        default:
            return whose + " cannot be checked for revocation: " + X509_verify_cert_error_string(error) + fetch;
    }
}

/// What is missing is at the upper end of the chain; what people know is the certificate at its lower end.
std::string chain_error(const X509_STORE_CTX* context, const TlsNames& names) {
    const auto* const servers = X509_STORE_CTX_get0_cert(context);
    const auto whose = "TLS: the server's certificate (" + certificate_name(servers) + ") ";
    if (X509_STORE_CTX_get_error(context) == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)
        return whose + "is signed by itself and is not in " + names.ca + " (tls.ca)";
    return whose + "does not come from an authority in " + names.ca + " (tls.ca): it leads to " +
           name_text(X509_get_issuer_name(X509_STORE_CTX_get_current_cert(context)));
}

std::string wrong_name_error(const X509* certificate, const std::string& whose, const TlsNames& names) {
    const auto is_for = names_of(certificate);
    return whose + " is for " + (is_for.empty() ? "no name or address at all (subjectAltName)" : is_for) +
           ", not for " + names.expected + " (" + names.expected_key +
           "); if it is the right server, set tls.server_name to what its certificate carries";
}

}  // namespace

std::string certificate_name(const X509* certificate) {
    const auto subject = name_text(X509_get_subject_name(certificate));
    return subject.empty() ? names_of(certificate) : subject;
}

UtcSeconds certificate_begin(const X509* certificate) {
    return time_of(X509_get0_notBefore(certificate));
}

UtcSeconds certificate_end(const X509* certificate) {
    return time_of(X509_get0_notAfter(certificate));
}

std::string verification_error(const X509_STORE_CTX* context, const TlsNames& names) {
    const auto error = X509_STORE_CTX_get_error(context);
    const auto* const certificate = X509_STORE_CTX_get_current_cert(context);
    if (certificate == nullptr) return std::string("TLS: ") + X509_verify_cert_error_string(error);
    const auto* const of = X509_STORE_CTX_get_error_depth(context) == 0
                               ? "the server's certificate ("
                               : "the certificate of an authority above the server's (";
    const auto whose = std::string("TLS: ") + of + certificate_name(certificate) + ")";
    switch (error) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return whose + " expired on " + iso_utc(certificate_end(certificate)) + "; it must be renewed";
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return whose + " is not valid before " + iso_utc(certificate_begin(certificate)) +
                   "; is the clock of this host right?";
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return wrong_name_error(certificate, whose, names);
        case X509_V_ERR_CERT_REVOKED:
            return whose + " has been revoked by its authority (" + names.crl + ", tls.crl)";
        case X509_V_ERR_UNABLE_TO_GET_CRL:
        case X509_V_ERR_CRL_HAS_EXPIRED:
        case X509_V_ERR_CRL_NOT_YET_VALID:
        case X509_V_ERR_CRL_SIGNATURE_FAILURE:
        case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
        case X509_V_ERR_DIFFERENT_CRL_SCOPE:
            return revocation_error(error, whose, names);
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
            return chain_error(context, names);
        case X509_V_ERR_INVALID_PURPOSE:
            return whose + " was not issued for a TLS server (extended key usage)";
        case X509_V_ERR_EE_KEY_TOO_SMALL:
        case X509_V_ERR_CA_KEY_TOO_SMALL:
        case X509_V_ERR_CA_MD_TOO_WEAK:
            return whose + " is too weak: " + X509_verify_cert_error_string(error);
        default:
            return whose + " is not accepted: " + X509_verify_cert_error_string(error);
    }
}

std::string pin_error(const X509* certificate, const std::string& hash) {
    return "TLS: the server's certificate (" + certificate_name(certificate) + ") has the key " + hash +
           ", which is not in tls.pin; if its key was changed on purpose, add it there";
}

std::string alert_error(int description, const TlsNames& names) {
    const auto alert = "alert '" + std::string(SSL_alert_desc_string_long(description)) + "'";
    const auto ours = "our certificate (" + names.own + ", tls.cert " + names.cert + ")";
    switch (description) {
        case SSL_AD_BAD_CERTIFICATE:
        case SSL_AD_UNSUPPORTED_CERTIFICATE:
        case SSL_AD_CERTIFICATE_UNKNOWN:
        case SSL_AD_ACCESS_DENIED:
        case SSL_AD_CERTIFICATE_REQUIRED:
        case SSL_AD_DECRYPT_ERROR:
            return "TLS: the server refused " + ours + " by " + alert + "; its log should say why";
        case SSL_AD_UNKNOWN_CA:
            return "TLS: the server refused " + ours + " by " + alert + "; does it trust the authority that issued it?";
        case SSL_AD_CERTIFICATE_EXPIRED:
            return "TLS: the server refused " + ours + " by " + alert + "; renew it, or look at the server's clock";
        case SSL_AD_CERTIFICATE_REVOKED:
            return "TLS: the server refused " + ours + " by " + alert + "; it needs a new one";
        case SSL_AD_PROTOCOL_VERSION:
            return "TLS: the server speaks no TLS newer than 1.1 (" + alert +
                   "); older versions are not safe (RFC 8996) and never used here";
        case SSL_AD_HANDSHAKE_FAILURE:
        case SSL_AD_INSUFFICIENT_SECURITY:
            return "TLS: the server ended the handshake by " + alert + ": it refuses " + ours +
                   ", or knows no cipher that is allowed here (ECDHE with AES-GCM or ChaCha20-Poly1305)";
        default:
            return "TLS: the server ended the connection by " + alert;
    }
}

std::string library_error(const TlsNames& names) {
    const auto error = ERR_get_error();
    ERR_clear_error();
    switch (ERR_GET_REASON(error)) {
        case SSL_R_UNSUPPORTED_PROTOCOL:
            return "TLS: the server wants a version older than 1.2; such are not safe (RFC 8996) and never used here";
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_HTTP_REQUEST:
        case SSL_R_BAD_RECORD_TYPE:
            return std::string("TLS: what the server sent is not TLS; ") +
                   (names.mode == TlsMode::direct
                        ? "if it expects DHCPTLS or STARTTLS first, set tls.mode to starttls; " +
                              std::string(no_tls_hint)
                        : "after it had agreed to TLS: a fault in it, or somebody on the way is attacking");
        default:
            break;
    }
    const char* const reason = ERR_reason_error_string(error);
    return std::string("TLS: ") + (reason ? reason : "the connection failed without a reason that OpenSSL knows");
}

}  // namespace leasemirror
