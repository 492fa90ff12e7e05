#include "agent/net/host.hpp"

#include "proto/numbers_v6.hpp"

#include <random>

namespace leasemirror {

Now host_now() {
    return {std::chrono::steady_clock::now(),
            std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now())};
}

SessionNow host_session_now() {
    const auto now = host_now();
    return {now.steady, ServerTime{std::chrono::floor<std::chrono::seconds>(now.utc).time_since_epoch()}};
}

std::uint64_t host_seed() {
    std::random_device random;
    const std::uint64_t high = random();
    return high << 32 | random();
}

Bytes new_duid() {
    Bytes duid{0, static_cast<std::uint8_t>(DuidType::uuid)};
    std::random_device random;
    for (int i = 0; i < 16; ++i)
        duid.push_back(static_cast<std::uint8_t>(random() & 0xffU));
    return duid;
}

}  // namespace leasemirror
