# One executable per file: tests/plugin/s3_test.c is the test `plugin/s3`. It loads the real .so from
# PLUGINS_D through host/loader and runs it through host/op with a scripted transport. What needs a
# plug-in's own functions compiles their source in: plugin_test_sources(sigv4 providers/aws/sigv4.c).
file(GLOB PLUGIN_TESTS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/plugin/*_test.c)
file(GLOB PLUGIN_SHARED CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/plugin/support/*.c)
add_library(plugin_support STATIC ${PLUGIN_SHARED})
target_link_libraries(plugin_support PUBLIC unit_support)
target_include_directories(plugin_support PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/providers)
foreach(source ${PLUGIN_TESTS})
  get_filename_component(name ${source} NAME_WE)
  string(REGEX REPLACE "_test$" "" name ${name})
  add_executable(plugin_test_${name} ${source})
  target_link_libraries(plugin_test_${name} PRIVATE plugin_support)
  add_dependencies(plugin_test_${name} plugins)
  add_test(NAME plugin/${name} COMMAND plugin_test_${name})
  set_tests_properties(plugin/${name} PROPERTIES TIMEOUT 120 ENVIRONMENT "PLUGINS_D=${PLUGINS_D}")
endforeach()

function(plugin_test_sources name)
  if(TARGET plugin_test_${name})
    list(TRANSFORM ARGN PREPEND ${CMAKE_SOURCE_DIR}/)
    target_sources(plugin_test_${name} PRIVATE ${ARGN})
  endif()
endfunction()
plugin_test_sources(sigv4 providers/aws/sigv4.c)
plugin_test_sources(akamai_sign cdn/akamai/edgegrid.c)
plugin_test_sources(tsig providers/dns/message.c providers/dns/tsig.c)
plugin_test_sources(azure_call providers/azure/call.c providers/azure/account.c providers/azure/identity.c)

# The contract, by the program's own verb: each folder of tests/plugin/scripts is the test plugin/contract_NAME. NAME.VARIANT is
# another instance of the plug-in NAME.
file(GLOB SCRIPTS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/plugin/scripts/*/instance.ini)
foreach(ini ${SCRIPTS})
  get_filename_component(folder ${ini} DIRECTORY)
  get_filename_component(name ${folder} NAME)
  string(REGEX REPLACE "[.].*$" "" plugin ${name})
  add_test(NAME plugin/contract_${name} COMMAND difusor plugins ${PLUGINS_D}/${plugin}.so --probe --scripts ${folder})
  set_tests_properties(plugin/contract_${name} PROPERTIES TIMEOUT 300)
endforeach()
