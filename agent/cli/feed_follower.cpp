#include "agent/cli/feed_follower.hpp"

#include "storage/store_error.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t rows_per_look = 1000;
/// How long a look for more may wait: also how long it may take until an end is noticed.
constexpr milliseconds wait_at_most{500};
constexpr milliseconds first_pause{1000};
constexpr milliseconds longest_pause{10000};

/// Whether another try may go better.
bool may_pass(StoreFault fault) {
    switch (fault) {
        case StoreFault::claimed:
        case StoreFault::unavailable:
        case StoreFault::in_doubt:
        case StoreFault::behind:
            return true;
        case StoreFault::fenced:
        case StoreFault::unusable:
        case StoreFault::refused:
            return false;
    }
    return false;
}

class FeedFollower {
public:
    FeedFollower(Reader& reader, const FeedRequest& request, const FeedHooks& hooks)
        : reader_(reader), request_(request), hooks_(hooks) {}

    void run() {
        cursor_ = request_.since ? *request_.since : reader_.feed_ends().last;
        while (!hooks_.stopping() && !at_limit()) {
            try {
                const bool more = look();
                if (!hooks_.flush()) return;
                if (!more && !at_limit()) reader_.wait_for_changes(wait_at_most);
            } catch (const StoreError& e) {
                if (!looked_ || !may_pass(e.fault())) throw;
                wait_out(e);
            }
        }
    }

private:
    /// Whether there may be more already.
    bool look() {
        const auto part = reader_.changes_after(cursor_, request_.server, rows_per_look);
        check_ends(part.ends);
        if (!trouble_.empty()) hooks_.say("the database is back");
        trouble_.clear();
        pause_ = first_pause;
        looked_ = true;
        for (const auto& row : part.rows) {
            hooks_.row(row);
            ++given_;
            if (at_limit()) return false;
        }
        const auto next = std::max(cursor_, part.cursor);  // what is lost is behind us too
        return std::exchange(cursor_, next) != next;
    }

    void check_ends(const Reader::FeedEnds& ends) {
        if (cursor_ > ends.last)
            throw StoreError(StoreFault::refused,
                             "the change feed ends with seq " + std::to_string(ends.last) + ", and not with " +
                                 std::to_string(cursor_) +
                                 " or later: this is another database, or it has lost what it had committed (a "
                                 "failover, a restored backup); read the tables anew, and then go on with --since " +
                                 std::to_string(ends.last));
        if (ends.first <= cursor_ + 1 || ends.removed_to <= cursor_) return;
        if (!request_.skip_lost)
            throw StoreError(StoreFault::refused,
                             "rows from seq " + std::to_string(cursor_ + 1) + " to " + std::to_string(ends.first - 1) +
                                 " have been removed (storage.retention.changes): read the tables anew, and then go on "
                                 "with --since " +
                                 std::to_string(ends.last) + "; or go on without them, with --skip-lost");
        hooks_.lost(cursor_ + 1, ends.first - 1);
        cursor_ = ends.first - 1;
    }

    void wait_out(const StoreError& e) {
        if (trouble_ != e.what()) hooks_.say(std::string(e.what()) + "; watch goes on when it is back");
        trouble_ = e.what();
        hooks_.pause(pause_);
        pause_ = std::min(pause_ * 2, longest_pause);
    }

    [[nodiscard]] bool at_limit() const { return request_.limit && given_ >= *request_.limit; }

    Reader& reader_;
    const FeedRequest& request_;
    const FeedHooks& hooks_;
    std::int64_t cursor_ = 0;  // what came up to here was given
    std::int64_t given_ = 0;
    bool looked_ = false;
    std::string trouble_;
    milliseconds pause_ = first_pause;
};

}  // namespace

void follow_feed(Reader& reader, const FeedRequest& request, const FeedHooks& hooks) {
    FeedFollower(reader, request, hooks).run();
}

}  // namespace leasemirror
