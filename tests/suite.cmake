# What tests/run.sh --fast builds.
add_custom_target(fast_tests)

# leasemirror_suite(TARGET [TESTS FILE...] [EVERY_ENGINE FILE...] [POSTGRESQL FILE...] [HELPERS FILE...] [LIBRARIES ...])
#
# One executable, and one entry of ctest for each test file, named after its path: tests/agent/sync/gap_book_test.cpp becomes
# agent/sync/gap_book.
#
#   TESTS          files that need nothing
#   EVERY_ENGINE   files that run over SQLite and, with a server, over PostgreSQL. With the label `postgresql`; and, for
#                  `ctest -C fast` alone, over SQLite as NAME:sqlite
#   POSTGRESQL     files that need a PostgreSQL server. With the label `postgresql`
#   HELPERS        what is compiled with them and holds no test
#   LIBRARIES      what they link: the room they test, and no other
function(leasemirror_suite target)
    cmake_parse_arguments(PARSE_ARGV 1 suite "" "" "TESTS;EVERY_ENGINE;POSTGRESQL;HELPERS;LIBRARIES")
    if(suite_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "leasemirror_suite(${target}): what is ${suite_UNPARSED_ARGUMENTS}?")
    endif()
    set(files ${suite_TESTS} ${suite_EVERY_ENGINE} ${suite_POSTGRESQL})
    add_executable(${target} ${files} ${suite_HELPERS})
    target_link_libraries(${target} PRIVATE ${suite_LIBRARIES} leasemirror_doctest_main)
    add_dependencies(fast_tests ${target})

    foreach(file IN LISTS files)
        cmake_path(ABSOLUTE_PATH file OUTPUT_VARIABLE path)
        set_property(GLOBAL APPEND PROPERTY leasemirror_test_files ${path})
        cmake_path(RELATIVE_PATH path BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/tests)
        string(REGEX REPLACE "_test\\.cpp$" "" name ${path})
        set(command ${target} --source-file=*tests/${path})
        add_test(NAME ${name} COMMAND ${command})
        if(file IN_LIST suite_EVERY_ENGINE)
            add_test(NAME ${name}:sqlite CONFIGURATIONS fast COMMAND ${command})
        endif()
        if(NOT file IN_LIST suite_TESTS)
            leasemirror_uses_postgres(${name})
        endif()
    endforeach()
endfunction()

# A test file that no suite lists would never run.
function(leasemirror_check_that_all_tests_are_listed)
    get_property(listed GLOBAL PROPERTY leasemirror_test_files)
    file(GLOB_RECURSE forgotten CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
    list(REMOVE_ITEM forgotten ${listed})
    if(forgotten)
        message(FATAL_ERROR "No leasemirror_suite() lists these tests: ${forgotten}")
    endif()
endfunction()
