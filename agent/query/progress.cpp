#include "agent/query/progress.hpp"

#include <fmt/format.h>

#include <ostream>

namespace leasemirror {

void QueryProgress::tick(std::uint64_t bindings, SteadyTime now) {
    if (now - began_ < interval) return;
    const std::chrono::duration<double> passed = now - began_;
    show(fmt::format("{} bindings, {:.0f} per second", bindings, static_cast<double>(bindings) / passed.count()), now);
}

void QueryProgress::show(const std::string& text, SteadyTime now) {
    if (!shown_ || (last_ && now - *last_ < interval)) return;
    last_ = now;
    err_ << '\r' << text << "\x1b[K" << std::flush;
}

void QueryProgress::clear() {
    if (last_) err_ << "\r\x1b[K" << std::flush;
    last_.reset();
}

}  // namespace leasemirror
