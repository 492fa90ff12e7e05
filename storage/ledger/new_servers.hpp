// Servers of which nothing was ever written when this store took them over. What such a one tells of an address above all that
// it has told so far can have no row yet, and none is looked for. Servers list their addresses in order.
#pragma once

#include "storage/batch.hpp"

#include <map>
#include <optional>
#include <span>

namespace leasemirror {

class NewServers {
public:
    void opened(std::span<const ResumePoint> servers) {
        for (const auto& server : servers) {
            highest_.erase(server.id);
            if (!server.written_at && server.last_run == 0) highest_[server.id];
        }
    }
    /// The highest address told so far, to be raised by whoever goes through a batch, committed or not; none: before the
    /// first. Null: rows may be there.
    [[nodiscard]] std::optional<IpAddress>* highest(ServerId server) {
        const auto found = highest_.find(server);
        return found == highest_.end() ? nullptr : &found->second;
    }

private:
    std::map<ServerId, std::optional<IpAddress>> highest_;
};

}  // namespace leasemirror
