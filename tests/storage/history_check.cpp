#include "tests/storage/history_check.hpp"

#include <algorithm>
#include <ctime>
#include <iomanip>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

namespace leasemirror::testing {
namespace {

using Json = nlohmann::json;
using Cells = std::vector<Cell>;

struct Assignment {
    std::string id, began_at;
    Cell ended_at, client_id, end_reason;
    Json line = Json::object();
};

/// A binding as it is known from the feed.
struct Told {
    Json row = Json::object();
    bool held = false;
    std::size_t began = 0, ended = 0;
};

struct Stored {
    Json row = Json::object();
    Cell assignment_id, boundary_at;
};

constexpr const char* key_columns = "server_id, vpn_id, kind, host(address), prefix_len";
constexpr std::size_t keys = 5;
constexpr const char* line_columns[] = {"relay_id", "circuit_id", "subscriber_id", "hostname"};
constexpr const char* times[] = {"expires_at",      "client_last_seen", "state_since",
                                 "preferred_until", "renew_at",         "rebind_at"};

std::string key_of(const Cells& cells) {
    std::string out;
    for (std::size_t i = 0; i < keys; ++i)
        out += (i > 0 ? " " : "") + cells[i].value_or("-");
    return out;
}

Json lower(std::string hex) {
    for (auto& c : hex)
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    return hex;
}

/// Times in `detail` are ISO 8601; all are compared as seconds.
Json seconds_of(const Json& iso) {
    std::tm parts{};
    std::istringstream in(iso.get<std::string>());
    in >> std::get_time(&parts, "%Y-%m-%dT%H:%M:%SZ");
    return in.fail() ? iso : Json(std::to_string(::timegm(&parts)));
}

class Checker {
public:
    Checker(const Engine& engine, const HistoryCheck& check) : engine_(engine), check_(check) {}

    std::vector<std::string> run() {
        read_bindings();
        read_assignments();
        if (check_.whole_feed) replay();
        for (const auto& [key, stored] : bindings_)
            check_hold(key, stored);
        for (const auto& [key, list] : assignments_)
            check_intervals(key, list);
        check_counts();
        return std::move(faults_);
    }

private:
    void fault(const std::string& what) { faults_.push_back(what); }

    void read_bindings() {
        const std::string sql = std::string("SELECT ") + key_columns +
                                ", epoch(boundary_at), assignment_id, state, end_reason, hw_type, hw_addr, "
                                "host(link_address), host(relay_address), hostname, data_source, "
                                "hex(client_id), hex(relay_id), hex(remote_id), hex(circuit_id), hex(subscriber_id), "
                                "options, epoch(expires_at), epoch(client_last_seen), epoch(state_since), "
                                "epoch(preferred_until), epoch(renew_at), epoch(rebind_at) FROM binding";
        const char* const names[] = {"state",         "end_reason", "hw_type",      "hw_addr",   "link_address",
                                     "relay_address", "hostname",   "data_source",  "client_id", "relay_id",
                                     "remote_id",     "circuit_id", "subscriber_id"};
        for (const auto& cells : engine_.table(sql)) {
            auto& stored = bindings_[key_of(cells)];
            stored.boundary_at = cells[keys];
            stored.assignment_id = cells[keys + 1];
            std::size_t at = keys + 2;
            for (const auto* name : names) {
                const auto& cell = cells[at++];
                const std::string_view word(name);
                // hex() of NULL is empty in SQLite, and no identifier is stored empty.
                if (!cell || (cell->empty() && word != "hostname")) continue;
                stored.row[name] = word.ends_with("_id") ? lower(*cell) : Json(*cell);
            }
            if (const auto& options = cells[at++]) stored.row["options"] = Json::parse(*options);
            for (const auto* name : times)
                if (const auto& cell = cells[at++]; cell && check_.times) stored.row[name] = *cell;
        }
    }

