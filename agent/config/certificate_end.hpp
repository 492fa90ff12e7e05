// The end of a certificate, as the rooms tell it each other: net sees it, sync warns of it, query prints it.
#pragma once

#include "proto/time.hpp"

#include <cstdint>

namespace leasemirror {

/// Which of the two certificates of a connection ends first, and when.
struct CertificateEnd {
    enum class Whose : std::uint8_t { ours, the_servers };
    UtcSeconds at{};
    Whose whose = Whose::the_servers;

    friend bool operator==(const CertificateEnd&, const CertificateEnd&) = default;
};

}  // namespace leasemirror
