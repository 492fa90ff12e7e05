#include "agent/sync/certificate_watch.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr UtcSeconds began{std::chrono::seconds{1795000000}};

Now at(std::chrono::seconds since) {
    return {SteadyTime{} + since, UtcMillis{began} + since};
}

CertificateEnd theirs(std::chrono::seconds left) {
    return {began + left, CertificateEnd::Whose::the_servers};
}

}  // namespace

TEST_CASE("without TLS there is no certificate to warn of") {
    CertificateWatch watch;
    CHECK_FALSE(watch.poll_warning(at(0s)));
    CHECK_FALSE(watch.next_deadline());
}

TEST_CASE("a certificate that is about to end is said at once, and then every day") {
    CertificateWatch watch;
    watch.on_secured(theirs(std::chrono::days{5} + 1h), at(0s));
    CHECK(watch.poll_warning(at(0s)) ==
          "the certificate that the server showed last expires on 2026-11-23T12:06:40Z, in 5 days; renew it");
    CHECK(watch.next_deadline() == at(24h).steady);
    CHECK_FALSE(watch.poll_warning(at(24h - 1s)));
    CHECK(watch.poll_warning(at(24h))->find("in 4 days") != std::string::npos);
    CHECK(watch.poll_warning(at(96h))->find("in one day;") != std::string::npos);
    CHECK(watch.poll_warning(at(120h))->find("in less than a day") != std::string::npos);
    CHECK(watch.poll_warning(at(144h))->find("expired on 2026-11-23T12:06:40Z; renew it") != std::string::npos);
}

TEST_CASE("further connections with the same certificates say nothing new") {
    CertificateWatch watch;
    watch.on_secured(theirs(std::chrono::days{5}), at(0s));
    CHECK(watch.poll_warning(at(0s)));
    watch.on_secured(theirs(std::chrono::days{5}), at(1h));
    CHECK_FALSE(watch.poll_warning(at(1h)));
}

TEST_CASE("a certificate is warned of from the thirtieth day before its end on") {
    CertificateWatch watch;
    watch.on_secured(theirs(std::chrono::days{32}), at(0s));
    std::optional<std::chrono::seconds> said;
    int looks = 0;
    while (!said && ++looks < 10) {
        const auto now = watch.next_deadline()->time_since_epoch();
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now);
        if (watch.poll_warning(at(seconds))) said = seconds;
    }
    CHECK(said == std::chrono::days{2} + 1s);
}

TEST_CASE("a renewed certificate ends the warnings") {
    CertificateWatch watch;
    watch.on_secured({began + std::chrono::days{5}, CertificateEnd::Whose::ours}, at(0s));
    CHECK(watch.poll_warning(at(0s))->starts_with("our certificate (tls.cert) expires on "));
    watch.on_secured(theirs(std::chrono::days{90}), at(1h));
    CHECK_FALSE(watch.poll_warning(at(1h)));
    CHECK_FALSE(watch.poll_warning(at(25h)));
}
