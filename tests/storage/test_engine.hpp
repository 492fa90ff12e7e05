// The engines that tests run over: a throwaway database each, and a look at its tables as foreign programs have it.
#pragma once

#include "storage/settings.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror::testing {

/// A directory that goes away with this object.
class TempDir {
public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// A value as text; none for NULL.
using Cell = std::optional<std::string>;

/// A database of its own, with one store on it, and a second connection that looks at the tables as a foreign
/// program would.
///
/// So that one text of SQL does for every engine, that connection has these functions besides: epoch(time) gives Unix
/// seconds, of a column of a table or of a view; hex(bytes) and unhex('6F74'), in upper case; host(address) gives the
/// address as text, without a length; sortable(address) what to ORDER BY. Flags are to be read as CAST(flag AS INTEGER).
class Engine {
public:
    virtual ~Engine() = default;
    [[nodiscard]] virtual StoreSettings settings() const = 0;
    [[nodiscard]] virtual std::vector<std::vector<Cell>> table(const std::string& sql) const = 0;
    /// Writes behind the store's back.
    virtual void execute(const std::string& sql) const = 0;
    /// Each row as its columns joined by '|', NULL as "-".
    [[nodiscard]] std::vector<std::string> rows(const std::string& sql) const;
    [[nodiscard]] std::string value(const std::string& sql) const;
};

struct EngineFactory {
    const char* name;
    std::function<std::unique_ptr<Engine>()> make;
};
/// All engines there are, SQLite first; PostgreSQL where the tests were given a server (postgres_engine.hpp).
[[nodiscard]] const std::vector<EngineFactory>& engines();

}  // namespace leasemirror::testing
