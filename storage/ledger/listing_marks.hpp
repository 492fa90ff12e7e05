// Which bindings a full bulk has listed as they are stored. That is all there is to keep of them, so it is not written:
// one bit for each stands here until the bulk is reconciled. When the agent ends before, the bulk is asked again anyway.
#pragma once

#include "storage/batch.hpp"

#include <array>
#include <cstdint>
#include <map>

namespace leasemirror {

/// Bindings with `after` < binding_id <= `last`.
struct MarkedRange {
    std::int64_t after = 0;
    std::int64_t last = 0;
    /// The bit of binding `after` + 1 is the lowest of the first octet. Empty: none of them is marked.
    Bytes bits;
    std::int64_t run = 0;  ///< that marked them
};

class ListingMarks {
public:
    /// How many bindings a range is of that has bits.
    static constexpr std::int64_t range_max = std::int64_t{1} << 20;

    /// A batch is about to be applied, or is again. A full bulk that begins in it drops what was marked by an earlier one,
    /// unless that ends in the same batch.
    void begin(const Batch& batch);
    /// It is committed. When it has reconciled the bulk, nothing needs to be known of that any more.
    void committed(const Batch& batch);
    void forget(ServerId server) { bulks_.erase(server); }

    /// Whether this is a full bulk that began here.
    [[nodiscard]] bool is_open(ServerId server, std::uint64_t run) const;
    /// To be called where it is open.
    void mark(ServerId server, std::int64_t binding_id);
    /// The bulk that has marked it; 0: none.
    [[nodiscard]] std::int64_t run_of(ServerId server, std::int64_t binding_id) const;
    /// The bulk that has marked any, while the database does not say so: server.marked_run is to become it. 0: none.
    [[nodiscard]] std::int64_t run_to_keep(ServerId server) const;

    /// What lies behind `after`: to be gone through from 0 until `last` is the highest number there is.
    [[nodiscard]] MarkedRange range(ServerId server, std::int64_t after) const;

private:
    static constexpr std::int64_t chunk_bits = 4096;
    using Chunk = std::array<std::uint8_t, chunk_bits / 8>;
    struct Bulk {
        std::uint64_t run = 0;
        bool kept = false;
        std::map<std::int64_t, Chunk> chunks;  // by binding_id / chunk_bits
    };
    std::map<ServerId, Bulk> bulks_;
};

/// Before begin(): that a batch reconciles a full bulk whose marks are elsewhere. `kept` is what the database says of it
/// (server.marked_run). Throws StoreError `behind`: all is read anew.
void require_marks(const Batch& batch, std::int64_t kept, const ListingMarks& marks);

}  // namespace leasemirror
