// Says in time that a certificate is about to end: once it is seen, and then every day. No clock: the time comes in.
#pragma once

#include "agent/config/certificate_end.hpp"
#include "proto/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace leasemirror {

class CertificateWatch {
public:
    static constexpr std::chrono::days warns_before{30};
    static constexpr std::chrono::hours repeats_after{24};

    /// A connection was secured.
    void on_secured(const CertificateEnd& end, Now now);
    /// A sentence, if it is time for one: at once after an end that is new, then each `repeats_after`, and only while
    /// less than `warns_before` remain.
    [[nodiscard]] std::optional<std::string> poll_warning(Now now);
    /// When to ask again.
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const { return due_; }

private:
    std::optional<CertificateEnd> end_;
    std::optional<SteadyTime> due_;
};

}  // namespace leasemirror
