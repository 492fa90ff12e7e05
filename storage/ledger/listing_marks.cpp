#include "storage/ledger/listing_marks.hpp"

#include "storage/store_error.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace leasemirror {

void ListingMarks::begin(const Batch& batch) {
    if (batch.fresh_start) forget(batch.server);
    if (!batch.begin_full) return;
    // The one that ends in this batch needs its marks until then. The next one does without.
    if (batch.reconcile && batch.reconcile->run != *batch.begin_full) return;
    auto& bulk = bulks_[batch.server];
    if (bulk.run != *batch.begin_full) bulk = {*batch.begin_full, false, {}};
}

void ListingMarks::committed(const Batch& batch) {
    const auto bulk = bulks_.find(batch.server);
    if (bulk == bulks_.end()) return;
    bulk->second.kept = !bulk->second.chunks.empty();
    if (batch.reconcile) bulks_.erase(bulk);
}

bool ListingMarks::is_open(ServerId server, std::uint64_t run) const {
    const auto bulk = bulks_.find(server);
    return bulk != bulks_.end() && bulk->second.run == run;
}

void ListingMarks::mark(ServerId server, std::int64_t binding_id) {
    const auto bit = static_cast<unsigned>(binding_id % chunk_bits);
    auto& octet = bulks_.at(server).chunks.try_emplace(binding_id / chunk_bits).first->second[bit / 8];
    octet = static_cast<std::uint8_t>(octet | 1U << bit % 8);
}

std::int64_t ListingMarks::run_of(ServerId server, std::int64_t binding_id) const {
    const auto bulk = bulks_.find(server);
    if (bulk == bulks_.end()) return 0;
    const auto chunk = bulk->second.chunks.find(binding_id / chunk_bits);
    if (chunk == bulk->second.chunks.end()) return 0;
    const auto bit = static_cast<unsigned>(binding_id % chunk_bits);
    return (chunk->second[bit / 8] >> bit % 8 & 1U) != 0 ? static_cast<std::int64_t>(bulk->second.run) : 0;
}

std::int64_t ListingMarks::run_to_keep(ServerId server) const {
    const auto bulk = bulks_.find(server);
    const bool any = bulk != bulks_.end() && !bulk->second.chunks.empty() && !bulk->second.kept;
    return any ? static_cast<std::int64_t>(bulk->second.run) : 0;
}

MarkedRange ListingMarks::range(ServerId server, std::int64_t after) const {
    MarkedRange out{after, std::numeric_limits<std::int64_t>::max(), {}, 0};
    const auto bulk = bulks_.find(server);
    if (bulk == bulks_.end()) return out;
    const auto& chunks = bulk->second.chunks;
    out.run = static_cast<std::int64_t>(bulk->second.run);
    const auto first = after + 1;
    auto chunk = chunks.lower_bound(first / chunk_bits);
    if (chunk == chunks.end()) return out;
    if (const auto begins = chunk->first * chunk_bits; begins > first) {
        out.last = begins - 1;
        return out;
    }
    const auto limit = after + range_max;
    for (; chunk != chunks.end() && chunk->first * chunk_bits + chunk_bits - 1 <= limit; ++chunk) {
        const auto begins = std::max(chunk->first * chunk_bits, first);
        out.last = chunk->first * chunk_bits + chunk_bits - 1;
        out.bits.resize(static_cast<std::size_t>(out.last - after) / 8 + 1);
        for (auto id = begins; id <= out.last; ++id) {
            const auto bit = static_cast<unsigned>(id % chunk_bits);
            if ((chunk->second[bit / 8] >> bit % 8 & 1U) == 0) continue;
            const auto at = static_cast<std::size_t>(id - first);
            out.bits[at / 8] = static_cast<std::uint8_t>(out.bits[at / 8] | 1U << at % 8);
        }
    }
    return out;
}

void require_marks(const Batch& batch, std::int64_t kept, const ListingMarks& marks) {
    if (!batch.reconcile) return;
    const auto run = static_cast<std::int64_t>(batch.reconcile->run);
    if (kept < run || (kept == run && marks.is_open(batch.server, batch.reconcile->run))) return;
    throw StoreError(StoreFault::behind, "what full bulk " + std::to_string(run) + " of server " +
                                             std::to_string(batch.server) +
                                             " has listed was noted by another session; it is read anew");
}

}  // namespace leasemirror
