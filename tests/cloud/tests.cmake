# cloud_store runs one store plug-in against a real server. It is built with the rest, and run by
# tests/cloud/run, which starts the servers: nothing is registered here that cannot run without them.
add_executable(cloud_store cloud/store_test.c cloud/store_parts.c)
target_link_libraries(cloud_store PRIVATE plugin_support)
add_dependencies(cloud_store plugins)
# Those of other kinds, each with a script of its name.
foreach(name dns etcd)
  add_executable(cloud_${name} cloud/${name}_test.c)
  target_link_libraries(cloud_${name} PRIVATE plugin_support)
  add_dependencies(cloud_${name} plugins)
endforeach()

# Our own fake and our own proxy are judges, so they are judged first; they need nothing but node.
find_program(NODE NAMES node nodejs)
if(NODE)
  add_test(NAME cloud/gcs_fake COMMAND ${NODE} --test ${CMAKE_CURRENT_SOURCE_DIR}/cloud/fakes/gcs_test.mjs)
  add_test(NAME cloud/fault_proxy COMMAND ${NODE} --test ${CMAKE_CURRENT_SOURCE_DIR}/cloud/faults/proxy_test.mjs)
  set_tests_properties(cloud/gcs_fake cloud/fault_proxy PROPERTIES TIMEOUT 60)
endif()
