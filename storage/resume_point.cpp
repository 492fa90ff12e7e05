#include "storage/resume_point.hpp"

namespace leasemirror {

std::string_view to_string(Coverage c) {
    switch (c) {
        case Coverage::full:
            return "full";
        case Coverage::partial:
            return "partial";
    }
    return "?";
}

}  // namespace leasemirror
