#include "agent/cli/output_pipe.hpp"

#include <poll.h>
#include <unistd.h>

namespace leasemirror {

bool nobody_reads() {
    pollfd output{STDOUT_FILENO, 0, 0};
    return ::poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

}  // namespace leasemirror
