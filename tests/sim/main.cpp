// Runs seeds of the simulated world (world.hpp) and stops at the first that ends in a difference:
//   sim --seeds 500 [--first 1]   that many seeds, one after the other
//   sim --seed 42 --trace         one seed again, with all that happens
#include "tests/sim/world.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <filesystem>
#include <iostream>
#include <random>

using namespace leasemirror;

namespace {

struct Run {
    std::optional<std::string> wrong;
    sim::WorldStats stats;
};

Run run_seed(const sim::WorldOptions& options) {
    try {
        sim::World world(options);
        auto wrong = world.run();
        return {std::move(wrong), world.stats()};
    } catch (const std::exception& error) {
        return {std::string("exception: ") + error.what(), {}};
    }
}

void add(sim::WorldStats& sum, const sim::WorldStats& s) {
    sum.crashes += s.crashes;
    sum.drops += s.drops;
    sum.stalls += s.stalls;
    sum.restarts += s.restarts;
    sum.clock_steps += s.clock_steps;
    sum.identities += s.identities;
    sum.store_faults += s.store_faults;
    sum.server_faults += s.server_faults;
    sum.commits += s.commits;
    sum.bindings += s.bindings;
    sum.gaps += s.gaps;
}

std::filesystem::path memory_folder() {
    const std::filesystem::path shared = "/dev/shm";
    return std::filesystem::is_directory(shared) ? shared : std::filesystem::temp_directory_path();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{
        "leasemirror simulation: agent, servers, network and database on virtual time, all faults from one seed"};
    std::uint64_t first = 1;
    std::uint64_t count = 1;
    std::optional<std::uint64_t> one;
    bool fresh = false;
    sim::WorldOptions options;
    app.add_option("--seeds", count, "how many seeds to run");
    app.add_option("--first", first, "the first of them");
    app.add_option("--seed", one, "run this one alone");
    app.add_flag("--fresh", fresh, "one more seed, drawn anew");
    app.add_flag("--trace", options.trace, "print what happens");
    CLI11_PARSE(app, argc, argv);

    const auto folder = memory_folder() / ("leasemirror-sim-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    options.database = (folder / "mirror.db").string();
    std::vector<std::uint64_t> seeds;
    for (std::uint64_t i = 0; !one && i < count; ++i)
        seeds.push_back(first + i);
    if (one) seeds.push_back(*one);
    if (fresh) {
        seeds.push_back(std::random_device{}());
        std::cout << "fresh seed " << seeds.back() << std::endl;
    }
    sim::WorldStats sum;
    std::uint64_t failed = 0;
    for (const auto seed : seeds) {
        options.seed = seed;
        const auto run = run_seed(options);
        add(sum, run.stats);
        if (!run.wrong) continue;
        ++failed;
        std::cout << "seed " << seed << ": " << *run.wrong << "\n  again with: " << argv[0] << " --seed " << seed
                  << " --trace" << std::endl;
    }
    std::filesystem::remove_all(folder);
    std::cout << seeds.size() << " seeds, " << failed << " failed: " << sum.commits << " commits, " << sum.bindings
              << " bindings compared, " << sum.gaps << " gaps, " << sum.crashes << " crashes, " << sum.drops
              << " drops, " << sum.stalls << " stalls, " << sum.restarts << " server restarts, " << sum.clock_steps
              << " clock steps, " << sum.identities << " identity changes, " << sum.store_faults << " store faults, "
              << sum.server_faults << " message faults" << std::endl;
    return failed == 0 ? 0 : 1;
}
