# cmake -D OUT=x.cpp -D NAME=table -D FILES="a.sql;b.sql" -P embed.cmake: the migrations as a C++ table, in order.
set(rows "")
foreach(path IN LISTS FILES)
    get_filename_component(name ${path} NAME)
    file(READ ${path} text)
    string(APPEND rows "    Migration{\"${name}\", R\"sql(${text})sql\"},\n")
endforeach()
file(WRITE ${OUT} "// Made by storage/schema/embed.cmake from the .sql files beside it.
#include \"storage/migration.hpp\"

namespace leasemirror {
namespace {
constexpr Migration table[] = {
${rows}};
}  // namespace
const std::span<const Migration> ${NAME}{table};
}  // namespace leasemirror
")
