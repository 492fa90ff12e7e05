#include "agent/config/secret_file.hpp"

#include <sys/stat.h>

namespace leasemirror {

std::optional<std::string> fault_of_secret_file(const std::string& path) {
    struct stat s {};
    if (::stat(path.c_str(), &s) != 0) return std::nullopt;  // whoever opens it says why
    const mode_t forbidden = s.st_uid == 0 ? (S_IRWXO | S_IWGRP | S_IXGRP) : (S_IRWXO | S_IRWXG);
    if ((s.st_mode & forbidden) == 0) return std::nullopt;
    return "can be read or written by others than its owner; chmod 600 " + path;
}

}  // namespace leasemirror
