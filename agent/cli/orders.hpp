// `leasemirror pause`, `resume` and `resync`: what an operator asks of the agent, through the database.
#pragma once

#include "storage/orders.hpp"

#include <iosfwd>
#include <string>

namespace leasemirror {

struct OrderCommand {
    std::string config;
    OrderKind kind = OrderKind::resync;
    std::string server;

    friend bool operator==(const OrderCommand&, const OrderCommand&) = default;
};

int execute(const OrderCommand& command, std::ostream& out, std::ostream& err);

}  // namespace leasemirror
