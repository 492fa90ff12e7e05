// Which of two records of one server is the newer one (storage/README.md, "Which record is newer").
#pragma once

#include "proto/binding.hpp"

#include <cstdint>
#include <string_view>

namespace leasemirror {

struct RecordAge {
    std::int64_t epoch = 0;
    std::int64_t base_time = 0;
    Via via = Via::bulk;
};

/// A record replaces what is stored unless that is newer. Equal ones replace: a repeated batch then ends where the
/// first ended, change by change.
[[nodiscard]] bool replaces(const RecordAge& told, const RecordAge& stored);

/// The word in the column `via`; the database allows no other than the three.
[[nodiscard]] Via via_from_word(std::string_view word);

}  // namespace leasemirror
