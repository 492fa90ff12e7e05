#include "agent/cli/commands.hpp"

#include "tests/agent/cli/outcome.hpp"

#include <doctest/doctest.h>

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <string>

using namespace leasemirror;
using test::contains;
using test::outcome_of;

namespace {

class Directory {
public:
    Directory() : path_(std::filesystem::temp_directory_path() / ("leasemirror-commands-" + std::to_string(getpid()))) {
        std::filesystem::create_directories(path_);
    }
    ~Directory() { std::filesystem::remove_all(path_); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
    /// A configuration with its database in here and no server that answers.
    [[nodiscard]] std::string config(const std::string& more = "") const {
        const auto path = file("c.yaml");
        std::ofstream(path) << "storage: { url: 'sqlite://" << file("leases.db") << "' }\n"
                            << "servers: [ { name: s, family: v4, address: 127.0.0.1, port: 1, mode: bulk } ]\n"
                            << more;
        return path;
    }

private:
    std::filesystem::path path_;
};

}  // namespace

TEST_CASE("every command that needs a configuration prints all its errors and exits with 2") {
    const Directory dir;
    const auto path = dir.config("logs: {}\nlimit: {}\n");
    const auto expected = path + ":3:1: unknown key 'logs'; did you mean 'log'?\n" + path +
                          ":4:1: unknown key 'limit'; did you mean 'limits'?\n";
    for (const auto& outcome : {outcome_of(CheckCommand{path, false}), outcome_of(CheckCommand{path, true}),
                                outcome_of(StatusCommand{path, true}),
                                outcome_of(SchemaCommand{path, SchemaAction::version}), outcome_of(RunCommand{path})}) {
        CHECK(outcome.code == 2);
        CHECK(outcome.out.empty());
        CHECK(outcome.err == expected);
    }
}

TEST_CASE("check prints warnings and exits with 0 when the file is valid") {
    const Directory dir;
    const auto path = dir.config("admin: { listen: '0.0.0.0:1' }\n");
    const auto outcome = outcome_of(CheckCommand{path, false});
    CHECK(outcome.code == 0);
    CHECK(
        outcome.out ==
        "warning: admin.listen is 0.0.0.0:1: the admin port has no authentication and is reachable from other hosts\n" +
            path + ": valid, 1 server\n");
    CHECK_FALSE(std::filesystem::exists(dir.file("leases.db")));
}

TEST_CASE("check --connect creates nothing and exits with 3 when a server cannot be reached") {
    const Directory dir;
    const auto outcome = outcome_of(CheckCommand{dir.config(), true});
    CHECK(outcome.code == 3);
    CHECK(contains(outcome.out, ": nothing there yet; "));
    CHECK(contains(outcome.out, "\ns  not reachable: cannot connect to 127.0.0.1 port 1: Connection refused"));
    CHECK_FALSE(std::filesystem::exists(dir.file("leases.db")));
}

TEST_CASE("status of a database that does not exist exits with 3 and says what to do") {
    const Directory dir;
    const auto outcome = outcome_of(StatusCommand{dir.config(), false});
    CHECK(outcome.code == 3);
    CHECK(outcome.out.empty());
    CHECK(contains(outcome.err, "leasemirror status: "));
    CHECK(contains(outcome.err, "leases.db"));
    CHECK(contains(outcome.err, "leasemirror run"));
}

TEST_CASE("schema prints, migrates and tells the version; a schema that is behind is 1") {
    const Directory dir;
    const auto path = dir.config();
    CHECK(outcome_of(SchemaCommand{path, SchemaAction::version}).code == 1);
    const auto printed = outcome_of(SchemaCommand{path, SchemaAction::print});
    CHECK(printed.code == 0);
    CHECK(contains(printed.out, "CREATE TABLE"));
    CHECK(outcome_of(SchemaCommand{path, SchemaAction::migrate}).code == 0);
    CHECK(outcome_of(SchemaCommand{path, SchemaAction::version}).code == 0);
    const auto status = outcome_of(StatusCommand{path, false});
    CHECK(status.code == 0);
    CHECK(contains(status.out, "no server in the database yet"));
    CHECK(outcome_of(StatusCommand{path, true}).out.empty());
}

TEST_CASE("what is not a database cannot be used, and neither can one in no directory; each command says 3") {
    const Directory dir;
    const auto path = dir.config();
    std::ofstream(dir.file("leases.db")) << std::string(5000, 'x');
    CHECK(outcome_of(StatusCommand{path, false}).code == 3);
    CHECK(outcome_of(SchemaCommand{path, SchemaAction::version}).code == 3);
    CHECK(outcome_of(SchemaCommand{path, SchemaAction::migrate}).code == 3);
}

TEST_CASE("decode of a file that cannot be read is a usage error") {
    const auto missing = outcome_of(DecodeCommand{"/nonexistent/x.bin", std::nullopt});
    CHECK(missing.code == 2);
    CHECK(missing.err == "leasemirror decode: '/nonexistent/x.bin' cannot be read: No such file or directory\n");
    CHECK(outcome_of(DecodeCommand{"/tmp", std::nullopt}).code == 2);
    CHECK(outcome_of(DecodeCommand{LEASEMIRROR_SOURCE_DIR "/tests/golden/kea/v6-addr.bin", std::nullopt}).code == 0);
}

TEST_CASE("help goes to the standard output, usage errors to the standard error") {
    CHECK(outcome_of(Exit{0, "help\n"}).out == "help\n");
    CHECK(outcome_of(Exit{2, "wrong\n"}).err == "wrong\n");
    CHECK(outcome_of(Exit{2, "wrong\n"}).code == 2);
}
