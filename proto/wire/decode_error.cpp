#include "proto/wire/decode_error.hpp"

namespace leasemirror {

std::string_view to_string(DecodeFault f) {
    switch (f) {
        case DecodeFault::truncated:
            return "runs past the end of the message";
        case DecodeFault::bad_length:
            return "impossible length";
        case DecodeFault::runs_past_parent:
            return "runs past what contains it";
        case DecodeFault::bad_value:
            return "impossible value";
        case DecodeFault::missing_option:
            return "missing, and nothing can be recorded without it";
        case DecodeFault::contradiction:
            return "contradicts another field";
        case DecodeFault::too_many:
            return "more than are supported";
        case DecodeFault::wrong_message_type:
            return "not a message that a leasequery server sends";
    }
    return "?";
}

std::string to_string(const DecodeError& e) {
    std::string out = e.code == 0 ? std::string("header") : "option " + std::to_string(e.code);
    out += " at octet " + std::to_string(e.offset) + ": ";
    out += to_string(e.fault);
    return out;
}

}  // namespace leasemirror
