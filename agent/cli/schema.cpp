#include "agent/cli/schema.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/cli/exit_code.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/store_settings.hpp"
#include "storage/opening.hpp"

#include <fmt/format.h>

#include <chrono>
#include <ostream>

namespace leasemirror {
namespace {

int print_version(const SchemaVersion& version, std::ostream& out) {
    out << "schema in the database: " << version.found << (version.found == 0 ? " (none yet)" : "")
        << "\nschema of this program:  " << version.known << '\n';
    if (version.found < version.known) out << "run 'leasemirror schema -c FILE migrate', or start the agent\n";
    if (version.found > version.known) out << "the database was migrated by a newer leasemirror; install that one\n";
    return version.found == version.known ? exit_fine : exit_found_wrong;
}

int migrate(const StoreSettings& settings, std::ostream& out, std::ostream& err) {
    const auto began = std::chrono::steady_clock::now();
    const auto version = migrate_schema(settings, [&](const MigrationStep& step) {
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
        err << fmt::format("{:7.1f} s  applying {} ({} of {})", passed.count(), step.file, step.version, step.last)
            << std::endl;
    });
    out << "schema of the database is now version " << version << '\n';
    return exit_fine;
}

int run_action(SchemaAction action, const StoreSettings& settings, std::ostream& out, std::ostream& err) {
    switch (action) {
        case SchemaAction::print:
            out << schema_sql(settings);
            return exit_fine;
        case SchemaAction::migrate:
            return migrate(settings, out, err);
        case SchemaAction::version:
            return print_version(schema_version(settings), out);
    }
    return exit_found_wrong;
}

}  // namespace

int execute(const SchemaCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    try {
        return run_action(command.action, store_settings(*config), out, err);
    } catch (const StoreError& e) {
        err << "leasemirror schema: " << e.what() << '\n';
        return exit_code_of(e);
    }
}

}  // namespace leasemirror
