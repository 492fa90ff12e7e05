#include "agent/daemon/shutdown.hpp"

#include <doctest/doctest.h>
#include <asio/io_context.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <memory>
#include <vector>

using namespace leasemirror;

namespace {

/// Runs `body` in a process of its own, since signals end it, and returns its exit code.
template <class Body>
int exit_code_in_child(Body body) {
    const auto child = fork();
    if (child == 0) _exit(body());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("the first SIGTERM or SIGINT is told to the event loop, which can then end by itself") {
    for (const int signal : {SIGTERM, SIGINT}) {
        CHECK(exit_code_in_child([&] {
                  asio::io_context loop;
                  int told = 0;
                  SignalHandler handler(loop, {[&](int s) { told = s; }, [] {}});
                  raise(signal);
                  loop.run();  // returns: nothing is left to wait for
                  return told == signal ? 0 : 1;
              }) == 0);
    }
}

TEST_CASE("the second one leaves at once with 128 and its number, even when the event loop is stuck") {
    for (const int second : {SIGTERM, SIGINT}) {
        CHECK(exit_code_in_child([&] {
                  asio::io_context loop;
                  SignalHandler handler(loop, {[&](int) { raise(second); }, nullptr});
                  raise(SIGTERM);
                  loop.run();
                  return 0;
              }) == 128 + second);
    }
}

TEST_CASE("SIGHUP asks for a reload each time, and is ignored where there is no hook") {
    CHECK(exit_code_in_child([] {
              asio::io_context loop;
              int reloads = 0;
              SignalHandler handler(loop, {nullptr, [&] {
                                               if (++reloads == 2)
                                                   raise(SIGTERM);
                                               else
                                                   raise(SIGHUP);
                                           }});
              raise(SIGHUP);
              loop.run();
              return reloads == 2 ? 0 : 1;
          }) == 0);
    CHECK(exit_code_in_child([] {
              asio::io_context loop;
              SignalHandler handler(loop, {nullptr, nullptr});
              raise(SIGHUP);
              raise(SIGTERM);
              loop.run();
              return 0;
          }) == 0);
}

TEST_CASE("cancel lets the event loop end without a signal") {
    CHECK(exit_code_in_child([] {
              asio::io_context loop;
              SignalHandler handler(loop, {[](int) {}, [] {}});
              handler.cancel();
              loop.run();
              return 0;
          }) == 0);
}

TEST_CASE("a signal between two handlers, while the daemon reloads, waits for the second") {
    for (const int signal : {SIGTERM, SIGHUP}) {
        CHECK(exit_code_in_child([&] {
                  asio::io_context first;
                  std::make_unique<SignalHandler>(first, SignalHooks{[](int) {}, [] {}}).reset();
                  raise(signal);
                  asio::io_context loop;
                  int told = 0;
                  SignalHandler handler(loop, {[&](int s) { told = s; },
                                               [&] {
                                                   told = SIGHUP;
                                                   loop.stop();
                                               }});
                  loop.run();
                  return told == signal ? 0 : 1;
              }) == 0);
    }
}

TEST_CASE("a signal that comes when the event loop has just been stopped waits for the next handler") {
    CHECK(exit_code_in_child([] {
              int told = 0;
              {
                  asio::io_context first;
                  SignalHandler handler(first, {[&](int) { told = -1; },
                                                [&] {
                                                    raise(SIGTERM);
                                                    first.stop();
                                                }});
                  raise(SIGHUP);
                  first.run();
              }
              asio::io_context loop;
              SignalHandler handler(loop, {[&](int s) { told = s; }, [] {}});
              loop.run();
              return told == SIGTERM ? 0 : 1;
          }) == 0);
}
