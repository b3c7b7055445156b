# Each *_test here is a script that plays a user of the program: DIFUSOR and PLUGINS_D name what was built.
file(GLOB SCENARIOS CONFIGURE_DEPENDS scenario/*_test)
foreach(script ${SCENARIOS})
  get_filename_component(name ${script} NAME)
  string(REGEX REPLACE "_test$" "" name ${name})
  add_test(NAME scenario/${name} COMMAND bash ${script})
  set_tests_properties(scenario/${name} PROPERTIES TIMEOUT 300 LABELS scenario
    ENVIRONMENT "DIFUSOR=$<TARGET_FILE:difusor>;PLUGINS_D=${PLUGINS_D}")
endforeach()
set_tests_properties(scenario/drill PROPERTIES TIMEOUT 900) # faults have to last, and are many
