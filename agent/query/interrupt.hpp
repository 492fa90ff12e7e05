// Ctrl-C, as an exchange sees it: whether it has come, and what is to be called when it comes.
#pragma once

#include <functional>
#include <utility>

namespace leasemirror {

class Interrupt {
public:
    Interrupt() = default;
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;
    virtual ~Interrupt() = default;

    [[nodiscard]] virtual bool asked() const = 0;

    /// While it lives, `end` is what an interrupt calls, once and perhaps from another thread; at once if it has come
    /// already. One at a time.
    class Hook {
    public:
        Hook(Interrupt& interrupt, std::function<void()> end) : interrupt_(interrupt) {
            interrupt_.on_asked(std::move(end));
        }
        ~Hook() { interrupt_.on_asked(nullptr); }
        Hook(const Hook&) = delete;
        Hook& operator=(const Hook&) = delete;

    private:
        Interrupt& interrupt_;
    };

private:
    /// Replaces what is called; null: nothing. When it returns, the one before is not running and will not be called.
    virtual void on_asked(std::function<void()> end) = 0;
};

}  // namespace leasemirror
