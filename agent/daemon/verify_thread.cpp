#include "agent/daemon/verify_thread.hpp"

#include "agent/net/host.hpp"
#include "agent/query/cancellation.hpp"
#include "agent/query/progress.hpp"
#include "agent/verify/schedule.hpp"
#include "agent/verify/verify.hpp"
#include "storage/ledger/mirror_reader.hpp"
#include "storage/opening.hpp"
#include "storage/reader.hpp"
#include "storage/store_error.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

namespace leasemirror {
namespace {

std::string address_of(const BindingKey& key) {
    const auto address = key.address.to_string();
    return key.kind == BindingKind::prefix ? address + "/" + std::to_string(key.prefix_len) : address;
}

std::string columns_of(const Difference& difference) {
    std::string out;
    for (const auto& column : difference.columns)
        out += (out.empty() ? "" : "; ") + to_string(column);
    return out;
}

}  // namespace

class VerifyThread::Work {
public:
    Work(StoreSettings storage, std::string agent, Log& log)
        : storage_(std::move(storage)), log_(&log), schedule_(std::move(agent)) {}

    // On its thread.
    void run();

    // On any other.
    /// Whether there is something to compare.
    [[nodiscard]] bool want(std::span<const ServerConfig> servers, const Bytes& requestor_duid);
    void stop();
    /// Whether run() has returned; after this the log is not used any more.
    [[nodiscard]] bool wait_for_end(std::chrono::milliseconds patience);

private:
    struct Job {
        ServerConfig server;
        Bytes requestor_duid;
        std::shared_ptr<Cancellation> cancellation;
    };
    [[nodiscard]] std::optional<Job> next_job();
    [[nodiscard]] bool wait_for_turn();
    void compare(const Job& job);
    [[nodiscard]] bool report(const ServerConfig& server, const VerifyReport& report);
    void name_differences(const ServerConfig& server, const Compared& compared);
    [[nodiscard]] bool record(const ServerConfig& server, const VerifyReport& report);
    void log(LogLevel level, std::string_view event, const std::vector<LogField>& fields);
    void log_failure(const std::string& server, const std::string& why);

    const StoreSettings storage_;
    std::string database_trouble_;  // the thread's alone: as it was said last

    std::mutex mutex_;
    std::condition_variable changed_;
    Log* log_;  // null: nobody listens any more
    VerifySchedule schedule_;
    Bytes requestor_duid_;
    std::optional<Job> job_;  // under way
    std::optional<SteadyTime> not_before_;
    bool stopping_ = false;
    bool ended_ = false;
};

void VerifyThread::Work::run() {
    while (const auto job = next_job()) {
        compare(*job);
        const std::lock_guard lock(mutex_);
        job_.reset();
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
}

bool VerifyThread::Work::want(std::span<const ServerConfig> servers, const Bytes& requestor_duid) {
    const std::lock_guard lock(mutex_);
    requestor_duid_ = requestor_duid;
    schedule_.want(servers);
    if (job_ && !schedule_.wants(job_->server)) job_->cancellation->cancel();
    changed_.notify_all();
    return schedule_.next_look(host_now().steady).has_value();
}

void VerifyThread::Work::stop() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (job_) job_->cancellation->cancel();
    changed_.notify_all();
}

bool VerifyThread::Work::wait_for_end(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return ended_; });
    log_ = nullptr;
    return ended_;
}

/// The next server whose turn it is; nothing when the thread is to end.
std::optional<VerifyThread::Work::Job> VerifyThread::Work::next_job() {
    while (wait_for_turn()) {
        try {
            const auto servers = open_reader(storage_)->servers();
            database_trouble_.clear();
            const std::lock_guard lock(mutex_);
            auto server = schedule_.take(servers, host_now());
            if (stopping_) break;
            if (server) return job_ = Job{*std::move(server), requestor_duid_, std::make_shared<Cancellation>()};
        } catch (const std::exception& error) {
            if (database_trouble_ != error.what()) log_failure({}, database_trouble_ = error.what());
            const std::lock_guard lock(mutex_);
            not_before_ = host_now().steady + VerifySchedule::look_again;
        }
    }
    return std::nullopt;
}

/// False: the thread is to end.
bool VerifyThread::Work::wait_for_turn() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const auto now = host_now().steady;
        auto next = schedule_.next_look(now);
        if (next && not_before_) next = std::max(*next, *not_before_);
        if (next && *next <= now) return true;
        if (next)
            changed_.wait_until(lock, *next);
        else
            changed_.wait(lock);
    }
    return false;
}

