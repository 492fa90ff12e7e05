// The bulk connections that all servers together may have (limits.bulk_connections).
#pragma once

#include <cstdint>

namespace leasemirror {

class BulkSlots {
public:
    explicit BulkSlots(std::uint32_t most) : free_(most) {}
    [[nodiscard]] bool take() { return free_ > 0 && (--free_, true); }
    void give_back() { ++free_; }
    [[nodiscard]] bool any_free() const { return free_ > 0; }

private:
    std::uint32_t free_;
};

}  // namespace leasemirror
