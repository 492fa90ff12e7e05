// Runs seeds of the simulated world (world.hpp) and stops at the first that ends in a difference:
//   sim --seeds 500 [--first 1]              that many seeds, one after the other
//   sim --seed 42 --trace                    one seed again, with all that happens
//   sim --engine postgresql --seeds 20       over the server that LEASEMIRROR_TEST_POSTGRES names
#include "tests/sim/world.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
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
    sum.stops += s.stops;
    sum.restores += s.restores;
    sum.terminations += s.terminations;
    sum.fenced += s.fenced;
    sum.feed_rows += s.feed_rows;
    sum.bulk_only += s.bulk_only;
    sum.windowed_polls += s.windowed_polls;
    sum.support_changes += s.support_changes;
    sum.host_clock_steps += s.host_clock_steps;
    sum.jitters += s.jitters;
    sum.judged += s.judged;
    sum.compared += s.compared;
    sum.settled += s.settled;
    sum.damages_found += s.damages_found;
}

std::string names_of_oddities() {
    std::string names;
    for (const auto& [name, oddity] : sim::oddity_names)
        names += (names.empty() ? "" : ", ") + std::string(name);
    return names;
}

/// Files of the world go to memory.
void use_memory_folder() {
    if (std::filesystem::is_directory("/dev/shm")) setenv("TMPDIR", "/dev/shm", 0);
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
    app.add_option("--engine", options.engine, "of the database: sqlite or postgresql");
    app.add_flag("--fresh", fresh, "one more seed, drawn anew");
    std::vector<std::string> without;
    app.add_option("--without", without, "leave these oddities out: " + names_of_oddities())->delimiter(',');
    app.add_flag("--trace", options.trace, "print what happens");
    CLI11_PARSE(app, argc, argv);

    for (const auto& word : without) {
        const auto oddity = sim::find_oddity(word);
        if (!oddity) {
            std::cerr << "sim: --without " << word << ": one of " << names_of_oddities() << "\n";
            return 2;
        }
        options.without.insert(*oddity);
    }
    use_memory_folder();
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
        std::cout << "seed " << seed << ": " << *run.wrong << "\n  again with: " << argv[0] << " --engine "
                  << options.engine << " --seed " << seed << " --trace" << std::endl;
    }
    std::cout << seeds.size() << " seeds, " << failed << " failed: " << sum.commits << " commits, " << sum.bindings
              << " bindings compared, " << sum.gaps << " gaps, " << sum.crashes << " crashes, " << sum.drops
              << " drops, " << sum.stalls << " stalls, " << sum.restarts << " server restarts, " << sum.clock_steps
              << " clock steps, " << sum.identities << " identity changes, " << sum.store_faults << " store faults, "
              << sum.server_faults << " message faults, " << sum.stops << " stops, " << sum.restores
              << " databases put back, " << sum.terminations << " terminations, " << sum.fenced << " batches fenced, "
              << sum.feed_rows << " changes followed, " << sum.bulk_only << " servers that only know bulk, "
              << sum.windowed_polls << " windowed polls, " << sum.support_changes << " changes of what they know, "
              << sum.host_clock_steps << " steps of the host's clock, " << sum.jitters << " jitters, " << sum.judged
              << " looks at a live mirror, " << sum.compared << " comparisons under churn, " << sum.settled
              << " bindings not alike at first sight, " << sum.damages_found << " damages found" << std::endl;
    return failed == 0 ? 0 : 1;
}