void VerifyThread::Work::compare(const Job& job) {
    const auto& name = job.server.name;
    std::ostringstream nowhere;
    QueryProgress progress(nowhere, false, host_now().steady);
    const auto say = [&](const std::string& note) {
        log(LogLevel::info, "verify", {{"server", name}, {"text", note}});
    };
    const auto began = host_now().steady;
    bool whole = false;
    try {
        const auto reader = open_reader(storage_);
        const auto mirror = open_mirror_reader(storage_);
        const auto found =
            verify_server(job.server, {job.requestor_duid, *reader, *mirror, progress, *job.cancellation, say});
        if (!job.cancellation->asked()) whole = report(job.server, found);
    } catch (const std::exception& error) {  // whatever it is, the mirror goes on
        log_failure(name, error.what());
    }
    const auto now = host_now().steady;
    const std::lock_guard lock(mutex_);
    if (job.cancellation->asked())
        schedule_.put_off(name, now);
    else
        schedule_.on_done(name, whole, std::chrono::ceil<std::chrono::milliseconds>(now - began), now);
}

/// Whether the result counts, and is written down.
bool VerifyThread::Work::report(const ServerConfig& server, const VerifyReport& report) {
    if (!report.fault.empty()) {
        log_failure(server.name, report.fault);
        return false;
    }
    const auto& compared = report.compared;
    name_differences(server, compared);
    std::vector<LogField> fields{{"server", server.name},
                                 {"bindings", report.listed},
                                 {"differences", compared.differences.size()},
                                 {"missing", compared.count(Difference::Kind::missing)},
                                 {"extra", compared.count(Difference::Kind::extra)},
                                 {"changed", compared.count(Difference::Kind::changed)}};
    if (compared.pending > 0) fields.emplace_back("not_compared", compared.pending);
    if (compared.in_doubt > 0) fields.emplace_back("in_doubt", compared.in_doubt);
    if (!report.whole) fields.emplace_back("not_looked_into", compared.unconfirmed + compared.left_out);
    fields.emplace_back("whole", report.whole);
    const bool fine = report.whole && compared.differences.empty();
    log(fine ? LogLevel::info : LogLevel::warn, "verified", fields);
    return report.whole && record(server, report);
}

void VerifyThread::Work::name_differences(const ServerConfig& server, const Compared& compared) {
    std::size_t named = 0;
    for (const auto& difference : compared.differences) {
        if (named++ == differences_named) return;
        const auto address = address_of(difference.key);
        const auto columns = columns_of(difference);
        std::vector<LogField> fields{
            {"server", server.name}, {"address", address}, {"difference", to_string(difference.kind)}};
        if (!difference.key.vpn_id.empty()) fields.emplace_back("vpn_id", difference.key.vpn_id);
        fields.emplace_back("columns", columns);
        log(LogLevel::warn, "differs", fields);
    }
}

bool VerifyThread::Work::record(const ServerConfig& server, const VerifyReport& report) {
    const auto now = std::chrono::floor<std::chrono::seconds>(host_now().utc);
    try {
        record_verify(storage_, report.server_id, now, report.compared.differences.size());
        return true;
    } catch (const StoreError& error) {
        log_failure(server.name, std::string("the result could not be recorded: ") + error.what());
        return false;
    }
}

void VerifyThread::Work::log_failure(const std::string& server, const std::string& why) {
    std::vector<LogField> fields;
    if (!server.empty()) fields.emplace_back("server", server);
    fields.emplace_back("text", why);
    fields.emplace_back("then", "tried again later");
    log(LogLevel::warn, "verify-failed", fields);
}

void VerifyThread::Work::log(LogLevel level, std::string_view event, const std::vector<LogField>& fields) {
    const std::lock_guard lock(mutex_);
    if (log_ != nullptr) log_->write(level, event, fields);
}

VerifyThread::VerifyThread(StoreSettings storage, std::string agent, Log& log)
    : work_(std::make_shared<Work>(std::move(storage), std::move(agent), log)) {}

VerifyThread::~VerifyThread() {
    if (!thread_.joinable()) return;
    stop();
    if (work_->wait_for_end(end_patience))
        thread_.join();
    else
        thread_.detach();
}

void VerifyThread::want(std::span<const ServerConfig> servers, const Bytes& requestor_duid) {
    if (work_->want(servers, requestor_duid) && !thread_.joinable())
        thread_ = std::thread([work = work_] { work->run(); });
}

void VerifyThread::stop() {
    work_->stop();
}

}  // namespace leasemirror
