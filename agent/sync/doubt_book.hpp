// Which bindings of one server are in doubt, and when the server is asked about which (agent/README.md, "Doubt").
//
// The doubts themselves are in the database, so that a crash loses none; here are the few that are asked about next. A
// question is a bulk query for one client or one address. What it answers settles the doubt, and so does any later word
// about the binding. How often may be asked is bounded: questions_at_once in a row, and then one each question_interval.
// Where more are in doubt than can be asked about one by one, a full bulk is due instead.
//
// A question by client tells what the client has, and not who has the address. Where another client may have taken it
// over, the answer ends the binding, the doubt stays, and a full bulk tells the rest.
#pragma once

#include "agent/sync/bulk_job.hpp"
#include "agent/sync/pacing.hpp"
#include "proto/query.hpp"
#include "storage/batch.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace leasemirror {

class DoubtBook {
public:
    static constexpr int questions_at_once = 30;
    /// So there are never more than questions_at_once + 240 questions in an hour, and one for each start of the agent.
    static constexpr std::chrono::seconds question_interval{15};
    /// A doubt that an answer did not settle is asked about again after this, then after twice as long, ...
    static constexpr std::chrono::seconds again_first{60};
    static constexpr std::chrono::hours again_most{1};
    /// A doubt for something unreadable is as of a second after that (Telling::told_by()): what answers a question is not to
    /// be older.
    static constexpr std::chrono::seconds unreadable_settles{1};

    DoubtBook(Family family, const ResumePoint& resume);
    /// An earlier life of the agent ended so long ago. It may have asked all that it might, and so did each one before it in a
    /// crash loop.
    void start(std::chrono::milliseconds away);

    /// What a commit told: doubts that are new, or where it was asked for, those that there are; and how many there are.
    /// `listed_after`: the batch asked for that (Batch::list_doubts, doubts_after).
    void learn(const Applied& applied, std::optional<std::uint64_t> listed_after, SteadyTime now);
    /// There are doubts that are not here, or some of those here are settled: Applied::doubts is to list them.
    [[nodiscard]] bool wants_listing(SteadyTime now) const { return lacks_listing() && now >= listing_due_; }
    /// How many of those known longest it is to leave out: they were listed before.
    [[nodiscard]] std::uint64_t on_listing_asked(SteadyTime now);
    /// More are in doubt than are asked about one by one, or an address that its client has left may be another's.
    [[nodiscard]] bool wants_full_bulk() const { return full_wanted_ || open_ > left_by_full_ + doubts_told_max; }
    void on_full_bulk_begun();
    /// Its end is in the database, and learned. What was in doubt before it began, and still is, another one would not
    /// settle either. What came to be in doubt while it ran, it had no say in.
    void on_full_bulk_written();
    /// The addresses that their clients had left before this run began. They are free if a full bulk of that run was read
    /// whole, and lists them not.
    [[nodiscard]] std::vector<DoubtfulBinding> take_left_before(std::uint64_t run, bool all_vpns);
    [[nodiscard]] std::uint64_t open() const { return open_; }
    /// What the mirror has at this address in this VPN is in doubt, and will be asked about.
    [[nodiscard]] bool knows(const IpAddress& address, const std::string& vpn_id) const;

    /// A question is due, and may be asked, and none is under way.
    [[nodiscard]] bool is_due(SteadyTime now);
    /// Begins it.
    void begin(std::uint64_t run);
    /// One more question may be asked by now, be it one whose connection broke.
    [[nodiscard]] bool may_ask(SteadyTime now);
    /// It goes out.
    void on_asked() { --questions_left_; }
    /// A full bulk for all VPNs has listed a binding in one: this server heeds option 221.
    void on_vpns_listed() { lists_vpns_ = true; }
    /// It is about a binding in a VPN. We know no other way to ask for one than to ask for all of them.
    [[nodiscard]] bool asks_all_vpns() const { return family_ == Family::v4 && !about_.key.vpn_id.empty(); }
    /// The question under way.
    [[nodiscard]] BulkJob* question() { return question_ ? &*question_ : nullptr; }
    [[nodiscard]] const BulkJob* question() const { return question_ ? &*question_ : nullptr; }

    enum class Answer : std::uint8_t {
        none,   ///< it could not be had, or not be read: asked again later
        there,  ///< the server has the binding, for the client that the mirror has
        other,  ///< likewise, for another one
        left,   ///< the client that the mirror has does not hold it any more; another one may
        gone,   ///< the server does not have it
    };
    struct Settled {
        Answer answer = Answer::none;
        DoubtfulBinding about;
        ServerTime answered_at{};  ///< as of when, in the server's clock
        std::uint64_t run = 0;
    };
    /// The question under way is over.
    [[nodiscard]] Settled finish(SteadyTime now);
    /// The connection of the question under way is gone: it waits for another.
    void give_back();
    void start_afresh();

    /// What was due by `planned_at` waits for an event, and not for a time.
    [[nodiscard]] std::optional<SteadyTime> next_deadline(SteadyTime planned_at = SteadyTime::min()) const;

private:
    struct Entry {
        DoubtfulBinding about;
        SteadyTime due = SteadyTime::min();
        std::chrono::milliseconds again = again_first;
        std::uint64_t left_in = 0;  ///< the run of the question that told that its client has left it; 0: none did

        /// It was asked about, and waits for something else: it makes room for one that was not.
        [[nodiscard]] bool rests() const { return left_in != 0 || again != again_first; }
    };
    void note(const DoubtfulBinding& about, SteadyTime first_due);
    [[nodiscard]] std::optional<BulkQuery> query_for(const DoubtfulBinding& about) const;
    [[nodiscard]] bool lacks_listing() const;
    [[nodiscard]] Entry* first_due();
    void refill(SteadyTime now);

    Family family_;
    std::vector<Entry> asked_;        // doubts_told_max at most
    std::uint64_t open_;              // in the database
    std::uint64_t left_by_full_ = 0;  // so many of them the last full bulk did not settle
    std::uint64_t arisen_since_ = 0;  // since the last full bulk began, by what the server told elsewhere
    std::uint64_t listed_to_ = 0;     // so many of those known longest were listed
    bool some_settled_ = false;       // since the last listing, and it is not known which
    SteadyTime listing_due_ = SteadyTime::min();
    bool full_wanted_ = false;
    bool lists_vpns_ = false;  // it has listed a binding in a VPN when asked for all of them
    std::optional<BulkJob> question_;
    DoubtfulBinding about_;  // what it is about
    int questions_left_ = questions_at_once;
    std::optional<SteadyTime> refilled_at_;
};

}  // namespace leasemirror
