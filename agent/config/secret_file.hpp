// Files that hold a secret: passwords and private keys.
#pragma once

#include <optional>
#include <string>

namespace leasemirror {

/// The rule that libpq has for its keys: nobody but the owner may read or write it; or also a group, where the owner is
/// root. "can be read or written by others than its owner; chmod 600 PATH"; nothing if all is well, or if there is no
/// such file.
[[nodiscard]] std::optional<std::string> fault_of_secret_file(const std::string& path);

}  // namespace leasemirror
