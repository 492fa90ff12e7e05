#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>
#include <iostream>

namespace {

/// ctest picks the cases of a file by a filter. A filter that picks none is a mistake; doctest takes it for a success.
class SomethingMustRun final : public doctest::IReporter {
public:
    explicit SomethingMustRun(const doctest::ContextOptions&) {}

    void test_run_end(const doctest::TestRunStats& run) override {
        if (run.numTestCasesPassingFilters > 0) return;
        std::cerr << "No test ran: the filter matches none, or all that it matches are skipped here.\n";
        std::exit(EXIT_FAILURE);
    }

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_case_start(const doctest::TestCaseData&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
};

DOCTEST_REGISTER_LISTENER("something must run", 1, SomethingMustRun);

}  // namespace
