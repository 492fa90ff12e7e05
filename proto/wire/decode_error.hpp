// Why bytes could not be understood: a value, since a peer that is wrong is an ordinary event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace leasemirror {

enum class DecodeFault : std::uint8_t {
    truncated,           ///< a field or option runs past the message
    bad_length,          ///< an option whose length its definition does not allow
    runs_past_parent,    ///< a nested length that is larger than what contains it
    bad_value,           ///< a value that its definition does not allow
    missing_option,      ///< an option without which the record says nothing
    contradiction,       ///< two fields that cannot both be true
    too_many,            ///< more repetitions than we keep
    wrong_message_type,  ///< not a message that a leasequery peer sends
};

/// `code` is the option the fault is in (0: the fixed header), `offset` counts from the start of the message.
struct DecodeError {
    DecodeFault fault{};
    std::uint16_t code = 0;
    std::size_t offset = 0;

    friend bool operator==(const DecodeError&, const DecodeError&) = default;
};

[[nodiscard]] std::string_view to_string(DecodeFault f);  // "impossible length", ...

/// "option 51 at octet 244: impossible length"
[[nodiscard]] std::string to_string(const DecodeError& e);

}  // namespace leasemirror
