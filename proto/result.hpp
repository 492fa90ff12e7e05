// The subset of std::expected that we use; libstdc++ 12 has the real one in C++23 mode only.
#pragma once

#include <cassert>
#include <utility>
#include <variant>

namespace leasemirror {

template <class E>
struct Unexpected {
    E error;
};
template <class E>
Unexpected(E) -> Unexpected<E>;

/// A value or the reason there is none. Reading the wrong one is a broken invariant and asserts.
template <class T, class E>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Unexpected<E> failure) : state_(std::in_place_index<1>, std::move(failure.error)) {}

    explicit operator bool() const { return state_.index() == 0; }
    const T& operator*() const& {
        assert(*this);
        return *std::get_if<0>(&state_);
    }
    T& operator*() & {
        assert(*this);
        return *std::get_if<0>(&state_);
    }
    T&& operator*() && {
        assert(*this);
        return std::move(*std::get_if<0>(&state_));
    }
    const T* operator->() const {
        assert(*this);
        return std::get_if<0>(&state_);
    }
    T* operator->() {
        assert(*this);
        return std::get_if<0>(&state_);
    }
    const E& error() const {
        assert(!*this);
        return *std::get_if<1>(&state_);
    }

private:
    std::variant<T, E> state_;
};

}  // namespace leasemirror
