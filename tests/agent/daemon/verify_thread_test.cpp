// The daemon's own comparisons, as a thread: that it begins, says what it cannot do, and ends. What it finds is in
// tests/e2e/test_verify.py, and when it looks in tests/agent/verify/schedule_test.cpp.
#include "agent/daemon/verify_thread.hpp"

#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>
#include <sstream>
#include <streambuf>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

/// Lines of a log as they come, from any thread.
class Lines final : public std::streambuf {
public:
    /// Nothing takes this long unless it is broken.
    static constexpr auto patience = 60s;

    bool wait_for(const std::string& text) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [&] { return text_.find(text) != std::string::npos; });
    }
    std::string text() {
        const std::lock_guard lock(mutex_);
        return text_;
    }

private:
    std::streamsize xsputn(const char* octets, std::streamsize count) override {
        const std::lock_guard lock(mutex_);
        text_.append(octets, static_cast<std::size_t>(count));
        changed_.notify_all();
        return count;
    }
    int_type overflow(int_type c) override {
        const char octet = traits_type::to_char_type(c);
        (void)xsputn(&octet, 1);
        return c;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::string text_;
};

StoreSettings storage() {
    StoreSettings out;
    out.url = "sqlite:///nonexistent/leases.db";
    return out;
}

struct Listening {
    Lines lines;
    std::ostream out{&lines};
    Log log{LogConfig{}, out};
};

std::vector<ServerConfig> servers(std::chrono::milliseconds interval) {
    ServerConfig one;
    one.name = "east";
    one.verify_interval = interval;
    return {one};
}

}  // namespace

TEST_CASE("verify: without an interval nothing is looked at, and the end waits for nothing") {
    Listening l;
    {
        VerifyThread thread{storage(), "us", l.log};
        thread.want(servers(0ms), {});
    }  // if there was a thread, it has ended
    CHECK(l.lines.text().empty());
}

TEST_CASE("verify: a database that cannot be read is said, and does not hold up the end") {
    Listening l;
    VerifyThread thread{storage(), "us", l.log};
    thread.want(servers(1h), {});
    CHECK(l.lines.wait_for("warn verify-failed text="));
    CHECK(l.lines.wait_for("/nonexistent"));
    thread.want_none();
}
