#include "agent/query/udp.hpp"

#include "agent/config/exit_codes.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

std::string times(std::uint32_t n) {
    return n == 1 ? "once" : std::to_string(n) + " times";
}

/// What a server says with the one word of the protocol.
std::string outcome_text(const UdpPart& part, const BulkQuery& query) {
    switch (part.outcome) {
        case UdpOutcome::waiting:
            return "no answer yet, asked " + times(part.sent);
        case UdpOutcome::found:
            return "found";
        case UdpOutcome::several_links:
            return "the client is on several links; each of them was asked for";
        case UdpOutcome::unassigned:
            return query.kind == QueryKind::address || part.about
                       ? "unassigned: an address of this server, which nobody holds"
                       : "unassigned: the client's latest lease there is not in force";
        case UdpOutcome::unknown:
            return query.kind == QueryKind::address && !part.about
                       ? "unknown: not an address of this server"
                       : "unknown: nobody there holds a lease of this server";
        case UdpOutcome::no_binding:
            return "no binding";
        case UdpOutcome::refused:
            return "refused: " + part.text;
        case UdpOutcome::unusable:
            return "its answer could not be used; asked " + times(part.sent);
        case UdpOutcome::silent:
            return "no answer, asked " + times(part.sent);
        case UdpOutcome::unsendable:
            return "could not be asked: " + part.text;
    }
    return {};
}

bool is_fault(UdpOutcome outcome) {
    return outcome == UdpOutcome::refused || outcome == UdpOutcome::unusable || !is_answered(outcome);
}

}  // namespace

void add_udp_rows(const std::vector<UdpAnswer>& answers, const ServerNames& names, const QueryPlan& plan, RowSink& rows,
                  QueryReport& report) {
    const auto name_of = [&](std::size_t answer) {
        const auto& a = answers[answer];
        return a.server ? names[*a.server] : to_string(a.endpoint);
    };
    for (const auto& merged : merge(answers)) {
        if (!plan.takes(merged.best.binding)) continue;
        auto row = query_record(merged.best.binding, name_of(merged.answer), merged.best.server_ahead);
        std::string also_on;
        for (const auto other : merged.also_in)
            also_on += (also_on.empty() ? "" : ",") + name_of(other);
        row.emplace(row.begin() + 1, "also_on", also_on.empty() ? Value() : Value(also_on));
        if (!rows.add(row)) {
            report.limited = true;
            return;
        }
        ++report.bindings;
    }
}

std::vector<std::string> udp_answer_lines(const UdpAnswer& answer, const BulkQuery& query, bool told) {
    std::vector<std::string> out;
    for (const auto& part : answer.parts) {
        if (!told && (part.outcome == UdpOutcome::found || part.outcome == UdpOutcome::several_links)) continue;
        if (part.about && !is_fault(part.outcome)) continue;
        auto text = outcome_text(part, query);
        if (part.outcome == UdpOutcome::found) {
            const auto count = answer.bindings.size();
            text += " " + std::to_string(count) + (count == 1 ? " binding" : " bindings");
        }
        out.push_back((part.about ? part.about->to_string() + ": " : "") + text);
    }
    out.insert(out.end(), answer.notes.begin(), answer.notes.end());
    if (answer.not_followed > 0)
        out.push_back(std::to_string(answer.not_followed) +
                      " more links or addresses that it named were not asked for");
    return out;
}

int udp_exit_code(const UdpAnswer& answer) {
    const auto heard = [](const UdpPart& part) { return is_answered(part.outcome); };
    if (std::none_of(answer.parts.begin(), answer.parts.end(), heard)) return exit_cannot_connect;
    const bool refused = std::any_of(answer.parts.begin(), answer.parts.end(),
                                     [](const UdpPart& part) { return part.outcome == UdpOutcome::refused; });
    return refused || !answer.complete() ? exit_found_wrong : exit_fine;
}

std::string udp_discards_text(const UdpDiscards& discards) {
    std::string out;
    for (std::size_t i = 0; i < discards.counts.size(); ++i) {
        if (discards.counts[i] == 0) continue;
        const auto why = static_cast<UdpDiscard>(i);
        out += (out.empty() ? "" : ", ") + std::to_string(discards.counts[i]) + " " + std::string(to_string(why));
        if (why == UdpDiscard::unexpected_source && discards.unexpected_source)
            out += " (" + to_string(*discards.unexpected_source) + ")";
    }
    return out;
}

std::string udp_progress_text(const std::vector<UdpAnswer>& answers) {
    std::uint32_t sent = 0;
    std::size_t heard = 0;
    for (const auto& answer : answers) {
        sent = std::max(sent, answer.parts.front().sent);
        if (is_answered(answer.parts.front().outcome)) ++heard;
    }
    return "asked " + times(sent) + ", " + std::to_string(heard) + " of " + std::to_string(answers.size()) +
           (answers.size() == 1 ? " server" : " servers") + " heard";
}

}  // namespace leasemirror
