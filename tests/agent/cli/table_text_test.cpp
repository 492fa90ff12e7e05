#include "agent/cli/table_text.hpp"

#include <doctest/doctest.h>

#include <sstream>

using namespace leasemirror;

TEST_CASE("a table is as wide as what is in it, and leaves out optional columns that are empty") {
    using Column = TextTable::Column;
    TextTable table({Column{"A"}, Column{.heading = "COUNT", .align = Column::Align::right},
                     Column{.heading = "EMPTY", .optional = true}, Column{.heading = "SOME", .optional = true}});
    table.add({"n\xc3\xbcrn", "1", "", ""});
    table.add_note("a note");
    table.add({"", "12", "", "x"});
    std::ostringstream out;
    table.print(out);
    CHECK(out.str() ==
          "A     COUNT  SOME\n"
          "n\xc3\xbcrn      1  -\n"
          "  a note\n"
          "-        12  x\n");
}
