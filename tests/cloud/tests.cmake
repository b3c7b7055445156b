# cloud_store runs one store plug-in against a real server. It is built with the rest, and run by
# tests/cloud/run, which starts the servers: nothing is registered here that cannot run without them.
add_executable(cloud_store cloud/store_test.c)
target_link_libraries(cloud_store PRIVATE plugin_support)
foreach(plugin s3 azure gcs dir https)
  if(TARGET plugin_${plugin})
    add_dependencies(cloud_store plugin_${plugin})
  endif()
endforeach()
