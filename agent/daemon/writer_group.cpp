#include "agent/daemon/writer_group.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace leasemirror {

WriterGroup::WriterGroup(std::size_t writers, std::size_t servers)
    : members_(std::clamp<std::size_t>(writers, 1, std::max<std::size_t>(servers, 1))), waited_for_(members_.size()) {
    opened_.resume.resize(servers);
}

std::optional<Writer::Opened> WriterGroup::on_opened(std::size_t writer, Writer::Opened opened) {
    for (std::size_t i = 0; i < opened.resume.size(); ++i)
        opened_.resume.at(writer + i * members_.size()) = std::move(opened.resume[i]);
    if (!opened.requestor_duid.empty()) opened_.requestor_duid = std::move(opened.requestor_duid);
    members_[writer].opened = true;
    const auto all = std::all_of(members_.begin(), members_.end(), [](const Member& m) { return m.opened; });
    return all ? std::optional(opened_) : std::nullopt;
}

std::optional<Swept> WriterGroup::on_swept(std::size_t writer, const Swept& swept) {
    swept_.ended += swept.ended;
    swept_.removed_bindings += swept.removed_bindings;
    swept_.removed_changes += swept.removed_changes;
    swept_.removed_assignments += swept.removed_assignments;
    swept_.orders.insert(swept_.orders.end(), swept.orders.begin(), swept.orders.end());
    members_[writer].around |= swept.around;
    if (--waited_for_ > 0) return std::nullopt;
    waited_for_ = members_.size();
    auto sums = std::exchange(swept_, {});
    sums.around = std::all_of(members_.begin(), members_.end(), [](const Member& m) { return m.around; });
    for (auto& member : members_)
        member.around = member.around && !sums.around;
    return sums;
}

bool WriterGroup::on_trouble(std::size_t writer, const std::string& text) {
    auto& own = members_[writer].trouble;
    const auto shared = [&](const std::string& trouble) {
        return std::any_of(members_.begin(), members_.end(),
                           [&](const Member& m) { return &m.trouble != &own && m.trouble == trouble; });
    };
    if (!text.empty() && own == text)  // again: the first of those in the same trouble says so
        return std::none_of(members_.begin(), members_.begin() + static_cast<std::ptrdiff_t>(writer),
                            [&](const Member& m) { return m.trouble == text; });
    const auto over = std::exchange(own, text);
    return text.empty() ? !over.empty() && !shared(over) : !shared(text);
}

}  // namespace leasemirror
