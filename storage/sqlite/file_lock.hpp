// One writer per database file on a host.
#pragma once

#include <string>

namespace leasemirror {

/// Holds `<database>.lock` locked, with our process id in it, until destroyed. The kernel lets go of the lock when
/// the process ends, however it ends; the file stays, since removing it would race with the next agent.
class FileLock {
public:
    /// Throws StoreError `unavailable`, naming the process that holds it.
    explicit FileLock(const std::string& database_path);
    ~FileLock();
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

private:
    int fd_ = -1;
};

}  // namespace leasemirror
