// What the exit code of every command tells.
#pragma once

namespace leasemirror {

inline constexpr int exit_fine = 0;
inline constexpr int exit_found_wrong = 1;     ///< the check or query found something wrong
inline constexpr int exit_usage = 2;           ///< usage or configuration error
inline constexpr int exit_cannot_connect = 3;  ///< a server or the database could not be reached

}  // namespace leasemirror
