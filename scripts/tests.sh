#!/bin/sh
# All tests, or those that pytest's arguments name: three at a time; then, two at a time ("paired") or one by one
# ("alone"), those that hold pictures and sound against the clock. Fails if any of them fails, or if there are none.
set -u
none=5 # pytest's code for no tests
result=$none
run() {
    .venv/bin/python -m pytest "$@"
    code=$?
    if [ $code -ne $none ] && { [ $result -eq 0 ] || [ $result -eq $none ]; }; then
        result=$code
    fi
}

run -n 3 --dist loadgroup -m "not paired and not alone" "$@"
run -n 2 --dist loadgroup -m paired "$@"
run -m alone "$@"
exit $result
