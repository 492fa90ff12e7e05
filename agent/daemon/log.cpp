#include "agent/daemon/log.hpp"

#include "proto/status.hpp"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ostream_sink.h>
#include <nlohmann/json.hpp>

#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <functional>
#include <iostream>
#include <mutex>
#include <utility>

namespace leasemirror {
namespace {

/// Longer values are cut: a line of the log is read by people and by collectors with limits of their own.
constexpr std::size_t value_bytes_max = 2048;

bool is_bare(char c) {
    constexpr std::string_view marks = "._:/+-@%,";
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           marks.find(c) != std::string_view::npos;
}

void append_text_value(std::string& out, std::string_view value) {
    const auto safe = printable(value, value_bytes_max);
    if (!safe.empty() && std::all_of(safe.begin(), safe.end(), is_bare)) {
        out += safe;
        return;
    }
    out += '"';
    for (const char c : safe) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    out += '"';
}

std::string json_string(std::string_view value) {
    return nlohmann::json(printable(value, value_bytes_max)).dump(-1, ' ', true);
}

spdlog::level::level_enum level_of(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return spdlog::level::debug;
        case LogLevel::info:
            return spdlog::level::info;
        case LogLevel::warn:
            return spdlog::level::warn;
        case LogLevel::error:
            return spdlog::level::err;
    }
    return spdlog::level::err;
}

std::string_view word_of(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return "debug";
        case LogLevel::info:
            return "info";
        case LogLevel::warn:
            return "warn";
        case LogLevel::error:
            return "error";
    }
    return "error";
}

std::optional<std::size_t> columns_of_stderr() {
    winsize size{};
    if (::isatty(STDERR_FILENO) == 0 || ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) return std::nullopt;
    return size.ws_col > 0 ? size.ws_col : 80;
}

constexpr const char* text_pattern = "%Y-%m-%dT%H:%M:%S.%eZ %v";
constexpr const char* json_pattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ",%v})";

}  // namespace

/// Where the lines go, and what stands below them.
struct Log::Impl {
    Impl(const LogConfig& config, std::ostream& to, std::function<std::optional<std::size_t>()> width)
        : out(to),
          columns(std::move(width)),
          logger("leasemirror", std::make_shared<spdlog::sinks::ostream_sink_st>(to)) {
        logger.flush_on(spdlog::level::debug);
        configure(config);
    }
    void configure(const LogConfig& config) {
        format = config.format;
        const char* const pattern = config.format == LogFormat::text ? text_pattern : json_pattern;
        logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
        logger.set_level(level_of(config.level));
    }

    void erase() {
        if (shown.empty()) return;
        out << '\r';
        if (shown.size() > 1) out << "\x1b[" << shown.size() - 1 << 'A';
        out << "\x1b[J";
    }
    void draw() {
        for (std::size_t i = 0; i < shown.size(); ++i)
            out << (i > 0 ? "\n" : "") << shown[i];
        out << std::flush;
    }

    std::mutex mutex;  // of all that follows
    std::ostream& out;
    const std::function<std::optional<std::size_t>()> columns;
    std::vector<std::string> shown;
    std::atomic<LogFormat> format = LogFormat::text;
    spdlog::logger logger;
};

Log::Log(const LogConfig& config) : impl_(std::make_unique<Impl>(config, std::cerr, columns_of_stderr)) {}
Log::Log(const LogConfig& config, std::ostream& out, std::optional<std::size_t> columns)
    : impl_(std::make_unique<Impl>(config, out, [columns] { return columns; })) {}
Log::~Log() {
    show({});
}

void Log::configure(const LogConfig& config) {
    const std::lock_guard lock(impl_->mutex);
    impl_->configure(config);
}

std::optional<std::size_t> Log::columns() const {
    return impl_->format == LogFormat::text ? impl_->columns() : std::nullopt;
}

void Log::show(std::vector<std::string> lines) {
    const std::lock_guard lock(impl_->mutex);
    if (lines == impl_->shown) return;
    impl_->erase();
    impl_->shown = std::move(lines);
    impl_->draw();
}

void Log::write(LogLevel level, std::string_view event, LogFields fields) {
    const auto spdlog_level = level_of(level);
    if (!impl_->logger.should_log(spdlog_level)) return;
    const std::lock_guard lock(impl_->mutex);
    // Our own word for the level, the one that the configuration uses; spdlog's differ.
    const std::string word(word_of(level));
    const auto line = impl_->format == LogFormat::text
                          ? word + " " + log_text(event, fields)
                          : "\"level\":\"" + word + "\"," + log_json_members(event, fields);
    impl_->erase();
    impl_->logger.log(spdlog_level, spdlog::string_view_t(line.data(), line.size()));
    impl_->draw();
}

std::string log_text(std::string_view event, LogFields fields) {
    std::string out(event);
    for (const auto& field : fields) {
        out += ' ';
        out += field.key;
        out += '=';
        if (const auto* const text = std::get_if<std::string_view>(&field.value))
            append_text_value(out, *text);
        else if (const auto* const number = std::get_if<std::int64_t>(&field.value))
            out += std::to_string(*number);
        else
            out += std::get<bool>(field.value) ? "true" : "false";
    }
    return out;
}

std::string log_json_members(std::string_view event, LogFields fields) {
    std::string out = "\"event\":" + json_string(event);
    for (const auto& field : fields) {
        out += ',' + json_string(field.key) + ':';
        if (const auto* const text = std::get_if<std::string_view>(&field.value))
            out += json_string(*text);
        else if (const auto* const number = std::get_if<std::int64_t>(&field.value))
            out += std::to_string(*number);
        else
            out += std::get<bool>(field.value) ? "true" : "false";
    }
    return out;
}

}  // namespace leasemirror
