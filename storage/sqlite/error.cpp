#include "storage/sqlite/error.hpp"

#include <sqlite3.h>

namespace leasemirror {
namespace {

struct Meaning {
    StoreFault fault;
    std::string_view advice;
};

/// By primary result code (https://www.sqlite.org/rescode.html).
Meaning meaning(int code) {
    switch (code) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return {StoreFault::unavailable,
                    "another program has it locked for writing; end that program's transaction"};
        case SQLITE_READONLY:
            return {StoreFault::unavailable,
                    "the file, its directory or the file system is read-only for this user; change its permissions"};
        case SQLITE_FULL:
            return {StoreFault::unavailable, "the disk is full or the database has reached its size limit; make room"};
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            return {StoreFault::unavailable,
                    "the directory must exist, and file and directory must be readable and writable for this user"};
        case SQLITE_IOERR:
            return {StoreFault::unavailable, "the disk or the file system failed; see the kernel's log"};
        case SQLITE_NOMEM:
            return {StoreFault::unavailable, "out of memory"};
        case SQLITE_NOTADB:
            return {StoreFault::unusable, "the file is not a SQLite database; point storage.url at another file"};
        case SQLITE_CORRUPT:
            return {StoreFault::unusable,
                    "the file is damaged; restore it from a backup, or move it away to mirror everything anew"};
        case SQLITE_CONSTRAINT:
        case SQLITE_TOOBIG:
        case SQLITE_MISMATCH:
        case SQLITE_RANGE:
            return {StoreFault::refused, "the database refused the values"};
        default:
            return {StoreFault::unusable, "an unexpected answer of SQLite; please report it"};
    }
}

int primary(const SQLite::Exception& e) {
    return e.getErrorCode() & 0xff;
}

}  // namespace

StoreError store_error(const SQLite::Exception& e, const std::string& path, std::string_view doing) {
    const auto [fault, advice] = meaning(primary(e));
    std::string text;
    text.append("cannot ").append(doing).append(" in ").append(path).append(": ").append(e.what());
    text.append(" (SQLite code ").append(std::to_string(e.getExtendedErrorCode())).append("): ").append(advice);
    return {fault, text};
}

bool refuses_values(const SQLite::Exception& e) {
    return meaning(primary(e)).fault == StoreFault::refused;
}

}  // namespace leasemirror
