#include "storage/sqlite/file_lock.hpp"

#include "storage/store_error.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>

namespace leasemirror {
namespace {

/// The process id that the holder wrote; empty if it has not come to that yet.
std::string holder(int fd) {
    std::array<char, 24> text{};
    const auto n = ::pread(fd, text.data(), text.size() - 1, 0);
    std::string pid(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    while (!pid.empty() && (pid.back() < '0' || pid.back() > '9'))
        pid.pop_back();
    return pid;
}

[[noreturn]] void fail(const std::string& path, int error) {
    throw StoreError(StoreFault::unavailable, "cannot create the lock file " + path + ": " + std::strerror(error) +
                                                  "; the directory must exist and be writable for this user");
}

}  // namespace

FileLock::FileLock(const std::string& database_path) {
    const auto path = database_path + ".lock";
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) fail(path, errno);
    // flock and not fcntl: it belongs to this open file, so that a second store in one process is refused too.
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
        const int error = errno;
        const auto pid = holder(fd_);
        ::close(fd_);
        if (error != EWOULDBLOCK) fail(path, error);
        throw StoreError(StoreFault::unavailable,
                         database_path + " is open for writing in another leasemirror" +
                             (pid.empty() ? std::string{} : ", process " + pid) +
                             "; only one may write to it: stop that one, or give this one its own database");
    }
    const auto pid = std::to_string(::getpid()) + "\n";
    // For people and the message above only: a disk too full for it is no reason to stop here.
    const auto written = ::ftruncate(fd_, 0) == 0 ? ::pwrite(fd_, pid.data(), pid.size(), 0) : -1;
    static_cast<void>(written);
}

FileLock::~FileLock() {
    ::close(fd_);
}

}  // namespace leasemirror
