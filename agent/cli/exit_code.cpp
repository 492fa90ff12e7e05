#include "agent/cli/exit_code.hpp"

namespace leasemirror {

int exit_code_of(const StoreError& e) {
    switch (e.fault()) {
        case StoreFault::claimed:
        case StoreFault::unavailable:
        case StoreFault::in_doubt:
        case StoreFault::behind:
        case StoreFault::unusable:
            return exit_cannot_connect;
        case StoreFault::fenced:
        case StoreFault::refused:
            return exit_found_wrong;
    }
    return exit_found_wrong;
}

}  // namespace leasemirror