    void read_assignments() {
        for (const auto& cells : engine_.table(std::string("SELECT ") + key_columns +
                                               ", assignment_id, epoch(began_at), epoch(ended_at), hex(client_id), "
                                               "end_reason, hex(relay_id), hex(circuit_id), hex(subscriber_id), "
                                               "hostname FROM assignment ORDER BY assignment_id")) {
            auto& list = assignments_[key_of(cells)];
            list.push_back(
                {*cells[keys], *cells[keys + 1], cells[keys + 2], cells[keys + 3], cells[keys + 4], Json::object()});
            for (std::size_t i = 0; i < std::size(line_columns); ++i)
                if (const auto& cell = cells[keys + 5 + i]; cell && !cell->empty())
                    list.back().line[line_columns[i]] =
                        std::string_view(line_columns[i]) == "hostname" ? Json(*cell) : lower(*cell);
        }
    }

    /// In the order in which they were written, each begins where or after the one before it ended.
    void check_intervals(const std::string& key, const std::vector<Assignment>& list) {
        for (std::size_t i = 0; i < list.size(); ++i) {
            const auto& one = list[i];
            const auto what = key + ": assignment " + one.id;
            if (one.ended_at && std::stoll(*one.ended_at) < std::stoll(one.began_at))
                fault(what + " ends before it begins");
            if (i > 0 && list[i - 1].ended_at && std::stoll(*list[i - 1].ended_at) > std::stoll(one.began_at))
                fault(what + " overlaps the one before it");
            if (!one.ended_at && i + 1 < list.size()) fault(what + " is open and not the last one");
        }
        const auto stored = bindings_.find(key);
        const bool in_force = stored != bindings_.end() && !stored->second.row.contains("end_reason");
        if (!list.back().ended_at && !in_force) fault(key + ": an open assignment of what is not in force");
    }

    void check_hold(const std::string& key, const Stored& stored) {
        const auto found = assignments_.find(key);
        const Assignment* last = found == assignments_.end() ? nullptr : &found->second.back();
        if (!stored.row.contains("end_reason")) {
            if (stored.row.at("state") != "active") fault(key + ": in force and not active");
            if (last == nullptr || last->ended_at) return fault(key + ": in force without an open assignment");
            if (stored.assignment_id != last->id) fault(key + ": its assignment_id is not the open assignment");
            if (stored.boundary_at != last->began_at)
                fault(key + ": its boundary_at is not where the assignment began");
            const auto client = last->client_id.value_or("");
            if (!client.empty() && stored.row.contains("client_id") && stored.row["client_id"] != lower(client))
                fault(key + ": assigned to another client");
            for (const auto* column : line_columns)
                if (stored.row.contains(column) && last->line.value(column, Json()) != stored.row[column])
                    fault(key + ": its assignment does not have the " + column + " that was told last");
        } else {
            if (stored.row.at("state") == "active") fault(key + ": active and not in force");
            if (stored.assignment_id) fault(key + ": not in force, with an assignment_id");
            if (last != nullptr && last->ended_at && stored.boundary_at != last->ended_at)
                fault(key + ": its boundary_at is not where the last assignment ended");
        }
    }

    /// Moves all times that were told by what the first of them differs from the table.
    static void follow_clock(Json& told, const Json& stored) {
        std::optional<long long> by;
        for (const auto* name : times) {
            if (!told.contains(name) || !stored.contains(name)) continue;
            const auto before = std::stoll(told[name].get<std::string>());
            if (!by) by = std::stoll(stored[name].get<std::string>()) - before;
            told[name] = std::to_string(before + *by);
        }
    }

    void replay() {
        for (const auto& cells : engine_.table(std::string("SELECT ") + key_columns +
                                               ", seq, change, state, hex(client_id), epoch(expires_at), detail "
                                               "FROM binding_change ORDER BY seq"))
            replay_one(key_of(cells), cells);
        for (auto& [key, told] : told_) {
            const auto stored = bindings_.find(key);
            if (check_.clock_was_set && stored != bindings_.end()) follow_clock(told.row, stored->second.row);
            if (stored == bindings_.end()) {
                if (told.held) fault(key + ": in force by the feed, and gone");
            } else if (told.row != stored->second.row) {
                fault(key + ": the feed says " + told.row.dump() + " and the table " + stored->second.row.dump());
            }
            if (check_.all_assignments) compare_words(key, told);
        }
        for (const auto& [key, stored] : bindings_)
            if (!told_.contains(key)) fault(key + ": the feed has nothing of it");
    }

