// One question over UDP, one answer: RFC 5007, RFC 4388 with RFC 6148. The parts of ModelServer::on_datagram().
#pragma once

#include "tests/leasesim/messages/reply.hpp"

namespace leasemirror::leasesim {

/// What an answer is made from.
struct DatagramContext {
    const LeaseModel& model;
    const Personality& personality;
    ByteView server_id;
    UtcMillis now;
    MessageFaults faults;
    std::optional<std::uint64_t> also_associated;  ///< v4: a binding whose address is named beside the client's own
};

/// A LEASEQUERY that is to be answered. Nothing: RFC 5007 §4.2.1 has it discarded, or it is no question at all.
[[nodiscard]] std::optional<Asked> read_datagram_v6(ByteView message, ScratchV6& scratch, const DatagramContext& c);

/// Units whose leases in force the question is about, latest contact first. Looks through all units, but for addresses.
[[nodiscard]] std::vector<UnitState> find_units(const Request& q, const LeaseModel& model, UtcMillis now);

void answer_datagram_v4(Request q, const DatagramContext& c, ByteWriter& out);
void answer_datagram_v6(const Asked& asked, const DatagramContext& c, ByteWriter& out);

}  // namespace leasemirror::leasesim
