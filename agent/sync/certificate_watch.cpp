#include "agent/sync/certificate_watch.hpp"

#include "agent/sync/clocks/whole_seconds.hpp"

#include "agent/config/time_text.hpp"

#include <algorithm>

namespace leasemirror {

void CertificateWatch::on_secured(const CertificateEnd& end, Now now) {
    if (end_ == end) return;
    end_ = end;
    due_ = now.steady;
}

std::optional<std::string> CertificateWatch::poll_warning(Now now) {
    if (!due_ || now.steady < *due_) return std::nullopt;
    const auto left = end_->at - whole_seconds(now);
    if (left >= warns_before) {
        // Its time comes later; looked at once a day until then, since the clock of this host may be set.
        due_ =
            now.steady + std::min<std::chrono::seconds>(left - warns_before + std::chrono::seconds{1}, repeats_after);
        return std::nullopt;
    }
    due_ = now.steady + repeats_after;
    const auto* const whose = end_->whose == CertificateEnd::Whose::ours
                                  ? "our certificate (tls.cert)"
                                  : "the certificate that the server showed last";
    if (left < std::chrono::seconds{0}) return std::string(whose) + " expired on " + iso_utc(end_->at) + "; renew it";
    const auto days = std::chrono::floor<std::chrono::days>(left).count();
    return std::string(whose) + " expires on " + iso_utc(end_->at) + ", in " +
           (days == 0   ? "less than a day"
            : days == 1 ? "one day"
                        : std::to_string(days) + " days") +
           "; renew it";
}

}  // namespace leasemirror
