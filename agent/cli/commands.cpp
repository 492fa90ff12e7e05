#include "agent/cli/commands.hpp"

#include <ostream>

namespace leasemirror {

int execute(const Exit& exit, std::ostream& out, std::ostream& err) {
    (exit.code == exit_fine ? out : err) << exit.text;
    return exit.code;
}

}  // namespace leasemirror
