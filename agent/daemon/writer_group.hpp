// Several writers as one: which of them a server belongs to, and what all of them say put together. Pure: it knows no
// thread.
#pragma once

#include "agent/daemon/writer.hpp"

#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

class WriterGroup {
public:
    /// At least one writer, and none without a server.
    WriterGroup(std::size_t writers, std::size_t servers);

    [[nodiscard]] std::size_t size() const { return members_.size(); }
    /// Each writer has its own servers, so that the order of their batches is kept.
    [[nodiscard]] std::size_t writer_of(std::size_t server) const { return server % members_.size(); }
    /// What of `all` (one per server) belongs to this writer.
    template <class T>
    [[nodiscard]] std::vector<T> part_of(std::size_t writer, const std::vector<T>& all) const {
        std::vector<T> part;
        for (std::size_t i = writer; i < all.size(); i += members_.size())
            part.push_back(all[i]);
        return part;
    }

    /// Where to go on with all servers, in their order, once the last writer has opened its store.
    [[nodiscard]] std::optional<Writer::Opened> on_opened(std::size_t writer, Writer::Opened opened);
    /// The sums, once the last writer has taken its step, and the orders of all. `around` once each of them was around.
    [[nodiscard]] std::optional<Swept> on_swept(std::size_t writer, const Swept& swept);
    /// Whether to say it: not while another writer is in the same trouble. An empty text: this one's is over; to be said
    /// when no other is left in the same one.
    [[nodiscard]] bool on_trouble(std::size_t writer, const std::string& text);

private:
    struct Member {
        bool opened = false;
        bool around = false;
        std::string trouble;
    };

    std::vector<Member> members_;
    Writer::Opened opened_;
    std::size_t waited_for_;  // answers to the sweep under way
    Swept swept_;
};

}  // namespace leasemirror