    void replay_one(const std::string& key, const Cells& cells) {
        const auto& word = *cells[keys + 1];
        const auto what = key + ": seq " + *cells[keys] + " '" + word + "' ";
        auto& told = told_[key];
        if (word == "assigned") {
            if (told.held) fault(what + "of what is held");
            told.row = Json::object();
            told.held = true;
            ++told.began;
        } else if (word == "ended") {
            if (!told.held) fault(what + "of what is not held");
            told.held = false;
            ++told.ended;
        } else if (word == "renewed" && !told.held) {
            fault(what + "of what is not held");
        } else if (word == "updated" && (*cells[keys + 2] == "active") != told.held) {
            fault(what + "changes whether it is held");
        }
        set(told.row, "state", *cells[keys + 2]);
        const auto client = cells[keys + 3].value_or("");
        set(told.row, "client_id", client.empty() ? Json() : lower(client));
        set(told.row, "expires_at", cells[keys + 4] ? Json(*cells[keys + 4]) : Json());
        const auto detail = Json::parse(*cells[keys + 5]);
        for (const auto& [name, value] : detail.items())
            set(told.row, name, value);
    }

    void set(Json& row, const std::string& name, const Json& value) const {
        const bool is_time = std::find(std::begin(times), std::end(times), name) != std::end(times);
        if (value.is_null() || (is_time && !check_.times))
            row.erase(name);
        else if (is_time && name != "expires_at")
            row[name] = seconds_of(value);
        else if (name == "hw_type")
            row[name] = std::to_string(value.get<std::int64_t>());
        else
            row[name] = value;
    }

    /// A move from one place to another is `updated` in the feed, and two assignments.
    void compare_words(const std::string& key, const Told& told) {
        std::size_t began = 0, ended = 0;
        if (const auto found = assignments_.find(key); found != assignments_.end()) {
            for (const auto& one : found->second) {
                const bool moved = one.end_reason == "moved";
                began += moved ? 0 : 1;
                ended += one.ended_at && !moved ? 1 : 0;
            }
        }
        const auto counted = [](std::size_t a, std::size_t b) { return std::to_string(a) + "/" + std::to_string(b); };
        if (began != told.began || ended != told.ended)
            fault(key + ": assigned/ended by the feed " + counted(told.began, told.ended) + ", by the assignments " +
                  counted(began, ended));
    }

    void check_counts() {
        const auto kept = engine_.rows(
            "SELECT server_id, state, bindings FROM binding_count WHERE bindings <> 0 ORDER BY server_id, state");
        const auto counted = engine_.rows(
            "SELECT server_id, state, count(*) FROM binding GROUP BY server_id, state ORDER BY server_id, state");
        if (kept != counted) fault("binding_count is not what there is to count");
        const auto in_force = engine_.rows(
            "SELECT server_id, (SELECT count(*) FROM binding b WHERE b.server_id = s.server_id AND state = 'active') "
            "FROM server s ORDER BY server_id");
        if (engine_.rows("SELECT server_id, bindings FROM server ORDER BY server_id") != in_force)
            fault("server.bindings is not what there is to count");
        const auto in_doubt = engine_.rows(
            "SELECT server_id, (SELECT count(doubt) FROM binding b WHERE b.server_id = s.server_id) "
            "FROM server s ORDER BY server_id");
        if (engine_.rows("SELECT server_id, doubts FROM server ORDER BY server_id") != in_doubt)
            fault("server.doubts is not what there is to count");
        if (engine_.value("SELECT count(*) FROM assignment WHERE CAST(inferred AS INTEGER) <> "
                          "(CAST(began_inferred AS INTEGER) | CAST(ended_inferred AS INTEGER))") != "0")
            fault("assignment.inferred is not what the two make it");
    }

    const Engine& engine_;
    const HistoryCheck& check_;
    std::map<std::string, Stored> bindings_;
    std::map<std::string, std::vector<Assignment>> assignments_;
    std::map<std::string, Told> told_;
    std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> faults_of_history(const Engine& engine, const HistoryCheck& check) {
    return Checker(engine, check).run();
}

}  // namespace leasemirror::testing
